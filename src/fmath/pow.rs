//! `x^y = ±2^(y·log₂|x|)`. A twin of `kernels/core/fmath.cuh`.

use super::exp::{scale_f32, scale_f64};
use super::log::{log2_sum_f32, log2_sum_f64};
use super::{abs, fma, from_bits, select, to_bits};

#[inline(always)]
pub(super) fn pow_f32(x: f32, y: f32) -> f32 {
    let a = abs(x);
    let l = log2_sum_f32(a);
    // The exponent t + t_low. Beyond the bounds the result is an infinity or a zero all the same.
    let product = y * l.high;
    let t = select(product > 160.0, 160.0, select(product < -160.0, -160.0, product));
    let t_low = select(t == product, fma(y, l.low, fma(y, l.high, -product)), 0.0);

    let n = t + 12582912.0 - 12582912.0;
    let r = t - n + t_low;
    let mut p = fma(r, 0.00015243398, 0.0013391473);
    p = fma(p, r, 0.009618829);
    p = fma(p, r, 0.055503584);
    p = fma(p, r, 0.24022645);
    p = fma(p, r, 0.6931472);
    p = fma(p, r, 1.0);
    let power = scale_f32(p, n);

    // |y| less its nearest multiple of 2: ±1 where y is odd, of a size between 0 and 1 where it is not whole.
    let b = abs(y);
    let rest = abs(fma(fma(b, 0.5, 8388608.0) - 8388608.0, -2.0, b));
    let infinity: f32 = from_bits(0x7f800000);
    let one = (y == 0.0) | (x == 1.0) | ((a == 1.0) & (b == infinity));
    let none = (x < 0.0) & (a < infinity) & (rest > 0.0) & (rest < 1.0);
    let with_sign = from_bits(to_bits(power) | (to_bits(x) & 0x80000000));
    select(one, 1.0, select(none, from_bits(0x7fc00000), select(rest == 1.0, with_sign, power)))
}

#[inline(always)]
pub(super) fn pow_f64(x: f64, y: f64) -> f64 {
    let a = abs(x);
    let l = log2_sum_f64(a);
    let product = y * l.high;
    let t = select(product > 1100.0, 1100.0, select(product < -1100.0, -1100.0, product));
    let t_low = select(t == product, fma(y, l.low, fma(y, l.high, -product)), 0.0);

    let n = t + 6755399441055744.0 - 6755399441055744.0;
    let r = t - n + t_low;
    let mut p = fma(r, 4.433773163007854e-10, 7.073769557246276e-9);
    p = fma(p, r, 1.0178206779894193e-7);
    p = fma(p, r, 1.3215435378758052e-6);
    p = fma(p, r, 1.5252733473527936e-5);
    p = fma(p, r, 0.00015403530456874293);
    p = fma(p, r, 0.0013333558146797519);
    p = fma(p, r, 0.009618129107594358);
    p = fma(p, r, 0.055504108664819966);
    p = fma(p, r, 0.2402265069591013);
    p = fma(p, r, 0.6931471805599453);
    p = fma(p, r, 1.0);
    let power = scale_f64(p, n);

    let b = abs(y);
    let rest = abs(fma(fma(b, 0.5, 4503599627370496.0) - 4503599627370496.0, -2.0, b));
    let infinity: f64 = from_bits(0x7ff0000000000000);
    let one = (y == 0.0) | (x == 1.0) | ((a == 1.0) & (b == infinity));
    let none = (x < 0.0) & (a < infinity) & (rest > 0.0) & (rest < 1.0);
    let with_sign = from_bits(to_bits(power) | (to_bits(x) & 0x8000000000000000));
    select(one, 1.0, select(none, from_bits(0x7ff8000000000000), select(rest == 1.0, with_sign, power)))
}
