//! Approximations: the nearest float, or one as far off as the PTX ISA allows and no further.

use std::f64::consts::PI;

use softcuda::exec::approximate::*;
use softcuda::exec::half::*;
use softcuda::ir::{FloatUnary, Rounding};
use softcuda::machine::Approximation;

use crate::values::{Random, edges, plain};

const NAN: u32 = 0x7fff_ffff;
const MODES: [Approximation; 3] = [Approximation::Nearest, Approximation::PlusError, Approximation::MinusError];

/// What the tables of the PTX ISA give for special operands, in every mode.
#[test]
fn special_operands() {
    use FloatUnary::*;
    let (inf, zero) = (f32::INFINITY, 0.0f32);
    let cases = [
        (Ex2, -inf, 0.0f32.to_bits()),
        (Ex2, -zero, 1.0f32.to_bits()),
        (Ex2, zero, 1.0f32.to_bits()),
        (Ex2, inf, inf.to_bits()),
        (Lg2, -inf, NAN),
        (Lg2, -1.0, NAN),
        (Lg2, -zero, (-inf).to_bits()),
        (Lg2, zero, (-inf).to_bits()),
        (Lg2, inf, inf.to_bits()),
        (Sin, -inf, NAN),
        (Sin, -zero, (-zero).to_bits()),
        (Sin, zero, 0),
        (Sin, inf, NAN),
        (Cos, -inf, NAN),
        (Cos, -zero, 1.0f32.to_bits()),
        (Cos, zero, 1.0f32.to_bits()),
        (Cos, inf, NAN),
        (Rsqrt, -inf, NAN),
        (Rsqrt, -1.0, NAN),
        (Rsqrt, -zero, (-inf).to_bits()),
        (Rsqrt, zero, inf.to_bits()),
        (Rsqrt, inf, 0),
        (Rcp, -inf, (-zero).to_bits()),
        (Rcp, -zero, (-inf).to_bits()),
        (Rcp, zero, inf.to_bits()),
        (Rcp, inf, 0),
        (Sqrt, -inf, NAN),
        (Sqrt, -1.0, NAN),
        (Sqrt, -zero, (-zero).to_bits()),
        (Sqrt, zero, 0),
        (Sqrt, inf, inf.to_bits()),
        (Tanh, -inf, (-1.0f32).to_bits()),
        (Tanh, -zero, (-zero).to_bits()),
        (Tanh, zero, 0),
        (Tanh, inf, 1.0f32.to_bits()),
    ];
    for mode in MODES {
        for ftz in [false, true] {
            for (op, operand, expected) in cases {
                assert_eq!(approx32(op, operand, ftz, mode).to_bits(), expected, "{op:?} {operand} {mode:?}");
                assert_eq!(approx32(op, f32::NAN, ftz, mode).to_bits(), NAN, "{op:?} NaN");
            }
        }
        // Flushed operands are zeros; others are not, and tanh passes them through.
        let tiny = f32::from_bits(0x8000_0001);
        assert_eq!(approx32(Rsqrt, tiny, true, mode), -inf);
        assert_eq!(approx32(Lg2, tiny, true, mode), -inf);
        assert_eq!(approx32(Lg2, tiny, false, mode).to_bits(), NAN);
        assert_eq!(approx32(Ex2, tiny, true, mode), 1.0);
        assert_eq!(approx32(Tanh, tiny, false, mode), tiny);
        // Flushed results.
        assert_eq!(approx32(Ex2, -130.0, true, mode).to_bits(), 0);
        assert_eq!(approx32(Rcp, -2e38, true, mode).to_bits(), 0x8000_0000);
        assert_eq!(approx32(Ex2, 200.0, false, mode), inf);
        assert_eq!(approx32(Ex2, -200.0, false, Approximation::MinusError).to_bits(), 0);
    }
    assert!(approx32(Ex2, -130.0, false, Approximation::Nearest).is_subnormal());
}

fn true_value(op: FloatUnary, a: f64) -> f64 {
    match op {
        FloatUnary::Ex2 => a.exp2(),
        FloatUnary::Lg2 => a.log2(),
        FloatUnary::Sin => a.sin(),
        FloatUnary::Cos => a.cos(),
        FloatUnary::Rsqrt => a.sqrt().recip(),
        FloatUnary::Rcp => a.recip(),
        FloatUnary::Sqrt => a.sqrt(),
        FloatUnary::Tanh => a.tanh(),
        _ => unreachable!("not approximate"),
    }
}

/// Of ulp bounds, the steps from the rounded result; of others the distance from the value.
fn allowed(op: FloatUnary, a: f32, value: f64) -> (i32, f64) {
    match op {
        FloatUnary::Ex2 => (2, 0.0),
        FloatUnary::Rcp => (1, 0.0),
        FloatUnary::Lg2 if a > 0.5 && a < 2.0 => (0, 0.25f64.powi(11)),
        FloatUnary::Lg2 => (0, value.abs() * 0.25f64.powi(11)),
        FloatUnary::Sin | FloatUnary::Cos if f64::from(a).abs() <= 2.0 * PI => (0, 2.0f64.powf(-20.5)),
        FloatUnary::Sin | FloatUnary::Cos => (0, 2.0f64.powf(-14.7)),
        FloatUnary::Rsqrt => (0, value.abs() * 2.0f64.powf(-22.9)),
        FloatUnary::Sqrt => (0, value.abs() * 2.0f64.powi(-23)),
        FloatUnary::Tanh => (0, value.abs() * 2.0f64.powi(-11)),
        _ => unreachable!("not approximate"),
    }
}

#[test]
fn errors_reach_the_bound_and_stay_inside() {
    use FloatUnary::*;
    let edges = edges(8, 23);
    let mut random = Random(21);
    for op in [Ex2, Lg2, Sin, Cos, Rsqrt, Rcp, Sqrt, Tanh] {
        for _ in 0..100_000 {
            let a = f32::from_bits(random.float(8, 23, &edges) as u32);
            let value = true_value(op, a.into());
            let nearest = value as f32;
            let result = |mode| approx32(op, a, false, mode);
            if !a.is_finite() || !value.is_finite() || nearest.is_infinite() {
                continue;
            }
            assert_eq!(result(Approximation::Nearest), nearest, "{op:?} {a:e}");
            if a == 0.0 || op == Tanh && a.is_subnormal() {
                continue;
            }
            let (low, high) = (result(Approximation::MinusError), result(Approximation::PlusError));
            assert!(low <= nearest && nearest <= high, "{op:?} {a:e}");
            let (ulps, bound) = allowed(op, a, value);
            if ulps > 0 {
                let steps = |from: f32, to: f32| (to.to_bits() as i32).wrapping_sub(from.to_bits() as i32).abs();
                assert_eq!(steps(nearest, high), ulps, "{op:?} {a:e} up");
                assert!(steps(nearest, low) == ulps || low == 0.0, "{op:?} {a:e} down");
            } else {
                // Inside, up to the rounding of the check itself; a step further is outside, or only just inside.
                let slack = value.abs() * 1e-15;
                assert!(f64::from(high) - value <= bound.max(f64::from(nearest) - value) + slack, "{op:?} {a:e} up");
                assert!(value - f64::from(low) <= bound.max(value - f64::from(nearest)) + slack, "{op:?} {a:e} down");
                assert!(f64::from(high.next_up()) - value > bound - slack, "{op:?} {a:e} further up");
                assert!(value - f64::from(low.next_down()) > bound - slack, "{op:?} {a:e} further down");
            }
        }
    }
}

#[test]
fn division() {
    let inf = f32::INFINITY;
    for mode in MODES {
        for full in [false, true] {
            let bits = |a, b| div_approx32(a, b, full, false, mode).to_bits();
            assert_eq!(bits(0.0, 0.0), NAN);
            assert_eq!(bits(inf, inf), NAN);
            assert_eq!(bits(f32::NAN, 1.0), NAN);
            assert_eq!(bits(1.0, f32::NAN), NAN);
            assert_eq!(bits(-1.0, 0.0), (-inf).to_bits());
            assert_eq!(bits(0.0, -2.0), 0x8000_0000);
            assert_eq!(bits(3.0, -inf), 0x8000_0000);
            assert_eq!(div_approx32(1.0, f32::from_bits(0x8000_0001), full, true, mode), -inf);
        }
        // 2^126 < |b| < 2^128.
        let large = 1.5f32 * 2.0f32.powi(126);
        assert_eq!(div_approx32(-1e38, large, false, false, mode).to_bits(), 0x8000_0000);
        assert_eq!(div_approx32(-1e38, -large, false, false, mode).to_bits(), 0);
        assert_eq!(div_approx32(inf, large, false, false, mode).to_bits(), NAN);
        assert_eq!(div_approx32(inf, large, true, false, mode), inf);
        assert!(div_approx32(1e38, large, true, false, mode) > 0.7);
        assert!(div_approx32(1e38, 2.0f32.powi(126), false, false, mode) > 1.0);
    }
    let edges = edges(8, 23);
    let mut random = Random(22);
    for _ in 0..300_000 {
        let [a, b] = [(); 2].map(|()| f32::from_bits(random.float(8, 23, &edges) as u32));
        let nearest = a / b;
        if !nearest.is_finite() || a == 0.0 || b.is_infinite() {
            continue;
        }
        let result = |mode| div_approx32(a, b, true, false, mode);
        assert_eq!(result(Approximation::Nearest).to_bits(), nearest.to_bits(), "{a:e} / {b:e}");
        assert_eq!(result(Approximation::PlusError).max(nearest), result(Approximation::PlusError));
        assert_eq!(result(Approximation::MinusError).min(nearest), result(Approximation::MinusError));
        if nearest.abs() > 1e-40 {
            assert_eq!(result(Approximation::PlusError), nearest.next_up().next_up());
            assert_eq!(result(Approximation::MinusError), nearest.next_down().next_down());
        }
    }
}

#[test]
fn double_precision() {
    use FloatUnary::{Rcp, Rsqrt};
    let inf = f64::INFINITY;
    let tiny = f64::from_bits(0x8000_0000_0000_0001);
    for mode in MODES {
        let gross = |op, a: f64| approx64(op, a, true, mode).to_bits();
        assert_eq!(gross(Rcp, f64::NAN), 0x7fff_ffff_0000_0000);
        assert_eq!(gross(Rcp, -inf), 1 << 63);
        assert_eq!(gross(Rcp, tiny), (-inf).to_bits());
        assert_eq!(gross(Rcp, 0.0), inf.to_bits());
        assert_eq!(gross(Rcp, 1e308), 0);
        assert_eq!(gross(Rsqrt, -inf), 0x7fff_ffff_0000_0000);
        assert_eq!(gross(Rsqrt, tiny), (-inf).to_bits());
        assert_eq!(gross(Rsqrt, -0.0), (-inf).to_bits());
        assert_eq!(gross(Rsqrt, inf), 0);
        assert_eq!(approx64(Rsqrt, -1.0, false, mode).to_bits(), 0x7fff_ffff_ffff_ffff);
        assert_eq!(approx64(Rsqrt, -0.0, false, mode), -inf);
        assert_eq!(approx64(Rsqrt, inf, false, mode), 0.0);
    }
    let mut random = Random(23);
    for _ in 0..100_000 {
        let a = f64::from_bits(random.next() % 0x7fe0_0000_0000_0000);
        if !a.is_normal() {
            continue;
        }
        for op in [Rcp, Rsqrt] {
            let upper = f64::from_bits(a.to_bits() >> 32 << 32);
            let value = true_value(op, upper);
            if !value.is_normal() || value < 1e-300 {
                continue;
            }
            let results = MODES.map(|mode| approx64(op, a, true, mode));
            assert!(results.iter().all(|result| result.to_bits() as u32 == 0), "{op:?} {a:e}");
            let unit = 2.0f64.powi(-20);
            assert!((results[0] / value - 1.0).abs() <= unit / 2.0 * 1.000_001, "{op:?} {a:e}");
            assert!(results[2] < results[0] && results[0] < results[1], "{op:?} {a:e}");
            assert!(results[1] / value - 1.0 <= 1.5 * unit * 1.000_001, "{op:?} {a:e}");
        }
        let value = true_value(Rsqrt, a);
        assert_eq!(MODES.map(|mode| approx64(Rsqrt, a, false, mode)), [value, value.next_up(), value.next_down()]);
    }
}

/// Every f16 and bf16.
#[test]
fn halves() {
    let mode = plain(Rounding::Approx);
    for (kind, ex2, tanh) in [(HalfKind::F16, -9.9, -10.987), (HalfKind::Bf16, -7.0f64, -8.0f64)] {
        for bits in 0..=u16::MAX {
            let a = f64::from(half_to_f32(kind, bits));
            for op in [FloatUnary::Ex2, FloatUnary::Tanh] {
                let [nearest, high, low] = MODES.map(|approximation| half_approx(kind, op, bits, mode, approximation));
                assert_eq!(half_unary(kind, op, bits, mode), nearest);
                if a.is_nan() {
                    assert_eq!([nearest, high, low], [HALF_NAN; 3]);
                    continue;
                }
                let value = true_value(op, a);
                let rounded = half_from_f64(kind, value, Rounding::Rn);
                assert_eq!(nearest, rounded, "{kind:?} {op:?} {bits:x}");
                if a == 0.0 || a.is_infinite() {
                    assert_eq!([high, low], [nearest; 2], "{kind:?} {op:?} {bits:x}");
                    continue;
                }
                let [nearest, high, low] = [nearest, high, low].map(|bits| f64::from(half_to_f32(kind, bits)));
                let bound = if op == FloatUnary::Ex2 { value * ex2.exp2() } else { tanh.exp2() };
                assert!(low <= nearest && nearest <= high, "{kind:?} {op:?} {bits:x}");
                if nearest.is_finite() {
                    assert!(
                        high - value <= bound.max(nearest - value) || high.is_infinite(),
                        "{kind:?} {op:?} {bits:x}"
                    );
                    assert!(value - low <= bound.max(value - nearest), "{kind:?} {op:?} {bits:x}");
                }
            }
        }
    }
    // Far below zero ex2 is zero and stays so; tanh moves by its absolute error even near zero.
    let (minus, plus) = (Approximation::MinusError, Approximation::PlusError);
    assert_eq!(half_approx(HalfKind::F16, FloatUnary::Ex2, 0xfb00, mode, minus), 0);
    assert_eq!(half_approx(HalfKind::F16, FloatUnary::Tanh, 0x0001, mode, plus), 0x1009);
}
