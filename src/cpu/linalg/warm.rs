//! Inverses that begin from previous ones. Twin: `src/cuda/linalg/warm.rs`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef};
use rayon::prelude::*;

use super::memory::slice_mut;
use super::poly::{parallelism, symmetric};
use super::source::Source;
use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;
use crate::linalg::{Job, Report, SpdSettings, Status, WarmStart};
use crate::memory::MatMut;

/// What precedes the inversion of a plan's blocks.
pub(super) struct CpuWarm<T> {
    cpu: Cpu,
    settings: WarmStart,
    all: Vec<Scratch<T>>,
}

/// The memory for a block.
struct Scratch<T> {
    order: usize,
    /// A, damped.
    matrix: Vec<T>,
    /// X before a step and after it.
    inverses: [Vec<T>; 2],
    /// A·X.
    product: Vec<T>,
}

impl<T: Real> CpuWarm<T> {
    pub(super) fn new(cpu: Cpu, jobs: &[Job], settings: WarmStart) -> Self {
        let scratch = |job: &Job| {
            let square = || vec![T::zeroed(); job.order * job.order];
            Scratch { order: job.order, matrix: square(), inverses: [square(), square()], product: square() }
        };
        Self { cpu, settings, all: jobs.iter().map(scratch).collect() }
    }

    /// Refines the inverses that stand in `to`; returns the reports of those that are certified and were written.
    pub(super) fn refine(
        &mut self,
        sources: &[Source<'_, T>],
        dampings: &[f64],
        settings: &SpdSettings,
        to: &mut [MatMut<'_, T>],
    ) -> Vec<Option<Report>> {
        let Self { cpu, settings: warm, all } = self;
        let tasks = all.par_iter_mut().zip(sources).zip(dampings).zip(to).with_max_len(1);
        let reports = tasks.map(|(((scratch, source), damping), to)| {
            let bound = settings.tolerance * source.mean_diagonal().abs();
            let is_sound = source.checked(*cpu, bound).is_none();
            let residual = if is_sound { scratch.refine(*cpu, *warm, source, *damping, to) } else { None };
            residual.map(|residual| Report {
                status: Status::Inverted,
                damping: *damping,
                retries: 0,
                log_determinant: f64::NAN,
                smallest_pivot: f64::NAN,
                residual: Some(residual),
            })
        });
        reports.collect()
    }
}

impl<T: Real> Scratch<T> {
    /// Writes an inverse that is certified; returns its residual.
    fn refine(
        &mut self,
        cpu: Cpu,
        settings: WarmStart,
        source: &Source<'_, T>,
        damping: f64,
        to: &mut MatMut<'_, T>,
    ) -> Option<f64> {
        let Self { order, matrix, inverses, product } = self;
        let order = *order;
        source.copy_damped(damping, matrix);
        cpu.run(MirrorUpper { elements: matrix, order, stride: order });
        let stride = to.stride();
        let elements = slice_mut(&mut to.view);
        // The lower half by rows is the upper one by columns.
        for (i, row) in inverses[0].chunks_exact_mut(order).enumerate() {
            row[..=i].copy_from_slice(&elements[i * stride..][..=i]);
        }
        for i in 0..order {
            for j in 0..i {
                inverses[0][j * order + i] = inverses[0][i * order + j];
            }
        }
        let mut before = f64::INFINITY;
        for step in 0..=settings.steps {
            let [x, next] = &mut *inverses;
            let faer = |elements| FaerRef::from_column_major_slice(elements, order, order);
            let columns = FaerMut::from_column_major_slice_mut(&mut *product, order, order);
            let par = parallelism(order);
            matmul(columns, Accum::Replace, faer(&*matrix), faer(&*x), T::from_f64(1.0), par);
            let of_column = |(j, column): (usize, &[T])| -> f64 {
                let one = |i| if i == j { 1.0 } else { 0.0 };
                column.iter().enumerate().map(|(i, x)| (x.to_f64() - one(i)).powi(2)).sum()
            };
            let square: f64 = product.chunks_exact(order).enumerate().map(of_column).sum();
            let residual = (square / order as f64).sqrt();
            if residual <= settings.tolerance {
                for (i, row) in x.chunks_exact(order).enumerate() {
                    elements[i * stride..][..order].copy_from_slice(row);
                }
                return Some(residual);
            }
            let shrinks = residual < before;
            if !shrinks || step == settings.steps {
                break;
            }
            before = residual;
            symmetric(cpu, next, order, [faer(&*x), faer(&*product)], [-1.0, 2.0, 0.0], x);
            inverses.swap(0, 1);
        }
        None
    }
}
