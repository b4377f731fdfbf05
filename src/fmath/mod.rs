//! The arithmetic words of the rules and elementary functions, each with a twin of the same name in
//! `kernels/core/fmath.cuh`.
//!
//! The elementary functions are made of `+ - * /`, fused multiply-adds, selects and bit operations, without branches, tables
//! or calls of a mathematical library: the CPU and every GPU give the same bits, and loops over them vectorise. Special
//! values are those of C99, Annex F; subnormal arguments and results are kept.
//!
//! The greatest errors in units of the last place, which `tests/fmath` holds them to: f32 over all arguments (`pow` over 2³²
//! hashed pairs), f64 over 2²¹ points against sums of two doubles.
//!
//! | | exp | ln | log2 | pow | tanh | sin πx | cos πx |
//! |---|---|---|---|---|---|---|---|
//! | f32 | 1.01 | 0.52 | 0.53 | 2.5 | 0.95 | 0.97 | 0.89 |
//! | f64 | 1.1 | 0.7 | 0.75 | 1.3 | 1.6 | 1.1 | 1.1 |

#![allow(
    clippy::approx_constant,
    clippy::excessive_precision,
    reason = "the constants are parts of sums, written as CUDA reads them"
)]

use crate::element::Real;

mod exp;
mod log;
mod pow;
mod sincospi;
mod tanh;

pub use sincospi::SinCos;

/// `a · b + c`, rounded once.
#[inline(always)]
pub fn fma<T: Real>(a: T, b: T, c: T) -> T {
    a.fma(b, c)
}

/// The square root, correctly rounded.
#[inline(always)]
pub fn sqrt<T: Real>(x: T) -> T {
    x.sqrt()
}

/// `a` where the condition holds, else `b`; both are computed.
#[inline(always)]
pub fn select<T>(condition: bool, a: T, b: T) -> T {
    if condition { a } else { b }
}

/// The value without its sign.
#[inline(always)]
pub fn abs<T: Real>(x: T) -> T {
    x.abs()
}

/// The greater of the two: the number where one is a NaN, and +0 above -0.
#[inline(always)]
pub fn max<T: Real>(x: T, y: T) -> T {
    x.maximum_number(y)
}

/// The lesser of the two: the number where one is a NaN, and -0 below +0.
#[inline(always)]
pub fn min<T: Real>(x: T, y: T) -> T {
    -max(-x, -y)
}

/// The bits of the value as an unsigned integer.
#[inline(always)]
pub fn to_bits<T: Real>(x: T) -> T::Word {
    x.to_word()
}

/// The value with these bits.
#[inline(always)]
pub fn from_bits<T: Real>(word: T::Word) -> T {
    T::from_word(word)
}

/// A constant of the arithmetic type, rounded to it.
#[inline(always)]
pub fn real<T: Real>(value: f64) -> T {
    T::from_f64(value)
}

/// 1 above zero, -1 below it; a zero and a NaN stay what they are.
#[inline(always)]
pub fn sign<T: Real>(x: T) -> T {
    select(x > real(0.0), real(1.0), select(x < real(0.0), real(-1.0), x))
}

/// `base^exponent` by squaring, from the lowest bit of the exponent up.
///
/// The order is part of the definition: bias corrections must have the same bits wherever they are computed.
pub fn powi(base: f64, exponent: u64) -> f64 {
    let mut result = 1.0;
    let mut square = base;
    let mut n = exponent;
    while n > 0 {
        if n % 2 == 1 {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    result
}

/// `e^x`.
#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    x.exp()
}

/// The natural logarithm; -∞ at zero, NaN below.
#[inline(always)]
pub fn ln<T: Real>(x: T) -> T {
    x.ln()
}

/// The logarithm to base 2; -∞ at zero, NaN below.
#[inline(always)]
pub fn log2<T: Real>(x: T) -> T {
    x.log2()
}

/// `x^y`.
///
/// 1 where `y` is a zero or `x` is 1, whatever the other is; NaN where `x` is finite and below zero and `y` is not whole.
#[inline(always)]
pub fn pow<T: Real>(x: T, y: T) -> T {
    x.pow(y)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<T: Real>(x: T) -> T {
    x.tanh()
}

/// `sin(πx)` and `cos(πx)`; NaN for infinities.
///
/// The sine of a whole number is a zero with its sign; the cosine of a whole number and a half is +0.
#[inline(always)]
pub fn sincospi<T: Real>(x: T) -> SinCos<T> {
    x.sincospi()
}

/// What [`Real`] needs of this module.
pub trait Elementary: Sized {
    #![allow(missing_docs)]
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn log2(self) -> Self;
    fn pow(self, y: Self) -> Self;
    fn tanh(self) -> Self;
    fn sincospi(self) -> SinCos<Self>;
}

macro_rules! elementary {
    ($type:ident, $exp:ident, $ln:ident, $log2:ident, $pow:ident, $tanh:ident, $sincospi:ident) => {
        impl Elementary for $type {
            #[inline(always)]
            fn exp(self) -> Self {
                exp::$exp(self)
            }

            #[inline(always)]
            fn ln(self) -> Self {
                log::$ln(self)
            }

            #[inline(always)]
            fn log2(self) -> Self {
                log::$log2(self)
            }

            #[inline(always)]
            fn pow(self, y: Self) -> Self {
                pow::$pow(self, y)
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                tanh::$tanh(self)
            }

            #[inline(always)]
            fn sincospi(self) -> SinCos<Self> {
                sincospi::$sincospi(self)
            }
        }
    };
}

elementary!(f32, exp_f32, ln_f32, log2_f32, pow_f32, tanh_f32, sincospi_f32);
elementary!(f64, exp_f64, ln_f64, log2_f64, pow_f64, tanh_f64, sincospi_f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powi_of_exact_powers() {
        assert_eq!(powi(0.9, 0), 1.0);
        assert_eq!(powi(0.9, 1), 0.9);
        assert_eq!(powi(2.0, 52), (1_u64 << 52) as f64);
        assert_eq!(powi(0.5, 1074), f64::from_bits(1));
        assert_eq!(powi(0.999, u64::MAX), 0.0);
        assert_eq!(powi(1.0, u64::MAX), 1.0);
    }

    #[test]
    fn max_and_min_prefer_numbers_and_order_zeros() {
        for (x, y) in [(1.0_f32, 2.0), (-1.0, -2.0), (0.0, -0.0), (f32::NAN, 1.0), (f32::NEG_INFINITY, f32::NAN)] {
            let order = |x: f32, y: f32| (max(x, y).to_bits(), min(x, y).to_bits());
            let greater = if y.is_nan() || y < x || y == x && y.is_sign_negative() { x } else { y };
            let lesser = if x.is_nan() || y < x || y == x && y.is_sign_negative() { y } else { x };
            let lesser = if lesser.is_nan() { x } else { lesser };
            assert_eq!(order(x, y), (greater.to_bits(), lesser.to_bits()), "{x} and {y}");
            assert_eq!(order(y, x), order(x, y), "{y} and {x}");
        }
        assert!(max(f64::NAN, f64::NAN).is_nan());
    }

    #[test]
    fn sign_keeps_zeros_and_nan() {
        assert_eq!(sign(3.0_f32), 1.0);
        assert_eq!(sign(-1e-45_f32), -1.0);
        assert_eq!(sign(-0.0_f64).to_bits(), (-0.0_f64).to_bits());
        assert!(sign(f32::NAN).is_nan());
    }
}
