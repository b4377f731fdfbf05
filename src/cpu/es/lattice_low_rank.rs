//! Integer weights plus integer noises of low rank, votes of these, and rows multiplied by them. Twin:
//! `kernels/es/lattice_low_rank.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::CHUNK;
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::error::Result;
use crate::es::{
    IntegerTerm, Kind, Lattice, LatticeLowRankBackend, MOST_NUMBER, Multiplication, Outcome, Shard, Side, check_memory,
    check_multiplication, element,
};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Distribution, Draws, Normals, Rows, Signs, Uniforms, key};

/// Rows that are moved by what is drawn once.
const ROWS: usize = 64;

/// Matrices in ordinary memory.
pub(crate) struct CpuLatticeLowRank {
    cpu: Cpu,
    distribution: Distribution,
    rank: usize,
    shards: Vec<Shard>,
}

impl CpuLatticeLowRank {
    pub(crate) fn new(cpu: Cpu, distribution: Distribution, rank: usize, shards: Vec<Shard>) -> Self {
        Self { cpu, distribution, rank, shards }
    }

    /// Column k of a factor of a term, in the matrix of an id, `count` numbers from a row on.
    fn column(&self, term: &IntegerTerm, id: u64, side: Side, k: usize, first: u64, count: usize) -> Result<Vec<i32>> {
        let address = term.of.address(side, id)?;
        let mut column = Vec::with_capacity(count.next_multiple_of(BATCH));
        while column.len() < count {
            let at = element(side, k, first + column.len() as u64);
            let numbers = match self.distribution {
                Distribution::Normal => self.cpu.run(Batch(Normals, term, &address, at)),
                Distribution::Rademacher => self.cpu.run(Batch(Signs, term, &address, at)),
                Distribution::Uniform => self.cpu.run(Batch(Uniforms, term, &address, at)),
                Distribution::Hadamard => self.cpu.run(Batch(Rows, term, &address, at)),
            };
            column.extend(numbers);
        }
        column.truncate(count);
        Ok(column)
    }

    /// The columns of a factor, those of a term one behind the other.
    fn columns(&self, term: &IntegerTerm, id: u64, side: Side, first: u64, count: usize) -> Result<Vec<Vec<i32>>> {
        (0..self.rank).map(|k| self.column(term, id, side, k, first, count)).collect()
    }
}

/// Numbers of a factor, compiled for each instruction set and distribution.
struct Batch<'a, D>(D, &'a IntegerTerm, &'a Address, u64);

impl<D: Draws> WithSimd for Batch<'_, D> {
    type Output = [i32; BATCH];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let Self(_, term, address, at) = self;
        let scale = term.of.coefficient as f32;
        D::numbers(key(term.of.seed), address, at)
            .map(|number| ((scale * number).round_ties_even() as i32).clamp(-MOST_NUMBER, MOST_NUMBER))
    }
}

/// Rows of a matrix that a thread moves, from a row of the shard on.
struct Strip<'a, I> {
    shard: &'a Shard,
    row: usize,
    weights: &'a mut [I],
}

impl<I: Lattice> LatticeLowRankBackend<I> for CpuLatticeLowRank {
    fn step(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()> {
        let from: Vec<Option<&[I]>> = match from {
            Some(from) => from.iter().map(|from| Some(host(from))).collect(),
            None => vec![None; to.len()],
        };
        let written: Vec<&mut [I]> = to.iter_mut().map(host_mut).collect();
        let addresses = from.iter().zip(&written).map(|(from, to)| {
            let to = to.as_ptr().addr() as u64;
            [from.map_or(to, |from| from.as_ptr().addr() as u64), to]
        });
        let kind = if from.iter().any(Option::is_some) { Kind::Parameters } else { Kind::Itself };
        let slots: Vec<_> = self.shards.iter().map(Shard::slot).collect();
        check_memory::<I, I>(&slots, &addresses.collect::<Vec<_>>(), kind, 1)?;

        let mut strips = Vec::new();
        for ((shard, weights), from) in self.shards.iter().zip(written).zip(from) {
            if let Some(from) = from {
                weights.copy_from_slice(from);
            }
            let length = ROWS * (shard.columns as usize).max(1);
            let parts = weights.chunks_mut(length).enumerate();
            strips.extend(parts.map(|(part, weights)| Strip { shard, row: part * ROWS, weights }));
        }
        let work: u64 = self.shards.iter().map(Shard::length).sum();
        // Few elements are done before other threads have heard of them.
        if work.saturating_mul((terms.len() * self.rank).max(1) as u64) <= CHUNK {
            strips.into_iter().try_for_each(|strip| self.step_strip(terms, shift, outcome, strip))
        } else {
            strips.into_par_iter().try_for_each(|strip| self.step_strip(terms, shift, outcome, strip))
        }
    }

    fn multiply(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        of: &Multiplication,
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()> {
        let (x, y) = (host(x), host_mut(y));
        check_multiplication::<i8, i32>(of, terms.len(), x.as_ptr().addr() as u64, y.as_ptr().addr() as u64)?;
        if y.is_empty() {
            return Ok(());
        }
        let (rows, inner, outer) = (of.rows as usize, of.inner as usize, of.outer as usize);
        let this = &*self;
        let one = |(member, y): (usize, &mut [i32])| -> Result<()> {
            let (term, x) = (&terms[member], &x[member * rows * inner..][..rows * inner]);
            let inner_columns = this.columns(term, of.id, of.inner_side, of.first_inner, inner)?;
            let outer_columns = this.columns(term, of.id, of.inner_side.other(), of.first_outer, outer)?;
            let mut sums = vec![0_i64; outer];
            for (row, y) in y.chunks_exact_mut(outer).enumerate() {
                let x = &x[row * inner..(row + 1) * inner];
                sums.fill(0);
                for (of_inner, of_outer) in inner_columns.iter().zip(&outer_columns) {
                    let product = product(x, of_inner);
                    sums.iter_mut().zip(of_outer).for_each(|(sum, &b)| *sum += i64::from(b) * product);
                }
                for (y, &sum) in y.iter_mut().zip(&sums) {
                    *y = y.wrapping_add(term.multiplier.wrapping_mul(divided(sum, shift) as i32));
                }
            }
            Ok(())
        };
        y.par_chunks_mut(rows * outer).enumerate().try_for_each(one)
    }
}

impl CpuLatticeLowRank {
    fn step_strip<I: Lattice>(
        &self,
        terms: &[IntegerTerm],
        shift: u32,
        outcome: Outcome,
        Strip { shard, row, weights }: Strip<'_, I>,
    ) -> Result<()> {
        let columns = shard.columns as usize;
        let rows = weights.len().checked_div(columns).unwrap_or(0);
        let mut sums = vec![0_i32; weights.len()];
        let mut products = vec![0_i32; columns];
        for term in terms {
            let left = self.columns(term, shard.id, Side::Left, shard.first_row + row as u64, rows)?;
            let right = self.columns(term, shard.id, Side::Right, shard.first_column, columns)?;
            let (multiplier, products, sums) = (term.multiplier, &mut products, &mut sums);
            self.cpu.run(Fold { left: &left, right: &right, multiplier, shift, products, sums });
        }
        weights.iter_mut().zip(sums).for_each(|(weight, z)| *weight = outcome.of(*weight, z));
        Ok(())
    }
}

/// Adds the noise of a term to the sums of a strip, compiled for each instruction set.
struct Fold<'a> {
    /// The columns of the factors.
    left: &'a [Vec<i32>],
    right: &'a [Vec<i32>],
    multiplier: i32,
    shift: u32,
    /// Room for a row.
    products: &'a mut [i32],
    sums: &'a mut [i32],
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { left, right, multiplier, shift, products, sums } = self;
        // Products of factors are far below 2³¹.
        let half = (1 << shift) >> 1;
        for (i, sums) in sums.chunks_exact_mut(products.len().max(1)).enumerate() {
            products.fill(0);
            for (left, right) in left.iter().zip(right) {
                products.iter_mut().zip(right).for_each(|(product, &b)| *product += left[i] * b);
            }
            for (sum, &product) in sums.iter_mut().zip(&*products) {
                *sum = sum.wrapping_add(multiplier.wrapping_mul((product + half) >> shift));
            }
        }
    }
}

/// x / 2ˢ, rounded to nearest, halves up.
fn divided(x: i64, shift: u32) -> i64 {
    (x + ((1 << shift) >> 1)) >> shift
}

/// The inner product of a row and a column, exactly: parts of it are below 2³¹.
fn product(x: &[i8], column: &[i32]) -> i64 {
    const PART: usize = 1 << 16;
    let part = |(x, column): (&[i8], &[i32])| -> i64 {
        i64::from(x.iter().zip(column).map(|(&x, &a)| i32::from(x) * a).sum::<i32>())
    };
    x.chunks(PART).zip(column.chunks(PART)).map(part).sum()
}
