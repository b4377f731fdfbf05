//! The `.approx` instructions: the value rounded from f64, or moved by the error that the PTX ISA allows.
//!
//! Sources are the notes of each instruction in the PTX ISA, "Floating Point Instructions". Errors that it gives in ulp
//! count from the correctly rounded result; relative and absolute ones count from the value, and a moved result is the
//! last float inside the bound. Its tables of special inputs (NaN, infinities, zeros) hold in every mode; nothing else
//! does: 2^3 may come out as 7.9999995, sin may leave [-1, 1]. Results of a NaN are the canonical NaN.

use std::f64::consts::PI;

use super::float::{canonical32, canonical64, ftz32, round32};
use crate::ir::{FloatUnary, Rounding};
use crate::machine::Approximation;

/// What the instruction approximates.
pub(crate) fn exact(op: FloatUnary, a: f64) -> f64 {
    match op {
        FloatUnary::Abs => a.abs(),
        FloatUnary::Neg => -a,
        FloatUnary::Sqrt => a.sqrt(),
        FloatUnary::Rcp => 1.0 / a,
        // rsqrt(-0) is -inf: 1 / sqrt(-0) = 1 / -0.
        FloatUnary::Rsqrt => 1.0 / a.sqrt(),
        FloatUnary::Sin => a.sin(),
        FloatUnary::Cos => a.cos(),
        FloatUnary::Ex2 => a.exp2(),
        // lg2(-0) is -inf, as of +0.
        FloatUnary::Lg2 => a.log2(),
        FloatUnary::Tanh => a.tanh(),
    }
}

/// How far a result may be off.
enum Bound {
    /// Not at all.
    Exact,
    /// Units in the last place, from the correctly rounded result.
    Ulps(u32),
    /// From the value.
    Absolute(f64),
}

/// `op.approx{.ftz}.f32`.
pub fn approx32(op: FloatUnary, a: f32, ftz: bool, approximation: Approximation) -> f32 {
    let a = if ftz { ftz32(a) } else { a };
    let value = exact(op, a.into());
    let bound = if a == 0.0 || !a.is_finite() || !value.is_finite() { Bound::Exact } else { bound32(op, a, value) };
    let result = moved32(value, bound, approximation);
    canonical32(if ftz { ftz32(result) } else { result })
}

fn bound32(op: FloatUnary, a: f32, value: f64) -> Bound {
    let relative = |exponent: f64| Bound::Absolute(value.abs() * exponent.exp2());
    match op {
        FloatUnary::Abs | FloatUnary::Neg => Bound::Exact,
        // "The maximum ulp error is 2 ulp from correctly rounded result across the full range of inputs."
        FloatUnary::Ex2 => Bound::Ulps(2),
        // "The maximum absolute error is 2^-22 when the input operand is in the range (0.5, 2). For positive finite
        // inputs outside of this interval, maximum relative error is 2^-22."
        FloatUnary::Lg2 if a > 0.5 && a < 2.0 => Bound::Absolute((-22.0f64).exp2()),
        FloatUnary::Lg2 => relative(-22.0),
        // Absolute, 2^-20.5 in [-2pi, 2pi] and 2^-14.7 in [-100pi, 100pi]; none is promised further out, where this
        // driver keeps the latter.
        FloatUnary::Sin | FloatUnary::Cos => {
            let near = f64::from(a).abs() <= 2.0 * PI;
            Bound::Absolute(if near { -20.5f64 } else { -14.7 }.exp2())
        }
        // "The maximum relative error for rsqrt.f32 over the entire positive finite floating-point range is 2^-22.9."
        FloatUnary::Rsqrt => relative(-22.9),
        // "The maximum ulp error is 1 across the full range of inputs."
        FloatUnary::Rcp => Bound::Ulps(1),
        // "The maximum relative error over the entire positive finite floating-point range is 2^-23."
        FloatUnary::Sqrt => relative(-23.0),
        // "The subnormal inputs gets passed through to the output"; else "the maximum relative error [...] is 2^-11".
        FloatUnary::Tanh if a.is_subnormal() => Bound::Exact,
        FloatUnary::Tanh => relative(-11.0),
    }
}

fn moved32(value: f64, bound: Bound, approximation: Approximation) -> f32 {
    let nearest = value as f32;
    if nearest.is_infinite() || nearest.is_nan() {
        return nearest;
    }
    match (bound, approximation) {
        (Bound::Exact, _) | (_, Approximation::Nearest) => nearest,
        (Bound::Ulps(ulps), Approximation::PlusError) => {
            let moved = (0..ulps).fold(nearest, |moved, _| moved.next_up());
            same_side(moved, nearest)
        }
        (Bound::Ulps(ulps), Approximation::MinusError) => {
            let moved = (0..ulps).fold(nearest, |moved, _| moved.next_down());
            same_side(moved, nearest)
        }
        // A bound below half an ulp (of a subnormal) leaves the nearest.
        (Bound::Absolute(error), Approximation::PlusError) => nearest.max(round32(value + error, Rounding::Rm)),
        (Bound::Absolute(error), Approximation::MinusError) => nearest.min(round32(value - error, Rounding::Rp)),
    }
}

/// The moved result, which does not cross zero.
fn same_side(moved: f32, nearest: f32) -> f32 {
    if moved.is_sign_negative() == nearest.is_sign_negative() { moved } else { 0.0f32.copysign(nearest) }
}

/// `div.approx{.ftz}.f32` and, if `full`, `div.full{.ftz}.f32`: at most 2 ulp off.
///
/// `div.approx` promises that only for |b| in [2^-126, 2^126]. "For 2^126 < |b| < 2^128, if a is infinity, `div.approx.f32`
/// returns NaN, otherwise it returns a sign-preserving zero." For smaller |b|, where nothing is promised, the error is
/// 2 ulp here too.
pub fn div_approx32(a: f32, b: f32, full: bool, ftz: bool, approximation: Approximation) -> f32 {
    let (a, b) = if ftz { (ftz32(a), ftz32(b)) } else { (a, b) };
    let large = f32::from_bits((126 + 127) << 23);
    if !full && b.is_finite() && b.abs() > large && !a.is_nan() {
        let zero = 0.0f32.copysign(a) * b.signum();
        return if a.is_infinite() { canonical32(f32::NAN) } else { zero };
    }
    let exact_result = a == 0.0 || b == 0.0 || !a.is_finite() || !b.is_finite();
    // The quotient of two f32 in f64 rounds on to f32 as the exact one: 53 is more than twice 24 — also where it is
    // subnormal, since f64 keeps all of its bits.
    let value = f64::from(a) / f64::from(b);
    let result = moved32(value, if exact_result { Bound::Exact } else { Bound::Ulps(2) }, approximation);
    canonical32(if ftz { ftz32(result) } else { result })
}

/// `rsqrt.approx.f64`, and with `ftz` `rcp.approx.ftz.f64` and `rsqrt.approx.ftz.f64`.
///
/// The `.ftz` forms read only the upper word of their operand (1.11.20 format) and give only the upper word of a result;
/// their NaN is 0x7fffffff00000000. The PTX ISA gives no error bounds: a moved result is one unit of the result's last
/// place off (the upper word's with `ftz`).
pub fn approx64(op: FloatUnary, a: f64, ftz: bool, approximation: Approximation) -> f64 {
    if !ftz {
        let nearest = exact(op, a);
        let special = a == 0.0 || !a.is_finite() || !nearest.is_finite() || nearest == 0.0;
        return canonical64(match approximation {
            _ if special => nearest,
            Approximation::Nearest => nearest,
            Approximation::PlusError => nearest.next_up(),
            Approximation::MinusError => nearest.next_down(),
        });
    }
    const UPPER: u64 = 0xffff_ffff_0000_0000;
    const NAN: u64 = 0x7fff_ffff_0000_0000;
    // A NaN whose upper word is that of an infinity is read as one.
    let upper = flushed64(f64::from_bits(a.to_bits() & UPPER));
    let value = exact(op, upper);
    if value.is_nan() {
        return f64::from_bits(NAN);
    }
    if upper == 0.0 || upper.is_infinite() || value.is_infinite() {
        return value;
    }
    // To the nearest upper word, ties to even.
    let bits = value.to_bits();
    let rounded = (bits + 0x7fff_ffff + (bits >> 32 & 1)) & UPPER;
    let unit = 1 << 32;
    let moved = match (approximation, value > 0.0) {
        (Approximation::Nearest, _) => rounded,
        (Approximation::PlusError, true) | (Approximation::MinusError, false) => rounded + unit,
        (Approximation::PlusError, false) | (Approximation::MinusError, true) => rounded - unit,
    };
    flushed64(f64::from_bits(moved))
}

fn flushed64(value: f64) -> f64 {
    if value.is_subnormal() { 0.0f64.copysign(value) } else { value }
}
