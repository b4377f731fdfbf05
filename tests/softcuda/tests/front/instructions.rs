//! What instructions become.

use softcuda::ir::*;

use crate::support::{body, operation};

/// Operations with the names of registers in place of their handles.
fn shown(line: &str) -> String {
    let function = body(line).unwrap_or_else(|error| panic!("{error}"));
    let mut text = format!("{:?}", function.body[0].operation);
    for (index, register) in function.registers.iter().enumerate() {
        text = text.replace(&format!("Reg(Reg({index}))"), &register.name);
        text = text.replace(&format!("Reg({index})"), &register.name);
    }
    text
}

#[test]
fn literals() {
    let bits = |line: &str| match operation(line) {
        Operation::Mov { src: Operand::Bits(bits), .. } => bits,
        other => panic!("{other:?}"),
    };
    assert_eq!(bits("mov.u32 %r1, 4294967295;"), 0xFFFF_FFFF);
    assert_eq!(bits("mov.u32 %r1, -1;"), u64::MAX);
    assert_eq!(bits("mov.u32 %r1, 0xFFU;"), 255);
    assert_eq!(bits("mov.u32 %r1, 017;"), 15);
    assert_eq!(bits("mov.u32 %r1, 0b101;"), 5);
    assert_eq!(bits("mov.u32 %r1, 0;"), 0);
    assert_eq!(bits("mov.u32 %r1, 4294967297;"), 1);
    assert_eq!(bits("mov.b16 %h1, -65537;"), 0xFFFF);
    assert_eq!(bits("mov.u64 %d1, 18446744073709551615;"), u64::MAX);
    assert_eq!(bits("mov.s64 %d1, -9223372036854775808;"), 1 << 63);
    assert_eq!(bits("mov.f32 %f1, 0f3F800000;"), 0x3F80_0000);
    assert_eq!(bits("mov.f32 %f1, 1.5;"), u64::from(1.5f32.to_bits()));
    assert_eq!(bits("mov.f32 %f1, -1.5;"), u64::from((-1.5f32).to_bits()));
    assert_eq!(bits("mov.f32 %f1, 0d3FF0000000000000;"), 0x3F80_0000);
    assert_eq!(bits("mov.f64 %e1, 0f3F800000;"), 0x3FF0_0000_0000_0000);
    assert_eq!(bits("mov.f64 %e1, 1e3;"), 1000f64.to_bits());
    assert_eq!(bits("mov.f64 %e1, 2.5E-1;"), 0.25f64.to_bits());
    assert_eq!(bits("mov.b32 %r1, 0fBF800000;"), 0xBF80_0000);
    assert_eq!(bits("mov.b64 %d1, 0d3FF0000000000000;"), 0x3FF0_0000_0000_0000);
    assert_eq!(bits("mov.pred %p1, 0;"), 0);
    assert_eq!(bits("mov.pred %p1, -1;"), 1);
}

#[test]
fn moves() {
    assert_eq!(shown("mov.b64 %d1, {%r1, %r2};"), "Pack { ty: B64, dst: %d1, parts: [%r1, %r2] }");
    assert_eq!(shown("mov.b32 {%h1, _}, %r1;"), "Unpack { ty: B32, parts: [Some(%h1), None], src: %r1 }");
    assert_eq!(
        shown("mov.b64 {%h1, %h2, _, %h3}, %d1;"),
        "Unpack { ty: B64, parts: [Some(%h1), Some(%h2), None, Some(%h3)], src: %d1 }"
    );
    assert_eq!(shown("mov.b128 %q1, {%d1, %d2};"), "Pack { ty: B128, dst: %q1, parts: [%d1, %d2] }");
    assert_eq!(shown("mov.u64 %d1, table+8;"), "Mov { ty: U64, dst: %d1, src: Address(Module(0), 8) }");
    assert_eq!(shown("mov.u32 %r1, tile;"), "Mov { ty: U32, dst: %r1, src: Address(Function(0), 0) }");
    assert_eq!(shown("mov.b64 %d1, packed;"), "Mov { ty: B64, dst: %d1, src: Address(Parameter(1), 0) }");
    assert_eq!(
        shown("cvta.to.global.u64 %d1, %d2;"),
        "Cvta { to_space: true, space: Global, ty: U64, dst: %d1, src: %d2 }"
    );
    assert_eq!(
        shown("cvta.shared.u64 %d1, tile;"),
        "Cvta { to_space: false, space: Shared, ty: U64, dst: %d1, src: Address(Function(0), 0) }"
    );
}

#[test]
fn loads_and_stores() {
    let address = |text: &str| match operation(&format!("ld.global.u32 %r1, {text};")) {
        Operation::Load { address, .. } => (matches!(address.base, Operand::Reg(_)), address.offset),
        other => panic!("{other:?}"),
    };
    assert_eq!(address("[%d1]"), (true, 0));
    assert_eq!(address("[%d1+-8]"), (true, -8));
    assert_eq!(address("[%d1 + 0x10]"), (true, 16));
    assert_eq!(address("[%d1-4]"), (true, -4));
    assert_eq!(address("[table+4]"), (false, 4));
    assert_eq!(address("[table]"), (false, 0));
    assert_eq!(
        shown("ld.global.nc.L1::no_allocate.L2::128B.v4.u16 {%h1, _, %h2, %h3}, [%d1];"),
        "Load { space: Global, ordering: Weak, ty: U16, dst: [Some(%h1), None, Some(%h2), Some(%h3)], \
         address: Address { base: %d1, offset: 0 } }"
    );
    assert_eq!(
        shown("ld.acquire.gpu.u32 %r1, [%d1];"),
        "Load { space: Generic, ordering: Acquire, ty: U32, dst: [Some(%r1)], address: Address { base: %d1, offset: 0 } }"
    );
    assert_eq!(
        shown("st.volatile.shared.v2.f32 [tile+8], {%f1, 0f00000000};"),
        "Store { space: Shared, ordering: Volatile, ty: F32, src: [%f1, Bits(0)], \
         address: Address { base: Address(Function(0), 0), offset: 8 } }"
    );
    // A wider register is truncated or extended.
    assert!(body("ld.global.u8 %d1, [%d2]; st.global.u8 [%d2], %r1; ld.shared.s16 %r1, [%r2];").is_ok());
}

#[test]
fn atomics() {
    assert_eq!(
        shown("atom.global.cas.b32 %r1, [%d1], %r2, 7;"),
        "Atomic { op: Cas, space: Global, ordering: Relaxed, ty: B32, dst: Some(%r1), \
         address: Address { base: %d1, offset: 0 }, b: %r2, c: Some(Bits(7)), noftz: false }"
    );
    assert_eq!(
        shown("atom.add.release.gpu.u32 %r1, [%d1], 1;".replace("add.release.gpu", "release.gpu.add").as_str()),
        "Atomic { op: Add, space: Generic, ordering: Release, ty: U32, dst: Some(%r1), \
         address: Address { base: %d1, offset: 0 }, b: Bits(1), c: None, noftz: false }"
    );
    assert_eq!(
        shown("red.shared.add.noftz.f16x2 [tile], %r1;"),
        "Atomic { op: Add, space: Shared, ordering: Relaxed, ty: F16x2, dst: None, \
         address: Address { base: Address(Function(0), 0), offset: 0 }, b: %r1, c: None, noftz: true }"
    );
}

#[test]
fn arithmetic() {
    assert_eq!(
        shown("add.sat.s32 %r1, %r2, -3;"),
        format!("IntBinary {{ op: AddSat, ty: S32, dst: %r1, a: %r2, b: Bits({}) }}", -3i64 as u64)
    );
    assert_eq!(
        shown("subc.cc.u32 %r1, %r2, %r3;"),
        "Carry { subtract: true, reads: true, writes: true, ty: U32, dst: %r1, a: %r2, b: %r3 }"
    );
    assert_eq!(
        shown("add.cc.u32 %r1, %r2, %r3;"),
        "Carry { subtract: false, reads: false, writes: true, ty: U32, dst: %r1, a: %r2, b: %r3 }"
    );
    assert_eq!(
        shown("mad.wide.s32 %d1, %r1, %r2, %d2;"),
        "Mad { half: Wide, sat: false, ty: S32, dst: %d1, a: %r1, b: %r2, c: %d2 }"
    );
    assert_eq!(
        shown("madc.hi.u32 %r1, %r2, %r3, 0;"),
        "MadCarry { half: High, reads: true, writes: false, ty: U32, dst: %r1, a: %r2, b: %r3, c: Bits(0) }"
    );
    assert_eq!(shown("lop3.b32 %r1, %r2, %r3, %r4, 0x96;"), "Lop3 { dst: %r1, a: %r2, b: %r3, c: %r4, table: 150 }");
    assert_eq!(
        shown("prmt.b32.rc16 %r1, %r2, %r3, 0x5410;"),
        "Prmt { mode: Some(5), dst: %r1, a: %r2, b: %r3, c: Bits(21520) }"
    );
    assert_eq!(
        shown("shf.r.wrap.b32 %r1, %r2, %r3, 16;"),
        "Shf { left: false, wrap: true, dst: %r1, a: %r2, b: %r3, c: Bits(16) }"
    );
    assert_eq!(shown("bfind.shiftamt.u64 %r1, %d1;"), "IntUnary { op: BfindShift, ty: U64, dst: %r1, a: %d1 }");
    assert_eq!(shown("xor.pred %p1, %p2, 1;"), "PredicateBinary { op: Xor, dst: %p1, a: %p2, b: Bits(1) }");
    assert_eq!(shown("not.pred %p1, %p2;"), "PredicateNot { dst: %p1, a: %p2 }");
    let Operation::Fma { mode, ty, .. } = operation("fma.rm.ftz.sat.f32 %f1, %f2, %f3, %f4;") else { panic!("fma") };
    let expected = FloatMode { rounding: Rounding::Rm, ftz: true, sat: true, relu: false, nan: false };
    assert_eq!((mode, ty), (expected, Type::F32));
    let Operation::FloatBinary { mode, .. } = operation("mul.f32 %f1, %f2, %f3;") else { panic!("mul") };
    assert_eq!(mode.rounding, Rounding::Unpinned);
    let Operation::FloatBinary { op, mode, .. } = operation("max.NaN.bf16 %h1, %h2, %h3;") else { panic!("max") };
    assert!(op == FloatBinary::Max && mode.nan);
    assert!(matches!(operation("mad.rn.f32 %f1, %f2, %f3, %f4;"), Operation::Fma { .. }));
    assert!(matches!(operation("ex2.approx.ftz.f32 %f1, %f2;"), Operation::FloatUnary { op: FloatUnary::Ex2, .. }));
}

#[test]
fn comparisons_and_conversions() {
    assert_eq!(
        shown("setp.geu.and.f32 %p1|%p2, %f1, 0f00000000, !%p3;"),
        "Setp { compare: Geu, combine: Some((And, PredicateOperand { value: %p3, negated: true })), ftz: false, ty: F32, \
         dst: Some(%p1), dst_not: Some(%p2), a: %f1, b: Bits(0) }"
    );
    assert_eq!(
        shown("setp.hs.u32 _|%p2, %r1, %r2;"),
        "Setp { compare: Hs, combine: None, ftz: false, ty: U32, dst: None, dst_not: Some(%p2), a: %r1, b: %r2 }"
    );
    assert_eq!(
        shown("set.lt.f32.f32 %f1, %f2, %f3;"),
        "Set { compare: Lt, combine: None, ftz: false, dst_ty: F32, ty: F32, dst: %f1, a: %f2, b: %f3 }"
    );
    assert_eq!(
        shown("selp.f32 %f1, 0f3F800000, %f2, %p1;"),
        "Selp { ty: F32, dst: %f1, a: Bits(1065353216), b: %f2, condition: %p1 }"
    );
    let Operation::Cvt { mode, to, from, .. } = operation("cvt.rzi.sat.s32.f32 %r1, %f1;") else { panic!("cvt") };
    assert_eq!((mode.rounding, mode.sat, to, from), (Rounding::Rzi, true, Type::S32, Type::F32));
    let Operation::Cvt { mode, to, .. } = operation("cvt.rna.tf32.f32 %r1, %f1;") else { panic!("cvt") };
    assert_eq!((mode.rounding, to), (Rounding::Rna, Type::Tf32));
    let Operation::CvtPair { mode, to, .. } = operation("cvt.rn.relu.bf16x2.f32 %r1, %f1, %f2;") else { panic!("cvt") };
    assert_eq!((mode.relu, to), (true, Type::Bf16x2));
    // Integers convert through wider registers.
    assert!(body("cvt.u16.u8 %r1, %r2; cvt.s32.s8 %r1, %d1; cvt.u64.u32 %d1, %tid.x;").is_ok());
}

#[test]
fn warps_and_blocks() {
    assert_eq!(
        shown("shfl.sync.bfly.b32 %f1|%p1, %f2, 16, 31, -1;"),
        format!(
            "Shfl {{ mode: Bfly, dst: %f1, valid: Some(%p1), a: %f2, b: Bits(16), c: Bits(31), mask: Bits({}) }}",
            u64::MAX
        )
    );
    assert_eq!(
        shown("vote.sync.ballot.b32 %r1, !%p1, %r2;"),
        "Vote { mode: Ballot, dst: %r1, predicate: PredicateOperand { value: %p1, negated: true }, mask: %r2 }"
    );
    assert_eq!(
        shown("match.all.sync.b64 %r1|%p1, %d1, %r2;"),
        "Match { all: true, ty: B64, dst: %r1, valid: Some(%p1), a: %d1, mask: %r2 }"
    );
    assert_eq!(shown("redux.sync.min.s32 %r1, %r2, %r3;"), "Redux { op: Min, ty: S32, dst: %r1, a: %r2, mask: %r3 }");
    assert_eq!(shown("bar.sync 0;"), "Bar { aligned: true, barrier: Bits(0), threads: None }");
    assert_eq!(shown("barrier.sync %r1, 64;"), "Bar { aligned: false, barrier: %r1, threads: Some(Bits(64)) }");
    assert_eq!(
        shown("barrier.cta.arrive.aligned 3, 96;"),
        "BarArrive { aligned: true, barrier: Bits(3), threads: Bits(96) }"
    );
    assert_eq!(
        shown("bar.red.popc.u32 %r1, 0, !%p1;"),
        "BarRed { aligned: true, op: Popc, dst: %r1, barrier: Bits(0), threads: None, \
         predicate: PredicateOperand { value: %p1, negated: true } }"
    );
    assert_eq!(
        shown("bar.red.or.pred %p1, 1, 64, %p2;"),
        "BarRed { aligned: true, op: Or, dst: %p1, barrier: Bits(1), threads: Some(Bits(64)), \
         predicate: PredicateOperand { value: %p2, negated: false } }"
    );
    assert_eq!(shown("bar.warp.sync %r1;"), "BarWarp { mask: %r1 }");
    assert_eq!(operation("membar.gl;"), Operation::Fence);
    assert_eq!(operation("fence.acq_rel.gpu;"), Operation::Fence);
    assert_eq!(operation("nanosleep.u32 100;"), Operation::Yield);
}

#[test]
fn copies_and_matrices() {
    assert_eq!(
        shown("cp.async.ca.shared.global.L2::128B [%r1+16], [%d1], 4, %r2;"),
        "CpAsync { bytes: 4, dst: Address { base: %r1, offset: 16 }, src: Address { base: %d1, offset: 0 }, \
         source_bytes: Some(%r2) }"
    );
    assert_eq!(operation("cp.async.wait_group 2;"), Operation::CpAsyncWait { pending: Some(2) });
    assert_eq!(operation("cp.async.wait_all;"), Operation::CpAsyncWait { pending: None });
    assert_eq!(operation("cp.async.commit_group;"), Operation::CpAsyncCommit);
    assert_eq!(
        shown("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r1, %r2}, [%r3];"),
        "LdMatrix { transposed: true, dst: [%r1, %r2], address: Address { base: %r3, offset: 0 } }"
    );
    let Operation::Mma { shape, d, a, b, c } = operation(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4}, {%r1,%r2,%r3,%r4}, {%r5,%r6}, {%f1,%f2,%f3,%f4};",
    ) else {
        panic!("mma")
    };
    assert_eq!(shape, MmaShape { m: 16, n: 8, k: 16, input: Type::Bf16, accumulator: Type::F32 });
    assert_eq!((d.len(), a.len(), b.len(), c.len()), (4, 4, 2, 4));
}

#[test]
fn guards() {
    let function = body("@%p1 ret; @!%p2 exit; trap;").unwrap();
    let guards: Vec<_> = function.body.iter().map(|one| one.guard.map(|guard| guard.negated)).collect();
    assert_eq!(guards, [Some(false), Some(true), None]);
}
