//! Partial sums of squared gradients over an axis.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::lopt::arithmetic::{squared, tree};
use crate::lopt::shape::{SEGMENT, SEGMENT_LANES, Span};

/// Neighbouring sums that are taken together.
const WIDTH: usize = 32;
/// Sums of a task.
const TASK: usize = 256;

/// Sums of the elements of an array, one segment of the axis after the other: `partials` is \[segments×sums\].
pub(super) fn sum<P: Element>(cpu: Cpu, span: Span, g: &[P], partials: &mut [P::Real]) {
    let sums = span.sums() as usize;
    partials.par_chunks_mut(sums).zip(0..span.segments() as usize).for_each(|(partials, segment)| {
        let from = segment * SEGMENT as usize;
        let rows = from..(from + SEGMENT as usize).min(span.length as usize);
        partials.par_chunks_mut(TASK).zip((0..sums).into_par_iter().step_by(TASK)).for_each(|(to, first)| {
            cpu.run(Task { span, rows: rows.clone(), g, first, to });
        });
    });
}

/// Sums `first` and following, over some rows of the axis.
struct Task<'a, P: Element> {
    span: Span,
    rows: std::ops::Range<usize>,
    g: &'a [P],
    first: usize,
    to: &'a mut [P::Real],
}

impl<P: Element> WithSimd for Task<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let zero = P::Real::from_f64(0.0);
        let (inner, length) = (self.span.inner as usize, self.span.length as usize);
        let mut rest = self.to;
        let mut at = self.first;
        while !rest.is_empty() {
            let (o, i) = (at / inner, at % inner);
            let base = o * length * inner + i;
            let count = (inner - i).min(WIDTH).min(rest.len());
            let to = rest.split_off_mut(..count).unwrap_or_default();
            at += count;
            if inner == 1 {
                let mut lanes = [zero; SEGMENT_LANES];
                let (whole, tail) = self.g[base..][self.rows.clone()].as_chunks::<SEGMENT_LANES>();
                for row in whole {
                    for lane in 0..SEGMENT_LANES {
                        lanes[lane] += squared(row[lane].load());
                    }
                }
                for (lane, g) in lanes.iter_mut().zip(tail) {
                    *lane += squared(g.load());
                }
                to[0] = tree(&mut lanes);
                continue;
            }
            let mut lanes = [[zero; WIDTH]; SEGMENT_LANES];
            for r in self.rows.clone() {
                let lane = &mut lanes[(r - self.rows.start) % SEGMENT_LANES];
                for (sum, g) in lane.iter_mut().zip(&self.g[base + r * inner..][..count]) {
                    *sum += squared(g.load());
                }
            }
            let mut half = SEGMENT_LANES / 2;
            while half > 0 {
                let (low, high) = lanes[..2 * half].split_at_mut(half);
                for (low, high) in low.iter_mut().zip(high) {
                    low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
                }
                half /= 2;
            }
            to.copy_from_slice(&lanes[0][..count]);
        }
    }
}
