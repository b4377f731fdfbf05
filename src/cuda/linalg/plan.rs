//! What every call on positive-definite blocks begins with: the table of blocks, and their first damping.

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaModule, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::tables::{self, Addresses, BLOCK, DAMPED, FINDINGS, REPORT};
use crate::cuda::transfer::{Table, download, not_capturing, upload, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Report, SpdSettings, Symmetric};
use crate::memory::MatMut;

/// The tables of a list of blocks.
pub(super) struct Plan {
    pub(super) cuda: Cuda,
    pub(super) jobs: Vec<Job>,
    pub(super) settings: SpdSettings,
    prepare: CudaFunction,
    pub(super) blocks: Table,
    lambdas: CudaSlice<f64>,
    pub(super) firsts: CudaSlice<f64>,
    pub(super) flags: CudaSlice<u32>,
    pub(super) findings: CudaSlice<u64>,
    pub(super) reports: CudaSlice<u64>,
    /// A word for every block that is not 0 where nothing is left to do, or a null address.
    pub(super) done: u64,
}

/// What the layouts of all modules begin with: the sizes of rows in bytes.
pub(super) fn sizes() -> [u32; 4] {
    [8 * BLOCK, 8 * REPORT, 8 * DAMPED, 8 * FINDINGS].map(|size| size as u32)
}

/// The module that prepares calls.
pub(super) fn module(cuda: &Cuda) -> Result<Arc<CudaModule>> {
    modules::load(cuda, "spd_inverse", &sizes())
}

impl Plan {
    /// `flags` and `findings` are the numbers of those that every call begins with set back.
    pub(super) fn new<T: Real>(
        cuda: &Cuda,
        jobs: Vec<Job>,
        settings: SpdSettings,
        flags: usize,
        findings: usize,
    ) -> Result<Self> {
        let prepare = modules::function(cuda, &module(cuda)?, &format!("spd_prepare_{}", T::DTYPE))?;
        Ok(Self {
            cuda: cuda.clone(),
            settings,
            prepare,
            blocks: Table::new(cuda, BLOCK * jobs.len())?,
            lambdas: zeros(cuda, jobs.len().max(1))?,
            firsts: zeros(cuda, (DAMPED * jobs.len()).max(1))?,
            flags: zeros(cuda, flags)?,
            findings: zeros(cuda, (FINDINGS * findings).max(1))?,
            reports: zeros(cuda, (REPORT * jobs.len()).max(1))?,
            done: 0,
            jobs,
        })
    }

    pub(super) fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        not_capturing(&self.cuda, "the damping was changed")?;
        upload(&self.cuda, lambdas, &mut self.lambdas, 0)
    }

    /// Makes the table of blocks that of a call; there are as many inverses as sources, or none.
    pub(super) fn bind<'a, T: Real>(
        &mut self,
        arguments: &mut Arguments<'a>,
        sources: &'a [Symmetric<'_, T>],
        inverses: &'a mut [MatMut<'_, T>],
    ) -> Result<()> {
        let mut rows = Vec::with_capacity(BLOCK * self.jobs.len());
        let mut inverses = inverses.iter_mut();
        for (position, (job, source)) in self.jobs.iter().zip(sources).enumerate() {
            let [core, border] = arguments.read_symmetric(position, source);
            let (inverse, stride) = inverses.next().map_or((0, 0), |matrix| {
                let stride = matrix.stride();
                (arguments.written_matrix("inverse", position, matrix), stride)
            });
            rows.extend(tables::block(Addresses { source: core, border, inverse }, source, stride, job.partner));
        }
        arguments.check()?;
        self.blocks.hold(&self.cuda, rows, "a matrix has moved")
    }

    /// Launches what precedes: first dampings, flags and findings. The table of blocks holds for the arguments.
    pub(super) fn prepare(&mut self) -> Result<()> {
        let count = self.jobs.len() as u32;
        let flag_count = self.flags.len() as u32;
        let finding_count = (self.findings.len() / FINDINGS) as u32;
        let blocks = count.div_ceil(THREADS / 32);
        let mut prepare = self.cuda.stream().launch_builder(&self.prepare);
        prepare.arg(&self.blocks.memory).arg(&count).arg(&self.lambdas).arg(&mut self.firsts);
        prepare.arg(&mut self.flags).arg(&flag_count).arg(&mut self.findings).arg(&finding_count);
        // SAFETY: the contract of `spd_prepare` in src/cuda/mod.rs. The table has a row for each of `count` blocks, whose
        // sources the caller has borrowed and checked; the other arrays were allocated with a row for each.
        let launched = unsafe { prepare.launch(blocks_of_threads(blocks)) };
        self.cuda.explain(launched.map(drop), || launch_of("spd_prepare", blocks))
    }

    pub(super) fn reports(&self) -> Result<Vec<Report>> {
        let words: Vec<u64> = download(&self.cuda, &self.reports, 0, REPORT * self.jobs.len())?;
        Ok(words.as_chunks().0.iter().map(tables::report).collect())
    }
}
