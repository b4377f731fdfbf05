//! Damped inverses of positive-definite blocks. Twin: `src/cuda/linalg/spd.rs`.

use std::sync::{Mutex, PoisonError};

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::{factor, inverse};
use faer::prelude::default;
use faer::{MatMut as FaerMut, MatRef as FaerRef, Par};
use rayon::prelude::*;

use super::memory::slice_mut;
use super::source::Source;
use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Report, SpdBackend, SpdSettings, Status, Symmetric};
use crate::memory::MatMut;

/// From this order on a matrix is worth all threads, where there are fewer such matrices than threads.
const WORTH_ALL_THREADS: usize = 1024;

/// The blocks of a plan on the CPU.
pub(crate) struct CpuSpd<T: Real> {
    cpu: Cpu,
    jobs: Vec<Job>,
    settings: SpdSettings,
    lambdas: Vec<f64>,
    reports: Vec<Report>,
    /// What threads work with; as many as have worked at once.
    scratch: Mutex<Vec<Scratch<T>>>,
}

/// The memory of a thread.
struct Scratch<T> {
    /// A factor by columns.
    factor: Vec<T>,
    stack: MemBuffer,
    order: usize,
}

impl<T: Real> Scratch<T> {
    fn new(order: usize, par: Par) -> Self {
        let stack = StackReq::any_of(&[
            factor::cholesky_in_place_scratch::<T>(order, par, default()),
            inverse::inverse_scratch::<T>(order, par),
        ]);
        Self { factor: vec![T::zeroed(); order * order], stack: MemBuffer::new(stack), order }
    }
}

impl<T: Real> CpuSpd<T> {
    pub(crate) fn new(cpu: Cpu, jobs: Vec<Job>, settings: SpdSettings) -> Self {
        let untried =
            Report { status: Status::Inverted, damping: 0.0, retries: 0, log_determinant: 0.0, smallest_pivot: 0.0 };
        Self { cpu, reports: vec![untried; jobs.len()], jobs, settings, lambdas: Vec::new(), scratch: Mutex::default() }
    }

    /// Works on a block with the memory of a thread.
    fn invert_one(&self, task: &mut Task<'_, '_, T>, par: Par) -> Report {
        let order = task.source.order;
        let free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = match free {
            Some(scratch) if scratch.order >= order => scratch,
            _ => Scratch::new(order, par),
        };
        let report = self.attempt(task, &mut scratch, par);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        report
    }

    fn attempt(&self, task: &mut Task<'_, '_, T>, scratch: &mut Scratch<T>, par: Par) -> Report {
        let SpdSettings { retries, growth, tolerance } = self.settings;
        let source = &task.source;
        let order = source.order;
        let mean = task.mean.abs();
        let mut report = Report {
            status: Status::Inverted,
            damping: task.damping,
            retries: 0,
            log_determinant: f64::NAN,
            smallest_pivot: f64::NAN,
        };
        let bound = tolerance * mean;
        let asymmetry = source.asymmetry(self.cpu).to_f64();
        if (asymmetry.is_nan() || asymmetry > bound)
            && let Some(fault) = source.fault(bound)
        {
            return Report { status: fault, ..report };
        }
        let factor = &mut scratch.factor[..order * order];
        loop {
            source.copy_damped(report.damping, factor);
            let stack = MemStack::new(&mut scratch.stack);
            let square = FaerMut::from_column_major_slice_mut(&mut *factor, order, order);
            match factor::cholesky_in_place(square, default(), par, stack, default()) {
                Ok(_) => break,
                Err(factor::LltError::NonPositivePivot { index }) => {
                    let pivot = failed_pivot(source, report.damping, factor, index);
                    report.status = Status::NotPositiveDefinite { row: index as u32, pivot };
                }
            }
            if report.retries == retries {
                return report;
            }
            report.retries += 1;
            report.damping = (report.damping * growth).max(T::EPSILON * mean);
        }
        let pivots = (0..order).map(|i| factor[i * order + i].to_f64());
        report.status = Status::Inverted;
        report.log_determinant = 2.0 * pivots.clone().map(f64::ln).sum::<f64>();
        report.smallest_pivot = pivots.fold(f64::INFINITY, f64::min).powi(2);

        let stride = task.inverse.stride();
        let elements = slice_mut(&mut task.inverse.view);
        let factor = FaerRef::from_column_major_slice(&*factor, order, order);
        let out = FaerMut::from_column_major_slice_with_stride_mut(&mut *elements, order, order, stride);
        inverse::inverse(out, factor, par, MemStack::new(&mut scratch.stack));
        self.cpu.run(MirrorUpper { elements, order, stride });
        report
    }
}

/// The pivot of row `index`, whose row of the factor is known.
fn failed_pivot<T: Real>(source: &Source<'_, T>, damping: f64, factor: &[T], index: usize) -> f64 {
    let square = |j: usize| factor[j * source.order + index].to_f64().powi(2);
    source.row(index)[index].to_f64() + damping - (0..index).map(square).sum::<f64>()
}

/// A block, where its inverse goes, and what it begins with.
struct Task<'a, 'b, T: Real> {
    source: Source<'a, T>,
    inverse: &'a mut MatMut<'b, T>,
    mean: f64,
    damping: f64,
}

impl<T: Real> SpdBackend<T> for CpuSpd<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.lambdas = lambdas.to_vec();
        Ok(())
    }

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        let sources: Vec<Source<'_, T>> = sources.iter().map(Source::new).collect();
        let means: Vec<f64> = sources.iter().map(Source::mean_diagonal).collect();
        let damping = |position: usize, lambda: f64| {
            let partner = self.jobs[position].partner;
            if partner == position {
                return lambda;
            }
            let ratio = means[position] / means[partner];
            lambda.sqrt() * if ratio > 0.0 && ratio.is_finite() { ratio.sqrt() } else { 1.0 }
        };
        let dampings: Vec<f64> =
            (0..).zip(&self.lambdas).map(|(position, lambda)| damping(position, *lambda)).collect();
        let mut tasks: Vec<(usize, Task<'_, '_, T>)> = Vec::with_capacity(sources.len());
        for (position, (source, inverse)) in sources.into_iter().zip(inverses).enumerate() {
            tasks.push((position, Task { source, inverse, mean: means[position], damping: dampings[position] }));
        }
        // The longest first, so that no thread begins one when the others end.
        tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.source.order));

        let threads = rayon::current_num_threads();
        let large = tasks.iter().take_while(|(_, task)| task.source.order >= WORTH_ALL_THREADS).count();
        let together = if large < threads { large } else { 0 };
        let (first, rest) = tasks.split_at_mut(together);
        let mut reports = Vec::with_capacity(self.jobs.len());
        let all = if threads > 1 { Par::rayon(threads) } else { Par::Seq };
        reports.extend(first.iter_mut().map(|(position, task)| (*position, self.invert_one(task, all))));
        let side_by_side = rest.par_iter_mut().with_max_len(1);
        reports.par_extend(side_by_side.map(|(position, task)| (*position, self.invert_one(task, Par::Seq))));
        for (position, report) in reports {
            self.reports[position] = report;
        }
        Ok(())
    }

    fn reports(&self) -> Result<Vec<Report>> {
        Ok(self.reports.clone())
    }
}
