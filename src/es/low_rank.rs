use super::perturb::Target;
use super::{Kind, Term};
use crate::backend::{Slot, Span, check_spans};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::memory::{View, ViewMut};
use crate::optim::check::{count, length, same_place_as};
use crate::rng::{Address, Distribution, Purpose};

/// The greatest rank.
pub(crate) const MOST_RANK: usize = 64;
/// Rows and columns of a whole matrix are below 2 to this.
pub(crate) const SIDE_SHIFT: u32 = 33;

/// A matrix of a model, or a shard of one, row-major: `[rows×columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    rows: u64,
    columns: u64,
    id: Option<u64>,
    first_row: u64,
    first_column: u64,
}

impl Matrix {
    /// A whole matrix; its id becomes its position in the list.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self { rows: rows as u64, columns: columns as u64, id: None, first_row: 0, first_column: 0 }
    }

    /// Gives the matrix an id: the same in every run, and on every machine that holds a shard of it.
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes it a shard whose element 0 stands in this row and column of the whole matrix.
    pub fn first(mut self, row: u64, column: u64) -> Self {
        (self.first_row, self.first_column) = (row, column);
        self
    }
}

/// A matrix as a plan knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    pub(crate) id: u64,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) first_row: u64,
    pub(crate) first_column: u64,
}

impl Shard {
    pub(crate) fn length(&self) -> u64 {
        self.rows * self.columns
    }

    /// The matrix as memory.
    pub(crate) fn slot(&self) -> Slot {
        Slot { id: self.id, length: self.length(), first: 0, group: 0 }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: u64, more_a: u64, b: u64, more_b: u64| a < b + more_b && b < a + more_a;
        self.id == other.id
            && meet(self.first_row, self.rows, other.first_row, other.rows)
            && meet(self.first_column, self.columns, other.first_column, other.columns)
    }
}

/// One of the two factors of a noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    /// A, with a row for every row of the matrix.
    Left,
    /// B, with a row for every column of the matrix.
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        if self == Self::Left { Self::Right } else { Self::Left }
    }
}

/// A noise of low rank as the backends take it: its addresses but for the matrix, and the coefficient of `A·Bᵀ`.
#[derive(Clone, Copy)]
pub(crate) struct FactoredTerm {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// The step of B.
    pub(crate) right_step: u64,
    pub(crate) pair: u64,
    pub(crate) coefficient: f64,
}

impl FactoredTerm {
    /// The address of a factor. Errors: a pair of 2²⁰ or more; an id of 2³² or more.
    pub(crate) fn address(&self, side: Side, id: u64) -> Result<Address> {
        let step = if side == Side::Left { self.step } else { self.right_step };
        Address::new(Purpose::FACTORS, step, id, self.pair)
    }
}

/// The element at whose address the number of a row of a column of a factor is drawn.
pub(crate) fn element(side: Side, column: usize, row: u64) -> u64 {
    (2 * column as u64 + u64::from(side == Side::Right)) << SIDE_SHIFT | row
}

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
/// [`Purpose::FACTORS`], s being 0 for A and 1 for B: the first columns of a noise are the noise of lower rank, and a shard's noise
/// is that part of the whole.
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
    place: Place,
    distribution: Distribution,
    rank: usize,
    /// Steps for which B holds.
    hold: u64,
    shards: Vec<Shard>,
    backend: Box<dyn LowRankBackend<P, Q>>,
}

impl<P: Element<Real = Q::Real>, Q: Target<P>> LowRank<P, Q> {
    /// A plan for these matrices, whose noise has this rank, from 1 to 64.
    ///
    /// Errors: another rank; two shards of one id that share an element; an id of 2³² or more; a row or a column of 2³³ or more;
    /// the driver refuses.
    pub fn new(device: &Device, distribution: Distribution, rank: usize, matrices: &[Matrix]) -> Result<Self> {
        if !(1..=MOST_RANK).contains(&rank) {
            return Err(Error::setting("low-rank noise", format!("rank = {rank} is not between 1 and {MOST_RANK}")));
        }
        let mut shards: Vec<Shard> = Vec::with_capacity(matrices.len());
        for (position, &Matrix { rows, columns, id, first_row, first_column }) in matrices.iter().enumerate() {
            let shard = Shard { id: id.unwrap_or(position as u64), rows, columns, first_row, first_column };
            check_shard(&shard, &shards, position)?;
            shards.push(shard);
        }
        let backend: Box<dyn LowRankBackend<P, Q>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::es::CpuLowRank::new(*cpu, distribution, rank, shards.clone())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaLowRank::new(cuda, distribution, rank, shards.clone())?),
        };
        Ok(Self { place: device.place(), distribution, rank, hold: 1, shards, backend })
    }

    /// The rank of the noise.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The distribution of the factors' numbers.
    pub fn distribution(&self) -> Distribution {
        self.distribution
    }

    /// Draws the factors B for steps that are multiples of this, for as many steps: that of a step s is of `s - s mod steps`.
    /// They change with every step unless this is called.
    ///
    /// Errors: 0.
    pub fn set_hold(&mut self, steps: u64) -> Result<()> {
        if steps == 0 {
            return Err(Error::setting("low-rank noise", "a factor holds for 0 steps".to_owned()));
        }
        self.hold = steps;
        Ok(())
    }

    /// `to = from + Σ aⱼ·Eⱼ`, matrix by matrix, rounded to nearest. Without terms it is a copy, rounded.
    ///
    /// Errors: counts, lengths or devices that do not fit; memory that overlaps where it is written, or is not aligned; a
    /// coefficient that is not finite; a pair of 2²⁰ or more; tables that are stale during a graph capture; the driver refuses.
    pub fn write(&mut self, terms: &[Term], from: &[View<'_, P>], to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        self.fits("parameters", "parameter", from.iter().map(|view| (view.len(), view.place())))?;
        self.written("targets", "target", to)?;
        self.backend.sum(&self.factored(terms)?, Source::Parameters(from), to)
    }

    fn written<T: Element>(&self, all: &'static str, each: &str, views: &[ViewMut<'_, T>]) -> Result<()> {
        self.fits(all, each, views.iter().map(|view| (view.len(), view.place())))
    }

    fn fits(&self, all: &'static str, each: &str, views: impl ExactSizeIterator<Item = (usize, Place)>) -> Result<()> {
        count(all, views.len(), self.shards.len())?;
        for (position, (shard, (given, place))) in self.shards.iter().zip(views).enumerate() {
            let name = || format!("{each} {position}");
            length(given, shard.length(), || (name(), format!("matrix {position}")))?;
            same_place_as("the plan", name, place, self.place)?;
        }
        Ok(())
    }

    /// The terms with all that their noise depends on.
    fn factored(&self, terms: &[Term]) -> Result<Vec<FactoredTerm>> {
        Term::check_all(terms)?;
        let root = (self.rank as f64).sqrt();
        let factored = |&Term { coefficient, seed, step, pair }: &Term| {
            let right_step = step - step % self.hold;
            FactoredTerm { seed, step, right_step, pair, coefficient: coefficient / root }
        };
        Ok(terms.iter().map(factored).collect())
    }
}

impl<P: Target<P>> LowRank<P, P> {
    /// `W += Σ aⱼ·Eⱼ`, in place, rounded to nearest.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn apply(&mut self, terms: &[Term], parameters: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.written("parameters", "parameter", parameters)?;
        self.backend.sum(&self.factored(terms)?, Source::Itself, parameters)
    }

    /// `to = Σ aⱼ·Eⱼ`, rounded to nearest: with the terms that an [`Estimator`](super::Estimator) takes, an estimate of a
    /// gradient. Without terms it is zeros.
    ///
    /// Errors: as [`write`](Self::write).
    pub fn estimate(&mut self, terms: &[Term], to: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.written("estimates", "estimate", to)?;
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
        let Some(shard) = self.shards.get(matrix) else {
            let message = format!("there is no matrix {matrix} among {}", self.shards.len());
            return Err(Error::setting("low-rank noise", message));
        };
        let count = terms.len() as u64;
        let of = Multiplication::of(shard, inner_side, 0);
        let rows = (x.len() as u64).checked_div(count * of.inner).unwrap_or(0);
        let of = Multiplication { rows, ..of };
        let groups = || format!("{rows} rows for each of {count} terms");
        length(x.len(), count * rows * of.inner, || ("x".to_owned(), groups()))?;
        length(y.len(), count * rows * of.outer, || ("y".to_owned(), groups()))?;
        same_place_as("the plan", || "x".to_owned(), x.place(), self.place)?;
        same_place_as("the plan", || "y".to_owned(), y.place(), self.place)?;
        self.backend.multiply(&self.factored(terms)?, &of, x, y)
    }
}

/// Errors: what a plan cannot have beside the shards before it.
fn check_shard(shard: &Shard, before: &[Shard], position: usize) -> Result<()> {
    Address::new(Purpose::FACTORS, 0, shard.id, 0)?;
    let sides = [("row", shard.first_row, shard.rows), ("column", shard.first_column, shard.columns)];
    for (what, first, count) in sides {
        let end = first.checked_add(count).filter(|end| *end <= 1 << SIDE_SHIFT);
        if end.is_none() {
            let message = format!(
                "matrix {position} reaches {what} {first} + {count}, beyond the {SIDE_SHIFT} bits of an address"
            );
            return Err(Error::setting("low-rank noise", message));
        }
    }
    if shard.rows.checked_mul(shard.columns).is_none() {
        return Err(Error::setting("low-rank noise", format!("matrix {position} has more elements than memory")));
    }
    match before.iter().position(|other| other.overlaps(shard)) {
        Some(other) => {
            let message =
                format!("matrices {other} and {position} hold the same elements of the matrix of id {}", shard.id);
            Err(Error::setting("low-rank noise", message))
        }
        None => Ok(()),
    }
}

/// Rows that are multiplied by noises of a matrix: `[terms·rows×inner]` to `[terms·rows×outer]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiplication {
    pub(crate) id: u64,
    /// Those of each term.
    pub(crate) rows: u64,
    /// The rows of the factor that is multiplied first, and of the other.
    pub(crate) inner: u64,
    pub(crate) outer: u64,
    /// Where these begin in the whole matrix.
    pub(crate) first_inner: u64,
    pub(crate) first_outer: u64,
    pub(crate) inner_side: Side,
}

impl Multiplication {
    /// Rows by the matrix, the inner side being `Left`, or by its transpose.
    fn of(shard: &Shard, inner_side: Side, rows: u64) -> Self {
        let Shard { id, rows: height, columns, first_row, first_column } = *shard;
        let [(inner, first_inner), (outer, first_outer)] = match inner_side {
            Side::Left => [(height, first_row), (columns, first_column)],
            Side::Right => [(columns, first_column), (height, first_row)],
        };
        Self { id, rows, inner, outer, first_inner, first_outer, inner_side }
    }
}

/// Looks for memory that is not aligned, or that is written and read.
pub(crate) fn check_multiplication<P: Element>(of: &Multiplication, terms: usize, x: u64, y: u64) -> Result<()> {
    let rows = terms as u64 * of.rows;
    check_spans(vec![
        Span::read::<P>("factor", 0, x, rows * of.inner),
        Span::written::<P>("product", 0, y, rows * of.outer),
    ])
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
