//! Sine and cosine of `πx`. A twin of `kernels/core/fmath.cuh`.
//!
//! `|x| = 2i + q/2 + r` with whole `i`, `q` and `|r| ≤ ¼`, exactly; polynomials give sine and cosine of `πr`, and `q` says
//! which of them is which.

use super::{abs, fma, from_bits, select, to_bits};

/// Sine and cosine of one argument.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct SinCos<T> {
    pub sin: T,
    pub cos: T,
}

#[inline(always)]
pub(super) fn sincospi_f32(x: f32) -> SinCos<f32> {
    let infinity: f32 = from_bits(0x7f800000);
    // From 2²⁴ on every number is even.
    let a = select(abs(x) < 16777216.0, abs(x), select(abs(x) < infinity, 0.0, from_bits(0x7fc00000)));
    let b = fma(fma(a, 0.5, 8388608.0) - 8388608.0, -2.0, a);
    let quarter = fma(b, 2.0, 12582912.0);
    let r = fma(quarter - 12582912.0, -0.5, b);
    let q = to_bits(quarter);

    let z = r * r;
    let mut p = fma(z, 0.07787251, -0.598861);
    p = fma(p, z, 2.550152);
    p = fma(p, z, -5.1677127);
    let s = fma(r, 3.1415927, fma(r * z, p, r * -8.742278e-8));
    p = fma(z, 0.22684339, -1.3345594);
    p = fma(p, z, 4.0586925);
    p = fma(p, z, -4.934802);
    let c = fma(p, z, 1.0);

    // q = 0: s, c; 1: c, -s; 2: -s, -c; 3: -c, s.
    let odd = (q & 1) == 1;
    let sine = from_bits::<f32>(to_bits(select(odd, c, s)) ^ ((q & 2) << 30) ^ (to_bits(x) & 0x80000000));
    let cosine = from_bits::<f32>(to_bits(select(odd, s, c)) ^ (((q + 1) & 2) << 30));
    // Zeros: those of the sine have the sign of x, those of the cosine none.
    SinCos { sin: select(sine == 0.0, from_bits(to_bits(x) & 0x80000000), sine), cos: cosine + 0.0 }
}

#[inline(always)]
pub(super) fn sincospi_f64(x: f64) -> SinCos<f64> {
    let infinity: f64 = from_bits(0x7ff0000000000000);
    let a = select(abs(x) < 9007199254740992.0, abs(x), select(abs(x) < infinity, 0.0, from_bits(0x7ff8000000000000)));
    let b = fma(fma(a, 0.5, 4503599627370496.0) - 4503599627370496.0, -2.0, a);
    let quarter = fma(b, 2.0, 6755399441055744.0);
    let r = fma(quarter - 6755399441055744.0, -0.5, b);
    let q = to_bits(quarter);

    let z = r * r;
    let mut p = fma(z, -2.2946662039941955e-5, 0.00046653257948195767);
    p = fma(p, z, -0.007370449421467489);
    p = fma(p, z, 0.0821458873136625);
    p = fma(p, z, -0.599264529333701);
    p = fma(p, z, 2.5501640398774468);
    p = fma(p, z, -5.16771278004997);
    let s = fma(r, 3.141592653589793, fma(r * z, p, r * 1.2246467991473532e-16));
    p = fma(z, -0.00010369678901218643, 0.0019294930725603828);
    p = fma(p, z, -0.025806887903998006);
    p = fma(p, z, 0.2353306302818239);
    p = fma(p, z, -1.335262768853769);
    p = fma(p, z, 4.058712126416765);
    p = fma(p, z, -4.934802200544679);
    let c = fma(p, z, 1.0);

    let odd = (q & 1) == 1;
    let sine = from_bits::<f64>(to_bits(select(odd, c, s)) ^ ((q & 2) << 62) ^ (to_bits(x) & 0x8000000000000000));
    let cosine = from_bits::<f64>(to_bits(select(odd, s, c)) ^ (((q + 1) & 2) << 62));
    SinCos { sin: select(sine == 0.0, from_bits(to_bits(x) & 0x8000000000000000), sine), cos: cosine + 0.0 }
}
