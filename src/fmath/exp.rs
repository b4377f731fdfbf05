//! `e^x = 2ⁿ·eʳ` with whole n and |r| ≤ ln 2 / 2. A twin of `kernels/core/fmath.cuh`.

use super::{fma, from_bits, select, to_bits};

/// `p · 2ⁿ` for whole |n| ≤ 250, rounded once where `p` is near 1.
#[inline(always)]
pub(super) fn scale_f32(p: f32, n: f32) -> f32 {
    // Added to a whole number k, it leaves k + 127, the exponent of 2ᵏ, in the low bits.
    let exponent = 12583039.0;
    let half = fma(n, 0.5, exponent);
    let rest = n - (half - exponent) + exponent;
    p * from_bits::<f32>(to_bits(half) << 23) * from_bits::<f32>(to_bits(rest) << 23)
}

/// `p · 2ⁿ` for whole |n| ≤ 2040, rounded once where `p` is near 1.
#[inline(always)]
pub(super) fn scale_f64(p: f64, n: f64) -> f64 {
    let exponent = 6755399441056767.0;
    let half = fma(n, 0.5, exponent);
    let rest = n - (half - exponent) + exponent;
    p * from_bits::<f64>(to_bits(half) << 52) * from_bits::<f64>(to_bits(rest) << 52)
}

#[inline(always)]
pub(super) fn exp_f32(x: f32) -> f32 {
    // Beyond these the result is an infinity or a zero all the same.
    let a = select(x > 89.0, 89.0, select(x < -104.0, -104.0, x));
    // Adding 1.5·2²³ rounds to a whole number.
    let n = fma(a, 1.442695, 12582912.0) - 12582912.0;
    let r = fma(n, 1.9046542e-9, fma(n, -0.6931472, a));
    let mut p = fma(r, 0.0013782497, 0.008368674);
    p = fma(p, r, 0.041668963);
    p = fma(p, r, 0.16666521);
    p = fma(p, r, 0.4999999);
    p = fma(r * r, p, r) + 1.0;
    scale_f32(p, n)
}

#[inline(always)]
pub(super) fn exp_f64(x: f64) -> f64 {
    let a = select(x > 710.0, 710.0, select(x < -746.0, -746.0, x));
    let n = fma(a, 1.4426950408889634, 6755399441055744.0) - 6755399441055744.0;
    let r = fma(n, -2.3190468138462996e-17, fma(n, -0.6931471805599453, a));
    let mut p = fma(r, 2.500459156375514e-8, 2.7630467658087526e-7);
    p = fma(p, r, 2.7557572090123875e-6);
    p = fma(p, r, 2.480149242846194e-5);
    p = fma(p, r, 0.00019841269522577787);
    p = fma(p, r, 0.0013888888944353609);
    p = fma(p, r, 0.008333333333487038);
    p = fma(p, r, 0.041666666666526957);
    p = fma(p, r, 0.16666666666666424);
    p = fma(p, r, 0.5000000000000011);
    p = fma(r * r, p, r) + 1.0;
    scale_f64(p, n)
}
