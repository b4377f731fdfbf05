//! Matrix instructions: fragment layouts of `mma.sync` and `ldmatrix`, and their arithmetic.
//!
//! A fragment is a list of registers, each of 32 lanes. Layouts are those of the PTX ISA, "Matrix Fragments for
//! mma.m16n8k4, .m16n8k8, .m16n8k16"; with `group = lane / 4` and `thread = lane % 4`, an A register of tf32 holds one
//! element and one of f16 or bf16 two, the lower column in the low half.

mod sum;

use super::float::soft::Format;
use crate::ir::{MmaShape, Type};
use crate::machine::Accumulation;
use sum::{Dot, Element};

/// Rows of A, C and D.
const M: usize = 16;
/// Columns of B, C and D.
const N: usize = 8;
/// The largest K.
const MAX_K: usize = 16;

/// Registers of the fragments of A, B, and C and D; `None` if there is no such instruction here.
pub fn mma_registers(shape: MmaShape) -> Option<(usize, usize, usize)> {
    let accumulators = match (shape.input, shape.accumulator) {
        (Type::F16 | Type::Bf16 | Type::Tf32, Type::F32) => 4,
        (Type::F16, Type::F16) => 2,
        _ => return None,
    };
    let (a, b) = match (shape.m, shape.n, shape.k, shape.input) {
        (16, 8, 4, Type::Tf32) => (2, 1),
        (16, 8, 8, Type::Tf32) => (4, 2),
        (16, 8, 8, Type::F16 | Type::Bf16) => (2, 1),
        (16, 8, 16, Type::F16 | Type::Bf16) => (4, 2),
        _ => return None,
    };
    Some((a, b, accumulators))
}

/// Row and column of element `index` of A in `lane`. Elements count along the registers, two a register of halves.
///
/// Registers of A alternate between the upper and the lower eight rows, then move right by half of K.
pub fn a_position(input: Type, lane: usize, index: usize) -> (usize, usize) {
    let (register, low) = split(input, index);
    let row = lane / 4 + 8 * (register % 2);
    (row, along_k(input, lane, register / 2, low))
}

/// Row and column of element `index` of B in `lane`.
pub fn b_position(input: Type, lane: usize, index: usize) -> (usize, usize) {
    let (register, low) = split(input, index);
    (along_k(input, lane, register, low), lane / 4)
}

/// Row and column of element `index` (0 to 3) of C and D in `lane`: of f16, two a register.
pub fn c_position(lane: usize, index: usize) -> (usize, usize) {
    (lane / 4 + 8 * (index / 2), lane % 4 * 2 + index % 2)
}

fn elements_per_register(ty: Type) -> usize {
    if matches!(ty, Type::F16 | Type::Bf16) { 2 } else { 1 }
}

fn split(input: Type, index: usize) -> (usize, usize) {
    let elements = elements_per_register(input);
    (index / elements, index % elements)
}

fn along_k(input: Type, lane: usize, step: usize, low: usize) -> usize {
    let elements = elements_per_register(input);
    lane % 4 * elements + low + 4 * elements * step
}

fn format(ty: Type) -> Format {
    match ty {
        Type::F16 => Format::F16,
        Type::Bf16 => Format::BF16,
        Type::Tf32 => Format::TF32,
        _ => Format::F32,
    }
}

/// The bits of element `index` of a fragment in `lane`; of tf32 its 19: the low 13 bits of the register are ignored.
fn element(ty: Type, fragment: &[[u32; 32]], lane: usize, index: usize) -> u64 {
    let (register, low) = split(ty, index);
    let word = fragment[register][lane];
    match ty {
        Type::F16 | Type::Bf16 => u64::from(word >> (16 * low) & 0xffff),
        Type::Tf32 => u64::from(word >> 13),
        _ => u64::from(word),
    }
}

/// `mma.sync.aligned.m16n8k*.row.col`: D = A · B + C.
///
/// The outer index of a fragment is the register, the inner the lane. The shape is one that [`mma_registers`] knows, and
/// the fragments have that many registers.
pub fn mma(
    shape: MmaShape,
    a: &[[u32; 32]],
    b: &[[u32; 32]],
    c: &[[u32; 32]],
    accumulation: Accumulation,
) -> Vec<[u32; 32]> {
    let k = shape.k as usize;
    let input = shape.input;
    let format_in = format(input);
    let per_register = elements_per_register(input);
    let mut rows = [[Element::ZERO; MAX_K]; M];
    let mut columns = [[Element::ZERO; MAX_K]; N];
    for lane in 0..32 {
        for index in 0..a.len() * per_register {
            let (row, column) = a_position(input, lane, index);
            rows[row][column] = Element::new(format_in, element(input, a, lane, index));
        }
        for index in 0..b.len() * per_register {
            let (row, column) = b_position(input, lane, index);
            columns[column][row] = Element::new(format_in, element(input, b, lane, index));
        }
    }
    let dot = Dot { accumulation, half_block: input == Type::Tf32, format: format(shape.accumulator) };
    let mut d = vec![[0; 32]; c.len()];
    for (lane, index) in (0..32).flat_map(|lane| (0..4).map(move |index| (lane, index))) {
        let (row, column) = c_position(lane, index);
        let start = element(shape.accumulator, c, lane, index);
        let bits = dot.product(&rows[row][..k], &columns[column][..k], start) as u32;
        let (register, low) = split(shape.accumulator, index);
        d[register][lane] |= bits << (16 * low);
    }
    d
}

/// `ldmatrix.sync.aligned.m8n8.x{1,2,4}{.trans}.shared.b16`: a register for every eight rows.
///
/// Row r of matrix j is `rows[8 j + r]`, read at the address of lane 8 j + r. Lane t gets elements 2 (t % 4) and
/// 2 (t % 4) + 1 of row t / 4, the first in the low half; of the transposed matrix if `transposed`.
pub fn ldmatrix(rows: &[[u8; 16]], transposed: bool) -> Vec<[u32; 32]> {
    let matrix = |rows: &[[u8; 16]]| {
        std::array::from_fn(|lane| {
            let at = |offset: usize| {
                let (row, column) = (lane / 4, lane % 4 * 2 + offset);
                let (row, column) = if transposed { (column, row) } else { (row, column) };
                u32::from(u16::from_le_bytes([rows[row][2 * column], rows[row][2 * column + 1]]))
            };
            at(0) | at(1) << 16
        })
    };
    rows.chunks_exact(8).map(matrix).collect()
}

/// `dp4a`: c plus the dot product of four bytes, each signed or not.
pub fn dp4a(a_signed: bool, b_signed: bool, a: u32, b: u32, c: u32) -> u32 {
    let byte = |byte: u8, signed: bool| if signed { i32::from(byte as i8) } else { i32::from(byte) };
    let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
    products.fold(c, |sum, (a, b)| sum.wrapping_add((byte(a, a_signed) * byte(b, b_signed)) as u32))
}
