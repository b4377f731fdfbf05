//! Losses made into weights: one launch. Twin: `src/cpu/es/shape.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use crate::backend::{Span, check_spans};
use crate::cuda::address::{read, written};
use crate::cuda::transfer::{upload, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::error::Result;
use crate::es::{ShapeBackend, ShapePlan};
use crate::memory::{View, ViewMut};

pub(crate) struct CudaShape {
    cuda: Cuda,
    name: &'static str,
    kernel: CudaFunction,
    count: u32,
    plan: Uploaded,
}

/// [`ShapePlan`] on the device.
enum Uploaded {
    Ranks { sums: CudaSlice<f64>, total: f64, scale: f64 },
    Scores { group: u32, epsilon: f64 },
    Signs,
}

impl CudaShape {
    pub(crate) fn new(cuda: &Cuda, plan: ShapePlan, count: usize) -> Result<Self> {
        let module = modules::load(cuda, "shape", &[THREADS])?;
        let (name, plan) = match plan {
            ShapePlan::Ranks { sums, total, scale } => {
                let mut memory = zeros(cuda, sums.len())?;
                upload(cuda, &sums, &mut memory, 0)?;
                ("shape_ranks", Uploaded::Ranks { sums: memory, total, scale })
            }
            ShapePlan::Scores { group, epsilon } => ("shape_scores", Uploaded::Scores { group: group as u32, epsilon }),
            ShapePlan::Signs => ("shape_signs", Uploaded::Signs),
        };
        let kernel = modules::function(cuda, &module, name)?;
        Ok(Self { cuda: cuda.clone(), name, kernel, count: count as u32, plan })
    }
}

impl ShapeBackend for CudaShape {
    fn shape(&mut self, losses: &View<'_, f32>, weights: &mut ViewMut<'_, f32>) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let cuda = &self.cuda;
        let mut guards = Vec::new();
        let (losses, weights) = (read(cuda, losses, &mut guards), written(cuda, weights, &mut guards));
        check_spans(vec![
            Span::read::<f32>("losses", 0, losses, self.count.into()),
            Span::written::<f32>("weights", 0, weights, self.count.into()),
        ])?;
        let blocks = if let Uploaded::Scores { .. } = self.plan { 1 } else { self.count.div_ceil(THREADS) };
        let mut launch = cuda.stream().launch_builder(&self.kernel);
        launch.arg(&losses).arg(&self.count);
        match &self.plan {
            Uploaded::Ranks { sums, total, scale } => launch.arg(sums).arg(total).arg(scale),
            Uploaded::Scores { group, epsilon } => launch.arg(group).arg(epsilon),
            Uploaded::Signs => &mut launch,
        };
        launch.arg(&weights);
        // SAFETY: the contract of `shape_<kind>` in src/cuda/mod.rs. The caller has checked lengths and devices, and overlap and
        // alignment were checked above; the views are borrowed until the launch is enqueued; a plan of ranks has a sum for every
        // number of places, one of scores a whole number of groups.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(self.name, blocks))
    }
}
