//! `cvt`: between integers and floats of every width.
//!
//! The rules are those of the PTX ISA, "Data Movement and Conversion Instructions: cvt". A float result is rounded
//! once; float to integer clamps; `.sat` clamps to the type's range, for floats to [+0, 1]; `.relu` makes negative
//! results +0. A NaN that becomes a float is canonical.

use super::float::soft::{Exact, Format, Number};
use super::float::{canonical32, canonical64};
use super::half::{HalfKind, half_to_f32};
use crate::ir::{FloatMode, Rounding, Type};

/// `cvt.to.from`: the result in the low bits, zeros above.
///
/// `.b8` to `.b64` count as unsigned. Pairs (`.f16x2`, `.bf16x2`) stand for their elements: see [`convert_pair`].
/// Predicates and `.b128` are not converted: their bits come back as they are.
pub fn convert(to: Type, from: Type, mode: FloatMode, bits: u64) -> u64 {
    if !mode.ftz
        && !mode.sat
        && !mode.relu
        && let Some(result) = frequent(to, from, mode.rounding, bits)
    {
        return result;
    }
    match (format(to), format(from)) {
        (None, None) => int_to_int(to, from, mode, bits),
        (Some(to_format), None) => int_to_float(to, to_format, from, mode, bits),
        (None, Some(from_format)) => float_to_int(to, from, from_format, mode, bits),
        (Some(to_format), Some(from_format)) => float_to_float(to, to_format, from, from_format, mode, bits),
    }
}

/// What kernels convert most, with the host's own instructions.
#[inline]
fn frequent(to: Type, from: Type, rounding: Rounding, bits: u64) -> Option<u64> {
    let single = f32::from_bits(bits as u32);
    let nearest = matches!(rounding, Rounding::Rn | Rounding::Unpinned);
    let result = match (to, from) {
        (Type::F32, Type::F16) => canonical32(half_to_f32(HalfKind::F16, bits as u16)).to_bits().into(),
        (Type::F32, Type::Bf16) => canonical32(half_to_f32(HalfKind::Bf16, bits as u16)).to_bits().into(),
        (Type::Bf16, Type::F32) if nearest && !single.is_nan() => {
            // Half a unit is added, or a little less if the last place is even; a carry may reach the exponent.
            let bits = single.to_bits();
            (u64::from(bits) + 0x7fff + u64::from(bits >> 16 & 1)) >> 16
        }
        (Type::F32, Type::F64) if nearest => canonical32(f64::from_bits(bits) as f32).to_bits().into(),
        (Type::F64, Type::F32) if nearest => canonical64(single.into()).to_bits(),
        (Type::S32, Type::F32) if rounding == Rounding::Rzi => u64::from(single as i32 as u32),
        (Type::U32, Type::F32) if rounding == Rounding::Rzi => u64::from(single as u32),
        _ => return None,
    };
    Some(result)
}

/// `cvt.rn.bf16x2.f32 d, a, b` and its kin: `a` becomes the high half, `b` the low.
pub fn convert_pair(to: Type, mode: FloatMode, a: f32, b: f32) -> u32 {
    let half = |value: f32| convert(to, Type::F32, mode, value.to_bits().into()) as u32;
    half(a) << 16 | half(b)
}

fn format(ty: Type) -> Option<Format> {
    match ty {
        Type::F16 | Type::F16x2 => Some(Format::F16),
        Type::Bf16 | Type::Bf16x2 => Some(Format::BF16),
        Type::Tf32 => Some(Format::TF32),
        Type::F32 => Some(Format::F32),
        Type::F64 => Some(Format::F64),
        _ => None,
    }
}

/// The value of an integer's low bits.
fn integer(ty: Type, bits: u64) -> i128 {
    let unused = 64 - ty.bits().min(64);
    if ty.is_signed() { i128::from((bits << unused) as i64 >> unused) } else { i128::from(bits << unused >> unused) }
}

fn low_bits(ty: Type, value: i128) -> u64 {
    let unused = 64 - ty.bits().min(64);
    (value as u64) << unused >> unused
}

fn clamp(ty: Type, value: i128) -> i128 {
    let bits = ty.bits().min(64);
    if ty.is_signed() {
        value.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        value.clamp(0, (1 << bits) - 1)
    }
}

fn int_to_int(to: Type, from: Type, mode: FloatMode, bits: u64) -> u64 {
    if to.bits() == 1 || from.bits() > 64 {
        return bits;
    }
    let value = integer(from, bits);
    low_bits(to, if mode.sat { clamp(to, value) } else { value })
}

fn int_to_float(to: Type, to_format: Format, from: Type, mode: FloatMode, bits: u64) -> u64 {
    let value = integer(from, bits);
    if matches!(mode.rounding, Rounding::Rn | Rounding::Unpinned) && !mode.sat {
        match to {
            Type::F32 if value < 0 => return (value as i64 as f32).to_bits().into(),
            Type::F32 => return (value as u64 as f32).to_bits().into(),
            Type::F64 if value < 0 => return (value as i64 as f64).to_bits(),
            Type::F64 => return (value as u64 as f64).to_bits(),
            _ => {}
        }
    }
    let exact = Exact::integer(value < 0, value.unsigned_abs() as u64);
    finish(to, to_format, to_format.round(exact, mode.rounding), mode)
}

/// NaN gives 0 "if source is not .f64 and destination is not .s64, .u64", else 1 << (width - 1).
fn float_to_int(to: Type, from: Type, from_format: Format, mode: FloatMode, bits: u64) -> u64 {
    match source(from, from_format, mode, bits) {
        Number::Nan if from != Type::F64 && to.bits() != 64 => 0,
        Number::Nan => 1 << (to.bits() - 1),
        Number::Infinite { negative } => low_bits(to, clamp(to, if negative { i128::MIN } else { i128::MAX })),
        // Far beyond 64 bits; the shift of a smaller one stays inside 128 bits.
        Number::Finite(exact) if exact.significand != 0 && exact.top() > 66 => {
            low_bits(to, clamp(to, if exact.negative { i128::MIN } else { i128::MAX }))
        }
        Number::Finite(exact) => {
            let magnitude = exact.round_at(0, integral(mode.rounding)) as i128;
            low_bits(to, clamp(to, if exact.negative { -magnitude } else { magnitude }))
        }
    }
}

/// The rounding to an integer; `Unpinned` truncates, as C does.
fn integral(rounding: Rounding) -> Rounding {
    match rounding {
        Rounding::Unpinned => Rounding::Rzi,
        other => other,
    }
}

fn float_to_float(to: Type, to_format: Format, from: Type, from_format: Format, mode: FloatMode, bits: u64) -> u64 {
    let exact = match source(from, from_format, mode, bits) {
        Number::Nan => return finish(to, to_format, to_format.nan(), mode),
        Number::Infinite { negative } => {
            let sign = if negative { to_format.sign() } else { 0 };
            return finish(to, to_format, sign | to_format.infinity(), mode);
        }
        Number::Finite(exact) => exact,
    };
    let to_integer = matches!(mode.rounding, Rounding::Rni | Rounding::Rzi | Rounding::Rmi | Rounding::Rpi);
    // Above its fraction a number is an integer already.
    let exact = if to_integer && exact.exponent < 0 {
        Exact { significand: exact.round_at(0, mode.rounding), exponent: 0, ..exact }
    } else {
        exact
    };
    finish(to, to_format, to_format.round(exact, mode.rounding), mode)
}

/// The operand; `.ftz` flushes subnormal f32 operands.
fn source(from: Type, from_format: Format, mode: FloatMode, bits: u64) -> Number {
    let bits = match from {
        Type::Tf32 => u64::from(bits as u32) >> 13,
        _ => bits & (from_format.sign() | (from_format.sign() - 1)),
    };
    let flush = mode.ftz && from == Type::F32 && from_format.is_subnormal(bits);
    from_format.unpack(if flush { bits & from_format.sign() } else { bits })
}

/// `.ftz` of an f32 result, `.sat` and `.relu`; then the place in the register.
fn finish(to: Type, to_format: Format, bits: u64, mode: FloatMode) -> u64 {
    let mut bits = bits;
    if mode.ftz && to == Type::F32 && to_format.is_subnormal(bits) {
        bits &= to_format.sign();
    }
    let is_nan = bits & (to_format.sign() - 1) > to_format.infinity();
    let negative = bits & to_format.sign() != 0;
    if mode.sat {
        let one = (to_format.max_exponent() as u64) << to_format.fraction_bits();
        bits = if is_nan || negative { 0 } else { bits.min(one) };
    } else if mode.relu && negative {
        bits = 0;
    }
    match to {
        Type::Tf32 if is_nan && !mode.sat => 0x7fff_ffff,
        Type::Tf32 => bits << 13,
        _ => bits,
    }
}
