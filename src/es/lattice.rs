use super::Term;
use super::sums::Plan;
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Scalar;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{View, ViewMut};
use crate::optim::{Listed, Tensor};
use crate::rng::Distribution;

/// An integer type that weights are stored in: i8, i16 or i32.
pub trait Lattice: Scalar {
    /// The greatest weight, 2ᵇ⁻¹ - 1 of b bits.
    const MOST: i32;

    /// The value.
    fn load(self) -> i32;

    /// The value modulo 2ᵇ.
    fn store(value: i32) -> Self;
}

macro_rules! lattice {
    ($($type:ident),*) => {
        $(impl Lattice for $type {
            const MOST: i32 = $type::MAX as i32;

            #[inline(always)]
            fn load(self) -> i32 {
                self as i32
            }

            #[inline(always)]
            fn store(value: i32) -> Self {
                value as $type
            }
        })*
    };
}

lattice!(i8, i16, i32);

/// `m·q`, q an integer noise: that of a [`Term`], times its coefficient, in f32, rounded to the nearest integer, ties to even, and
/// bounded by ±[`MOST`](Lattice::MOST).
///
/// The coefficient is a deviation in steps of the lattice: q is mostly 0 where it is far below ½, and often bounded where it is far
/// above a third of the greatest weight. Noise to the other side is the negative: a coefficient of -a gives -q.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatticeTerm {
    /// m.
    pub multiplier: i32,
    /// The noise, its coefficient finite in f32.
    pub term: Term,
}

impl LatticeTerm {
    /// The same noise, so many times.
    pub fn times(self, factor: i32) -> Self {
        Self { multiplier: self.multiplier.wrapping_mul(factor), ..self }
    }
}

/// How votes move a weight, one step at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The least sum of votes, of either sign, that moves it: from 1 to 2³¹ - 1.
    pub threshold: u32,
    /// How far from 0 it is moved: from 1 to [`MOST`](Lattice::MOST).
    pub limit: u32,
}

/// Integer weights of a model, perturbed by sums of integer noises: `to = from + Σ mⱼ·qⱼ` modulo 2ᵇ, where weights have b bits.
///
/// Perturbations are exactly reversible: the same terms with `-mⱼ` give back the bits, in place, in any order, however often, and
/// whatever the weights, because nothing is rounded or bounded behind `qⱼ`. The price is that a weight that leaves the range comes in
/// at its other end: 127 + 1 is -128 in i8. None does that is further from the ends than `Σ |mⱼ|·|qⱼ|`: updates by
/// [`vote`](Self::vote) keep weights within a limit that leaves the perturbations room, such as ±100 in i8 for signs of 25.
///
/// One launch on CUDA, whatever the number of tensors and terms; a weight is read once and written once, 2 bytes of an i8. The bits
/// are the same on every device and for every shard. A call waits for nothing; it allocates nothing while tensors' addresses stay
/// and there are no more than 8 terms, and can then be captured in a graph, which repeats the same terms.
///
/// ```
/// use gradus::es::{Distribution, LatticePerturbation, LatticeTerm, Term};
/// use gradus::optim::Tensor;
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let mut plan = LatticePerturbation::<i8>::new(&device, Distribution::Normal, &[Tensor::new(3)])?;
/// let mut weight = Buffer::from_slice(&device, &[127_i8, 0, -5])?;
/// let noise = LatticeTerm { multiplier: 1, term: Term { coefficient: 4.0, seed: 7, step: 0, pair: 0 } };
/// // To θ + q, to θ - q, and back.
/// for factor in [1, -2, 1] {
///     plan.apply(&[noise.times(factor)], &mut [weight.view_mut()])?;
/// }
/// assert_eq!(weight.to_vec()?, [127, 0, -5]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct LatticePerturbation<I: Lattice> {
    plan: Plan,
    backend: Box<dyn LatticeBackend<I>>,
}

/// What becomes of the sum of noises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It is added modulo 2ᵇ.
    Added,
    /// As a [`Vote`] says.
    Voted { threshold: i32, limit: i32 },
}

impl Outcome {
    /// What becomes of a weight whose sum of noises is z.
    #[inline(always)]
    pub(crate) fn of<I: Lattice>(self, weight: I, z: i32) -> I {
        let x = weight.load();
        I::store(match self {
            Self::Added => x.wrapping_add(z),
            Self::Voted { threshold, limit } => {
                x + i32::from(z >= threshold && x < limit) - i32::from(z <= -threshold && x > -limit)
            }
        })
    }
}

/// Tensors on a device. The caller has checked every argument but addresses.
pub(crate) trait LatticeBackend<I: Lattice>: Send {
    /// Moves the weights, those of `from` to `to` or those of `to` in place.
    fn step(
        &mut self,
        terms: &[LatticeTerm],
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()>;
}

/// The greatest magnitude of a noise of any distribution, rounded up.
const GREATEST_NOISE: f64 = 7.0;

impl<I: Lattice> LatticePerturbation<I> {
    /// A plan for these tensors, whose groups do not matter.
    ///
    /// Errors: two tensors of one id that hold the same elements; an id of 2³² or more; an element of 2⁴⁰ or more; the driver
    /// refuses.
    pub fn new(device: &Device, distribution: Distribution, tensors: &[Tensor]) -> Result<Self> {
        let plan = Plan::new(device, distribution, tensors)?;
        let backend: Box<dyn LatticeBackend<I>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuLattice::new(*cpu, distribution, plan.slots())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaLattice::new(cuda, distribution, plan.slots())?),
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

    /// `to = from + Σ mⱼ·qⱼ` modulo 2ᵇ, tensor by tensor. Without terms it is a copy.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not aligned; a
    /// coefficient that is not finite in f32; a pair of 2²⁰ or more; tables that are stale during a graph capture; the driver
    /// refuses.
    pub fn write(&mut self, terms: &[LatticeTerm], from: &[View<'_, I>], to: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.plan.read("parameters", "parameter", from)?;
        self.plan.written("targets", "target", to)?;
        check(terms)?;
        self.backend.step(terms, Outcome::Added, Some(from), to)
    }

    /// `θ += Σ mⱼ·qⱼ` modulo 2ᵇ, in place.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn apply(&mut self, terms: &[LatticeTerm], parameters: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.plan.written("parameters", "parameter", parameters)?;
        check(terms)?;
        self.backend.step(terms, Outcome::Added, None, parameters)
    }

    /// `θ += sign(Z)` where `|Z| ≥ threshold`, with `Z = Σ mⱼ·qⱼ`, in place: the integer form of an update, a step of 1 where enough
    /// votes agree (as in the integer models of EGGROLL, Sarkar et al. 2025, "Evolution strategies at the hyperscale"). The
    /// multipliers are votes of pairs, such as -1 where `θ + q` had the greater loss and 1 where `θ - q` had.
    ///
    /// Nothing wraps: a weight at ±limit, or beyond, is not moved further out.
    ///
    /// Errors: a threshold that is not from 1 to 2³¹ - 1; a limit that is not from 1 to [`MOST`](Lattice::MOST); terms whose sum
    /// could leave the range of i32; as [`write`](Self::write).
    pub fn vote(&mut self, terms: &[LatticeTerm], vote: Vote, parameters: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.plan.written("parameters", "parameter", parameters)?;
        check(terms)?;
        let outcome = vote.outcome::<I>(terms, |term| greatest_noise(term, I::MOST))?;
        self.backend.step(terms, outcome, None, parameters)
    }
}

impl Vote {
    /// Errors: a threshold or a limit outside its range; terms whose sum could leave the range of i32, where `greatest` is the
    /// greatest noise of a term.
    pub(super) fn outcome<I: Lattice>(
        self,
        terms: &[LatticeTerm],
        greatest: impl Fn(&LatticeTerm) -> f64,
    ) -> Result<Outcome> {
        const WHAT: &str = "integer votes";
        let within = |name: &str, given: u32, most: i32| match i32::try_from(given) {
            Ok(given) if (1..=most).contains(&given) => Ok(given),
            _ => Err(Error::setting(WHAT, format!("{name} = {given} is not between 1 and {most}"))),
        };
        let threshold = within("threshold", self.threshold, i32::MAX)?;
        let limit = within("limit", self.limit, I::MOST)?;
        let sum: f64 = terms.iter().map(|term| f64::from(term.multiplier).abs() * greatest(term)).sum();
        if sum > f64::from(i32::MAX) {
            return Err(Error::setting(WHAT, format!("their sum may be {sum}, more than {}", i32::MAX)));
        }
        Ok(Outcome::Voted { threshold, limit })
    }
}

/// The greatest magnitude of an integer noise of a term that is bounded by ±most.
pub(super) fn greatest_noise(LatticeTerm { term, .. }: &LatticeTerm, most: i32) -> f64 {
    (f64::from(term.coefficient as f32).abs() * GREATEST_NOISE).min(f64::from(most)).ceil()
}

/// Errors: the coefficient of a term is not finite in f32; a pair of 2²⁰ or more.
pub(super) fn check(terms: &[LatticeTerm]) -> Result<()> {
    for (position, LatticeTerm { term, .. }) in terms.iter().enumerate() {
        term.check(position)?;
        if !(term.coefficient as f32).is_finite() {
            let message = format!("the coefficient {:e} is not finite in f32", term.coefficient);
            return Err(ErrorKind::Noise { what: format!("term {position}"), message }.into());
        }
    }
    Ok(())
}
