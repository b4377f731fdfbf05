//! IEEE arithmetic of f32 and f64 as the GPU does it: four roundings, subnormals kept, one NaN.
//!
//! Nearest-even is the host's own arithmetic. Directed f32 results step from the nearest one by the sign of its exact
//! error, found in f64; directed f64 results come from integers ([`soft`]). A rounding that is not directed is nearest
//! even. A NaN result is canonical: PTX does not keep payloads of f32, and this driver keeps none of f64.

pub(crate) mod soft;

use crate::ir::{Compare, Rounding};
use soft::{Exact, Format, Number};

/// The value, or the canonical NaN 0x7fffffff.
///
/// On the bits: the compiler takes `if x.is_nan() { a NaN } else { x }` for `x` where `x` is a fresh result.
#[inline]
pub fn canonical32(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fff_ffff } else { bits })
}

/// The value, or the canonical NaN 0x7fffffffffffffff.
#[inline]
pub fn canonical64(value: f64) -> f64 {
    const NAN: u64 = 0x7fff_ffff_ffff_ffff;
    let bits = value.to_bits();
    f64::from_bits(if bits & NAN > 0x7ff0_0000_0000_0000 { NAN } else { bits })
}

/// `.ftz`: a subnormal becomes the zero of its sign.
#[inline]
pub fn ftz32(value: f32) -> f32 {
    if value.is_subnormal() { 0.0f32.copysign(value) } else { value }
}

/// `.sat`: clamped to [+0, 1]; NaN becomes +0.
#[inline]
pub fn sat32(value: f32) -> f32 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

/// `.sat`: clamped to [+0, 1]; NaN becomes +0.
#[inline]
pub fn sat64(value: f64) -> f64 {
    if value > 0.0 { value.min(1.0) } else { 0.0 }
}

macro_rules! extremum {
    ($(#[$doc:meta])* $name:ident, $float:ty, $canonical:ident, $chosen:tt, $zero:ident) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(a: $float, b: $float, nan: bool) -> $float {
            if a.is_nan() || b.is_nan() {
                let other = if a.is_nan() { b } else { a };
                if nan { $canonical(<$float>::NAN) } else { $canonical(other) }
            } else if a == b {
                if a.$zero() { a } else { b }
            } else if a $chosen b {
                a
            } else {
                b
            }
        }
    };
}

extremum!(
    /// The smaller; -0 < +0. Of a NaN and a number the number, or with `nan` NaN.
    min32, f32, canonical32, <, is_sign_negative);
extremum!(
    /// The larger; -0 < +0. Of a NaN and a number the number, or with `nan` NaN.
    max32, f32, canonical32, >, is_sign_positive);
extremum!(
    /// The smaller; -0 < +0. Of a NaN and a number the number, or with `nan` NaN.
    min64, f64, canonical64, <, is_sign_negative);
extremum!(
    /// The larger; -0 < +0. Of a NaN and a number the number, or with `nan` NaN.
    max64, f64, canonical64, >, is_sign_positive);

#[inline]
fn is_directed(rounding: Rounding) -> bool {
    matches!(rounding, Rounding::Rz | Rounding::Rm | Rounding::Rp)
}

/// `a + b`.
#[inline]
pub fn f32_add(a: f32, b: f32, rounding: Rounding) -> f32 {
    let nearest = a + b;
    if is_directed(rounding) && a.is_finite() && b.is_finite() {
        return sum32(a.into(), b.into(), rounding);
    }
    canonical32(nearest)
}

/// `a - b`.
#[inline]
pub fn f32_sub(a: f32, b: f32, rounding: Rounding) -> f32 {
    f32_add(a, -b, rounding)
}

/// `a · b`.
#[inline]
pub fn f32_mul(a: f32, b: f32, rounding: Rounding) -> f32 {
    if is_directed(rounding) && a.is_finite() && b.is_finite() {
        return round32(f64::from(a) * f64::from(b), rounding);
    }
    canonical32(a * b)
}

/// `a · b + c`, rounded once.
#[inline]
pub fn f32_fma(a: f32, b: f32, c: f32, rounding: Rounding) -> f32 {
    if is_directed(rounding) && a.is_finite() && b.is_finite() && c.is_finite() {
        return sum32(f64::from(a) * f64::from(b), c.into(), rounding);
    }
    canonical32(a.mul_add(b, c))
}

/// `a / b`.
#[inline]
pub fn f32_div(a: f32, b: f32, rounding: Rounding) -> f32 {
    let nearest = a / b;
    if !is_directed(rounding) || !a.is_finite() || !b.is_finite() || b == 0.0 {
        return canonical32(nearest);
    }
    // The sign of nearest - a / b: both products are exact in f64.
    let error = (f64::from(nearest) * f64::from(b) - f64::from(a)) * f64::from(b).signum();
    step32(nearest, error, rounding)
}

/// The square root; NaN of a negative number.
#[inline]
pub fn f32_sqrt(a: f32, rounding: Rounding) -> f32 {
    let nearest = a.sqrt();
    if !is_directed(rounding) || !nearest.is_finite() {
        return canonical32(nearest);
    }
    step32(nearest, f64::from(nearest) * f64::from(nearest) - f64::from(a), rounding)
}

/// `1 / a`.
#[inline]
pub fn f32_rcp(a: f32, rounding: Rounding) -> f32 {
    f32_div(1.0, a, rounding)
}

/// A finite f64, rounded.
pub(crate) fn round32(value: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    step32(nearest, f64::from(nearest) - value, rounding)
}

/// The sum of two finite numbers that are exact in f32 arithmetic, or a product of such; neither overflows in f64.
fn sum32(a: f64, b: f64, rounding: Rounding) -> f32 {
    let sum = a + b;
    if sum == 0.0 {
        let like = a.is_sign_positive() && b.is_sign_positive();
        return if rounding == Rounding::Rm && !like { -0.0 } else { sum as f32 };
    }
    let nearest = sum as f32;
    let error = f64::from(nearest) - sum;
    step32(nearest, if error == 0.0 { -two_sum_error(a, b, sum) } else { error }, rounding)
}

/// `a + b - sum` for the nearest `sum`, exactly.
pub(crate) fn two_sum_error(a: f64, b: f64, sum: f64) -> f64 {
    let b_part = sum - a;
    let a_part = sum - b_part;
    (a - a_part) + (b - b_part)
}

/// The rounded value, of the nearest value and the sign of its error.
fn step32(nearest: f32, error: f64, rounding: Rounding) -> f32 {
    let negative = nearest.is_sign_negative();
    let (down, up) = match rounding {
        Rounding::Rz => (!negative, negative),
        Rounding::Rm => (true, false),
        Rounding::Rp => (false, true),
        _ => (false, false),
    };
    if down && error > 0.0 {
        nearest.next_down()
    } else if up && error < 0.0 {
        nearest.next_up()
    } else {
        nearest
    }
}

/// `a + b`.
#[inline]
pub fn f64_add(a: f64, b: f64, rounding: Rounding) -> f64 {
    if is_directed(rounding)
        && let (Some(x), Some(y)) = (exact64(a), exact64(b))
    {
        return round64(x.add(y, rounding), rounding);
    }
    canonical64(a + b)
}

/// `a - b`.
#[inline]
pub fn f64_sub(a: f64, b: f64, rounding: Rounding) -> f64 {
    f64_add(a, -b, rounding)
}

/// `a · b`.
#[inline]
pub fn f64_mul(a: f64, b: f64, rounding: Rounding) -> f64 {
    if is_directed(rounding)
        && let (Some(x), Some(y)) = (exact64(a), exact64(b))
    {
        return round64(x.multiply(y), rounding);
    }
    canonical64(a * b)
}

/// `a · b + c`, rounded once.
#[inline]
pub fn f64_fma(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    if is_directed(rounding)
        && let (Some(x), Some(y), Some(z)) = (exact64(a), exact64(b), exact64(c))
    {
        return round64(x.multiply(y).add(z, rounding), rounding);
    }
    canonical64(a.mul_add(b, c))
}

/// `a / b`.
#[inline]
pub fn f64_div(a: f64, b: f64, rounding: Rounding) -> f64 {
    if is_directed(rounding)
        && b != 0.0
        && let (Some(x), Some(y)) = (exact64(a), exact64(b))
    {
        return round64(x.divide(y), rounding);
    }
    canonical64(a / b)
}

/// The square root; NaN of a negative number.
#[inline]
pub fn f64_sqrt(a: f64, rounding: Rounding) -> f64 {
    if is_directed(rounding)
        && a >= 0.0
        && let Some(x) = exact64(a)
    {
        return round64(x.sqrt(), rounding);
    }
    canonical64(a.sqrt())
}

/// `1 / a`.
#[inline]
pub fn f64_rcp(a: f64, rounding: Rounding) -> f64 {
    f64_div(1.0, a, rounding)
}

fn exact64(value: f64) -> Option<Exact> {
    match Format::F64.unpack(value.to_bits()) {
        Number::Finite(exact) => Some(exact),
        _ => None,
    }
}

fn round64(value: Exact, rounding: Rounding) -> f64 {
    f64::from_bits(Format::F64.round(value, rounding))
}

/// A comparison of floats of any type, which f64 holds exactly; operands are not flushed.
pub fn compare_floats(compare: Compare, a: f64, b: f64) -> bool {
    let unordered = a.is_nan() || b.is_nan();
    match compare {
        Compare::Eq => a == b,
        Compare::Ne => !unordered && a != b,
        Compare::Lt | Compare::Lo => a < b,
        Compare::Le | Compare::Ls => a <= b,
        Compare::Gt | Compare::Hi => a > b,
        Compare::Ge | Compare::Hs => a >= b,
        Compare::Equ => unordered || a == b,
        Compare::Neu => unordered || a != b,
        Compare::Ltu => unordered || a < b,
        Compare::Leu => unordered || a <= b,
        Compare::Gtu => unordered || a > b,
        Compare::Geu => unordered || a >= b,
        Compare::Num => !unordered,
        Compare::Nan => unordered,
    }
}
