//! Separable CMA-ES once noises are summed. Twin: `kernels/es/sep_cma.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::shape::{LANES, sum_of_block, sum_of_lanes};
use crate::backend::CHUNK;
use crate::cpu::address::host_mut;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::es::sep_cma::{Arrays, Constants, SepCmaBackend, path, step_size, variance};
use crate::memory::ViewMut;

/// Tensors in ordinary memory.
pub(crate) struct CpuSepCma(Cpu);

impl CpuSepCma {
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self(cpu)
    }
}

impl<R: Real> SepCmaBackend<R> for CpuSepCma {
    fn adapt(
        &mut self,
        constants: &Constants,
        generation: u64,
        arrays: &mut Arrays<'_, R>,
        numbers: &mut ViewMut<'_, f64>,
        partials: &mut ViewMut<'_, f64>,
    ) -> Result<()> {
        let cpu = self.0;
        let (numbers, partials) = (host_mut(numbers), host_mut(partials));
        let sigma = R::from_f64(numbers[0]);
        let mut rest = &mut *partials;
        for_each_tensor(arrays, |[sums, _, variances, paths, _, means]| {
            let chunks = sums.len().div_ceil(CHUNK as usize);
            let partials = rest.split_off_mut(..chunks).unwrap_or_default();
            let parts = parts(sums).zip(parts(variances)).zip(parts(paths)).zip(parts(means)).zip(partials);
            parts.for_each(|((((sums, variances), paths), means), partial)| {
                let factors = constants.step_path();
                *partial = cpu.run(Paths { factors, sigma, sums, variances, paths, means });
            });
        });
        let norm = sum_of_block(partials.len(), |sum, i| sum + partials[i]).sqrt();
        let [sigma, gain] = step_size(constants.step_size(generation), norm, numbers[0]);
        (numbers[0], numbers[1]) = (sigma, gain);
        let sizes = [sigma, gain].map(R::from_f64);
        for_each_tensor(arrays, |[sums, deviations, variances, _, paths, _]| {
            let parts = parts(sums).zip(parts(deviations)).zip(parts(variances)).zip(parts(paths));
            parts.for_each(|(((sums, deviations), variances), paths)| {
                cpu.run(Variances { factors: constants.variance(), sizes, sums, deviations, variances, paths });
            });
        });
        Ok(())
    }
}

fn for_each_tensor<R: Real>(arrays: &mut Arrays<'_, R>, mut with: impl FnMut([&mut [R]; 6])) {
    let mut arrays = arrays.each_mut().map(|views| views.iter_mut());
    while let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] = arrays.each_mut().map(Iterator::next) {
        with([a, b, c, d, e, f].map(host_mut));
    }
}

fn parts<R: Real>(array: &mut [R]) -> impl IndexedParallelIterator<Item = &mut [R]> {
    array.par_chunks_mut(CHUNK as usize)
}

/// A chunk's means and paths of the step size; the sum of the paths' squares, in the order of a block.
struct Paths<'a, R> {
    factors: [R; 2],
    sigma: R,
    sums: &'a [R],
    variances: &'a [R],
    paths: &'a mut [R],
    means: &'a mut [R],
}

impl<R: Real> WithSimd for Paths<'_, R> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Self { factors, sigma, sums, variances, paths, means } = self;
        let mut lanes = [0.0; LANES];
        let rows = paths.chunks_mut(LANES).zip(means.chunks_mut(LANES));
        let rows = rows.zip(sums.chunks(LANES).zip(variances.chunks(LANES)));
        for ((paths, means), (sums, variances)) in rows {
            let elements = paths.iter_mut().zip(means).zip(sums.iter().zip(variances)).zip(&mut lanes);
            for (((p, mean), (z, variance)), lane) in elements {
                [*mean, *p] = path(factors, sigma, *variance, *z, *p, *mean);
                *lane = p.to_f64().fma(p.to_f64(), *lane);
            }
        }
        sum_of_lanes(lanes)
    }
}

/// A chunk's variances, their paths, and deviations, where the sums of squares stand before.
struct Variances<'a, R> {
    factors: [R; 4],
    sizes: [R; 2],
    sums: &'a [R],
    deviations: &'a mut [R],
    variances: &'a mut [R],
    paths: &'a mut [R],
}

impl<R: Real> WithSimd for Variances<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { factors, sizes, sums, deviations, variances, paths } = self;
        let elements = deviations.iter_mut().zip(variances).zip(paths).zip(sums);
        for (((s, c), p), z) in elements {
            [*p, *c, *s] = variance(factors, sizes, [*z, *s], *p, *c);
        }
    }
}
