//! The two passes over elements: the squares of the features, and the step.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::moments::lanes_of_32;
use super::perceptron::{BATCH, Column, Folded, Said};
use super::walk::Walk;
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::lopt::Form;
use crate::lopt::arithmetic::{
    FEATURES, Scalars, adam_factor, averaged, inverse, scaled, squared, stepped, stepped_by_star, tree, unfactored,
};
use crate::lopt::shape::{CHUNK, Factored, LANES};

/// Features whose squares are summed over elements: 0 to 12, 25 to 27, and where second moments are not factored 13 to 15 and
/// 19 to 21.
pub(super) const STATISTICS: usize = 22;
const SUMMED: [usize; STATISTICS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 25, 26, 27, 13, 14, 15, 19, 20, 21];

/// The rows and columns of a tensor.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a, T> {
    pub(super) factored: Factored,
    pub(super) rows: &'a [T],
    pub(super) columns: &'a [T],
}

/// Elements of a tensor from one on.
pub(super) struct Part<'a, T> {
    pub(super) scalars: &'a Scalars<T>,
    pub(super) tables: Option<Tables<'a, T>>,
    pub(super) start: u64,
}

impl<T: Real> Part<'_, T> {
    fn walk(&self) -> Option<Walk> {
        self.tables.as_ref().map(|tables| Walk::new(&tables.factored, self.start))
    }

    /// The features of `count` elements, and their new moments in place of the old.
    #[inline(always)]
    fn features<P: Element<Real = T>>(
        &self,
        walk: &mut Option<Walk>,
        [p, g]: [&[P]; 2],
        moments: &mut [Column<T>; 7],
        x: &mut [Column<T>; FEATURES],
    ) {
        let zero = [T::from_f64(0.0); BATCH];
        let load = |from: &[P]| {
            let mut to = zero;
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.load());
            to
        };
        let (count, p, g) = (p.len(), load(p), load(g));
        let scalars = self.scalars;
        // Column by column: each loop vectorises.
        (x[0], x[1]) = (g, p);
        for i in 0..BATCH {
            moments[3][i] = averaged(scalars.rms, moments[3][i], g[i] * g[i]);
        }
        x[5] = moments[3];
        let r = &mut x[9];
        for i in 0..BATCH {
            r[i] = adam_factor(moments[3][i]);
        }
        let r = *r;
        for k in 0..3 {
            let (m, share) = (&mut moments[k], scalars.momentum[k]);
            for i in 0..BATCH {
                m[i] = averaged(share, m[i], g[i]);
            }
            x[2 + k] = *m;
            let adam = &mut x[6 + k];
            for i in 0..BATCH {
                adam[i] = m[i] * r[i];
            }
        }
        if let (Some(tables), Some(walk)) = (&self.tables, walk) {
            let mut factors = [zero; 6];
            tables.gather(walk, count, x, &mut factors);
            for k in 0..3 {
                let (row, column) = (&factors[k], &factors[3 + k]);
                let of_gradient = &mut x[10 + k];
                for i in 0..BATCH {
                    of_gradient[i] = scaled(g[i], row[i], column[i]);
                }
                let (m, of_momentum) = (&moments[k], &mut x[25 + k]);
                for i in 0..BATCH {
                    of_momentum[i] = scaled(m[i], row[i], column[i]);
                }
            }
            return;
        }
        for k in 0..3 {
            let m = moments[k];
            let w = &mut moments[4 + k];
            for i in 0..BATCH {
                w[i] = averaged(scalars.adafactor[k], w[i], squared(g[i]));
            }
            let ([mut of_gradient, mut root, mut of_momentum], w) = ([zero; 3], *w);
            for i in 0..BATCH {
                root[i] = inverse(w[i]);
                let [gradient, momentum] = unfactored(w[i]);
                of_gradient[i] = g[i] * gradient;
                of_momentum[i] = m[i] * momentum;
            }
            (x[10 + k], x[25 + k]) = (of_gradient, of_momentum);
            (x[13 + k], x[16 + k], x[19 + k], x[22 + k]) = (w, w, root, root);
        }
    }
}

impl<T: Real> Tables<'_, T> {
    /// Features 13 to 24 of the next elements, and the factors of their rows and columns.
    #[inline(always)]
    fn gather(&self, walk: &mut Walk, count: usize, x: &mut [Column<T>; FEATURES], factors: &mut [Column<T>; 6]) {
        let is_y = self.factored.largest == crate::lopt::shape::Axis::Y;
        let mut at = 0;
        while at < count {
            let run = walk.run(count - at);
            let here = at..at + run.count;
            at += run.count;
            for (k, (rows, columns)) in self.arrays(self.rows).zip(self.arrays(self.columns)).enumerate() {
                let (without_y, without_x) = if is_y { (rows, columns) } else { (columns, rows) };
                let (row, column) = match k {
                    0..3 => (13 + k, 16 + k),
                    3..6 => (16 + k, 19 + k),
                    _ => (k - 6, k - 3),
                };
                let (of_y, of_x) = if is_y { (row, column) } else { (column, row) };
                let to = if k < 6 { &mut x[..] } else { &mut factors[..] };
                if run.is_same {
                    to[of_y][here.clone()].fill(without_y[run.without_y as usize]);
                } else {
                    to[of_y][here.clone()].copy_from_slice(&without_y[run.without_y as usize..][..run.count]);
                }
                to[of_x][here.clone()].copy_from_slice(&without_x[run.without_x as usize..][..run.count]);
            }
        }
    }

    /// The nine arrays of a table.
    fn arrays<'a>(&self, table: &'a [T]) -> impl Iterator<Item = &'a [T]> {
        table.chunks_exact(table.len() / 9)
    }
}

/// A batch of each of the moments, zeros behind their ends and where there are none.
#[inline(always)]
fn batch<'a, T: Real>(moments: impl Iterator<Item = &'a [T]>) -> [Column<T>; 7] {
    let mut columns = [[T::from_f64(0.0); BATCH]; 7];
    columns.iter_mut().zip(moments).for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
    columns
}

/// The sums of squares of the features of all elements.
pub(super) fn statistics<P: Element>(
    cpu: Cpu,
    part: &Part<'_, P::Real>,
    p: &[P],
    g: &[P],
    moments: &[Vec<P::Real>],
) -> [f64; STATISTICS] {
    let chunk = |start: usize| {
        let range = start..(start + CHUNK as usize).min(p.len());
        let part = Part { start: start as u64, ..*part };
        let moments = moments.iter().map(|array| &array[range.clone()]).collect();
        cpu.run(Squares { part, p: &p[range.clone()], g: &g[range.clone()], moments })
    };
    let starts: Vec<usize> = (0..p.len()).step_by(CHUNK as usize).collect();
    let sums: Vec<[P::Real; STATISTICS]> = match starts[..] {
        [start] => vec![chunk(start)],
        _ => starts.into_par_iter().map(chunk).collect(),
    };
    std::array::from_fn(|k| lanes_of_32(sums.iter().map(|sums| sums[k].to_f64())))
}

/// The sums of squares of the features of a chunk.
struct Squares<'a, P: Element> {
    part: Part<'a, P::Real>,
    p: &'a [P],
    g: &'a [P],
    moments: Vec<&'a [P::Real]>,
}

impl<P: Element> WithSimd for Squares<'_, P> {
    type Output = [P::Real; STATISTICS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let zero = P::Real::from_f64(0.0);
        let mut lanes = [[zero; LANES]; STATISTICS];
        let mut x = [[zero; BATCH]; FEATURES];
        let mut walk = self.part.walk();
        let summed = if walk.is_some() { &SUMMED[..16] } else { &SUMMED[..] };
        for (at, (p, g)) in (0..).step_by(BATCH).zip(self.p.chunks(BATCH).zip(self.g.chunks(BATCH))) {
            let mut moments = batch(self.moments.iter().map(|array| &array[at..at + p.len()]));
            self.part.features(&mut walk, [p, g], &mut moments, &mut x);
            let here = at % LANES..at % LANES + BATCH;
            for (lanes, &feature) in lanes.iter_mut().zip(summed) {
                let (lanes, x) = (&mut lanes[here.clone()], &x[feature]);
                for (lane, x) in lanes[..p.len()].iter_mut().zip(x) {
                    *lane = x.fma(*x, *lane);
                }
            }
        }
        lanes.map(|mut lanes| tree(&mut lanes))
    }
}

/// The step of some elements.
pub(super) struct Apply<'a, P: Element> {
    pub(super) part: Part<'a, P::Real>,
    pub(super) folded: &'a Folded<P::Real>,
    pub(super) p: &'a mut [P],
    pub(super) g: &'a [P],
    pub(super) moments: Vec<&'a mut [P::Real]>,
}

impl<P: Element> Apply<'_, P> {
    /// Splits the first `count` elements off.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let part = Part { ..self.part };
        self.part.start += count as u64;
        let moments = self.moments.iter_mut().map(|array| array.split_off_mut(..count).unwrap_or_default()).collect();
        let p = self.p.split_off_mut(..count).unwrap_or_default();
        Self { part, folded: self.folded, p, g: self.g.split_off(..count).unwrap_or_default(), moments }
    }
}

impl<P: Element> WithSimd for Apply<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let scalars = self.part.scalars;
        let mut x = [[P::Real::from_f64(0.0); BATCH]; FEATURES];
        let (mut walk, mut said) = (self.part.walk(), Said::new());
        for (at, (p, g)) in (0..).step_by(BATCH).zip(self.p.chunks_mut(BATCH).zip(self.g.chunks(BATCH))) {
            let mut moments = batch(self.moments.iter().map(|array| &array[at..at + p.len()]));
            self.part.features(&mut walk, [&*p, g], &mut moments, &mut x);
            for (array, new) in self.moments.iter_mut().zip(&moments) {
                array[at..at + p.len()].copy_from_slice(&new[..p.len()]);
            }
            self.folded.run(&x, &mut said);
            let (mut new, [a, b, c, d]) = (x[1], &said.outputs);
            if self.folded.form == Form::Star {
                for i in 0..BATCH {
                    let adam = [x[6][i], x[7][i], x[8][i]];
                    new[i] = stepped_by_star(scalars, new[i], [a[i], b[i], c[i], d[i]], adam, x[9][i]);
                }
            } else {
                for i in 0..BATCH {
                    new[i] = stepped(scalars, new[i], [a[i], b[i]]);
                }
            }
            p.iter_mut().zip(new).for_each(|(p, new)| *p = P::store(new));
        }
    }
}
