//! Symmetric matrices in ordinary memory: their elements, and the faults among them.

use super::memory::slice;
use super::square::Asymmetry;
use crate::device::Cpu;
use crate::element::Real;
use crate::linalg::{Fault, Form, Symmetric};
use crate::memory::MatRef;

/// A block in ordinary memory.
pub(super) struct Source<'a, T> {
    core: &'a [T],
    border: Option<&'a [T]>,
    pub(super) order: usize,
    core_order: usize,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Full(usize),
    Lower(usize),
    Packed,
}

impl<'a, T: Real> Source<'a, T> {
    pub(super) fn new(source: &'a Symmetric<'_, T>) -> Self {
        let matrix = |matrix: &'a MatRef<'_, T>| slice(&matrix.view);
        let (core, shape) = match &source.form {
            Form::Full(full) => (matrix(full), Shape::Full(full.stride())),
            Form::Lower(lower) => (matrix(lower), Shape::Lower(lower.stride())),
            Form::Packed(view) => (slice(view), Shape::Packed),
        };
        let border = source.border.as_ref().map(slice);
        Self { core, border, order: source.order(), core_order: source.core(), shape }
    }

    /// A row's elements up to the diagonal.
    pub(super) fn row(&self, i: usize) -> &'a [T] {
        let start = match self.shape {
            _ if i == self.core_order => return self.border.expect("the last row"),
            Shape::Full(stride) | Shape::Lower(stride) => i * stride,
            Shape::Packed => i * (i + 1) / 2,
        };
        &self.core[start..=start + i]
    }

    pub(super) fn mean_diagonal(&self) -> f64 {
        let sum: f64 = (0..self.order).map(|i| self.row(i)[i].to_f64()).sum();
        sum / self.order as f64
    }

    /// The greatest magnitude on or below the diagonal.
    pub(super) fn largest(&self) -> T {
        let of_row = |largest: T, row: &[T]| row.iter().fold(largest, |largest, x| x.abs().maximum_number(largest));
        (0..self.order).fold(T::from_f64(0.0), |largest, i| of_row(largest, self.row(i)))
    }

    /// What must equal the element at a place on or below the diagonal.
    fn mirrored(&self, i: usize, j: usize) -> T {
        match self.shape {
            Shape::Full(stride) if i < self.core_order => self.core[j * stride + i],
            _ => self.row(i)[j],
        }
    }

    /// The greatest difference of an element from its mirror image; a NaN where an element is not finite.
    fn asymmetry(&self, cpu: Cpu) -> T {
        let zero = T::from_f64(0.0);
        let poison = |row: &[T]| row.iter().fold(zero, |sum, x| x.fma(zero, sum));
        let rows = match self.shape {
            Shape::Full(stride) => {
                let worst = cpu.run(Asymmetry { elements: self.core, order: self.core_order, stride });
                return worst + self.border.map_or(zero, poison);
            }
            _ => 0..self.order,
        };
        rows.fold(zero, |sum, i| sum + poison(self.row(i)))
    }

    /// The fault of a source whose halves may differ by `bound`, where it has one.
    pub(super) fn checked(&self, cpu: Cpu, bound: f64) -> Option<Fault> {
        let asymmetry = self.asymmetry(cpu).to_f64();
        if asymmetry.is_nan() || asymmetry > bound { self.fault(bound) } else { None }
    }

    /// The first element that is not finite, or else the first that differs from its mirror image by more than `bound`.
    fn fault(&self, bound: f64) -> Option<Fault> {
        let places = || (0..self.order).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let pair = |(i, j): (usize, usize)| (self.row(i)[j].to_f64(), self.mirrored(i, j).to_f64());
        let not_finite = |place| {
            let (x, other) = pair(place);
            let value = if x.is_finite() { other } else { x };
            (!value.is_finite()).then_some(Fault::NotFinite { row: place.0 as u32, column: place.1 as u32, value })
        };
        let asymmetric = |place| {
            let (x, other) = pair(place);
            let difference = x - other;
            let fault = Fault::Asymmetric { row: place.0 as u32, column: place.1 as u32, difference };
            (difference.abs() > bound).then_some(fault)
        };
        places().find_map(not_finite).or_else(|| places().find_map(asymmetric))
    }

    /// Copies the damped block, to be factored, by columns from the diagonal down.
    pub(super) fn copy_damped(&self, damping: f64, factor: &mut [T]) {
        let order = self.order;
        match self.shape {
            // A column is a row of the other half.
            Shape::Full(stride) => {
                for j in 0..self.core_order {
                    let row = &self.core[j * stride..][j..self.core_order];
                    factor[j * order + j..][..row.len()].copy_from_slice(row);
                }
                if let Some(border) = self.border {
                    for (j, x) in border.iter().enumerate() {
                        factor[j * order + self.core_order] = *x;
                    }
                }
            }
            Shape::Lower(_) | Shape::Packed => {
                for i in 0..order {
                    for (j, x) in self.row(i).iter().enumerate() {
                        factor[j * order + i] = *x;
                    }
                }
            }
        }
        for i in 0..order {
            let diagonal = &mut factor[i * order + i];
            *diagonal = T::from_f64(diagonal.to_f64() + damping);
        }
    }
}
