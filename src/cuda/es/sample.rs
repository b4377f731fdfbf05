//! Members of search distributions: one launch. Twin: `src/cpu/es/sample.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use crate::backend::Slot;
use crate::cuda::address::{read, written};
use crate::cuda::{blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::{SampleBackend, Term, check_sampled};
use crate::memory::{View, ViewMut};

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaSample<Q> {
    cuda: Cuda,
    name: String,
    kernel: CudaFunction,
    slots: Vec<Slot>,
    tables: Option<Tables<3>>,
    types: PhantomData<Q>,
}

impl<Q: Element> CudaSample<Q> {
    pub(crate) fn new(cuda: &Cuda, slots: Vec<Slot>) -> Result<Self> {
        let module = modules::load(cuda, "estimate", &super::sums::LAYOUT)?;
        let name = format!("search_sample_{}", Q::DTYPE);
        let kernel = modules::function(cuda, &module, &name)?;
        Ok(Self { cuda: cuda.clone(), name, kernel, slots, tables: None, types: PhantomData })
    }
}

impl<Q: Element> SampleBackend<Q> for CudaSample<Q> {
    fn sample(
        &mut self,
        term: &Term,
        means: &[View<'_, Q::Real>],
        deviations: &[View<'_, Q::Real>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = Vec::with_capacity(to.len());
        for ((mean, deviation), to) in means.iter().zip(deviations).zip(to) {
            bound.push([
                read(&cuda, mean, &mut guards),
                read(&cuda, deviation, &mut guards),
                written(&cuda, to, &mut guards),
            ]);
        }
        if self.tables.as_ref().is_none_or(|tables| tables.bound != bound) {
            check_sampled::<Q>(&self.slots, &bound)?;
            let real = size_of::<Q::Real>();
            self.tables = Some(Tables::new::<Q>(&cuda, &self.slots, bound, [real, real, size_of::<Q>()])?);
        }
        let Some(tables) = &self.tables else { return Ok(()) };
        let [field, _, step] = term.address(0)?.fields();
        let coefficient = Q::Real::from_f64(term.coefficient);
        let blocks = tables.chunk_count as u32;
        let mut launch = cuda.stream().launch_builder(&self.kernel);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&term.seed).arg(&field).arg(&step).arg(&coefficient);
        // SAFETY: the contract of `search_sample_<type>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_sampled` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.name, blocks))
    }
}
