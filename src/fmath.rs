//! The arithmetic words of the rules, each with a twin of the same name in `kernels/rules/common.cuh`.

use crate::element::Real;

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

/// stand-in
pub fn cospi(x: f64) -> f64 { (x * std::f64::consts::PI).cos() }
/// stand-in
pub fn pow(x: f64, y: f64) -> f64 { x.powf(y) }
/// stand-in
pub fn max<T: Real>(a: T, b: T) -> T { select(a > b || b != b, a, b) }

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
    fn sign_keeps_zeros_and_nan() {
        assert_eq!(sign(3.0_f32), 1.0);
        assert_eq!(sign(-1e-45_f32), -1.0);
        assert_eq!(sign(-0.0_f64).to_bits(), (-0.0_f64).to_bits());
        assert!(sign(f32::NAN).is_nan());
    }
}
