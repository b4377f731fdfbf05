//! Moving averages of Gram matrices. Twin: `src/cuda/linalg/syrk.rs`.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef};
use rayon::prelude::*;

use super::memory::{slice, slice_mut};
use super::poly::parallelism;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::linalg::{Gram, Inputs, RowsFrom, SyrkBackend, averaged};
use crate::memory::ViewMut;

/// Rows that are brought into the arithmetic type at a time.
const ROWS: usize = 1024;

/// The factors of a plan on the CPU.
pub(crate) struct CpuSyrk<T> {
    grams: Vec<Gram>,
    counts: Vec<f64>,
    scratch: Vec<Scratch<T>>,
}

/// The memory for a factor, from its first update on.
#[derive(Clone)]
struct Scratch<T> {
    sums: Vec<T>,
    /// Rows of the inputs, and the same times their weights.
    rows: Vec<T>,
    weighted: Vec<T>,
}

impl<T: Real> CpuSyrk<T> {
    pub(crate) fn new(grams: Vec<Gram>) -> Self {
        let counts = grams.iter().map(|gram| gram.count).collect();
        let nothing = Scratch { sums: Vec::new(), rows: Vec::new(), weighted: Vec::new() };
        Self { counts, scratch: vec![nothing; grams.len()], grams }
    }
}

/// Writes row `at` of the sum, without its weight: the features, then the bias.
fn write_row<E: Element>(inputs: &Inputs<'_, E>, gram: &Gram, at: usize, row: &mut [E::Real]) {
    row.fill(E::Real::from_f64(0.0));
    for position in at * inputs.positions..(at + 1) * inputs.positions {
        match &inputs.from {
            RowsFrom::Rows(matrix) => {
                let from = &slice(&matrix.view)[position * matrix.stride()..][..gram.features];
                row.iter_mut().zip(from).for_each(|(sum, x)| *sum += x.load());
            }
            RowsFrom::Patches { images, convolution, .. } => {
                let images = slice(images);
                let [rows, columns] = convolution.results().unwrap_or([1, 1]);
                let (image, place) = (position / (rows * columns), position % (rows * columns));
                let [height, width] = convolution.size;
                let [kernel_rows, kernel_columns] = convolution.kernel;
                let along = |side: usize, place: usize, element: usize| {
                    let reach = place * convolution.stride[side] + element * convolution.dilation[side];
                    reach.checked_sub(convolution.padding[side]).filter(|at| *at < convolution.size[side])
                };
                for (feature, sum) in row[..gram.features].iter_mut().enumerate() {
                    let channel = feature / (kernel_rows * kernel_columns);
                    let (down, right) = (feature / kernel_columns % kernel_rows, feature % kernel_columns);
                    let (y, x) = (along(0, place / columns, down), along(1, place % columns, right));
                    if let (Some(y), Some(x)) = (y, x) {
                        let at = ((image * convolution.channels + channel) * height + y) * width + x;
                        *sum += images[at].load();
                    }
                }
            }
        }
    }
    if gram.bias {
        row[gram.features] = E::Real::from_f64(inputs.positions as f64);
    }
}

fn update_one<E: Element>(
    gram: &Gram,
    share: f64,
    scratch: &mut Scratch<E::Real>,
    inputs: &Inputs<'_, E>,
    factor: &mut [E::Real],
) {
    let order = gram.order();
    let zero = E::Real::from_f64(0.0);
    let count = inputs.all_rows() / inputs.positions;
    let weights = inputs.weights.as_ref().map(slice);
    let Scratch { sums, rows, weighted } = scratch;
    sums.clear();
    sums.resize(order * order, zero);
    rows.resize(rows.len().max(ROWS.min(count) * order), zero);
    if weights.is_some() {
        weighted.resize(rows.len(), zero);
    }
    let par = parallelism(order);
    for first in (0..count).step_by(ROWS) {
        let here = ROWS.min(count - first);
        let rows = &mut rows[..here * order];
        for (at, row) in (first..).zip(rows.chunks_exact_mut(order)) {
            write_row(inputs, gram, at, row);
        }
        let left = match weights {
            Some(weights) => {
                let pairs = weighted.chunks_exact_mut(order).zip(rows.chunks_exact(order));
                for ((to, row), weight) in pairs.zip(&weights[first..]) {
                    to.iter_mut().zip(row).for_each(|(x, y)| *x = *y * *weight);
                }
                &weighted[..here * order]
            }
            None => &*rows,
        };
        matmul(
            FaerMut::from_row_major_slice_mut(sums, order, order),
            BlockStructure::TriangularLower,
            Accum::Add,
            FaerRef::from_row_major_slice(left, here, order).transpose(),
            BlockStructure::Rectangular,
            FaerRef::from_row_major_slice(rows, here, order),
            BlockStructure::Rectangular,
            E::Real::from_f64(1.0),
            par,
        );
    }
    let (share, scale) = (E::Real::from_f64(share), E::Real::from_f64(inputs.scale));
    for i in 0..order {
        let (from, to) = (&sums[i * order..=i * order + i], &mut factor[i * (i + 1) / 2..][..=i]);
        to.iter_mut().zip(from).for_each(|(old, sum)| *old = averaged(share, *sum, scale, *old));
    }
}

impl<E: Element> SyrkBackend<E> for CpuSyrk<E::Real> {
    fn update(&mut self, inputs: &[Inputs<'_, E>], factors: &mut [ViewMut<'_, E::Real>]) -> Result<()> {
        for (gram, count) in self.grams.iter().zip(&mut self.counts) {
            *count = gram.beta.mul_add(*count, 1.0);
        }
        let own = self.grams.par_iter().zip(&self.counts).zip(&mut self.scratch);
        own.zip(inputs).zip(factors).with_max_len(1).for_each(|((((gram, count), scratch), inputs), factor)| {
            update_one(gram, 1.0 / count, scratch, inputs, slice_mut(factor));
        });
        Ok(())
    }
}
