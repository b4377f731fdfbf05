//! Damped inverses of positive-definite blocks. Twin: `src/cuda/linalg/spd.rs`.

use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt::inverse;
use faer::{MatMut as FaerMut, MatRef as FaerRef};

use super::memory::slice_mut;
use super::plan::Plan;
use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Report, SpdBackend, SpdSettings, Symmetric};
use crate::memory::MatMut;

/// The blocks of a plan on the CPU.
pub(crate) struct CpuSpd<T: Real> {
    plan: Plan<T>,
}

impl<T: Real> CpuSpd<T> {
    pub(crate) fn new(cpu: Cpu, jobs: Vec<Job>, settings: SpdSettings) -> Self {
        Self { plan: Plan::new(cpu, jobs, settings) }
    }
}

impl<T: Real> SpdBackend<T> for CpuSpd<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.plan.lambdas = lambdas.to_vec();
        Ok(())
    }

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        let cpu = self.plan.cpu;
        self.plan.call(sources, inverses.iter_mut(), |to, order, scratch, par| {
            let stride = to.stride();
            let elements = slice_mut(&mut to.view);
            let factor = FaerRef::from_column_major_slice(&scratch.factor[..order * order], order, order);
            let out = FaerMut::from_column_major_slice_with_stride_mut(&mut *elements, order, order, stride);
            inverse::inverse(out, factor, par, MemStack::new(&mut scratch.stack));
            cpu.run(MirrorUpper { elements, order, stride });
        });
        Ok(())
    }

    fn reports(&self) -> Result<Vec<Report>> {
        Ok(self.plan.reports.clone())
    }
}
