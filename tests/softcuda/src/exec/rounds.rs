//! The inner loops of the interpreter.

use crate::ir::Compare;

use super::registers::FULL;

/// Writes lanes of a word register.
#[inline(always)]
pub fn word_result(d: &mut [u32; 32], out: &[u32; 32], active: u32) {
    if active == FULL {
        *d = *out;
    } else {
        for lane in 0..32 {
            d[lane] = if active & 1 << lane != 0 { out[lane] } else { d[lane] };
        }
    }
}

/// Writes lanes of a double register.
#[inline(always)]
pub fn double_result(d: &mut [u64; 32], out: &[u64; 32], active: u32) {
    if active == FULL {
        *d = *out;
    } else {
        for lane in 0..32 {
            d[lane] = if active & 1 << lane != 0 { out[lane] } else { d[lane] };
        }
    }
}

/// The lanes in which something holds.
#[inline(always)]
fn where_holds<T: Copy>(a: &[T; 32], b: &[T; 32], holds: impl Fn(T, T) -> bool) -> u32 {
    let mut mask = 0;
    for lane in 0..32 {
        mask |= u32::from(holds(a[lane], b[lane])) << lane;
    }
    mask
}

/// The lanes in which a comparison of integers holds.
#[inline(always)]
pub fn compare_int<T: Copy + Ord>(compare: Compare, a: &[T; 32], b: &[T; 32]) -> u32 {
    match compare {
        Compare::Eq | Compare::Equ => where_holds(a, b, |a, b| a == b),
        Compare::Ne | Compare::Neu => where_holds(a, b, |a, b| a != b),
        Compare::Lt | Compare::Lo | Compare::Ltu => where_holds(a, b, |a, b| a < b),
        Compare::Le | Compare::Ls | Compare::Leu => where_holds(a, b, |a, b| a <= b),
        Compare::Gt | Compare::Hi | Compare::Gtu => where_holds(a, b, |a, b| a > b),
        Compare::Ge | Compare::Hs | Compare::Geu => where_holds(a, b, |a, b| a >= b),
        Compare::Num => FULL,
        Compare::Nan => 0,
    }
}

/// The lanes in which a comparison of floats holds.
#[inline(always)]
#[allow(clippy::eq_op, clippy::neg_cmp_op_on_partial_ord, clippy::double_comparisons)]
pub fn compare_float<T: Copy + PartialOrd>(compare: Compare, a: &[T; 32], b: &[T; 32]) -> u32 {
    match compare {
        Compare::Eq => where_holds(a, b, |a, b| a == b),
        Compare::Ne => where_holds(a, b, |a, b| a < b || a > b),
        Compare::Lt | Compare::Lo => where_holds(a, b, |a, b| a < b),
        Compare::Le | Compare::Ls => where_holds(a, b, |a, b| a <= b),
        Compare::Gt | Compare::Hi => where_holds(a, b, |a, b| a > b),
        Compare::Ge | Compare::Hs => where_holds(a, b, |a, b| a >= b),
        Compare::Equ => where_holds(a, b, |a, b| !(a < b) && !(a > b)),
        Compare::Neu => where_holds(a, b, |a, b| a != b),
        Compare::Ltu => where_holds(a, b, |a, b| !(a >= b)),
        Compare::Leu => where_holds(a, b, |a, b| !(a > b)),
        Compare::Gtu => where_holds(a, b, |a, b| !(a <= b)),
        Compare::Geu => where_holds(a, b, |a, b| !(a < b)),
        Compare::Num => where_holds(a, b, |a, b| a == a && b == b),
        Compare::Nan => where_holds(a, b, |a, b| a != a || b != b),
    }
}

/// To bf16, nearest even; NaN becomes 0x7fff.
#[inline(always)]
pub fn bf16_from_f32(a: u32) -> u32 {
    let rounded = a.wrapping_add(0x7fff + (a >> 16 & 1)) >> 16;
    if a & 0x7fff_ffff > 0x7f80_0000 { 0x7fff } else { rounded }
}

/// To f16, nearest even; NaN becomes 0x7fff.
#[inline(always)]
pub fn f16_from_f32(a: u32) -> u32 {
    let sign = a >> 16 & 0x8000;
    let magnitude = a & 0x7fff_ffff;
    // Normal: rebias the exponent (127 to 15), round off 13 bits.
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + (magnitude >> 13 & 1)) >> 13;
    // Subnormal: adding 0.5 leaves multiples of 2^-24, rounded, in the low bits.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
    let result = if magnitude < 113 << 23 { subnormal } else { normal };
    // From 65520 on the result is infinite.
    let result = if magnitude >= 0x477f_f000 { 0x7c00 } else { result };
    if magnitude > 0x7f80_0000 { 0x7fff } else { sign | result }
}
