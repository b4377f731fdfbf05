use super::sums::{Beside, Plan, SumsBackend};
use super::term::check_factors;
use super::{Rounding, Term};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::memory::ViewMut;
use crate::optim::check::length;
use crate::optim::{Listed, Tensor};
use crate::rng::Distribution;

/// Sums of noises over the tensors of a model: `Σ aⱼ·εⱼ`, which with coefficients made of losses estimates a gradient.
///
/// | estimate of the gradient of the loss, smoothed by noise of deviation σ | a of the term of pair i |
/// |---|---|
/// | antithetic, N pairs (`f±` at `θ ± σε`) | (f⁺ᵢ - f⁻ᵢ) / (2σN) |
/// | one-sided, N members | (fᵢ - baseline) / (σN) |
/// | by fitness shaped to utilities u of weight 1 (OpenAI-ES; natural gradients) | (u⁺ᵢ - u⁻ᵢ) / σ, or uᵢ / σ |
///
/// The mean square error of an estimate of g from N pairs of independent noises over d elements is about `(d/N)·|g|²` where the loss
/// is nearly linear. That of up to 128 pairs in orthogonal rows ([`Distribution::Hadamard`]) is less by `|g|²`, which is worth having
/// where N is not much less than d: for small policies, whose tensors are best given one id and places one behind the other
/// ([`Tensor::first`]), so that their elements count through. Where d is much greater, it is as good as
/// [`Distribution::Rademacher`], at the same cost.
///
/// No noise is stored: it is drawn again in registers, in one launch on CUDA whatever the number of tensors and terms, which
/// writes each element once. Every element is summed in f32 (f64 for f64) from 0 on in the order of the terms, each product and
/// sum rounded once (`fma`), so that the bits are the same on every device and for every shard; the estimate is what
/// [`Perturbation::write`](super::Perturbation::write) would add to zeros.
///
/// ```
/// use gradus::es::{Distribution, Estimator, Term};
/// use gradus::optim::Tensor;
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let mut estimator = Estimator::<f32>::new(&device, Distribution::Normal, &[Tensor::new(1000)])?;
/// let mut gradient = Buffer::<f32>::zeros(&device, 1000)?;
/// // Two pairs, whose losses differed by 0.25 and by -0.5 at σ = 0.1.
/// let terms = [(0, 0.25), (1, -0.5)].map(|(pair, difference)| {
///     Term { coefficient: difference / (2.0 * 0.1 * 2.0), seed: 7, step: 0, pair }
/// });
/// estimator.write(&terms, &mut [gradient.view_mut()])?;
/// # let norm: f32 = gradient.to_vec()?.iter().map(|g| g * g).sum();
/// # assert!((norm / 1000.0 / (0.625_f32.powi(2) + 1.25_f32.powi(2)) - 1.0).abs() < 0.2);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Estimator<G: Element> {
    plan: Plan,
    backend: Box<dyn SumsBackend<G, G>>,
}

/// A sum of noises `Σ aⱼ·εⱼ` that is drawn where it is used: what an [`Estimator`] writes and
/// [`Optimizer::step_estimate`](crate::optim::Optimizer::step_estimate) steps by, without an array for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<'a> {
    /// The distribution of the noise.
    pub distribution: Distribution,
    /// The terms, none for a sum of zeros.
    pub terms: &'a [Term],
}

impl Estimate<'_> {
    /// Errors: as [`Term::check`].
    pub(crate) fn check(&self) -> Result<()> {
        Term::check_all(self.terms)
    }
}

impl<G: Element> Estimator<G> {
    /// A plan for these tensors, whose groups do not matter.
    ///
    /// Errors: two tensors of one id that hold the same elements; an id of 2³² or more; an element of 2⁴⁰ or more; the driver
    /// refuses.
    pub fn new(device: &Device, distribution: Distribution, tensors: &[Tensor]) -> Result<Self> {
        let plan = Plan::new(device, distribution, tensors)?;
        let backend: Box<dyn SumsBackend<G, G>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuSums::new(*cpu, distribution, plan.slots())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaSums::estimate(cuda, distribution, plan.slots())?),
        };
        Ok(Self { plan, backend })
    }

    /// The tensors, in the order of the arguments of a call.
    pub fn tensors(&self) -> &[Listed] {
        self.plan.tensors()
    }

    /// The distribution of the noise.
    pub fn distribution(&self) -> Distribution {
        self.plan.distribution
    }

    /// `to = Σ aⱼ·εⱼ`, tensor by tensor, rounded to nearest. Without terms it is zeros.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps or is not aligned; a coefficient that is not
    /// finite; a pair of 2²⁰ or more; tables that are stale during a graph capture; the driver refuses.
    pub fn write(&mut self, terms: &[Term], to: &mut [ViewMut<'_, G>]) -> Result<()> {
        self.check(terms, to)?;
        self.backend.sum(terms, Rounding::Nearest, Beside::Nothing, to)
    }

    fn check(&self, terms: &[Term], to: &[ViewMut<'_, G>]) -> Result<()> {
        self.plan.written("estimates", "estimate", to)?;
        Term::check_all(terms)
    }
}

impl<G: Real> Estimator<G> {
    /// `to = Σ aⱼ·εⱼ` and `squares = Σ bⱼ·εⱼ²` from one drawing, where `factors` are the b of the terms, as many as these: what
    /// rules take that adapt a deviation of each element (SNES, separable CMA-ES, PGPE).
    ///
    /// A square is rounded before it is multiplied.
    ///
    /// Errors: as [`write`](Self::write), a factor being a coefficient.
    pub fn write_with_squares(
        &mut self,
        terms: &[Term],
        factors: &[f64],
        to: &mut [ViewMut<'_, G>],
        squares: &mut [ViewMut<'_, G>],
    ) -> Result<()> {
        self.check(terms, to)?;
        self.plan.written("sums of squares", "sum of squares", squares)?;
        let names = || ("the list of factors".to_owned(), "that of terms".to_owned());
        length(factors.len(), terms.len() as u64, names)?;
        check_factors(factors)?;
        self.backend.sum(terms, Rounding::Nearest, Beside::Squares(factors, squares), to)
    }
}
