//! f16 and bf16 against the `half` crate and `rustc_apfloat`.

use half::{bf16, f16};
use rustc_apfloat::ieee::{BFloat, Half};
use rustc_apfloat::{Float, Round};
use softcuda::exec::half::*;
use softcuda::ir::{Compare, FloatBinary, FloatMode, FloatUnary, Rounding};

use crate::values::{Random, edges, plain};

const KINDS: [(HalfKind, u32, u32); 2] = [(HalfKind::F16, 5, 10), (HalfKind::Bf16, 8, 7)];
const NEAREST: Round = Round::NearestTiesToEven;

#[test]
fn to_f32_is_exact_for_every_half() {
    for bits in 0..=u16::MAX {
        for (kind, expected) in
            [(HalfKind::F16, f16::from_bits(bits).to_f32()), (HalfKind::Bf16, bf16::from_bits(bits).to_f32())]
        {
            let value = half_to_f32(kind, bits);
            assert!(value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan(), "{kind:?} {bits:x}");
            if !value.is_nan() {
                assert_eq!(half_from_f64(kind, value.into(), Rounding::Rn), bits, "{kind:?} {bits:x} back");
            }
        }
    }
}

/// Every half, every middle of two, and their neighbours in f32.
#[test]
fn from_f32_rounds_at_every_boundary() {
    for bits in 0..u16::MAX {
        for (kind, _, _) in KINDS {
            let (low, high) = (half_to_f32(kind, bits), half_to_f32(kind, bits + 1));
            let middle = ((f64::from(low) + f64::from(high)) / 2.0) as f32;
            for value in [low, low.next_up(), low.next_down(), middle, middle.next_up(), middle.next_down()] {
                if value.is_nan() {
                    continue;
                }
                let expected = match kind {
                    HalfKind::F16 => f16::from_f32(value).to_bits(),
                    HalfKind::Bf16 => bf16::from_f32(value).to_bits(),
                };
                assert_eq!(half_from_f64(kind, value.into(), Rounding::Rn), expected, "{kind:?} {value:e}");
            }
        }
    }
}

fn oracle(kind: HalfKind, operands: [u16; 3], op: Option<FloatBinary>) -> u16 {
    macro_rules! evaluate {
        ($float:ty) => {{
            let [a, b, c] = operands.map(|bits| <$float>::from_bits(bits.into()));
            let result = match op {
                None => a.mul_add_r(b, c, NEAREST),
                Some(FloatBinary::Add) => a.add_r(b, NEAREST),
                Some(FloatBinary::Sub) => a.sub_r(b, NEAREST),
                Some(FloatBinary::Mul) => a.mul_r(b, NEAREST),
                Some(FloatBinary::Div) => a.div_r(b, NEAREST),
                Some(other) => panic!("no oracle of {other:?}"),
            };
            if result.value.is_nan() { HALF_NAN } else { result.value.to_bits() as u16 }
        }};
    }
    match kind {
        HalfKind::F16 => evaluate!(Half),
        HalfKind::Bf16 => evaluate!(BFloat),
    }
}

fn operands(count: usize, seed: u64, mut check: impl FnMut(HalfKind, [u16; 3])) {
    for (kind, exponent_bits, fraction_bits) in KINDS {
        let edges = edges(exponent_bits, fraction_bits);
        for &a in &edges {
            for &b in &edges {
                edges.iter().for_each(|&c| check(kind, [a, b, c].map(|bits| bits as u16)));
            }
        }
        let mut random = Random(seed);
        for _ in 0..count {
            check(kind, [(); 3].map(|()| random.float(exponent_bits, fraction_bits, &edges) as u16));
        }
    }
}

#[test]
fn fma_rounds_once() {
    operands(1_000_000, 11, |kind, [a, b, c]| {
        let result = half_fma(kind, a, b, c, plain(Rounding::Rn));
        assert_eq!(result, oracle(kind, [a, b, c], None), "{kind:?} {a:x} {b:x} {c:x}");
    });
}

/// A double rounding through f32 or f64 would go wrong here: a tie, but for a distant c.
#[test]
fn fma_breaks_ties_by_a_distant_addend() {
    let mode = plain(Rounding::Rn);
    // bf16: 1.0078125 · 1.5 = 1.51171875 is a tie; 2^-133 above or below it decides.
    assert_eq!(half_fma(HalfKind::Bf16, 0x3f81, 0x3fc0, 0x0001, mode), 0x3fc2);
    assert_eq!(half_fma(HalfKind::Bf16, 0x3f81, 0x3fc0, 0x8001, mode), 0x3fc1);
    // f16: 1.0009765625 · 1.5 with 2^-24 below and above.
    assert_eq!(half_fma(HalfKind::F16, 0x3c01, 0x3e00, 0x0001, mode), 0x3e02);
    assert_eq!(half_fma(HalfKind::F16, 0x3c01, 0x3e00, 0x8001, mode), 0x3e01);
}

#[test]
fn binary_operations() {
    operands(500_000, 12, |kind, [a, b, c]| {
        for op in [FloatBinary::Add, FloatBinary::Sub, FloatBinary::Mul, FloatBinary::Div] {
            let result = half_binary(kind, op, a, b, plain(Rounding::Rn));
            assert_eq!(result, oracle(kind, [a, b, c], Some(op)), "{kind:?} {op:?} {a:x} {b:x}");
        }
    });
}

#[test]
fn modes() {
    let (one, minus_one, nan) = (0x3c00, 0xbc00, 0x7e01);
    let mode = plain(Rounding::Rn);
    let (ftz, sat) = (FloatMode { ftz: true, ..mode }, FloatMode { sat: true, ..mode });
    let relu = FloatMode { relu: true, ..mode };
    let kind = HalfKind::F16;
    assert_eq!(half_fma(kind, one, 0x0001, 0, mode), 0x0001);
    assert_eq!(half_fma(kind, one, 0x0001, 0, ftz), 0);
    assert_eq!(half_fma(kind, one, 0x8001, 0x8000, ftz), 0x8000);
    // A subnormal result of normal operands: 2^-14 / 2.
    assert_eq!(half_binary(kind, FloatBinary::Mul, 0x0400, 0x3800, mode), 0x0200);
    assert_eq!(half_binary(kind, FloatBinary::Mul, 0x8400, 0x3800, ftz), 0x8000);
    assert_eq!(half_fma(kind, one, 0x4000, one, sat), one);
    assert_eq!(half_fma(kind, minus_one, one, 0, sat), 0);
    assert_eq!(half_fma(kind, nan, one, 0, sat), 0);
    assert_eq!(half_fma(kind, 0x8000, one, 0x8000, sat), 0);
    assert_eq!(half_fma(kind, minus_one, one, 0, relu), 0);
    assert_eq!(half_fma(kind, one, one, one, relu), 0x4000);
    assert_eq!(half_fma(kind, nan, one, 0, relu), HALF_NAN);
    assert_eq!(half_fma(HalfKind::Bf16, 0xbf80, 0x3f80, 0, relu), 0);
    assert_eq!(half_fma(HalfKind::Bf16, 0x3f80, 0x0001, 0x8000, mode), 0x0001);
    assert_eq!(half_binary(kind, FloatBinary::Min, 0x0000, 0x8000, mode), 0x8000);
    assert_eq!(half_binary(kind, FloatBinary::Max, 0x8000, 0x0000, mode), 0x0000);
    assert_eq!(half_binary(kind, FloatBinary::Max, nan, one, mode), one);
    assert_eq!(half_binary(kind, FloatBinary::Max, nan, one, FloatMode { nan: true, ..mode }), HALF_NAN);
    assert_eq!(half_binary(kind, FloatBinary::Min, nan, nan, mode), HALF_NAN);
    assert_eq!(half_unary(kind, FloatUnary::Neg, 0x0001, ftz), 0x8000);
    assert_eq!(half_unary(kind, FloatUnary::Abs, 0x8001, mode), 0x0001);
}

#[test]
fn comparisons() {
    use Compare::*;
    let all = [Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan];
    operands(10_000, 13, |kind, [a, b, _]| {
        let order = match kind {
            HalfKind::F16 => f16::from_bits(a).partial_cmp(&f16::from_bits(b)),
            HalfKind::Bf16 => bf16::from_bits(a).partial_cmp(&bf16::from_bits(b)),
        };
        for compare in all {
            let expected = match (order, compare) {
                (None, _) => matches!(compare, Equ | Neu | Ltu | Leu | Gtu | Geu | Nan),
                (Some(order), Eq | Equ) => order.is_eq(),
                (Some(order), Ne | Neu) => order.is_ne(),
                (Some(order), Lt | Ltu) => order.is_lt(),
                (Some(order), Le | Leu) => order.is_le(),
                (Some(order), Gt | Gtu) => order.is_gt(),
                (Some(order), Ge | Geu) => order.is_ge(),
                (Some(_), other) => other == Num,
            };
            assert_eq!(half_compare(kind, compare, a, b), expected, "{kind:?} {a:x} {compare:?} {b:x}");
        }
    });
}
