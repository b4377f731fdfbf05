//! Eigendecompositions of symmetric matrices. Twin: `src/cuda/linalg/eigh.rs`.

use std::sync::{Mutex, PoisonError};

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::prelude::default;
use faer::{MatMut as FaerMut, MatRef as FaerRef, Par};
use rayon::prelude::*;

use super::memory::slice_mut;
use super::poly::WORTH_ALL_THREADS;
use super::source::Source;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{EighBackend, EighReport, EighSettings, EighStatus, Symmetric};
use crate::memory::{MatMut, ViewMut};

/// The matrices of a plan on the CPU.
pub(crate) struct CpuEigh<T: Real> {
    cpu: Cpu,
    settings: EighSettings,
    reports: Vec<EighReport>,
    /// What threads work with; as many as have worked at once.
    scratch: Mutex<Vec<Scratch<T>>>,
}

/// The memory of a thread.
struct Scratch<T> {
    /// The scaled matrix by columns, its lower half.
    matrix: Vec<T>,
    /// Eigenvectors by columns.
    vectors: Vec<T>,
    values: Vec<T>,
    stack: MemBuffer,
    order: usize,
}

impl<T: Real> Scratch<T> {
    fn new(order: usize, par: Par) -> Self {
        let square = || vec![T::zeroed(); order * order];
        let stack = self_adjoint_evd_scratch::<T>(order, ComputeEigenvectors::Yes, par, default());
        let values = vec![T::zeroed(); order];
        Self { matrix: square(), vectors: square(), values, stack: MemBuffer::new(stack), order }
    }
}

/// A matrix, and where its decomposition goes.
struct Task<'a, 'b, 'c, T: Real> {
    source: Source<'a, T>,
    vectors: &'a mut MatMut<'b, T>,
    values: &'a mut ViewMut<'c, T>,
}

impl<T: Real> CpuEigh<T> {
    pub(crate) fn new(cpu: Cpu, count: usize, settings: EighSettings) -> Self {
        let untried = EighReport { status: EighStatus::Decomposed, sweeps: 0 };
        Self { cpu, settings, reports: vec![untried; count], scratch: Mutex::default() }
    }

    /// Works on a matrix with the memory of a thread.
    fn decompose_one(&self, task: &mut Task<'_, '_, '_, T>, par: Par) -> EighReport {
        let order = task.source.order;
        let free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = match free {
            Some(scratch) if scratch.order >= order => scratch,
            _ => Scratch::new(order, par),
        };
        let status = self.attempt(task, &mut scratch, par);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        EighReport { status, sweeps: 0 }
    }

    fn attempt(&self, task: &mut Task<'_, '_, '_, T>, scratch: &mut Scratch<T>, par: Par) -> EighStatus {
        let source = &task.source;
        let order = source.order;
        let largest = source.largest();
        let bound = self.settings.tolerance * largest.to_f64();
        if let Some(fault) = source.checked(self.cpu, bound) {
            return EighStatus::Faulty(fault);
        }
        let (down, up) = scales(largest);
        let matrix = &mut scratch.matrix[..order * order];
        source.copy_damped(0.0, matrix);
        for (j, column) in matrix.chunks_exact_mut(order).enumerate() {
            column[j..].iter_mut().for_each(|x| *x *= down);
        }
        let vectors = &mut scratch.vectors[..order * order];
        let values = &mut scratch.values[..order];
        let found = self_adjoint_evd(
            FaerRef::from_column_major_slice(&*matrix, order, order),
            DiagMut::from_slice_mut(&mut *values),
            Some(FaerMut::from_column_major_slice_mut(&mut *vectors, order, order)),
            par,
            MemStack::new(&mut scratch.stack),
            default(),
        );
        if found.is_err() {
            return EighStatus::NotConverged { off_diagonal: f64::NAN };
        }
        slice_mut(task.values).iter_mut().zip(&*values).for_each(|(to, value)| *to = *value * up);
        let stride = task.vectors.stride();
        let to = slice_mut(&mut task.vectors.view);
        for (j, vector) in vectors.chunks_exact(order).enumerate() {
            let zero = T::from_f64(0.0);
            let largest = vector.iter().fold(zero, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
            for (i, x) in vector.iter().enumerate() {
                to[i * stride + j] = if largest < zero { -*x } else { *x };
            }
        }
        EighStatus::Decomposed
    }
}

/// The powers of two that bring elements of at most `largest` near 1, and back, as in `kernels/linalg/jacobi.cu`.
fn scales<T: Real>(largest: T) -> (T, T) {
    const BIAS: i64 = 1023;
    let most = if size_of::<T>() == 4 { 126 } else { 1022 };
    let exponent = (largest.to_f64().to_bits() >> 52) as i64 - BIAS;
    let power = |exponent: i64| T::from_f64(f64::from_bits(((exponent + BIAS) as u64) << 52));
    let exponent = exponent.clamp(-most, most);
    (power(-exponent), power(exponent))
}

impl<T: Real> EighBackend<T> for CpuEigh<T> {
    fn decompose(
        &mut self,
        sources: &[Symmetric<'_, T>],
        vectors: &mut [MatMut<'_, T>],
        values: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        let written = vectors.iter_mut().zip(values);
        let task = |(source, (vectors, values))| Task { source: Source::new(source), vectors, values };
        let mut tasks: Vec<_> = sources.iter().zip(written).map(task).enumerate().collect();
        // The longest first, so that no thread begins one when the others end.
        tasks.sort_by_key(|(_, task)| std::cmp::Reverse(task.source.order));

        let threads = rayon::current_num_threads();
        let large = tasks.iter().take_while(|(_, task)| task.source.order >= WORTH_ALL_THREADS).count();
        let (first, rest) = tasks.split_at_mut(large);
        let mut reports = Vec::with_capacity(self.reports.len());
        let all = if threads > 1 { Par::rayon(threads) } else { Par::Seq };
        reports.extend(first.iter_mut().map(|(position, task)| (*position, self.decompose_one(task, all))));
        let side_by_side = rest.par_iter_mut().with_max_len(1);
        reports.par_extend(side_by_side.map(|(position, task)| (*position, self.decompose_one(task, Par::Seq))));
        for (position, report) in reports {
            self.reports[position] = report;
        }
        Ok(())
    }

    fn reports(&self) -> Result<Vec<EighReport>> {
        Ok(self.reports.clone())
    }
}
