//! Arithmetic of f16 and bf16, each result rounded once.
//!
//! A product of two halves is exact in f64 (at most 22 bits, exponents far inside its range). A sum is formed in f64
//! rounded to odd: with 53 bits, at least two more than a half keeps, rounding that to a half gives what rounding the
//! exact sum gives. A quotient rounded to 53 bits, more than twice 11, rounds on to the same half as the exact one.

use super::approximate;
use super::float::soft::{Format, Number};
use super::float::{compare_floats, max32, min32, two_sum_error};
use crate::ir::{Compare, FloatBinary, FloatMode, FloatUnary, Rounding};
use crate::machine::Approximation;

/// A 16-bit format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum HalfKind {
    F16,
    Bf16,
}

/// The canonical NaN of both formats.
pub const HALF_NAN: u16 = 0x7fff;

const SIGN: u16 = 0x8000;

impl HalfKind {
    fn format(self) -> Format {
        match self {
            HalfKind::F16 => Format::F16,
            HalfKind::Bf16 => Format::BF16,
        }
    }

    fn one(self) -> u16 {
        match self {
            HalfKind::F16 => 0x3c00,
            HalfKind::Bf16 => 0x3f80,
        }
    }
}

/// The value, exactly; a NaN stays a NaN.
#[inline]
pub fn half_to_f32(kind: HalfKind, bits: u16) -> f32 {
    let sign = u32::from(bits & SIGN) << 16;
    match kind {
        HalfKind::Bf16 => f32::from_bits(u32::from(bits) << 16),
        HalfKind::F16 if bits & 0x7c00 == 0x7c00 => f32::from_bits(sign | 0x7f80_0000 | u32::from(bits & 0x3ff) << 13),
        HalfKind::F16 => {
            // The exponent moves by 112, which is 127 - 15; a product with a power of two is exact.
            let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits((112 + 127) << 23);
            f32::from_bits(sign | magnitude.to_bits())
        }
    }
}

/// The value rounded to a half; NaN is canonical.
pub fn half_from_f64(kind: HalfKind, value: f64, rounding: Rounding) -> u16 {
    let format = kind.format();
    match Format::F64.unpack(value.to_bits()) {
        Number::Nan => HALF_NAN,
        Number::Infinite { negative } => format.infinity() as u16 | if negative { SIGN } else { 0 },
        Number::Finite(exact) => format.round(exact, rounding) as u16,
    }
}

/// `.ftz`: a subnormal becomes the zero of its sign.
#[inline]
pub fn half_ftz(kind: HalfKind, bits: u16) -> u16 {
    if kind.format().is_subnormal(bits.into()) { bits & SIGN } else { bits }
}

/// `a · b + c`, rounded once.
pub fn half_fma(kind: HalfKind, a: u16, b: u16, c: u16, mode: FloatMode) -> u16 {
    let [a, b, c] = [a, b, c].map(|bits| operand(kind, bits, mode));
    finish(kind, odd_sum(a * b, c), mode)
}

/// An operation of two halves.
pub fn half_binary(kind: HalfKind, op: FloatBinary, a: u16, b: u16, mode: FloatMode) -> u16 {
    if op == FloatBinary::Copysign {
        return a & SIGN | b & !SIGN;
    }
    let (x, y) = (operand(kind, a, mode), operand(kind, b, mode));
    let value = match op {
        FloatBinary::Add => odd_sum(x, y),
        FloatBinary::Sub => odd_sum(x, -y),
        FloatBinary::Mul => x * y,
        FloatBinary::Div => x / y,
        FloatBinary::Min => min32(x as f32, y as f32, mode.nan).into(),
        FloatBinary::Max => max32(x as f32, y as f32, mode.nan).into(),
        FloatBinary::Copysign => unreachable!("handled above"),
    };
    finish(kind, value, mode)
}

/// An operation of one half. Approximations are the nearest: [`half_approx`] moves them.
pub fn half_unary(kind: HalfKind, op: FloatUnary, a: u16, mode: FloatMode) -> u16 {
    let flushed = if mode.ftz { half_ftz(kind, a) } else { a };
    match op {
        // PTX leaves the NaN that abs and neg give open: its bits are treated as any others.
        FloatUnary::Abs => flushed & !SIGN,
        FloatUnary::Neg => flushed ^ SIGN,
        FloatUnary::Sqrt => finish(kind, operand(kind, a, mode).sqrt(), mode),
        FloatUnary::Rcp => finish(kind, 1.0 / operand(kind, a, mode), mode),
        _ => half_approx(kind, op, a, mode, Approximation::Nearest),
    }
}

/// An approximate operation of one half (`ex2.approx`, `tanh.approx`).
///
/// PTX ISA, "Half Precision Floating Point Instructions: ex2, tanh": ex2 has a relative error of at most 2^-9.9 (f16)
/// or 2^-7 (bf16), tanh an absolute error of at most 2^-10.987 (f16) or 2^-8 (bf16). Zeros, infinities and NaN are exact.
pub fn half_approx(kind: HalfKind, op: FloatUnary, a: u16, mode: FloatMode, approximation: Approximation) -> u16 {
    let a = operand(kind, a, mode);
    let exact = approximate::exact(op, a);
    let bound = match (op, kind) {
        _ if a == 0.0 || !a.is_finite() => 0.0,
        (FloatUnary::Ex2, HalfKind::F16) => exact * (-9.9f64).exp2(),
        (FloatUnary::Ex2, HalfKind::Bf16) => exact * (-7.0f64).exp2(),
        (FloatUnary::Tanh, HalfKind::F16) => (-10.987f64).exp2(),
        (FloatUnary::Tanh, HalfKind::Bf16) => (-8.0f64).exp2(),
        _ => 0.0,
    };
    let value = match approximation {
        _ if bound == 0.0 || exact.is_infinite() => exact,
        Approximation::Nearest => exact,
        // Inwards, but never short of the nearest.
        Approximation::PlusError => {
            let moved = half_value(kind, half_from_f64(kind, exact + bound, Rounding::Rm));
            moved.max(half_value(kind, half_from_f64(kind, exact, Rounding::Rn)))
        }
        Approximation::MinusError => {
            let moved = half_value(kind, half_from_f64(kind, exact - bound, Rounding::Rp));
            moved.min(half_value(kind, half_from_f64(kind, exact, Rounding::Rn)))
        }
    };
    finish(kind, value, FloatMode { rounding: Rounding::Rn, ..mode })
}

/// A comparison; operands are not flushed.
pub fn half_compare(kind: HalfKind, compare: Compare, a: u16, b: u16) -> bool {
    compare_floats(compare, half_to_f32(kind, a).into(), half_to_f32(kind, b).into())
}

fn half_value(kind: HalfKind, bits: u16) -> f64 {
    half_to_f32(kind, bits).into()
}

fn operand(kind: HalfKind, bits: u16, mode: FloatMode) -> f64 {
    half_value(kind, if mode.ftz { half_ftz(kind, bits) } else { bits })
}

/// A sum rounded to odd: if it is not exact, to the neighbour whose last bit is 1.
fn odd_sum(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return sum;
    }
    let error = two_sum_error(a, b, sum);
    if error == 0.0 || sum.to_bits() & 1 == 1 {
        sum
    } else if error > 0.0 {
        sum.next_up()
    } else {
        sum.next_down()
    }
}

fn finish(kind: HalfKind, value: f64, mode: FloatMode) -> u16 {
    let mut bits = half_from_f64(kind, value, mode.rounding);
    if mode.ftz {
        bits = half_ftz(kind, bits);
    }
    clamp(bits, kind.one(), mode)
}

/// `.sat` and `.relu`, on the bits.
fn clamp(bits: u16, one: u16, mode: FloatMode) -> u16 {
    let is_nan = |bits: u16| bits == HALF_NAN;
    if mode.sat {
        return if is_nan(bits) || bits & SIGN != 0 { 0 } else { bits.min(one) };
    }
    if mode.relu && bits & SIGN != 0 { 0 } else { bits }
}
