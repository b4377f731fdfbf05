//! Separable CMA-ES: its constants, its arithmetic, and what it keeps beside a mean and deviations. Twin: `kernels/es/sep_cma.cu`.

use super::sums::{Beside, SumsBackend};
use super::{Rounding, Term};
use crate::backend::{Slot, chunks};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::fmath::{exp, fma, ln, powi, select, sqrt};
use crate::memory::{Buffer, ViewMut};
use crate::optim::Listed;
use crate::rng::Distribution;

/// What the numbers of elements d and of members come to, by the letters of Ros & Hansen 2008; μ_eff is of the weights of Hansen's
/// tutorial (2016, arXiv 1604.00772).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Constants {
    pub(crate) mu_eff: f64,
    pub(crate) c_sigma: f64,
    pub(crate) d_sigma: f64,
    pub(crate) c_c: f64,
    pub(crate) c_cov: f64,
    /// The expected norm of d standard normals, as it is approximated.
    pub(crate) expected: f64,
    /// The factor of that beyond which a path counts as too long.
    pub(crate) too_long: f64,
}

impl Constants {
    pub(crate) fn new(elements: u64, members: usize) -> Self {
        let (d, n) = (elements.max(1) as f64, members as f64);
        let weights = || (0..members / 2).map(|place| ln((n + 1.0) / 2.0) - ln(place as f64 + 1.0));
        let (sum, squares) = weights().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
        let mu_eff: f64 = sum * sum / squares;
        let c_sigma = (mu_eff + 2.0) / (d + mu_eff + 3.0);
        let of_all = (2.0 * mu_eff - 1.0) / ((d + 2.0).powi(2) + mu_eff);
        let c_cov = 2.0 / (mu_eff * (d + 2.0_f64.sqrt()).powi(2)) + (1.0 - 1.0 / mu_eff) * of_all.min(1.0);
        Self {
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: 4.0 / (d + 4.0),
            // Where the paper's number of members is far exceeded, it would be more than all.
            c_cov: ((d + 2.0) / 3.0 * c_cov).min(1.0),
            expected: d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d)),
            too_long: 1.4 + 2.0 / (d + 1.0),
        }
    }

    /// Of an update of the path of the step size: how much is kept, and what the mean noise is multiplied by.
    pub(crate) fn step_path<T: Real>(&self) -> [T; 2] {
        let gain = (self.c_sigma * (2.0 - self.c_sigma) * self.mu_eff).sqrt();
        [1.0 - self.c_sigma, gain].map(T::from_f64)
    }

    /// Of a new step size: damping, the expected norm of the path, the bound below which it is not too long in this generation,
    /// and the gain of the other path then.
    pub(crate) fn step_size(&self, generation: u64) -> [f64; 4] {
        let started = 1.0 - powi(1.0 - self.c_sigma, generation.saturating_add(1).saturating_mul(2));
        let gain = (self.c_c * (2.0 - self.c_c) * self.mu_eff).sqrt();
        [self.c_sigma / self.d_sigma, self.expected, self.too_long * self.expected * started.sqrt(), gain]
    }

    /// Of an update of variances: how much is kept of their path and of themselves, and what the path's square and the members'
    /// squares are multiplied by.
    pub(crate) fn variance<T: Real>(&self) -> [T; 4] {
        let (one, mu) = (self.c_cov / self.mu_eff, self.c_cov * (1.0 - 1.0 / self.mu_eff));
        [1.0 - self.c_c, 1.0 - self.c_cov, one, mu].map(T::from_f64)
    }
}

/// The new mean and path of the step size of an element, whose weighted mean noise is `z`.
#[inline(always)]
pub(crate) fn path<T: Real>([keep, gain]: [T; 2], sigma: T, variance: T, z: T, path: T, mean: T) -> [T; 2] {
    [fma(sigma * sqrt(variance), z, mean), fma(gain, z, keep * path)]
}

/// The new step size, and the gain of the path of variances, which is 0 where that of the step size has this norm and is too long.
pub(crate) fn step_size([damping, expected, bound, gain]: [f64; 4], norm: f64, sigma: f64) -> [f64; 2] {
    [sigma * exp(damping * (norm / expected - 1.0)), select(norm < bound, gain, 0.0)]
}

/// The new path, variance and deviation of an element, whose noises have the weighted means `z` and, squared, `squares`.
#[inline(always)]
pub(crate) fn variance<T: Real>(
    [keep, old, one, mu]: [T; 4],
    [sigma, gain]: [T; 2],
    [z, squares]: [T; 2],
    path: T,
    variance: T,
) -> [T; 3] {
    let path = fma(gain, sqrt(variance) * z, keep * path);
    let next = fma(one, path * path, variance * fma(mu, squares, old));
    [path, next, sigma * sqrt(next)]
}

/// The arrays of all tensors, in the order of the kernels' table: sums, deviations, variances, paths of the step size, paths of the
/// variances, means.
pub(crate) type Arrays<'v, R> = [Vec<ViewMut<'v, R>>; 6];

/// Distributions on a device. The caller has made every argument.
pub(crate) trait SepCmaBackend<R: Real>: Send {
    /// Adapts them to sums that stand in the first array and sums of squares that stand in the second. `numbers` are the step size
    /// and a place for another; `partials` has a place for every chunk.
    fn adapt(
        &mut self,
        constants: &Constants,
        generation: u64,
        arrays: &mut Arrays<'_, R>,
        numbers: &mut ViewMut<'_, f64>,
        partials: &mut ViewMut<'_, f64>,
    ) -> Result<()>;
}

/// What is kept beside the mean and the deviations, which are σ√C.
pub(super) struct SepCma<R: Real> {
    constants: Constants,
    /// C, the path of σ, that of C.
    pub(super) kept: [Vec<Buffer<R>>; 3],
    /// The weighted means of a generation's noises.
    sums: Vec<Buffer<R>>,
    /// σ, and a place for what a launch tells the next.
    pub(super) numbers: Buffer<f64>,
    partials: Buffer<f64>,
    summing: Box<dyn SumsBackend<R, R>>,
    adapting: Box<dyn SepCmaBackend<R>>,
}

/// What errors and states call the arrays of [`SepCma::kept`].
pub(super) const KEPT: [&str; 3] = ["variance", "step_path", "variance_path"];

impl<R: Real> SepCma<R> {
    pub(super) fn new(device: &Device, tensors: &[Listed], sigma: f64, elements: u64, members: usize) -> Result<Self> {
        let of = |value: f64| {
            let one = |tensor: &Listed| Buffer::from_slice(device, &vec![R::from_f64(value); tensor.length as usize]);
            tensors.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let slots: Vec<Slot> = tensors.iter().map(Listed::slot).collect();
        let chunk_count = slots.iter().map(|slot| chunks(slot.length, 0).count()).sum();
        let summing: Box<dyn SumsBackend<R, R>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuSums::new(*cpu, Distribution::Normal, slots.clone())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaSums::estimate(cuda, Distribution::Normal, slots.clone())?),
        };
        let adapting: Box<dyn SepCmaBackend<R>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuSepCma::new(*cpu)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaSepCma::new(cuda, slots)?),
        };
        Ok(Self {
            constants: Constants::new(elements, members),
            kept: [of(1.0)?, of(0.0)?, of(0.0)?],
            sums: of(0.0)?,
            numbers: Buffer::from_slice(device, &[sigma, 0.0])?,
            partials: Buffer::zeros(device, chunk_count)?,
            summing,
            adapting,
        })
    }

    /// Adapts a distribution to the terms of a generation, whose coefficients are the weights of the members, as the factors are.
    pub(super) fn adapt(
        &mut self,
        terms: &[Term],
        factors: &[f64],
        generation: u64,
        means: &mut [Buffer<R>],
        deviations: &mut [Buffer<R>],
    ) -> Result<()> {
        let [mut sums, mut deviations] = [&mut self.sums[..], deviations].map(views);
        self.summing.sum(terms, Rounding::Nearest, Beside::Squares(factors, &mut deviations), &mut sums)?;
        let [variances, step_paths, variance_paths] = self.kept.each_mut().map(|buffers| views(buffers));
        let mut arrays = [sums, deviations, variances, step_paths, variance_paths, views(means)];
        let (mut numbers, mut partials) = (self.numbers.view_mut(), self.partials.view_mut());
        self.adapting.adapt(&self.constants, generation, &mut arrays, &mut numbers, &mut partials)
    }

    /// Gives the elements of a tensor variances that make their deviations these, but for rounding, and a path of the variances that
    /// begins anew; what the deviations become. On CUDA the host waits for the device.
    pub(super) fn set_deviation(&mut self, tensor: usize, deviation: &[R]) -> Result<Vec<R>> {
        let sigma = R::from_f64(self.numbers.to_vec()?[0]);
        let variances: Vec<R> = deviation.iter().map(|s| (*s / sigma) * (*s / sigma)).collect();
        let [all_variances, _, all_paths] = &mut self.kept;
        all_variances[tensor].write(&variances)?;
        all_paths[tensor].write(&vec![R::from_f64(0.0); deviation.len()])?;
        Ok(variances.into_iter().map(|c| sigma * sqrt(c)).collect())
    }
}

fn views<R: Real>(buffers: &mut [Buffer<R>]) -> Vec<ViewMut<'_, R>> {
    buffers.iter_mut().map(Buffer::view_mut).collect()
}
