//! Damped inverses of positive-definite blocks. Twin: `src/cpu/linalg/spd.rs`.

use std::ops::Range;

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::plan::{self, Plan};
use super::tiles::{Layout, Tiles, Wanted};
use super::warm::CudaWarm;
use crate::cuda::transfer::{upload, zeros};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Report, SpdBackend, SpdSettings, Symmetric, WarmStart};
use crate::memory::MatMut;

/// A size class of blocks that are inverted in registers: a thread holds M×M elements.
struct Class {
    micro: usize,
    /// Threads' elements a side.
    side: usize,
    threads: u32,
}

const CLASSES_F32: &[Class] = &[
    Class { micro: 4, side: 8, threads: 64 },
    Class { micro: 8, side: 8, threads: 64 },
    Class { micro: 8, side: 16, threads: 160 },
    Class { micro: 8, side: 24, threads: 320 },
    Class { micro: 8, side: 31, threads: 512 },
];
const CLASSES_F64: &[Class] = &[
    Class { micro: 4, side: 8, threads: 64 },
    Class { micro: 4, side: 16, threads: 160 },
    Class { micro: 4, side: 24, threads: 320 },
    Class { micro: 4, side: 31, threads: 512 },
];

fn classes<T: Real>() -> &'static [Class] {
    if size_of::<T>() == 4 { CLASSES_F32 } else { CLASSES_F64 }
}

/// The blocks of a plan on a CUDA device.
pub(crate) struct CudaSpd<T: Real> {
    plan: Plan,
    launches: Vec<Launch>,
    /// Rows of the block table, those of each launch together.
    order: CudaSlice<u32>,
    /// Of the larger blocks.
    tiles: Option<Tiles<T>>,
    warm: Option<CudaWarm>,
}

/// A launch for the blocks of a class.
struct Launch {
    kernel: CudaFunction,
    name: String,
    threads: u32,
    /// Of the rows in order.
    range: Range<usize>,
}

impl<T: Real> CudaSpd<T> {
    pub(crate) fn new(cuda: &Cuda, jobs: Vec<Job>, settings: SpdSettings, warm: Option<WarmStart>) -> Result<Self> {
        let module = plan::module(cuda)?;
        let mut order = Vec::new();
        let mut launches = Vec::new();
        let mut least = 0;
        for Class { micro, side, threads } in classes::<T>() {
            let most = micro * side;
            let start = order.len();
            let fits = |job: &Job| least < job.order && job.order <= most;
            order.extend((0..).zip(&jobs).filter(|(_, job)| fits(job)).map(|(position, _)| position));
            least = most;
            if order.len() > start {
                let name = format!("spd_inverse_{}_{micro}x{side}", T::DTYPE);
                let kernel = modules::function(cuda, &module, &name)?;
                launches.push(Launch { kernel, name, threads: *threads, range: start..order.len() });
            }
        }
        let large: Vec<usize> = (0..jobs.len()).filter(|&position| jobs[position].order > least).collect();
        let layout = Layout::new::<T>(&large, &jobs, &settings, Wanted::Inverse);
        let tiles = if large.is_empty() { None } else { Some(Tiles::new(cuda, &layout)?) };
        let mut plan = Plan::new::<T>(cuda, jobs, settings, layout.flags, large.len())?;
        let warm = warm.map(|warm| CudaWarm::new::<T>(&mut plan, warm)).transpose()?;
        let mut own = Self { plan, launches, order: zeros(cuda, order.len().max(1))?, tiles, warm };
        upload(cuda, &order, &mut own.order, 0)?;
        Ok(own)
    }

    /// Launches all that a call needs. The table of blocks holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        self.plan.prepare()?;
        if let Some(warm) = &mut self.warm {
            warm.launch(&mut self.plan)?;
        }
        let Plan { cuda, settings, blocks: table, firsts, reports, done, .. } = &mut self.plan;
        let SpdSettings { growth, tolerance, retries } = *settings;
        for Launch { kernel, name, threads, range } in &self.launches {
            let jobs = self.order.slice(range.clone());
            let blocks = range.len() as u32;
            let mut invert = cuda.stream().launch_builder(kernel);
            invert.arg(&jobs).arg(&table.memory).arg(&*firsts);
            invert.arg(&growth).arg(&tolerance).arg(&retries).arg(&mut *reports).arg(&*done);
            // SAFETY: the contract of `spd_inverse` in src/cuda/mod.rs. There is one block a job; jobs are rows of the table
            // whose order is that of the class; the rest is as for `spd_prepare`, which ran before on this stream.
            let launched = unsafe { invert.launch(blocks_of(blocks, *threads)) };
            cuda.explain(launched.map(drop), || launch_of_threads(name, blocks, *threads))?;
        }
        if let Some(tiles) = &mut self.tiles {
            tiles.launch(&mut self.plan)?;
        }
        Ok(())
    }
}

impl<T: Real> SpdBackend<T> for CudaSpd<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.plan.set_damping(lambdas)
    }

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        if sources.is_empty() {
            return Ok(());
        }
        let cuda = self.plan.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        self.plan.bind(&mut arguments, sources, inverses)?;
        self.launch()
    }

    fn reports(&self) -> Result<Vec<Report>> {
        self.plan.reports()
    }
}
