//! Logarithms, all from the one to base 2 as a sum of two numbers. A twin of `kernels/core/fmath.cuh`.
//!
//! `a = 2ᵏ·m` with `√½ ≤ m < √2`, and with `s = (m-1)/(m+1)`, `z = s²`:
//!
//! ```text
//! log₂ a = k + s·(c + z·c/3 + z²·R(z)),  c = 2/ln 2
//! ```

use super::{abs, fma, from_bits, select, to_bits};

/// A sum that is not carried out.
#[derive(Clone, Copy)]
pub(super) struct Sum<T> {
    pub(super) high: T,
    pub(super) low: T,
}

/// `log₂ a` for `a` without a sign, within 2⁻³² of itself. For zero, infinity and NaN `high` alone is the result.
#[inline(always)]
pub(super) fn log2_sum_f32(a: f32) -> Sum<f32> {
    let subnormal = a < 1.1754944e-38;
    // 1 and √½ differ by the constant, so that the exponent changes at √½.
    let w = to_bits(select(subnormal, a * 16777216.0, a)).wrapping_add(0x004afb0d);
    let m: f32 = from_bits((w & 0x007fffff) + 0x3f3504f3);
    let k = from_bits::<f32>((w >> 23) | 0x4b000000) - select(subnormal, 8388759.0, 8388735.0);

    // What m + 1 loses is m - (d - 1). The quotient s + s_low needs but a rough 1/d.
    let f = m - 1.0;
    let d = m + 1.0;
    let d_low = m - (d - 1.0);
    let mut r = fma(fma(d, 0.11685679, -0.7224202), d, 1.4777328);
    r = fma(fma(-d, r, 1.0), r, r);
    let s = f * r;
    let s_low = fma(-s, d_low, fma(-s, d, f)) * r;

    let z = s * s;
    let z_low = fma(s + s, s_low, fma(s, s, -z));
    let q = fma(fma(z, 0.3324945, 0.41206697), z, 0.5770782);
    let u = fma(z, 0.9617967, 2.88539);
    let u_low = fma(z * z, q, fma(z_low, 0.9617967, fma(z, 0.9617967, 2.88539 - u) + 3.851926e-8));
    let h = s * u;
    let h_low = fma(s, u, -h) + fma(s, u_low, s_low * u);
    let t = k + h;
    let t_low = (k - t) + h + h_low;

    let infinity: f32 = from_bits(0x7f800000);
    Sum { high: select(a == 0.0, -infinity, select(a < infinity, t, a)), low: t_low }
}

/// `log₂ a` for `a` without a sign, within 2⁻⁶⁵ of itself. For zero, infinity and NaN `high` alone is the result.
#[inline(always)]
pub(super) fn log2_sum_f64(a: f64) -> Sum<f64> {
    let subnormal = a < 2.2250738585072014e-308;
    let w = to_bits(select(subnormal, a * 18014398509481984.0, a)).wrapping_add(0x00095f619980c433);
    let m: f64 = from_bits((w & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd);
    let k =
        from_bits::<f64>((w >> 52) | 0x4330000000000000) - select(subnormal, 4503599627371573.0, 4503599627371519.0);

    let f = m - 1.0;
    let d = m + 1.0;
    let d_low = m - (d - 1.0);
    let mut r = fma(fma(d, 0.11685679, -0.7224202), d, 1.4777328);
    r = fma(fma(-d, r, 1.0), r, r);
    r = fma(fma(-d, r, 1.0), r, r);
    r = fma(fma(-d, r, 1.0), r, r);
    let s = f * r;
    let s_low = fma(-s, d_low, fma(-s, d, f)) * r;

    let z = s * s;
    let z_low = fma(s + s, s_low, fma(s, s, -z));
    let mut q = fma(z, 0.17198410793261157, 0.16857025187880142);
    q = fma(q, z, 0.19239447370154444);
    q = fma(q, z, 0.22195247593678885);
    q = fma(q, z, 0.2623081952318348);
    q = fma(q, z, 0.32059889794389923);
    q = fma(q, z, 0.4121985831112072);
    q = fma(q, z, 0.5770780163555853);
    let v = fma(z, q, 0.9617966939259756);
    let v_low = fma(z_low, q, fma(z, q, 0.9617966939259756 - v) + 5.0577616648125907e-17);
    let u = fma(z, v, 2.8853900817779268);
    let u_low = fma(z, v, 2.8853900817779268 - u) + fma(z, v_low, fma(z_low, v, 4.0710547481862066e-17));
    let h = s * u;
    let h_low = fma(s, u, -h) + fma(s, u_low, s_low * u);
    let t = k + h;
    let t_low = (k - t) + h + h_low;

    let infinity: f64 = from_bits(0x7ff0000000000000);
    Sum { high: select(a == 0.0, -infinity, select(a < infinity, t, a)), low: t_low }
}

#[inline(always)]
pub(super) fn log2_f32(x: f32) -> f32 {
    let l = log2_sum_f32(abs(x));
    select(x < 0.0, from_bits(0x7fc00000), l.high + l.low)
}

#[inline(always)]
pub(super) fn log2_f64(x: f64) -> f64 {
    let l = log2_sum_f64(abs(x));
    select(x < 0.0, from_bits(0x7ff8000000000000), l.high + l.low)
}

#[inline(always)]
pub(super) fn ln_f32(x: f32) -> f32 {
    let l = log2_sum_f32(abs(x));
    let h = l.high * 0.6931472;
    let sum = h + (fma(l.high, 0.6931472, -h) + fma(l.high, -1.9046542e-9, l.low * 0.6931472));
    let finite = select(abs(h) < from_bits(0x7f800000), sum, h);
    select(x < 0.0, from_bits(0x7fc00000), finite)
}

#[inline(always)]
pub(super) fn ln_f64(x: f64) -> f64 {
    let l = log2_sum_f64(abs(x));
    let h = l.high * 0.6931471805599453;
    let sum =
        h + (fma(l.high, 0.6931471805599453, -h) + fma(l.high, 2.3190468138462996e-17, l.low * 0.6931471805599453));
    let finite = select(abs(h) < from_bits(0x7ff0000000000000), sum, h);
    select(x < 0.0, from_bits(0x7ff8000000000000), finite)
}
