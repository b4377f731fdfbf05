//! One step of several copies on CUDA: one launch, whatever the number of tensors and copies.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::arrays::States;
use super::tables::IN_PHASE;
use crate::backend::{Bound, CHUNK, Slot, check_mean, check_memory};
use crate::cuda::address::{bounds, read, written};
use crate::cuda::chunks::{chunks_of, count_chunks, phase};
use crate::cuda::transfer::{download, not_capturing, upload, uploaded, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Element, Real};
use crate::ensemble::{Backend, Method, ReplicatedSgd, Saved};
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::rules::{Pair, Record};

/// The words before the addresses in a tensor's row. Twin of the one in `kernels/optim/copies.cuh`.
const ROW_HEAD: usize = 4;

/// Bytes of shared memory that a block may ask for at its launch; every device has 48 KiB, of which a step's scalars take some.
const SHARED: usize = 47 << 10;

/// What a method's module must say of itself: chunk, threads, bytes of a chunk's row, words of a row's head, the numbers of
/// settings and of state arrays of a copy.
fn layout<M: Method>() -> [u32; 6] {
    [CHUNK as usize, THREADS as usize, 16, ROW_HEAD, M::Hyper::NAMES.len(), M::STATES.len()].map(|size| size as u32)
}

/// The name of the kernel that updates parameters by a method.
fn update_name<M: Method, P: Element, G: Element>() -> String {
    format!("{}_{}_{}", M::NAME, P::DTYPE, G::DTYPE)
}

/// The copies of an ensemble's tensors in the memory of a CUDA device.
pub(crate) struct CudaEnsemble<M: Method, P: Element, G: Element> {
    cuda: Cuda,
    update: CudaFunction,
    copies: usize,
    /// State arrays of a copy; a row has room for all that the method may have.
    arrays: usize,
    /// The tensors, once for each copy.
    slots: Vec<Slot>,
    /// The states of all copies of each tensor. They are allocated at its first step or load: their phase follows the
    /// parameter's.
    states: Vec<Option<States<P::Real>>>,
    hyper: CudaSlice<f64>,
    /// What each copy takes of each other one; one zero where the method mixes nothing.
    weights: CudaSlice<P::Real>,
    mixes: bool,
    /// Steps taken, and what the kernel counts its blocks by.
    counters: CudaSlice<u64>,
    tables: Option<Tables>,
    /// Whether the tables must be written anew, whatever the addresses.
    stale: bool,
    types: PhantomData<(M, G)>,
}

/// The tables of the last step. They hold until an address changes.
struct Tables {
    bound: Vec<Bound>,
    rows: Rows,
}

/// The chunk table and the tensor table of a launch.
struct Rows {
    chunks: CudaSlice<u64>,
    tensors: CudaSlice<u64>,
    chunk_count: usize,
}

impl Rows {
    /// The tables of tensors whose arrays stand at these addresses, parameters of the first copy first; the `flags` say
    /// whether they share a phase.
    fn new<P: Element>(cuda: &Cuda, slots: &[Slot], arrays: &[Vec<u64>], flags: &[u64]) -> Result<Self> {
        let mut tensors = Vec::new();
        let mut chunks = Vec::new();
        for (position, (slot, (arrays, flags))) in slots.iter().zip(arrays.iter().zip(flags)).enumerate() {
            tensors.extend([slot.length, slot.first, slot.id, *flags]);
            tensors.extend(arrays);
            chunks.extend(chunks_of::<P>(position, slot.length, arrays[0]).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        Ok(Self { tensors: uploaded(cuda, &tensors)?, chunks: uploaded(cuda, &chunks)?, chunk_count })
    }
}

/// The flag of a row all of whose arrays have the phase of the first parameter modulo a run.
fn flag<T: Real>(phases: impl IntoIterator<Item = u64>) -> u64 {
    let run = 16 / size_of::<T>() as u64;
    let mut phases = phases.into_iter().map(|phase| phase % run);
    let first = phases.next();
    if phases.all(|phase| Some(phase) == first) { IN_PHASE } else { 0 }
}

impl<M: Method, P: Pair<G>, G: Element<Real = P::Real>> CudaEnsemble<M, P, G> {
    pub(crate) fn new(cuda: &Cuda, method: &M, tensors: &[Slot], copies: usize, weights: &[P::Real]) -> Result<Self> {
        let module = modules::load(cuda, M::NAME, &layout::<M>())?;
        let mut own_weights = zeros(cuda, weights.len().max(1))?;
        upload(cuda, weights, &mut own_weights, 0)?;
        Ok(Self {
            cuda: cuda.clone(),
            update: modules::function(cuda, &module, &update_name::<M, P, G>())?,
            copies,
            arrays: method.kept(),
            slots: tensors.repeat(copies),
            states: tensors.iter().map(|_| None).collect(),
            hyper: zeros(cuda, M::Hyper::NAMES.len().max(1))?,
            weights: own_weights,
            mixes: !weights.is_empty(),
            counters: zeros(cuda, 2)?,
            tables: None,
            stale: true,
            types: PhantomData,
        })
    }

    fn arrays_of_tensor(&self) -> usize {
        self.copies * self.arrays
    }

    /// Brings the tables up to date with the addresses of a step.
    fn bind(&mut self, bound: Vec<Bound>) -> Result<()> {
        if !self.stale && self.tables.as_ref().is_some_and(|tables| tables.bound == bound) {
            return Ok(());
        }
        check_memory::<P, G>(&self.slots, &bound)?;
        not_capturing(&self.cuda, "tensors, gradients or their addresses have changed")?;

        let tensors = self.states.len();
        let (mut arrays, mut flags) = (Vec::new(), Vec::new());
        for tensor in 0..tensors {
            let copies = || bound.iter().skip(tensor).step_by(tensors);
            let (of_tensor, length) = (self.arrays_of_tensor(), self.slots[tensor].length);
            let states = match &mut self.states[tensor] {
                Some(states) => states,
                none => none.insert(States::new(&self.cuda, of_tensor, length, phase::<P>(bound[tensor].parameter))?),
            };
            let states = states.addresses(&self.cuda);
            let parameters = copies().map(|bound| phase::<P>(bound.parameter));
            let read = copies().flat_map(|bound| bound.gradient.into_iter().chain(bound.extra));
            let phases =
                parameters.chain(read.map(phase::<G>)).chain(states.iter().map(|&state| phase::<P::Real>(state)));
            flags.push(flag::<P::Real>(phases));
            let gradients = copies().map(|bound| bound.gradient.unwrap_or(0));
            let extras = copies().map(|bound| bound.extra.unwrap_or(0));
            let mut row: Vec<u64> = copies().map(|bound| bound.parameter).chain(gradients).chain(extras).collect();
            // All copies keep the same arrays: where some are left out, there is one copy.
            row.extend(states);
            row.resize(self.copies * (3 + M::STATES.len()), 0);
            arrays.push(row);
        }
        let rows = Rows::new::<P>(&self.cuda, &self.slots, &arrays, &flags)?;
        self.tables = Some(Tables { bound, rows });
        self.stale = false;
        Ok(())
    }

    /// The threads of a block, and its shared memory: where copies mix, two columns of a number a thread for each.
    fn config(&self, blocks: u32) -> LaunchConfig {
        let config = blocks_of_threads(blocks);
        if !self.mixes {
            return config;
        }
        let bytes = |threads: u32| 2 * self.copies * threads as usize * size_of::<P::Real>();
        let mut threads = THREADS;
        while bytes(threads) > SHARED {
            threads /= 2;
        }
        LaunchConfig { block_dim: (threads, 1, 1), shared_mem_bytes: bytes(threads) as u32, ..config }
    }

    fn launch(&mut self) -> Result<()> {
        let Some(Tables { rows, .. }) = &self.tables else { return Ok(()) };
        let (copies, blocks) = (self.copies as u32, rows.chunk_count as u32);
        let config = self.config(blocks);
        let mut launch = self.cuda.stream().launch_builder(&self.update);
        launch.arg(&rows.chunks).arg(&rows.tensors).arg(&copies);
        launch.arg(&self.hyper).arg(&mut self.counters).arg(&self.weights);
        // SAFETY: the contract of `<method>_<parameter>_<gradient>` in src/cuda/mod.rs. The step's arguments were checked for
        // count, length and device, `check_memory` for overlap and alignment, and their views are borrowed until the launch
        // is enqueued; `bind` wrote a row for each tensor with every copy's arrays, `States` are of the tensor's length;
        // `chunks` cuts disjoint ranges; `set_hyper` wrote the settings; `config` gives the shared memory that is used.
        let launched = unsafe { launch.launch(config) };
        self.cuda.explain(launched.map(drop), || launch_of(&update_name::<M, P, G>(), blocks))
    }
}

impl<M: Method, P: Pair<G>, G: Element<Real = P::Real>> Backend<P, G> for CudaEnsemble<M, P, G> {
    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards = Vec::new();
        let bound = bounds(&cuda, parameters, gradients, extras, &mut guards);
        self.bind(bound)?;
        self.launch()
    }

    fn set_hyper(&mut self, hyper: &[f64]) -> Result<()> {
        not_capturing(&self.cuda, "settings have changed")?;
        upload(&self.cuda, hyper, &mut self.hyper, 0)
    }

    fn steps(&self) -> Result<u64> {
        Ok(download(&self.cuda, &self.counters, 0, 1)?[0])
    }

    fn read(&self) -> Result<Saved<P::Real>> {
        let mut states = Vec::new();
        for (kept, slot) in self.states.iter().zip(&self.slots) {
            match kept {
                Some(kept) => states.extend(kept.read(&self.cuda)?),
                None => {
                    let zeros = || vec![P::Real::from_f64(0.0); slot.length as usize];
                    states.extend((0..self.arrays_of_tensor()).map(|_| zeros()));
                }
            }
        }
        Ok(Saved { steps: self.steps()?, states })
    }

    fn write(&mut self, saved: Saved<P::Real>) -> Result<()> {
        not_capturing(&self.cuda, "a state was loaded")?;
        let of_tensor = self.arrays_of_tensor();
        for (tensor, kept) in self.states.iter_mut().enumerate() {
            let kept = match kept {
                Some(kept) => kept,
                none => {
                    self.stale = true;
                    none.insert(States::new(&self.cuda, of_tensor, self.slots[tensor].length, 0)?)
                }
            };
            kept.write(&self.cuda, &saved.states[tensor * of_tensor..(tensor + 1) * of_tensor])?;
        }
        upload(&self.cuda, &[saved.steps], &mut self.counters, 0)
    }
}

/// Writes the mean of each tensor's `copies` replicas: one launch. The caller has checked counts, lengths and devices.
///
/// Errors: means that overlap something; what the driver refuses.
pub(crate) fn mean<P: Element>(
    cuda: &Cuda,
    copies: usize,
    parameters: &[View<'_, P>],
    means: &mut [ViewMut<'_, P>],
) -> Result<()> {
    let mut guards = Vec::new();
    let replicas: Vec<_> = parameters.iter().map(|view| (read(cuda, view, &mut guards), view.len())).collect();
    let mut outs = Vec::new();
    for mean in &mut *means {
        let length = mean.len();
        outs.push((written(cuda, mean, &mut guards), length));
    }
    check_mean::<P>(&outs, &replicas)?;
    not_capturing(cuda, "a mean is taken")?;

    let (mut slots, mut arrays, mut flags) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, &(out, length)) in outs.iter().enumerate() {
        let of_tensor = replicas.iter().skip(tensor).step_by(outs.len()).map(|&(address, _)| address);
        // A row has room for a gradient in each copy; the mean takes the place of the first.
        let mut row: Vec<u64> = of_tensor.chain([out]).collect();
        flags.push(flag::<P::Real>(row.iter().map(|&address| phase::<P>(address))));
        row.resize(3 * copies, 0);
        slots.push(Slot { id: tensor as u64, length: length as u64, first: 0, group: 0 });
        arrays.push(row);
    }
    let rows = Rows::new::<P>(cuda, &slots, &arrays, &flags)?;
    let kernel = format!("{}_mean_{}", ReplicatedSgd::NAME, P::DTYPE);
    let module = modules::load(cuda, ReplicatedSgd::NAME, &layout::<ReplicatedSgd>())?;
    let function = modules::function(cuda, &module, &kernel)?;
    let (copies, blocks) = (copies as u32, rows.chunk_count as u32);
    let mut launch = cuda.stream().launch_builder(&function);
    launch.arg(&rows.chunks).arg(&rows.tensors).arg(&copies);
    // SAFETY: the contract of `replicated_sgd_mean_<parameter>` in src/cuda/mod.rs. The arguments were checked for count, length
    // and device, `check_mean` for overlap and alignment, and their views are borrowed until the launch is enqueued; a row was
    // written for each tensor; `chunks` cuts disjoint ranges.
    let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
    cuda.explain(launched.map(drop), || launch_of(&kernel, blocks))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::ensemble::{EntropySgd, GtAdam};

    macro_rules! update_names {
        ($(($parameter:ident, $gradient:ident),)*) => {
            fn update_names<M: Method>() -> Vec<String> {
                vec![$(update_name::<M, $parameter, $gradient>()),*]
            }
        };
    }
    crate::for_each_pair!(update_names);

    #[test]
    fn the_embedded_kernels_are_of_every_pair() {
        let text = |name: &'static str, kernels: Vec<String>| {
            for kernel in kernels {
                assert!(modules::text(name).contains(&format!(".entry {kernel}(")), "no {kernel} in {name}.ptx");
            }
        };
        text(EntropySgd::NAME, update_names::<EntropySgd>());
        text(GtAdam::NAME, update_names::<GtAdam>());
        text(ReplicatedSgd::NAME, update_names::<ReplicatedSgd>());
        text(
            ReplicatedSgd::NAME,
            ["f32", "bf16", "f16", "f64"].map(|real| format!("replicated_sgd_mean_{real}")).into(),
        );
    }

    #[test]
    fn a_row_is_flagged_where_all_phases_agree_modulo_a_run() {
        assert_eq!(flag::<f32>([3, 7, 15]), IN_PHASE);
        assert_eq!(flag::<f32>([3, 5]), 0);
        assert_eq!(flag::<f64>([3, 5]), IN_PHASE);
    }
}
