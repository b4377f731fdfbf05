//! Rows multiplied by noises of low rank. Twin: `kernels/es/low_rank_multiply.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::CHUNK;
use crate::cpu::address::{host, host_mut};
use crate::cpu::es::low_rank::CpuLowRank;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::{FactoredTerm, Multiplication, check_multiplication, element};
use crate::memory::{View, ViewMut};
use crate::rng::{BATCH, Distribution, Draws, Normals, Rows, Signs, Uniforms, key};

/// Partial sums of a product; that of an element is its place in the whole matrix modulo this.
const LANES: usize = 128;
/// Rows that are multiplied by what is drawn once.
const ROWS: usize = 64;

/// What a thread works with.
struct Scratch<T> {
    /// The column of the inner factor, and that of the outer one times the coefficient.
    inner: Vec<T>,
    outer: Vec<T>,
    /// Elements of y, row by row, before they are rounded.
    y: Vec<T>,
}

impl CpuLowRank {
    /// `y += a·x·E`.
    pub(super) fn add_products<P: Element>(
        &self,
        terms: &[FactoredTerm],
        of: &Multiplication,
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()> {
        let (x, y) = (host(x), host_mut(y));
        check_multiplication::<P, P>(of, terms.len(), x.as_ptr().addr() as u64, y.as_ptr().addr() as u64)?;
        if y.is_empty() {
            return Ok(());
        }
        let (rows, inner, outer) = (of.rows as usize, of.inner as usize, of.outer as usize);
        let mut parts = terms.iter().enumerate().zip(y.chunks_mut(rows * outer)).flat_map(|((member, term), y)| {
            y.chunks_mut(ROWS * outer).enumerate().map(move |(part, y)| {
                let first = (member * rows + part * ROWS) * inner;
                (term, &x[first..first + y.len() / outer * inner], y)
            })
        });
        let scratch = || Scratch { inner: Vec::new(), outer: Vec::new(), y: Vec::new() };
        let one = |scratch: &mut Scratch<P::Real>, (term, x, y): (&FactoredTerm, &[P], &mut [P])| {
            let rank = self.rank;
            match self.distribution {
                Distribution::Normal => self.cpu.run(Loop(of, term, rank, x, y, scratch, Normals)),
                Distribution::Rademacher => self.cpu.run(Loop(of, term, rank, x, y, scratch, Signs)),
                Distribution::Uniform => self.cpu.run(Loop(of, term, rank, x, y, scratch, Uniforms)),
                Distribution::Hadamard => self.cpu.run(Loop(of, term, rank, x, y, scratch, Rows)),
            }
        };
        // Few elements are done before other threads have heard of them.
        if (terms.len() * self.rank) as u64 * of.rows.max(1) * (of.inner + of.outer) <= CHUNK {
            let mut scratch = scratch();
            parts.try_for_each(|part| one(&mut scratch, part))
        } else {
            let parts: Vec<_> = parts.collect();
            parts.into_par_iter().map_init(scratch, one).collect()
        }
    }
}

/// The work on rows of one term, compiled for each instruction set and distribution.
struct Loop<'a, D, P: Element>(
    &'a Multiplication,
    &'a FactoredTerm,
    usize,
    &'a [P],
    &'a mut [P],
    &'a mut Scratch<P::Real>,
    D,
);

impl<D: Draws, P: Element> WithSimd for Loop<'_, D, P> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Result<()> {
        let Self(of, term, rank, x, y, scratch, _) = self;
        let (inner, outer) = (of.inner as usize, of.outer as usize);
        scratch.y.clear();
        scratch.y.extend(y.iter().map(|y| y.load()));
        let [inner_address, outer_address] =
            [of.inner_side, of.inner_side.other()].map(|side| term.address(side, of.id));
        let (inner_address, outer_address) = (inner_address?, outer_address?);
        let numbers = |address, side, k, first: u64, to: &mut Vec<P::Real>, count: usize| {
            to.clear();
            for begin in (0..count).step_by(BATCH) {
                let numbers = D::numbers(key(term.seed), address, element(side, k, first + begin as u64));
                to.extend(numbers.into_iter().take(count - begin).map(|x| P::Real::from_f64(f64::from(x))));
            }
        };
        let coefficient = P::Real::from_f64(term.coefficient);
        for k in 0..rank {
            numbers(&inner_address, of.inner_side, k, of.first_inner, &mut scratch.inner, inner);
            numbers(&outer_address, of.inner_side.other(), k, of.first_outer, &mut scratch.outer, outer);
            scratch.outer.iter_mut().for_each(|x| *x = coefficient * *x);
            for (row, y) in scratch.y.chunks_exact_mut(outer).enumerate() {
                let sum = product(&x[row * inner..(row + 1) * inner], &scratch.inner, of.first_inner);
                y.iter_mut().zip(&scratch.outer).for_each(|(y, &a)| *y = a.fma(sum, *y));
            }
        }
        y.iter_mut().zip(&scratch.y).for_each(|(to, &y)| *to = P::store(y));
        Ok(())
    }
}

/// The inner product of a row and a column, whose first element is in this place of the whole matrix: in lanes, then always the
/// upper half of them added to the lower.
#[inline(always)]
fn product<P: Element>(x: &[P], factor: &[P::Real], first: u64) -> P::Real {
    let mut lanes = [P::Real::from_f64(0.0); LANES];
    let (mut x, mut factor, mut at) = (x, factor, (first % LANES as u64) as usize);
    while !x.is_empty() {
        let count = (LANES - at).min(x.len());
        let (own, rest) = x.split_at(count);
        let (of_own, of_rest) = factor.split_at(count);
        for ((lane, x), &factor) in lanes[at..].iter_mut().zip(own).zip(of_own) {
            *lane = x.load().fma(factor, *lane);
        }
        (x, factor, at) = (rest, of_rest, 0);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}
