//! Cholesky factors of positive-definite blocks, and solutions with them. Twin: `src/cuda/linalg/factor.rs`.

use std::sync::{Mutex, PoisonError};

use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt::solve;
use faer::reborrow::ReborrowMut;
use faer::{MatMut as FaerMut, MatRef as FaerRef, Par};
use rayon::prelude::*;

use super::memory::slice_mut;
use super::plan::Plan;

use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{FactorBackend, Job, Report, SpdSettings, Symmetric};
use crate::memory::MatMut;

/// Columns that a thread solves for at a time. A solution's bits depend on it, and so not on the number of threads.
const STRIP: usize = 64;

/// The blocks of a plan on the CPU.
pub(crate) struct CpuFactor<T: Real> {
    plan: Plan<T>,
    kept: Vec<Kept<T>>,
    /// Room for strips by columns; as many as threads have worked at once.
    rooms: Mutex<Vec<Vec<T>>>,
}

/// The last factor of a block, where there is one.
struct Kept<T> {
    /// \[order×order\] by columns, its upper half anything.
    factor: Vec<T>,
    is_made: bool,
}

impl<T: Real> CpuFactor<T> {
    pub(crate) fn new(cpu: Cpu, jobs: Vec<Job>, settings: SpdSettings) -> Self {
        let nothing = |job: &Job| Kept { factor: vec![T::zeroed(); job.order * job.order], is_made: false };
        let kept = jobs.iter().map(nothing).collect();
        Self { plan: Plan::new(cpu, jobs, settings), kept, rooms: Mutex::default() }
    }
}

/// Solves by columns, side by side: in the caller's memory the distance of rows would decide how faer adds.
fn solve_strip<T: Real>(factor: FaerRef<'_, T>, mut strip: FaerMut<'_, T>, rooms: &Mutex<Vec<Vec<T>>>) {
    let (order, columns) = (strip.nrows(), strip.ncols());
    let free = rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut room = free.unwrap_or_default();
    if room.len() < order * columns {
        room.resize(order * columns, T::zeroed());
    }
    let mut packed = FaerMut::from_column_major_slice_mut(&mut room[..order * columns], order, columns);
    packed.copy_from(&strip);
    solve::solve_in_place(factor, packed.rb_mut(), Par::Seq, MemStack::new(&mut []));
    strip.copy_from(&packed);
    rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
}

impl<T: Real> FactorBackend<T> for CpuFactor<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.plan.lambdas = lambdas.to_vec();
        Ok(())
    }

    fn factor(&mut self, sources: &[Symmetric<'_, T>]) -> Result<()> {
        self.plan.call(sources, self.kept.iter_mut(), &[], |kept, order, scratch, _| {
            kept.factor.copy_from_slice(&scratch.factor[..order * order]);
            kept.is_made = true;
        });
        Ok(())
    }

    fn solve(&mut self, sides: &mut [MatMut<'_, T>]) -> Result<()> {
        let mut strips = Vec::new();
        for ((job, kept), side) in self.plan.jobs.iter().zip(&self.kept).zip(sides) {
            let (order, columns, stride) = (job.order, side.columns(), side.stride());
            if !kept.is_made || columns == 0 {
                continue;
            }
            let factor = FaerRef::from_column_major_slice(&kept.factor[..], order, order);
            let transposed =
                FaerMut::from_column_major_slice_with_stride_mut(slice_mut(&mut side.view), columns, order, stride);
            let mut rest = transposed.transpose_mut();
            while rest.ncols() > 0 {
                let width = STRIP.min(rest.ncols());
                let (strip, behind) = rest.split_at_col_mut(width);
                strips.push((factor, strip));
                rest = behind;
            }
        }
        // The longest first, so that no thread begins one when the others end.
        strips.sort_by_key(|(factor, _): &(FaerRef<'_, T>, _)| std::cmp::Reverse(factor.nrows()));
        strips.into_par_iter().with_max_len(1).for_each(|(factor, strip)| solve_strip(factor, strip, &self.rooms));
        Ok(())
    }

    fn reports(&self) -> Result<Vec<Report>> {
        Ok(self.plan.reports.clone())
    }

    fn are_kept(&self) -> Result<Vec<bool>> {
        Ok(self.kept.iter().map(|kept| kept.is_made).collect())
    }
}
