use super::factors::{FactoredTerm, Factors, Matrix, Multiplication, Side};
use super::perturb::Target;
use super::{Kind, Term};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Element;
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::rng::Distribution;

/// Matrices of a model, perturbed by sums of noises of low rank: `to = from + Σ aⱼ·Eⱼ` with `E = A·Bᵀ / √r`, A `[rows×r]` and
/// B `[columns×r]` of independent numbers.
///
/// Every element of E has mean 0 and variance 1, and those of different places are uncorrelated, so that E stands where an
/// [`Estimator`](super::Estimator) and a [`Perturbation`](super::Perturbation) have a dense noise ε, with the same coefficients. A
/// noise is `r·(rows + columns)` numbers to draw, and not `rows·columns`; an evaluation can leave the matrix as it is and add
/// `(x·B)·Aᵀ` to its product with x. This is the noise of EGGROLL (Sarkar et al. 2025).
///
/// | method | how |
/// |---|---|
/// | EGGROLL | [`estimate`](Self::estimate) with the terms of [`Pairs`](super::Pairs); noise that is reused for n steps: a term's `step` is the step / n |
/// | LOZO (Chen et al. 2024: U·Vᵀ, V drawn anew every ν steps) | [`set_hold`](Self::set_hold) of ν; U·Vᵀ is `√r·E` |
///
/// The number in row i and column k of a factor is that of the element `(2k + s)·2³³ + i` of the tensor of the matrix' id, for
/// [`Purpose::FACTORS`](crate::rng::Purpose::FACTORS), s being 0 for A and 1 for B: the first columns of a noise are the noise of
/// lower rank, and a shard's noise is that part of the whole.
///
/// Every element is summed in f32 (f64 for f64) in the order of the terms, in each in the order of the columns: `fma(a·A, B, x)`,
/// where `a/√r` is rounded, then its product with the number of A, then each `fma`. One launch on CUDA, whatever the number of
/// matrices and terms; the bits are the same on every device, for every shard, in place or not.
///
/// ```
/// use gradus::es::{Distribution, LowRank, Matrix, Pairs, Weighting};
/// use gradus::{Buffer, Device};
///
/// let device = Device::cpu();
/// let mut noise = LowRank::<f32>::new(&device, Distribution::Normal, 1, &[Matrix::new(20, 30)])?;
/// let weights = Buffer::<f32>::zeros(&device, 600)?;
/// let mut perturbed = Buffer::<f32>::zeros(&device, 600)?;
/// let pairs = Pairs { sigma: 0.1, seed: 7, step: 0, count: 8 };
/// // The loss of a pair, at both members, is that of this function.
/// let loss = |weights: &[f32]| f64::from(weights.iter().map(|x| (x - 1.0) * (x - 1.0)).sum::<f32>());
/// let mut losses = Vec::new();
/// for pair in 0..pairs.count {
///     let mut of = [0.0; 2];
///     for (of, member) in of.iter_mut().zip(pairs.members(pair)) {
///         noise.write(&[member], &[weights.view()], &mut [perturbed.view_mut()])?;
///         *of = loss(&perturbed.to_vec()?);
///     }
///     losses.push(of);
/// }
/// let mut gradient = Buffer::<f32>::zeros(&device, 600)?;
/// noise.estimate(&pairs.terms(&losses, Weighting::Differences)?, &mut [gradient.view_mut()])?;
/// # // The gradient is -2 everywhere; the estimate's product with it is the sum of squares of slopes / N.
/// # assert!(gradient.to_vec()?.iter().sum::<f32>() < 0.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct LowRank<P: Element, Q: Element = P> {
    factors: Factors,
    backend: Box<dyn LowRankBackend<P, Q>>,
}

impl<P: Element<Real = Q::Real>, Q: Target<P>> LowRank<P, Q> {
    /// A plan for these matrices, whose noise has this rank, from 1 to 64.
    ///
    /// Errors: another rank; two shards of one id that share an element; an id of 2³² or more; a row or a column of 2³³ or more;
    /// the driver refuses.
    pub fn new(device: &Device, distribution: Distribution, rank: usize, matrices: &[Matrix]) -> Result<Self> {
        let factors = Factors::new(device, distribution, rank, matrices)?;
        let shards = factors.shards().to_vec();
        let backend: Box<dyn LowRankBackend<P, Q>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuLowRank::new(*cpu, distribution, rank, shards)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaLowRank::new(cuda, distribution, rank, shards)?),
        };
        Ok(Self { factors, backend })
    }

    /// The rank of the noise.
    pub fn rank(&self) -> usize {
        self.factors.rank
    }

    /// The distribution of the factors' numbers.
    pub fn distribution(&self) -> Distribution {
        self.factors.distribution
    }

    /// Draws the factors B for steps that are multiples of this, for as many steps: that of a step s is of `s - s mod steps`.
    /// They change with every step unless this is called.
    ///
    /// Errors: 0.
    pub fn set_hold(&mut self, steps: u64) -> Result<()> {
        self.factors.set_hold(steps)
    }

    /// `to = from + Σ aⱼ·Eⱼ`, matrix by matrix, rounded to nearest. Without terms it is a copy, rounded.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not aligned; a
    /// coefficient that is not finite; a pair of 2²⁰ or more; tables that are stale during a graph capture; the driver refuses.
    pub fn write(&mut self, terms: &[Term], from: &[View<'_, P>], to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        self.factors.read("parameters", "parameter", from)?;
        self.factors.written("targets", "target", to)?;
        self.backend.sum(&self.factored(terms)?, Source::Parameters(from), to)
    }

    /// The terms with all that their noise depends on.
    fn factored(&self, terms: &[Term]) -> Result<Vec<FactoredTerm>> {
        Term::check_all(terms)?;
        let root = (self.factors.rank as f64).sqrt();
        Ok(terms.iter().map(|term| self.factors.factored(term, term.coefficient / root)).collect())
    }
}

impl<P: Target<P>> LowRank<P, P> {
    /// `W += Σ aⱼ·Eⱼ`, in place, rounded to nearest.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn apply(&mut self, terms: &[Term], parameters: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.factors.written("parameters", "parameter", parameters)?;
        self.backend.sum(&self.factored(terms)?, Source::Itself, parameters)
    }

    /// `to = Σ aⱼ·Eⱼ`, rounded to nearest: with the terms that an [`Estimator`](super::Estimator) takes, an estimate of a
    /// gradient. Without terms it is zeros.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn estimate(&mut self, terms: &[Term], to: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.factors.written("estimates", "estimate", to)?;
        self.backend.sum(&self.factored(terms)?, Source::Zeros, to)
    }
}

/// Products with noises, for evaluations that leave the matrices as they are.
impl<P: Target<P>> LowRank<P, P> {
    /// `y += aⱼ·x·Eⱼ` for a matrix by its position in the list, without the matrix `Eⱼ`: the j-th of as many equal groups of rows as
    /// there are terms belongs to the j-th term; `x` is `[(terms·n)×rows]`, `y` `[(terms·n)×columns]`, row-major.
    ///
    /// With the coefficient σ it makes products `x·W` of those with the members' matrices, `x·(W + σE)`. A row of `x` is
    /// multiplied by each column of A in f32 (f64 for f64), in 128 partial sums by `fma`, which are then added by halves; then
    /// `y = fma(a·B, sum, y)` column by column, and y is rounded once. A shard that holds a part of the rows adds its part of the
    /// sum. One launch on CUDA, which reads x once for each column of A.
    ///
    /// Errors: no such matrix; lengths or devices that do not fit; memory that overlaps or is not aligned; a coefficient that is
    /// not finite; a pair of 2²⁰ or more; terms that are stale during a graph capture; the driver refuses.
    pub fn multiply(&mut self, matrix: usize, terms: &[Term], x: &View<'_, P>, y: &mut ViewMut<'_, P>) -> Result<()> {
        self.multiply_by(Side::Left, matrix, terms, x, y)
    }

    /// `y += aⱼ·x·Eⱼᵀ`, where `x` is `[(terms·n)×columns]` and `y` `[(terms·n)×rows]`: for matrices with a row for every output, and
    /// for passes backwards. Otherwise as [`multiply`](Self::multiply).
    pub fn multiply_transposed(
        &mut self,
        matrix: usize,
        terms: &[Term],
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()> {
        self.multiply_by(Side::Right, matrix, terms, x, y)
    }

    fn multiply_by(
        &mut self,
        inner_side: Side,
        matrix: usize,
        terms: &[Term],
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()> {
        let (of_x, of_y) = ((x.len(), x.place()), (y.len(), y.place()));
        let of = self.factors.product(matrix, inner_side, terms.len(), of_x, of_y)?;
        self.backend.multiply(&self.factored(terms)?, &of, x, y)
    }
}

/// What a sum is added to.
pub(crate) enum Source<'a, 'v, P: Element> {
    /// What is written; then `P` is `Q`.
    Itself,
    Parameters(&'a [View<'v, P>]),
    Zeros,
}

impl<P: Element> Source<'_, '_, P> {
    /// What stands beside what is written, for checks of memory.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Itself => Kind::Itself,
            Self::Parameters(_) => Kind::Parameters,
            Self::Zeros => Kind::Nothing,
        }
    }
}

/// Matrices on a device. The caller has checked every argument but addresses.
pub(crate) trait LowRankBackend<P: Element, Q: Element>: Send {
    /// Sums the terms, matrix by matrix.
    fn sum(&mut self, terms: &[FactoredTerm], source: Source<'_, '_, P>, to: &mut [ViewMut<'_, Q>]) -> Result<()>;

    /// Adds products of rows and noises.
    fn multiply(
        &mut self,
        terms: &[FactoredTerm],
        of: &Multiplication,
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()>;
}
