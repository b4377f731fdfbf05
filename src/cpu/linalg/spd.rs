//! Damped inverses of positive-definite blocks. Twin: `src/cuda/linalg/spd.rs`.

use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt::inverse;
use faer::{MatMut as FaerMut, MatRef as FaerRef};

use super::memory::slice_mut;
use super::plan::Plan;
use super::source::Source;
use super::square::MirrorUpper;
use super::warm::CpuWarm;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Report, SpdBackend, SpdSettings, Symmetric, WarmStart};
use crate::memory::MatMut;

/// The blocks of a plan on the CPU.
pub(crate) struct CpuSpd<T: Real> {
    plan: Plan<T>,
    warm: Option<CpuWarm<T>>,
}

impl<T: Real> CpuSpd<T> {
    pub(crate) fn new(cpu: Cpu, jobs: Vec<Job>, settings: SpdSettings, warm: Option<WarmStart>) -> Self {
        Self { warm: warm.map(|warm| CpuWarm::new(cpu, &jobs, warm)), plan: Plan::new(cpu, jobs, settings) }
    }
}

impl<T: Real> SpdBackend<T> for CpuSpd<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.plan.lambdas = lambdas.to_vec();
        Ok(())
    }

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        let cpu = self.plan.cpu;
        let mut done = Vec::new();
        if let Some(warm) = &mut self.warm {
            let sources: Vec<Source<'_, T>> = sources.iter().map(Source::new).collect();
            let (_, dampings) = self.plan.dampings(&sources);
            done = warm.refine(&sources, &dampings, &self.plan.settings, inverses);
        }
        self.plan.call(sources, inverses.iter_mut(), &done, |to, order, scratch, par| {
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
