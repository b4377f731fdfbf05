//! Every operation without a side effect, on one lane. Values are bits, zero-extended to 64.

use super::approximate::{approx32, approx64, div_approx32};
use super::convert::{convert, convert_pair};
use super::float::*;
use super::half::{HalfKind, half_approx, half_binary, half_compare, half_fma, half_ftz, half_unary};
use super::integer;
use super::matrix::dp4a;
use super::registers::extended;
use crate::ir::{Combine, Compare, FloatBinary, FloatMode, FloatUnary, Rounding, TestProperty, Type};
use crate::lower::ScalarOp;
use crate::machine::Approximation;

/// Computes an operation. `None`: division by zero.
pub fn evaluate(op: &ScalarOp, x: [u64; 4], approximation: Approximation) -> Option<u64> {
    let [a, b, c, d] = x;
    Some(match *op {
        ScalarOp::IntUnary { op, ty } => integer::unary(op, ty, a),
        ScalarOp::IntBinary { op, ty } => return integer::binary(op, ty, a, b),
        ScalarOp::Mul { half, ty } => integer::multiply(half, ty, a, b),
        ScalarOp::Mad { half, sat, ty } => integer::multiply_add(half, sat, ty, a, b, c),
        ScalarOp::Mul24 { ty, high, add } => integer::multiply24(ty, high, a, b, if add { c } else { 0 }),
        ScalarOp::Sad { ty } => integer::absolute_difference(ty, a, b, c),
        ScalarOp::Bfe { ty } => integer::extract(ty, a, b, c),
        ScalarOp::Bfi { ty } => integer::insert(ty, a, b, c, d),
        ScalarOp::Prmt { mode } => integer::permute(mode, a, b, c),
        ScalarOp::Shf { left, wrap } => integer::funnel(left, wrap, a, b, c),
        ScalarOp::Dp4a { a_signed, b_signed } => dp4a(a_signed, b_signed, a as u32, b as u32, c as u32).into(),
        ScalarOp::FloatUnary { op, mode, ty } => float_unary(op, mode, ty, a, approximation),
        ScalarOp::FloatBinary { op, mode, ty } => float_binary(op, mode, ty, a, b, approximation),
        ScalarOp::Fma { mode, ty } => fma(mode, ty, a, b, c),
        ScalarOp::TestP { property, ty } => test(property, ty, a).into(),
        ScalarOp::Compare { compare, ftz, ty } => compares(compare, ftz, ty, a, b),
        ScalarOp::Set { compare, combine, ftz, dst_ty, ty } => {
            let holds = compares(compare, ftz, ty, a, b);
            // Both bits of a pair meet the predicate.
            let c = if half_kind(ty).is_some_and(|(_, pair)| pair) { c * 0b11 } else { c };
            set(dst_ty, combine.map_or(holds, |combine| combined(combine, holds, c)), ty)
        }
        ScalarOp::Slct { condition_ty, ftz } => {
            let positive = match condition_ty {
                Type::F32 => flush(f32::from_bits(c as u32), ftz) >= 0.0,
                _ => c as u32 as i32 >= 0,
            };
            if positive { a } else { b }
        }
        ScalarOp::Convert { mode, to, from, register_bits } => {
            let result = convert(to, from, mode, integer::low(a, from.bits()));
            if to.is_signed() { extended(result, to.bits(), register_bits) } else { result }
        }
        ScalarOp::ConvertPair { mode, to } => {
            convert_pair(to, mode, f32::from_bits(a as u32), f32::from_bits(b as u32)).into()
        }
        ScalarOp::Within { first, last } => (first..=last).contains(&a).into(),
    })
}

fn combined(combine: Combine, a: u64, b: u64) -> u64 {
    match combine {
        Combine::And => a & b,
        Combine::Or => a | b,
        Combine::Xor => a ^ b,
    }
}

/// What `set` gives; of pairs, `holds` has a bit for each half.
fn set(dst_ty: Type, holds: u64, ty: Type) -> u64 {
    let one = |holds: u64, value: u64| if holds & 1 == 1 { value } else { 0 };
    match (dst_ty, ty) {
        (Type::F32, _) => one(holds, u64::from(1.0_f32.to_bits())),
        (Type::F16, _) => one(holds, 0x3c00),
        (Type::Bf16, _) => one(holds, 0x3f80),
        (Type::F16x2, _) => one(holds, 0x3c00) | one(holds >> 1, 0x3c00) << 16,
        (Type::Bf16x2, _) => one(holds, 0x3f80) | one(holds >> 1, 0x3f80) << 16,
        (_, Type::F16x2 | Type::Bf16x2) => one(holds, 0xffff) | one(holds >> 1, 0xffff) << 16,
        (dst_ty, _) => one(holds, integer::low(!0, dst_ty.bits())),
    }
}

fn flush(value: f32, ftz: bool) -> f32 {
    if ftz { ftz32(value) } else { value }
}

/// The format of a half or a pair of halves, and whether it is a pair.
fn half_kind(ty: Type) -> Option<(HalfKind, bool)> {
    match ty {
        Type::F16 => Some((HalfKind::F16, false)),
        Type::F16x2 => Some((HalfKind::F16, true)),
        Type::Bf16 => Some((HalfKind::Bf16, false)),
        Type::Bf16x2 => Some((HalfKind::Bf16, true)),
        _ => None,
    }
}

/// Applies an operation to a half, or to both of a pair.
fn halves(pair: bool, operation: impl Fn(u32) -> u16) -> u64 {
    let low = u64::from(operation(0));
    if pair { low | u64::from(operation(16)) << 16 } else { low }
}

fn approximate(rounding: Rounding) -> bool {
    matches!(rounding, Rounding::Approx | Rounding::Full)
}

/// What follows an operation of f32: `.ftz`, `.sat`, `.relu`.
fn finish32(value: f32, mode: FloatMode) -> u64 {
    let mut value = flush(value, mode.ftz);
    if mode.sat {
        value = sat32(value);
    }
    if mode.relu && value <= 0.0 {
        value = 0.0;
    }
    value.to_bits().into()
}

fn finish64(value: f64, mode: FloatMode) -> u64 {
    if mode.sat { sat64(value).to_bits() } else { value.to_bits() }
}

fn float_unary(op: FloatUnary, mode: FloatMode, ty: Type, a: u64, approximation: Approximation) -> u64 {
    if let Some((kind, pair)) = half_kind(ty) {
        let is_approximate = matches!(op, FloatUnary::Ex2 | FloatUnary::Tanh);
        return halves(pair, |at| {
            let a = (a >> at) as u16;
            if is_approximate { half_approx(kind, op, a, mode, approximation) } else { half_unary(kind, op, a, mode) }
        });
    }
    // Sign operations keep the payload of a NaN.
    if ty == Type::F64 {
        let x = f64::from_bits(a);
        return match op {
            FloatUnary::Abs => a & !(1 << 63),
            FloatUnary::Neg => a ^ 1 << 63,
            FloatUnary::Sqrt if !approximate(mode.rounding) => finish64(f64_sqrt(x, mode.rounding), mode),
            FloatUnary::Rcp if !approximate(mode.rounding) => finish64(f64_rcp(x, mode.rounding), mode),
            _ => approx64(op, x, mode.ftz, approximation).to_bits(),
        };
    }
    let x = f32::from_bits(a as u32);
    let flushed = flush(x, mode.ftz);
    match op {
        FloatUnary::Abs => u64::from(flushed.to_bits() & !(1 << 31)),
        FloatUnary::Neg => u64::from(flushed.to_bits() ^ 1 << 31),
        FloatUnary::Sqrt if !approximate(mode.rounding) => finish32(f32_sqrt(flushed, mode.rounding), mode),
        FloatUnary::Rcp if !approximate(mode.rounding) => finish32(f32_rcp(flushed, mode.rounding), mode),
        _ => finish32(approx32(op, x, mode.ftz, approximation), mode),
    }
}

fn float_binary(op: FloatBinary, mode: FloatMode, ty: Type, a: u64, b: u64, approximation: Approximation) -> u64 {
    if let Some((kind, pair)) = half_kind(ty) {
        return halves(pair, |at| half_binary(kind, op, (a >> at) as u16, (b >> at) as u16, mode));
    }
    if ty == Type::F64 {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let value = match op {
            FloatBinary::Add => f64_add(x, y, mode.rounding),
            FloatBinary::Sub => f64_sub(x, y, mode.rounding),
            FloatBinary::Mul => f64_mul(x, y, mode.rounding),
            FloatBinary::Div => f64_div(x, y, mode.rounding),
            FloatBinary::Min => min64(x, y, mode.nan),
            FloatBinary::Max => max64(x, y, mode.nan),
            FloatBinary::Copysign => return a & 1 << 63 | b & !(1 << 63),
        };
        return finish64(value, mode);
    }
    let (raw_x, raw_y) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
    let (x, y) = (flush(raw_x, mode.ftz), flush(raw_y, mode.ftz));
    let value = match op {
        FloatBinary::Add => f32_add(x, y, mode.rounding),
        FloatBinary::Sub => f32_sub(x, y, mode.rounding),
        FloatBinary::Mul => f32_mul(x, y, mode.rounding),
        FloatBinary::Div if approximate(mode.rounding) => {
            div_approx32(raw_x, raw_y, mode.rounding == Rounding::Full, mode.ftz, approximation)
        }
        FloatBinary::Div => f32_div(x, y, mode.rounding),
        FloatBinary::Min => min32(x, y, mode.nan),
        FloatBinary::Max => max32(x, y, mode.nan),
        FloatBinary::Copysign => return u64::from(a as u32 & 1 << 31 | b as u32 & !(1 << 31)),
    };
    finish32(value, mode)
}

fn fma(mode: FloatMode, ty: Type, a: u64, b: u64, c: u64) -> u64 {
    if let Some((kind, pair)) = half_kind(ty) {
        return halves(pair, |at| half_fma(kind, (a >> at) as u16, (b >> at) as u16, (c >> at) as u16, mode));
    }
    if ty == Type::F64 {
        return finish64(f64_fma(f64::from_bits(a), f64::from_bits(b), f64::from_bits(c), mode.rounding), mode);
    }
    let [a, b, c] = [a, b, c].map(|bits| flush(f32::from_bits(bits as u32), mode.ftz));
    finish32(f32_fma(a, b, c, mode.rounding), mode)
}

fn test(property: TestProperty, ty: Type, a: u64) -> bool {
    let class = match ty {
        Type::F64 => f64::from_bits(a).classify(),
        _ => f32::from_bits(a as u32).classify(),
    };
    use std::num::FpCategory as F;
    match property {
        TestProperty::Finite => matches!(class, F::Zero | F::Subnormal | F::Normal),
        TestProperty::Infinite => class == F::Infinite,
        TestProperty::Number => class != F::Nan,
        TestProperty::NotANumber => class == F::Nan,
        // PTX counts zero as normal.
        TestProperty::Normal => matches!(class, F::Normal | F::Zero),
        TestProperty::Subnormal => class == F::Subnormal,
    }
}

/// Whether a comparison holds: bit 0, and bit 1 for the high one of pairs.
fn compares(compare: Compare, ftz: bool, ty: Type, a: u64, b: u64) -> u64 {
    if let Some((kind, pair)) = half_kind(ty) {
        let half = |bits: u64| if ftz { half_ftz(kind, bits as u16) } else { bits as u16 };
        let holds = |at: u32| u64::from(half_compare(kind, compare, half(a >> at), half(b >> at)));
        return holds(0) | if pair { holds(16) << 1 } else { 0 };
    }
    let holds = match ty {
        Type::F64 => compare_floats(compare, f64::from_bits(a), f64::from_bits(b)),
        Type::F32 => {
            let [a, b] = [a, b].map(|bits| f64::from(flush(f32::from_bits(bits as u32), ftz)));
            compare_floats(compare, a, b)
        }
        _ => {
            let bits = ty.bits();
            let (u, v) = (integer::low(a, bits), integer::low(b, bits));
            let (s, t) = (integer::signed(a, bits), integer::signed(b, bits));
            let signed = ty.is_signed();
            match compare {
                Compare::Eq | Compare::Equ => u == v,
                Compare::Ne | Compare::Neu => u != v,
                Compare::Lt | Compare::Ltu if signed => s < t,
                Compare::Le | Compare::Leu if signed => s <= t,
                Compare::Gt | Compare::Gtu if signed => s > t,
                Compare::Ge | Compare::Geu if signed => s >= t,
                Compare::Lt | Compare::Lo | Compare::Ltu => u < v,
                Compare::Le | Compare::Ls | Compare::Leu => u <= v,
                Compare::Gt | Compare::Hi | Compare::Gtu => u > v,
                Compare::Ge | Compare::Hs | Compare::Geu => u >= v,
                Compare::Num => true,
                Compare::Nan => false,
            }
        }
    };
    holds.into()
}
