//! What every call on positive-definite blocks begins with: a damped Cholesky factor of each, made as often as the settings say.

use std::sync::{Mutex, PoisonError};

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::{factor, inverse};
use faer::prelude::default;
use faer::{MatMut as FaerMut, Par};
use rayon::prelude::*;

use super::source::Source;
use crate::device::Cpu;
use crate::element::Real;
use crate::linalg::{Job, Report, SpdSettings, Status, Symmetric};

/// From this order on a matrix is worth all threads, where there are fewer such matrices than threads.
const WORTH_ALL_THREADS: usize = 1024;

/// A list of blocks.
pub(super) struct Plan<T: Real> {
    pub(super) cpu: Cpu,
    pub(super) jobs: Vec<Job>,
    pub(super) settings: SpdSettings,
    pub(super) lambdas: Vec<f64>,
    pub(super) reports: Vec<Report>,
    /// What threads work with; as many as have worked at once.
    scratch: Mutex<Vec<Scratch<T>>>,
}

/// The memory of a thread.
pub(super) struct Scratch<T> {
    /// A factor by columns.
    pub(super) factor: Vec<T>,
    pub(super) stack: MemBuffer,
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

/// A block, what it begins with, and what is made of it.
struct Task<'a, T, W> {
    source: Source<'a, T>,
    mean: f64,
    damping: f64,
    target: W,
}

impl<T: Real> Plan<T> {
    pub(super) fn new(cpu: Cpu, jobs: Vec<Job>, settings: SpdSettings) -> Self {
        let untried = Report {
            status: Status::Inverted,
            damping: 0.0,
            retries: 0,
            log_determinant: 0.0,
            smallest_pivot: 0.0,
            residual: None,
        };
        Self { cpu, reports: vec![untried; jobs.len()], jobs, settings, lambdas: Vec::new(), scratch: Mutex::default() }
    }

    /// Factors every source and reports of it. Where that succeeds, `finish` gets the target of the block, memory in which the
    /// factor stands \[order×order\] by columns, its upper half anything, and what faer may use. Blocks that have a report in
    /// `done`, which is as long as the list or empty, need nothing.
    pub(super) fn call<W: Send>(
        &mut self,
        sources: &[Symmetric<'_, T>],
        targets: impl Iterator<Item = W>,
        done: &[Option<Report>],
        finish: impl Fn(W, usize, &mut Scratch<T>, Par) + Sync,
    ) {
        let sources: Vec<Source<'_, T>> = sources.iter().map(Source::new).collect();
        let (means, dampings) = self.dampings(&sources);
        let tasks = sources.into_iter().zip(targets).zip(means).zip(dampings);
        let mut tasks: Vec<(usize, Task<'_, T, W>)> = tasks
            .map(|(((source, target), mean), damping)| Task { source, mean, damping, target })
            .enumerate()
            .filter(|(position, _)| done.get(*position).is_none_or(Option::is_none))
            .collect();
        // The longest first, so that no thread begins one when the others end.
        tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.source.order));

        let threads = rayon::current_num_threads();
        let large = tasks.iter().take_while(|(_, task)| task.source.order >= WORTH_ALL_THREADS).count();
        let together = if large < threads { large } else { 0 };
        let rest = tasks.split_off(together);
        let mut reports = Vec::with_capacity(self.jobs.len());
        let all = if threads > 1 { Par::rayon(threads) } else { Par::Seq };
        reports.extend(tasks.into_iter().map(|(position, task)| (position, self.work(task, &finish, all))));
        let side_by_side = rest.into_par_iter().with_max_len(1);
        reports.par_extend(side_by_side.map(|(position, task)| (position, self.work(task, &finish, Par::Seq))));
        let done = done.iter().enumerate().filter_map(|(position, report)| report.map(|report| (position, report)));
        for (position, report) in reports.into_iter().chain(done) {
            self.reports[position] = report;
        }
    }

    /// The mean diagonals of all blocks, and what they are damped with at first.
    pub(super) fn dampings(&self, sources: &[Source<'_, T>]) -> (Vec<f64>, Vec<f64>) {
        let means: Vec<f64> = sources.iter().map(Source::mean_diagonal).collect();
        let damping = |(position, (job, lambda)): (usize, (&Job, &f64))| {
            if job.partner == position {
                return *lambda;
            }
            let ratio = means[position] / means[job.partner];
            lambda.sqrt() * if ratio > 0.0 && ratio.is_finite() { ratio.sqrt() } else { 1.0 }
        };
        let dampings = self.jobs.iter().zip(&self.lambdas).enumerate().map(damping).collect();
        (means, dampings)
    }

    /// Works on a block with the memory of a thread.
    fn work<W>(
        &self,
        task: Task<'_, T, W>,
        finish: &(impl Fn(W, usize, &mut Scratch<T>, Par) + Sync),
        par: Par,
    ) -> Report {
        let order = task.source.order;
        let free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = match free {
            Some(scratch) if scratch.order >= order => scratch,
            _ => Scratch::new(order, par),
        };
        let report = self.attempt(&task.source, task.mean.abs(), task.damping, &mut scratch, par);
        if report.is_inverted() {
            finish(task.target, order, &mut scratch, par);
        }
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        report
    }

    fn attempt(&self, source: &Source<'_, T>, mean: f64, damping: f64, scratch: &mut Scratch<T>, par: Par) -> Report {
        let SpdSettings { retries, growth, tolerance } = self.settings;
        let order = source.order;
        let mut report = Report {
            status: Status::Inverted,
            damping,
            retries: 0,
            log_determinant: f64::NAN,
            smallest_pivot: f64::NAN,
            residual: None,
        };
        let bound = tolerance * mean;
        if let Some(fault) = source.checked(self.cpu, bound) {
            return Report { status: Status::Faulty(fault), ..report };
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
        report
    }
}

/// The pivot of row `index`, whose row of the factor is known.
fn failed_pivot<T: Real>(source: &Source<'_, T>, damping: f64, factor: &[T], index: usize) -> f64 {
    let square = |j: usize| factor[j * source.order + index].to_f64().powi(2);
    source.row(index)[index].to_f64() + damping - (0..index).map(square).sum::<f64>()
}
