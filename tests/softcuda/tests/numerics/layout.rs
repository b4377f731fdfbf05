//! Layouts of matrix fragments as the PTX ISA writes them.

use softcuda::exec::matrix::*;
use softcuda::ir::{MmaShape, Type};

use crate::values::Random;

/// Input, K, accumulator.
pub const SHAPES: [(Type, u32, Type); 8] = [
    (Type::Tf32, 4, Type::F32),
    (Type::Tf32, 8, Type::F32),
    (Type::F16, 8, Type::F32),
    (Type::F16, 16, Type::F32),
    (Type::Bf16, 8, Type::F32),
    (Type::Bf16, 16, Type::F32),
    (Type::F16, 8, Type::F16),
    (Type::F16, 16, Type::F16),
];

/// An m16n8k* of these types.
pub fn shape((input, k, accumulator): (Type, u32, Type)) -> MmaShape {
    MmaShape { m: 16, n: 8, k, input, accumulator }
}

/// The formulas of the PTX ISA for A, B and C of each shape: (row, column) of a_i, b_i, c_i.
pub fn isa(input: Type, k: u32, which: char, lane: usize, i: usize) -> (usize, usize) {
    let group_id = lane >> 2;
    let thread_id = lane % 4;
    match (which, input, k) {
        // "row = groupID for a0, groupID + 8 for a1; col = threadID_in_group".
        ('a', Type::Tf32, 4) => (if i == 0 { group_id } else { group_id + 8 }, thread_id),
        // "row = groupID for a0 and a2, groupID + 8 for a1 and a3; col = threadID_in_group for a0 and a1, + 4 for a2
        // and a3".
        ('a', Type::Tf32, _) => (
            if i == 0 || i == 2 { group_id } else { group_id + 8 },
            if i == 0 || i == 1 { thread_id } else { thread_id + 4 },
        ),
        ('b', Type::Tf32, 4) => (thread_id, group_id),
        ('b', Type::Tf32, _) => (if i == 0 { thread_id } else { thread_id + 4 }, group_id),
        // m16n8k8: "row = groupID for a0 and a1, groupID + 8 for a2 and a3; col = threadID_in_group * 2 + (i & 0x1)".
        ('a', _, 8) => (if i < 2 { group_id } else { group_id + 8 }, thread_id * 2 + (i & 1)),
        // m16n8k16: "row = groupID for ai where 0 <= i < 2 || 4 <= i < 6, groupID + 8 otherwise; col =
        // (threadID_in_group * 2) + (i & 0x1) for ai where i < 4, + 8 for ai where i >= 4".
        ('a', _, _) => (
            if i < 2 || (4..6).contains(&i) { group_id } else { group_id + 8 },
            if i < 4 { thread_id * 2 + (i & 1) } else { thread_id * 2 + (i & 1) + 8 },
        ),
        ('b', _, 8) => (thread_id * 2 + (i & 1), group_id),
        ('b', _, _) => (if i < 2 { thread_id * 2 + (i & 1) } else { thread_id * 2 + (i & 1) + 8 }, group_id),
        // "row = groupID for ci where i < 2, groupID + 8 for ci where i >= 2; col = (threadID_in_group * 2) + (i & 0x1)".
        _ => (if i < 2 { group_id } else { group_id + 8 }, thread_id * 2 + (i & 1)),
    }
}

/// Elements of A and B a register.
pub fn elements(input: Type) -> usize {
    if input == Type::Tf32 { 1 } else { 2 }
}

#[test]
fn layouts_are_those_of_the_isa() {
    for (input, k, accumulator) in SHAPES {
        let (a, b, _) = mma_registers(shape((input, k, accumulator))).expect("a known shape");
        let mut seen_a = vec![0; 16 * k as usize];
        let mut seen_b = vec![0; 8 * k as usize];
        let mut seen_c = vec![0; 16 * 8];
        for lane in 0..32 {
            for i in 0..a * elements(input) {
                let (row, column) = a_position(input, lane, i);
                assert_eq!((row, column), isa(input, k, 'a', lane, i), "a {input:?} {k} {lane} {i}");
                seen_a[row * k as usize + column] += 1;
            }
            for i in 0..b * elements(input) {
                let (row, column) = b_position(input, lane, i);
                assert_eq!((row, column), isa(input, k, 'b', lane, i), "b {input:?} {k} {lane} {i}");
                seen_b[row * 8 + column] += 1;
            }
            for i in 0..4 {
                let (row, column) = c_position(lane, i);
                assert_eq!((row, column), isa(input, k, 'c', lane, i), "c {lane} {i}");
                seen_c[row * 8 + column] += 1;
            }
        }
        assert!([seen_a, seen_b, seen_c].concat().iter().all(|&count| count == 1), "{input:?} {k}");
    }
    assert_eq!(mma_registers(shape((Type::Bf16, 16, Type::F16))), None);
    assert_eq!(mma_registers(shape((Type::Tf32, 16, Type::F32))), None);
}

#[test]
fn matrices_load() {
    let rows: Vec<[u8; 16]> = (0..32).map(|row| std::array::from_fn(|byte| (row * 16 + byte) as u8)).collect();
    let half = |matrix: usize, row: usize, column: usize| {
        let bytes = rows[8 * matrix + row];
        u32::from(bytes[2 * column]) | u32::from(bytes[2 * column + 1]) << 8
    };
    let (plain, transposed) = (ldmatrix(&rows, false), ldmatrix(&rows, true));
    assert_eq!((plain.len(), transposed.len(), ldmatrix(&rows[..8], false).len()), (4, 4, 1));
    for matrix in 0..4 {
        for lane in 0..32 {
            let (row, column) = (lane >> 2, 2 * (lane & 3));
            let packed = half(matrix, row, column) | half(matrix, row, column + 1) << 16;
            assert_eq!(plain[matrix][lane], packed, "{matrix} {lane}");
            let packed = half(matrix, column, row) | half(matrix, column + 1, row) << 16;
            assert_eq!(transposed[matrix][lane], packed, "transposed {matrix} {lane}");
        }
    }
}

/// What ldmatrix loads is a fragment of m16n8k16: A from four pieces of its rows, B from the transpose of its rows.
#[test]
fn loaded_matrices_are_fragments() {
    let mut random = Random(44);
    let a: Vec<u16> = (0..16 * 16).map(|_| random.next() as u16).collect();
    let b: Vec<u16> = (0..16 * 8).map(|_| random.next() as u16).collect();
    let piece = |from: &[u16]| -> [u8; 16] { std::array::from_fn(|i| from[i / 2].to_le_bytes()[i % 2]) };
    // Upper left, lower left, upper right, lower right.
    let rows: Vec<[u8; 16]> = (0..32).map(|i| piece(&a[i % 16 * 16 + i / 16 * 8..][..8])).collect();
    let fragment = ldmatrix(&rows, false);
    let columns: Vec<[u8; 16]> = (0..16).map(|row| piece(&b[row * 8..][..8])).collect();
    let fragment_b = ldmatrix(&columns, true);
    for lane in 0..32 {
        for i in 0..8 {
            let (row, column) = isa(Type::F16, 16, 'a', lane, i);
            assert_eq!((fragment[i / 2][lane] >> (16 * (i % 2))) as u16, a[row * 16 + column]);
        }
        for i in 0..4 {
            let (row, column) = isa(Type::F16, 16, 'b', lane, i);
            assert_eq!((fragment_b[i / 2][lane] >> (16 * (i % 2))) as u16, b[row * 8 + column]);
        }
    }
}

#[test]
fn dot_products_of_bytes() {
    assert_eq!(dp4a(false, false, 0x0403_0201, 0x0807_0605, 100), 100 + 5 + 12 + 21 + 32);
    assert_eq!(dp4a(true, true, 0xff80_7f01, 0x0180_ff02, 0) as i32, 2 - 127 + 128 * 128 - 1);
    assert_eq!(dp4a(true, false, 0x0000_00ff, 0x0000_00ff, 0) as i32, -255);
    assert_eq!(dp4a(false, true, 0x0000_00ff, 0x0000_00ff, 0) as i32, -255);
    assert_eq!(dp4a(false, false, 0xff, 0xff, u32::MAX), 255 * 255 - 1);
}
