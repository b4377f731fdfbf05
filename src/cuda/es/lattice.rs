//! Integer weights plus sums of quantised noises, and votes of these: one launch. Twin: `src/cpu/es/lattice.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use super::terms::{FEW, Terms, noise_words};
use crate::backend::Slot;
use crate::cuda::address::{read, written};
use crate::cuda::{blocks_of_threads, launch_of, modules, noise};
use crate::device::Cuda;
use crate::error::Result;
use crate::es::{Distribution, Kind, Lattice, LatticeBackend, LatticeTerm, Outcome, check_memory};
use crate::memory::{View, ViewMut};

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaLattice<I: Lattice> {
    cuda: Cuda,
    distribution: Distribution,
    kernel: String,
    function: CudaFunction,
    slots: Vec<Slot>,
    /// Those of the last call, and what stood beside the tensors there.
    tables: Option<(Tables<2>, Kind)>,
    terms: Terms,
    types: PhantomData<I>,
}

impl<I: Lattice> CudaLattice<I> {
    pub(crate) fn new(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let module = noise::module(cuda)?;
        let kernel = format!("lattice_{}", distribution.kernel());
        let function = modules::function(cuda, &module, &kernel)?;
        let (tables, terms, types) = (None, Terms::default(), PhantomData);
        Ok(Self { cuda: cuda.clone(), distribution, kernel, function, slots, tables, terms, types })
    }
}

impl<I: Lattice> LatticeBackend<I> for CudaLattice<I> {
    fn step(
        &mut self,
        terms: &[LatticeTerm],
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut words = Vec::with_capacity(3 * terms.len().max(FEW));
        for LatticeTerm { multiplier, term } in terms {
            words.extend(noise_words(term, self.distribution)?);
            let scale = (term.coefficient as f32).to_bits();
            words.push(u64::from(scale) | u64::from(*multiplier as u32) << 32);
        }
        let (few, many) = self.terms.bind(&cuda, words, terms.len())?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let kind = if from.is_some() { Kind::Parameters } else { Kind::Itself };
        let others: Vec<u64> = from.unwrap_or_default().iter().map(|from| read(&cuda, from, &mut guards)).collect();
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let to = written(&cuda, to, &mut guards);
            bound.push([others.get(position).copied().unwrap_or(to), to]);
        }
        if !self.tables.as_ref().is_some_and(|(tables, held)| tables.bound == bound && *held == kind) {
            check_memory::<I, I>(&self.slots, &bound, kind, 1)?;
            self.tables = Some((Tables::new::<I>(&cuda, &self.slots, bound, [size_of::<I>(); 2])?, kind));
        }
        let Some((tables, _)) = &self.tables else { return Ok(()) };

        let (count, blocks, shift) = (terms.len() as u32, tables.chunk_count as u32, size_of::<I>().ilog2());
        let (threshold, limit) = match outcome {
            Outcome::Added => (0, 0),
            Outcome::Voted { threshold, limit } => (threshold, limit),
        };
        let mut launch = cuda.stream().launch_builder(&self.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&many).arg(&count).arg(&few).arg(&shift).arg(&threshold);
        launch.arg(&limit);
        // SAFETY: the contract of `lattice_<distribution>` in src/cuda/mod.rs. The caller has checked lengths and devices, `check_memory`
        // overlap and alignment, when the tables were made for these addresses; the views are borrowed until the launch is
        // enqueued; as many terms as there are were bound, into the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.kernel, blocks))
    }
}
