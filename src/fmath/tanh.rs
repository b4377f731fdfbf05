//! `tanh x`: an odd polynomial up to 1 (0.55 in f64), `1 - 2/(e²ˣ + 1)` above. A twin of `kernels/core/fmath.cuh`.

use super::exp::{exp_f32, exp_f64};
use super::{abs, fma, from_bits, select, to_bits};

#[inline(always)]
pub(super) fn tanh_f32(x: f32) -> f32 {
    let a = abs(x);
    let z = a * a;
    let mut p = fma(z, 0.00015773623, -0.000978972);
    p = fma(p, z, 0.0032890064);
    p = fma(p, z, -0.00875972);
    p = fma(p, z, 0.021854399);
    p = fma(p, z, -0.05396851);
    p = fma(p, z, 0.13333356);
    p = fma(p, z, -0.33333334);
    let below = fma(a * z, p, a);
    let above = 1.0 - 2.0 / (exp_f32(a + a) + 1.0);
    from_bits(to_bits(select(a < 1.0, below, above)) | (to_bits(x) & 0x80000000))
}

#[inline(always)]
pub(super) fn tanh_f64(x: f64) -> f64 {
    let a = abs(x);
    let z = a * a;
    let mut p = fma(z, 2.5004239623599854e-8, -2.6205612863494487e-7);
    p = fma(p, z, 1.3744879799657173e-6);
    p = fma(p, z, -4.977248495204847e-6);
    p = fma(p, z, 1.4590470763754482e-5);
    p = fma(p, z, -3.8373247281215754e-5);
    p = fma(p, z, 9.645046987919622e-5);
    p = fma(p, z, -0.0002389503128268022);
    p = fma(p, z, 0.0005899766109768928);
    p = fma(p, z, -0.0014558239241259693);
    p = fma(p, z, 0.0035921265251471033);
    p = fma(p, z, -0.00886323538368804);
    p = fma(p, z, 0.021869488527337444);
    p = fma(p, z, -0.05396825396795878);
    p = fma(p, z, 0.13333333333332889);
    p = fma(p, z, -0.3333333333333333);
    let below = fma(a * z, p, a);
    let above = 1.0 - 2.0 / (exp_f64(a + a) + 1.0);
    from_bits(to_bits(select(a < 0.55, below, above)) | (to_bits(x) & 0x8000000000000000))
}
