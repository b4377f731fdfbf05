//! Separable CMA-ES once noises are summed: three launches. Twin: `src/cpu/es/sep_cma.rs`.

use cudarc::driver::{PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use crate::backend::{CHUNK, Slot};
use crate::cuda::address::written;
use crate::cuda::modules::Kernel;
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::es::sep_cma::{Arrays, Constants, SepCmaBackend};
use crate::memory::ViewMut;

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaSepCma<R> {
    cuda: Cuda,
    path: Kernel,
    step_size: Kernel,
    variance: Kernel,
    slots: Vec<Slot>,
    tables: Option<Tables<6>>,
    types: std::marker::PhantomData<R>,
}

impl<R: Real> CudaSepCma<R> {
    pub(crate) fn new(cuda: &Cuda, slots: Vec<Slot>) -> Result<Self> {
        let module = modules::load(cuda, "sep_cma", &[CHUNK as u32, THREADS])?;
        let kernel = |name: String| Kernel::of(cuda, &module, name);
        Ok(Self {
            cuda: cuda.clone(),
            path: kernel(format!("sep_cma_path_{}", R::DTYPE))?,
            step_size: kernel("sep_cma_step_size".to_owned())?,
            variance: kernel(format!("sep_cma_variance_{}", R::DTYPE))?,
            slots,
            tables: None,
            types: std::marker::PhantomData,
        })
    }
}

impl<R: Real> SepCmaBackend<R> for CudaSepCma<R> {
    fn adapt(
        &mut self,
        constants: &Constants,
        generation: u64,
        arrays: &mut Arrays<'_, R>,
        numbers: &mut ViewMut<'_, f64>,
        partials: &mut ViewMut<'_, f64>,
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let count = partials.len() as u32;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = vec![[0; 6]; self.slots.len()];
        for (k, views) in arrays.iter_mut().enumerate() {
            for (row, view) in bound.iter_mut().zip(views) {
                row[k] = written(&cuda, view, &mut guards);
            }
        }
        let (numbers, partials) = (written(&cuda, numbers, &mut guards), written(&cuda, partials, &mut guards));
        if self.tables.as_ref().is_none_or(|tables| tables.bound != bound) {
            self.tables = Some(Tables::new::<R>(&cuda, &self.slots, bound, [size_of::<R>(); 6])?);
        }
        let Some(tables) = &self.tables else { return Ok(()) };
        let blocks = tables.chunk_count as u32;

        let [keep, gain]: [R; 2] = constants.step_path();
        let mut launch = cuda.stream().launch_builder(&self.path.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&numbers).arg(&keep).arg(&gain).arg(&partials);
        // SAFETY: the contract of `sep_cma_path_<T>` in src/cuda/mod.rs. The arrays are the search's own, of the tensors' lengths and
        // apart from each other, and so are the numbers and the partial sums, of which there is one a chunk; the views are borrowed
        // until the launches are enqueued.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.path.name, blocks))?;

        let [damping, expected, bound, gain] = constants.step_size(generation);
        let mut launch = cuda.stream().launch_builder(&self.step_size.function);
        launch.arg(&partials).arg(&count).arg(&damping).arg(&expected).arg(&bound).arg(&gain).arg(&numbers);
        // SAFETY: the contract of `sep_cma_step_size`, as above; the first launch wrote every partial sum.
        let launched = unsafe { launch.launch(blocks_of_threads(1)) };
        cuda.explain(launched.map(drop), || launch_of(&self.step_size.name, 1))?;

        let [keep, old, one, mu]: [R; 4] = constants.variance();
        let mut launch = cuda.stream().launch_builder(&self.variance.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&numbers).arg(&keep).arg(&old).arg(&one).arg(&mu);
        // SAFETY: the contract of `sep_cma_variance_<T>`, as above.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.variance.name, blocks))
    }
}
