use half::{bf16, f16};

use super::Term;
use super::sums::{Beside, Plan, SumsBackend};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::{Dtype, Element};
use crate::error::{ErrorKind, Result};
use crate::memory::{View, ViewMut};
use crate::optim::{Listed, Tensor};
use crate::rng::Distribution;

/// A storage type that parameters of type `P` can be written as when they are perturbed.
///
/// The pairs are every type with itself, and bf16 and f16 from f32; another one does not compile:
///
/// ```compile_fail
/// use gradus::es::{Distribution, Perturbation};
/// let plan = Perturbation::<f32, f64>::new(&gradus::Device::cpu(), Distribution::Normal, &[]);
/// ```
#[diagnostic::on_unimplemented(message = "no kernel perturbs parameters of type `{P}` into elements of type `{Self}`")]
pub trait Target<P: Element<Real = Self::Real>>: Element {}

impl Target<f64> for f64 {}
impl Target<f32> for f32 {}
impl Target<f32> for bf16 {}
impl Target<f32> for f16 {}
impl Target<bf16> for bf16 {}
impl Target<f16> for f16 {}

/// How a perturbed element is rounded to the type it is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Rounding {
    /// To the nearest value, ties to even.
    #[default]
    Nearest,
    /// To bf16, up or down by chance so that the expected value is the element: 16 random bits are added behind the mantissa, which
    /// is then cut off. The bits are a function of address, seed and step, for
    /// [`Purpose::PARAMETER_ROUNDING`](crate::rng::Purpose::PARAMETER_ROUNDING): half a word an element, eight elements a counter.
    /// An element that is not finite is rounded to the nearest.
    Stochastic {
        /// The seed.
        seed: u64,
        /// Another one for every call whose errors must be independent; counted modulo 2³².
        step: u64,
    },
}

impl Rounding {
    /// The same. Errors: it does not round to a type.
    pub(super) fn of<Q: Element>(self) -> Result<Self> {
        if self == Self::Nearest || Q::DTYPE == Dtype::Bf16 {
            return Ok(self);
        }
        let message = format!("elements of type {} are rounded to nearest; only bf16 by chance", Q::DTYPE);
        Err(ErrorKind::Noise { what: "rounding".to_owned(), message }.into())
    }
}

/// Tensors of a model, perturbed by sums of noises: `to = from + Σ aⱼ·εⱼ`.
///
/// One launch on CUDA, whatever the number of tensors and terms; every element is read once and written once, and the noise is
/// drawn in registers. The bits are the same on every device, for every shard, and in place or not. A call waits for nothing; it
/// allocates nothing while tensors' addresses stay and there are no more than 8 terms, and can then be captured in a graph, which
/// repeats the same terms.
///
/// Passes that follow one another merge: MeZO (Malladi et al. 2023) in place is two a step, since `θ - σε` is updated by `-c·ε` and
/// perturbed by the next step's `σε'` in one call with the terms `(σ - c)·ε` and `σ·ε'`.
///
/// ```
/// use gradus::es::{Distribution, Perturbation, Term};
/// use gradus::optim::Tensor;
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let mut plan = Perturbation::<f32>::new(&device, Distribution::Rademacher, &[Tensor::new(3)])?;
/// let mut weight = Buffer::from_slice(&device, &[1.0_f32, 2.0, 3.0])?;
/// let term = |coefficient| Term { coefficient, seed: 7, step: 0, pair: 0 };
/// plan.apply(&[term(0.5)], &mut [weight.view_mut()])?;
/// // From θ + σε to θ - σε in one pass.
/// plan.apply(&[term(-1.0)], &mut [weight.view_mut()])?;
/// # assert!(weight.to_vec()?.iter().zip([1.0, 2.0, 3.0]).all(|(x, y): (&f32, f32)| (x - y).abs() == 0.5));
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Perturbation<P: Element, Q: Element = P> {
    pub(super) plan: Plan,
    pub(super) rounding: Rounding,
    pub(super) backend: Box<dyn SumsBackend<P, Q>>,
}

impl<P: Element<Real = Q::Real>, Q: Target<P>> Perturbation<P, Q> {
    /// A plan for these tensors, whose groups do not matter, rounding to nearest.
    ///
    /// Errors: two tensors of one id that hold the same elements; an id of 2³² or more; an element of 2⁴⁰ or more; the driver
    /// refuses.
    pub fn new(device: &Device, distribution: Distribution, tensors: &[Tensor]) -> Result<Self> {
        let plan = Plan::new(device, distribution, tensors)?;
        let backend: Box<dyn SumsBackend<P, Q>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuSums::new(*cpu, distribution, plan.slots())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaSums::perturb(cuda, distribution, plan.slots())?),
        };
        Ok(Self { plan, rounding: Rounding::default(), backend })
    }

    /// The tensors, in the order of the arguments of a call.
    pub fn tensors(&self) -> &[Listed] {
        self.plan.tensors()
    }

    /// The distribution of the noise.
    pub fn distribution(&self) -> Distribution {
        self.plan.distribution
    }

    /// Sets how the next calls round. Errors: stochastic rounding to another type than bf16.
    pub fn set_rounding(&mut self, rounding: Rounding) -> Result<()> {
        self.rounding = rounding.of::<Q>()?;
        Ok(())
    }

    /// `to = from + Σ aⱼ·εⱼ`, tensor by tensor. Without terms it is a copy, rounded.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not aligned; a
    /// coefficient that is not finite; a pair of 2²⁰ or more; tables that are stale during a graph capture; the driver refuses.
    pub fn write(&mut self, terms: &[Term], from: &[View<'_, P>], to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        self.plan.read("parameters", "parameter", from)?;
        self.plan.written("targets", "target", to)?;
        Term::check_all(terms)?;
        self.backend.sum(terms, self.rounding, Beside::Parameters(from), to)
    }
}

impl<P: Target<P>> Perturbation<P, P> {
    /// `θ += Σ aⱼ·εⱼ`, in place.
    ///
    /// Errors: as [`Perturbation::write`].
    pub fn apply(&mut self, terms: &[Term], parameters: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.plan.written("parameters", "parameter", parameters)?;
        Term::check_all(terms)?;
        self.backend.sum(terms, self.rounding, Beside::Itself, parameters)
    }
}
