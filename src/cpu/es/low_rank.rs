//! Sums of noises of low rank, added to matrices or alone. Twin: `kernels/es/low_rank.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::CHUNK;
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::{FactoredTerm, LowRankBackend, Multiplication, Shard, Side, Source, check_memory, element};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Distribution, Draws, Normals, Rows, Signs, Uniforms, key};

/// Rows and columns of a tile: what is drawn for it serves them all.
const ROWS: usize = BATCH;
const COLUMNS: usize = 4 * BATCH;
/// Columns of factors that are drawn together.
const INNER: usize = 16;

/// Matrices in ordinary memory.
pub(crate) struct CpuLowRank {
    pub(super) cpu: Cpu,
    pub(super) distribution: Distribution,
    pub(super) rank: usize,
    shards: Vec<Shard>,
}

impl CpuLowRank {
    pub(crate) fn new(cpu: Cpu, distribution: Distribution, rank: usize, shards: Vec<Shard>) -> Self {
        Self { cpu, distribution, rank, shards }
    }
}

/// What a sum is added to: as [`Source`], for a matrix or a part of one.
#[derive(Clone, Copy)]
enum From<'a, P> {
    Itself,
    /// The matrix, row-major.
    Parameters(&'a [P]),
    Zeros,
}

/// A part of a matrix.
struct Tile<'a, P, Q> {
    shard: &'a Shard,
    /// The place of its first element in the shard.
    row: usize,
    column: usize,
    from: From<'a, P>,
    /// Its rows.
    to: Vec<&'a mut [Q]>,
}

impl<P: Element<Real = Q::Real>, Q: Element> LowRankBackend<P, Q> for CpuLowRank {
    fn sum(&mut self, terms: &[FactoredTerm], source: Source<'_, '_, P>, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        let kind = source.kind();
        let from: Vec<From<'_, P>> = match source {
            Source::Itself => vec![From::Itself; to.len()],
            Source::Parameters(from) => from.iter().map(|from| From::Parameters(host(from))).collect(),
            Source::Zeros => vec![From::Zeros; to.len()],
        };
        let mut written: Vec<&mut [Q]> = to.iter_mut().map(host_mut).collect();
        let addresses = written.iter().zip(&from).map(|(to, from)| {
            let to = to.as_ptr().addr() as u64;
            let from = if let From::Parameters(from) = from { from.as_ptr().addr() as u64 } else { to };
            [from, to]
        });
        let slots: Vec<_> = self.shards.iter().map(Shard::slot).collect();
        check_memory::<P, Q>(&slots, &addresses.collect::<Vec<_>>(), kind, 1)?;

        let tiles = self.shards.iter().zip(&mut written).zip(from);
        let tiles: Vec<Tile<'_, P, Q>> = tiles.flat_map(|((shard, to), from)| tiles_of(shard, to, from)).collect();
        let elements: u64 = self.shards.iter().map(Shard::length).sum();
        let sum = Sum { terms, rank: self.rank };
        let one = |scratch: &mut Scratch<Q::Real>, tile| match self.distribution {
            Distribution::Normal => self.cpu.run(Loop(&sum, tile, scratch, Normals)),
            Distribution::Rademacher => self.cpu.run(Loop(&sum, tile, scratch, Signs)),
            Distribution::Uniform => self.cpu.run(Loop(&sum, tile, scratch, Uniforms)),
            Distribution::Hadamard => self.cpu.run(Loop(&sum, tile, scratch, Rows)),
        };
        // Few elements are done before other threads have heard of them.
        if elements.saturating_mul((terms.len() * self.rank).max(1) as u64) <= CHUNK {
            let mut scratch = Scratch::default();
            tiles.into_iter().try_for_each(|tile| one(&mut scratch, tile))
        } else {
            tiles.into_par_iter().map_init(Scratch::default, one).collect()
        }
    }

    fn multiply(
        &mut self,
        terms: &[FactoredTerm],
        of: &Multiplication,
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()> {
        self.add_products(terms, of, x, y)
    }
}

/// The tiles of a matrix.
fn tiles_of<'a, P: Element, Q: Element>(shard: &'a Shard, to: &'a mut [Q], from: From<'a, P>) -> Vec<Tile<'a, P, Q>> {
    let columns = shard.columns as usize;
    let mut tiles = Vec::new();
    if to.is_empty() {
        return tiles;
    }
    for (strip, to) in to.chunks_mut(ROWS * columns).enumerate() {
        let begin = tiles.len();
        for row in to.chunks_mut(columns) {
            for (k, part) in row.chunks_mut(COLUMNS).enumerate() {
                if tiles.len() == begin + k {
                    tiles.push(Tile { shard, row: strip * ROWS, column: k * COLUMNS, from, to: Vec::new() });
                }
                tiles[begin + k].to.push(part);
            }
        }
    }
    tiles
}

/// The noises of a call.
struct Sum<'a> {
    terms: &'a [FactoredTerm],
    rank: usize,
}

/// What a thread works with.
struct Scratch<T> {
    /// Of the tile, row by row.
    x: Vec<[T; COLUMNS]>,
    /// Columns of A times coefficients, and of B.
    left: Vec<[T; ROWS]>,
    right: Vec<[T; COLUMNS]>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { x: Vec::new(), left: Vec::new(), right: Vec::new() }
    }
}

/// The work on a tile, compiled for each instruction set and distribution.
struct Loop<'a, D, P, Q: Element>(&'a Sum<'a>, Tile<'a, P, Q>, &'a mut Scratch<Q::Real>, D);

impl<D: Draws, P: Element<Real = Q::Real>, Q: Element> WithSimd for Loop<'_, D, P, Q> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Result<()> {
        let Self(sum, mut tile, scratch, _) = self;
        load(&tile, &mut scratch.x);
        let total = sum.terms.len() * sum.rank;
        for begin in (0..total).step_by(INNER) {
            draw::<D, P, Q>(sum, &tile, begin..total.min(begin + INNER), scratch)?;
            add(scratch, tile.to.first().map_or(0, |row| row.len()));
        }
        for (row, x) in tile.to.iter_mut().zip(&scratch.x) {
            row.iter_mut().zip(x).for_each(|(to, &x)| *to = Q::store(x));
        }
        Ok(())
    }
}

#[inline(always)]
fn load<P: Element<Real = Q::Real>, Q: Element>(tile: &Tile<'_, P, Q>, x: &mut Vec<[Q::Real; COLUMNS]>) {
    x.clear();
    x.resize(tile.to.len(), [Q::Real::from_f64(0.0); COLUMNS]);
    for (i, (x, to)) in x.iter_mut().zip(&tile.to).enumerate() {
        match tile.from {
            From::Itself => x.iter_mut().zip(&**to).for_each(|(x, to)| *x = to.load()),
            From::Parameters(from) => {
                let from = &from[(tile.row + i) * tile.shard.columns as usize + tile.column..];
                x.iter_mut().zip(&from[..to.len()]).for_each(|(x, from)| *x = from.load());
            }
            From::Zeros => {}
        }
    }
}

/// Draws columns of factors, all terms' columns counted one behind the other.
#[inline(always)]
fn draw<D: Draws, P: Element<Real = Q::Real>, Q: Element>(
    sum: &Sum<'_>,
    tile: &Tile<'_, P, Q>,
    columns: std::ops::Range<usize>,
    scratch: &mut Scratch<Q::Real>,
) -> Result<()> {
    let zero = Q::Real::from_f64(0.0);
    let number = |x: f32| Q::Real::from_f64(f64::from(x));
    let width = tile.to.first().map_or(0, |row| row.len());
    let (row, column) = (tile.shard.first_row + tile.row as u64, tile.shard.first_column + tile.column as u64);
    scratch.left.resize(columns.len(), [zero; ROWS]);
    scratch.right.resize(columns.len(), [zero; COLUMNS]);
    for ((q, left), right) in columns.zip(&mut scratch.left).zip(&mut scratch.right) {
        let (term, k) = (&sum.terms[q / sum.rank], q % sum.rank);
        let batch = |address: &Address, at: u64| D::numbers(key(term.seed), address, at).map(number);
        let coefficient = Q::Real::from_f64(term.coefficient);
        let of_left = batch(&term.address(Side::Left, tile.shard.id)?, element(Side::Left, k, row));
        *left = of_left.map(|x| coefficient * x);
        let address = term.address(Side::Right, tile.shard.id)?;
        for (i, right) in right.chunks_exact_mut(BATCH).take(width.div_ceil(BATCH)).enumerate() {
            right.copy_from_slice(&batch(&address, element(Side::Right, k, column + (i * BATCH) as u64)));
        }
    }
    Ok(())
}

/// Adds the products of the columns to the first `width` columns of the tile.
#[inline(always)]
fn add<T: Real>(Scratch { x, left, right }: &mut Scratch<T>, width: usize) {
    for (i, x) in x.iter_mut().enumerate() {
        for (part, x) in x.chunks_exact_mut(BATCH).take(width.div_ceil(BATCH)).enumerate() {
            let mut sums = [T::from_f64(0.0); BATCH];
            sums.copy_from_slice(x);
            for (left, right) in left.iter().zip(&*right) {
                let right = &right[part * BATCH..(part + 1) * BATCH];
                for j in 0..BATCH {
                    sums[j] = left[i].fma(right[j], sums[j]);
                }
            }
            x.copy_from_slice(&sums);
        }
    }
}
