use super::factors::{FactoredTerm, Factors, Matrix, Multiplication, Side};
use super::lattice::{self, Lattice, LatticeTerm, Outcome, Vote};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::memory::{View, ViewMut};
use crate::rng::Distribution;

/// The greatest number of a factor.
pub(crate) const MOST_NUMBER: i32 = 127;

/// The greatest logarithm of a divisor: products of factors are below 2 to this.
const MOST_SHIFT: u32 = 20;

/// Integer weights of matrices, perturbed by sums of integer noises of low rank: `to = from + Σ mⱼ·Eⱼ` modulo 2ᵇ with
/// `E = ⌊A·Bᵀ/2ˢ + ½⌋`, A `[rows×r]` and B `[columns×r]` of integers from -127 to 127: the noise of EGGROLL's integer models (Sarkar
/// et al. 2025, "Evolution strategies at the hyperscale").
///
/// The numbers of the factors are those that [`LowRank`](super::LowRank) draws, at the same addresses, times the coefficient of a
/// [`LatticeTerm`], rounded to the nearest integer, ties to even, and bounded. With a coefficient c of both factors, an element of
/// A·Bᵀ has a deviation of about `c²·√r`; [`set_shift`](Self::set_shift) divides it. To the other side is the multiplier -m.
///
/// | of EGGROLL's integer form | here |
/// |---|---|
/// | evaluate at `W ± E` without these matrices | [`multiply`](Self::multiply), with multipliers 1 and -1 |
/// | f = sign(L⁻ - L⁺) of each pair, Z = Σ f·A·Bᵀ, `W += sign(Z)` where \|Z\| reaches a threshold | [`vote`](Self::vote) with multipliers f |
/// | noise that is reused for n steps | a term's `step` is the step / n |
///
/// As with [`LatticePerturbation`](super::LatticePerturbation), perturbations are exactly reversible: the same terms with `-mⱼ` give
/// back the bits. One launch on CUDA whatever the number of matrices and terms, in which a weight moves once; sums are of integers,
/// so that the bits are the same everywhere, for every shard, in any order.
///
/// ```
/// use gradus::es::{Distribution, LatticeLowRank, LatticeTerm, Matrix, Term, Vote};
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let mut noise = LatticeLowRank::<i8>::new(&device, Distribution::Normal, 1, &[Matrix::new(20, 30)])?;
/// noise.set_shift(4)?;
/// let mut weights = Buffer::from_slice(&device, &[3_i8; 600])?;
/// let term = Term { coefficient: 16.0, seed: 7, step: 0, pair: 0 };
/// // To W + E, to W - E, and back.
/// for multiplier in [1, -2, 1] {
///     noise.apply(&[LatticeTerm { multiplier, term }], &mut [weights.view_mut()])?;
/// }
/// assert_eq!(weights.to_vec()?, [3; 600]);
/// // The loss was less at W + E.
/// let vote = Vote { threshold: 1, limit: 100 };
/// noise.vote(&[LatticeTerm { multiplier: 1, term }], vote, &mut [weights.view_mut()])?;
/// assert!(weights.to_vec()?.iter().all(|w| (2..=4).contains(w)));
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct LatticeLowRank<I: Lattice> {
    factors: Factors,
    shift: u32,
    backend: Box<dyn LatticeLowRankBackend<I>>,
}

/// A noise as the backends take it: a number of a factor is the integer nearest to the coefficient times what is drawn.
#[derive(Clone, Copy)]
pub(crate) struct IntegerTerm {
    pub(crate) of: FactoredTerm,
    pub(crate) multiplier: i32,
}

/// Matrices on a device. The caller has checked every argument but addresses.
pub(crate) trait LatticeLowRankBackend<I: Lattice>: Send {
    /// Moves the weights, those of `from` to `to` or those of `to` in place; noises are divided by 2 to the shift.
    fn step(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()>;

    /// Adds products of rows and noises, divided by 2 to the shift.
    fn multiply(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        of: &Multiplication,
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()>;
}

impl<I: Lattice> LatticeLowRank<I> {
    /// A plan for these matrices, whose noise has this rank, from 1 to 64.
    ///
    /// Errors: another rank; two shards of one id that share an element; an id of 2³² or more; a row or a column of 2³³ or more;
    /// the driver refuses.
    pub fn new(device: &Device, distribution: Distribution, rank: usize, matrices: &[Matrix]) -> Result<Self> {
        let factors = Factors::new(device, distribution, rank, matrices)?;
        let shards = factors.shards().to_vec();
        let backend: Box<dyn LatticeLowRankBackend<I>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuLatticeLowRank::new(*cpu, distribution, rank, shards)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaLatticeLowRank::new(cuda, distribution, rank, shards)?),
        };
        Ok(Self { factors, shift: 0, backend })
    }

    /// The rank of the noise.
    pub fn rank(&self) -> usize {
        self.factors.rank
    }

    /// The distribution of the factors' numbers, before they are integers.
    pub fn distribution(&self) -> Distribution {
        self.factors.distribution
    }

    /// Divides noises by 2ˢ, and products with them, but not votes; 2⁰ unless this is called.
    ///
    /// Errors: more than 20.
    pub fn set_shift(&mut self, shift: u32) -> Result<()> {
        if shift > MOST_SHIFT {
            return Err(Error::setting(WHAT, format!("shift = {shift} is more than {MOST_SHIFT}")));
        }
        self.shift = shift;
        Ok(())
    }

    /// Draws the factors B for steps that are multiples of this, for as many steps, as
    /// [`LowRank::set_hold`](super::LowRank::set_hold).
    ///
    /// Errors: 0.
    pub fn set_hold(&mut self, steps: u64) -> Result<()> {
        self.factors.set_hold(steps)
    }

    /// `to = from + Σ mⱼ·Eⱼ` modulo 2ᵇ, matrix by matrix. Without terms it is a copy.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not aligned; a
    /// coefficient that is not finite in f32; a pair of 2²⁰ or more; terms whose numbers times the rank are 2³² or more; tables that
    /// are stale during a graph capture; the driver refuses.
    pub fn write(&mut self, terms: &[LatticeTerm], from: &[View<'_, I>], to: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.factors.read("parameters", "parameter", from)?;
        self.factors.written("targets", "target", to)?;
        self.backend.step(&self.integers(terms)?, self.shift, Outcome::Added, Some(from), to)
    }

    /// `W += Σ mⱼ·Eⱼ` modulo 2ᵇ, in place.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn apply(&mut self, terms: &[LatticeTerm], parameters: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.factors.written("parameters", "parameter", parameters)?;
        self.backend.step(&self.integers(terms)?, self.shift, Outcome::Added, None, parameters)
    }

    /// `W += sign(Z)` where `|Z| ≥ threshold`, with `Z = Σ mⱼ·Aⱼ·Bⱼᵀ`, which nothing divides, in place: otherwise as
    /// [`LatticePerturbation::vote`](super::LatticePerturbation::vote).
    ///
    /// Errors: a threshold that is not from 1 to 2³¹ - 1; a limit that is not from 1 to [`MOST`](Lattice::MOST); terms whose sum
    /// could leave the range of i32; as [`write`](Self::write).
    pub fn vote(&mut self, terms: &[LatticeTerm], vote: Vote, parameters: &mut [ViewMut<'_, I>]) -> Result<()> {
        self.factors.written("parameters", "parameter", parameters)?;
        let integers = self.integers(terms)?;
        let rank = self.factors.rank as f64;
        let greatest = |term: &LatticeTerm| lattice::greatest_noise(term, MOST_NUMBER).powi(2) * rank;
        let outcome = vote.outcome::<I>(terms, greatest)?;
        self.backend.step(&integers, 0, outcome, None, parameters)
    }

    /// `y += mⱼ·⌊x·Aⱼ·Bⱼᵀ/2ˢ + ½⌋` modulo 2³² for a matrix by its position in the list: the j-th of as many equal groups of rows as
    /// there are terms belongs to the j-th term; `x` is `[(terms·n)×rows]`, `y` `[(terms·n)×columns]`, row-major. Products are summed
    /// exactly. A shard that holds a part of the rows adds what its part comes to, which is rounded.
    ///
    /// Errors: no such matrix; lengths or devices that do not fit; memory that overlaps or is not aligned; otherwise as
    /// [`write`](Self::write).
    pub fn multiply(
        &mut self,
        matrix: usize,
        terms: &[LatticeTerm],
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()> {
        self.multiply_by(Side::Left, matrix, terms, x, y)
    }

    /// `y += mⱼ·⌊x·Bⱼ·Aⱼᵀ/2ˢ + ½⌋` modulo 2³², where `x` is `[(terms·n)×columns]` and `y` `[(terms·n)×rows]`: for matrices with a row
    /// for every output. Otherwise as [`multiply`](Self::multiply).
    pub fn multiply_transposed(
        &mut self,
        matrix: usize,
        terms: &[LatticeTerm],
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()> {
        self.multiply_by(Side::Right, matrix, terms, x, y)
    }

    fn multiply_by(
        &mut self,
        inner_side: Side,
        matrix: usize,
        terms: &[LatticeTerm],
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()> {
        let (of_x, of_y) = ((x.len(), x.place()), (y.len(), y.place()));
        let of = self.factors.product(matrix, inner_side, terms.len(), of_x, of_y)?;
        self.backend.multiply(&self.integers(terms)?, self.shift, &of, x, y)
    }

    /// The terms with all that their noise depends on.
    fn integers(&self, terms: &[LatticeTerm]) -> Result<Vec<IntegerTerm>> {
        lattice::check(terms)?;
        if terms.len() as u64 * self.factors.rank as u64 > u64::from(u32::MAX) {
            return Err(Error::setting(WHAT, format!("{} terms of rank {} are too many", terms.len(), self.rank())));
        }
        let integer = |&LatticeTerm { multiplier, term }: &LatticeTerm| {
            let coefficient = f64::from(term.coefficient as f32);
            IntegerTerm { of: self.factors.factored(&term, coefficient), multiplier }
        };
        Ok(terms.iter().map(integer).collect())
    }
}

/// What errors call it.
const WHAT: &str = "integer noise of low rank";
