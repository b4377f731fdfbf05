//! Polar factors. Twin: `src/cuda/linalg/polar.rs`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef};
use rayon::prelude::*;

use super::memory::{slice, slice_mut};
use super::poly::{parallelism, symmetric};
use super::reduce::inner;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{PolarBackend, PolarNorm, PolarSettings};
use crate::memory::{MatMut, MatRef};

/// The matrices of a plan on the CPU.
pub(crate) struct CpuPolar<T> {
    cpu: Cpu,
    settings: PolarSettings,
    all: Vec<Scratch<T>>,
}

/// The memory for a matrix.
struct Scratch<T> {
    rows: usize,
    columns: usize,
    /// X before a step and after it.
    iterates: [Vec<T>; 2],
    /// G and b·G + c·G².
    squares: [Vec<T>; 2],
}

impl<T: Real> CpuPolar<T> {
    pub(crate) fn new(cpu: Cpu, shapes: &[(usize, usize)], settings: PolarSettings) -> Self {
        let scratch = |&(rows, columns): &(usize, usize)| {
            let zeros = |elements| [vec![T::zeroed(); elements], vec![T::zeroed(); elements]];
            let short = rows.min(columns);
            Scratch { rows, columns, iterates: zeros(rows * columns), squares: zeros(short * short) }
        };
        Self { cpu, settings, all: shapes.iter().map(scratch).collect() }
    }
}

impl<T: Real> Scratch<T> {
    fn load(&mut self, source: &MatRef<'_, T>, norm: PolarNorm) {
        let elements = slice(&source.view);
        let rows = || (0..self.rows).map(|i| &elements[i * source.stride()..][..self.columns]);
        let own = inner(rows(), rows()).sqrt();
        let by = match norm {
            PolarNorm::Plus { factor, epsilon } => factor.mul_add(own, epsilon),
            PolarNorm::AtLeast { epsilon } => own.max(epsilon),
        };
        let scale = 1.0 / by;
        for (to, row) in self.iterates[0].chunks_exact_mut(self.columns).zip(rows()) {
            for (to, x) in to.iter_mut().zip(row) {
                // A matrix of zeros stays one, whatever ε.
                *to = T::from_f64(if x.to_f64() == 0.0 { 0.0 } else { x.to_f64() * scale });
            }
        }
    }

    fn step(&mut self, cpu: Cpu, [a, b, c]: [f64; 3]) {
        let Self { rows, columns, iterates: [x, next], squares: [gram, polynomial] } = self;
        let (short, is_tall) = ((*rows).min(*columns), rows >= columns);
        let of_x = FaerRef::from_row_major_slice(x, *rows, *columns);
        let factors = if is_tall { [of_x.transpose(), of_x] } else { [of_x, of_x.transpose()] };
        symmetric(cpu, gram, short, factors, [1.0, 0.0, 0.0], &[]);
        let of_gram = FaerRef::from_column_major_slice(gram, short, short);
        symmetric(cpu, polynomial, short, [of_gram; 2], [c, b, 0.0], gram);
        let of_polynomial = FaerRef::from_column_major_slice(polynomial, short, short);
        let factors = if is_tall { [of_x, of_polynomial] } else { [of_polynomial, of_x] };
        let to = FaerMut::from_row_major_slice_mut(next, *rows, *columns);
        matmul(to, Accum::Replace, factors[0], factors[1], T::from_f64(1.0), parallelism((*rows).max(*columns)));
        let a = T::from_f64(a);
        next.iter_mut().zip(&*x).for_each(|(to, x)| *to = a.fma(*x, *to));
        self.iterates.swap(0, 1);
    }
}

impl<T: Real> PolarBackend<T> for CpuPolar<T> {
    fn orthogonalize(&mut self, sources: &[MatRef<'_, T>], targets: &mut [MatMut<'_, T>]) -> Result<()> {
        let Self { cpu, settings, all } = self;
        let tasks = all.par_iter_mut().zip(sources).zip(targets).with_max_len(1);
        tasks.for_each(|((scratch, source), target)| {
            scratch.load(source, settings.norm);
            settings.polynomials.iter().for_each(|polynomial| scratch.step(*cpu, *polynomial));
            let stride = target.stride();
            let to = slice_mut(&mut target.view);
            for (i, row) in scratch.iterates[0].chunks_exact(scratch.columns).enumerate() {
                to[i * stride..][..row.len()].copy_from_slice(row);
            }
        });
        Ok(())
    }
}
