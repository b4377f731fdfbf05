//! Parameters plus a sum of noises: one launch. Twin: `src/cpu/es/perturb.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, CudaSlice, DeviceRepr, PushKernelArg, SyncOnDrop};

use crate::backend::{CHUNK, Slot, Span, check_spans};
use crate::cuda::address::{own, read, written};
use crate::cuda::chunks::{chunks_of, count_chunks};
use crate::cuda::transfer::{Table, not_capturing, uploaded};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element, Real};
use crate::error::Result;
use crate::es::{Distribution, PerturbBackend, Rounding, Term};
use crate::memory::{View, ViewMut};

/// Terms that travel with a launch.
const FEW: usize = 8;
/// Words of a term: the seed, counter words 1 and 3, the bits of the coefficient.
const TERM: usize = 3;
/// Elements of a pack, and the flag of a row whose arrays and noise have packs of so many that begin together.
const PACKED: [(u64, u64); 2] = [(4, 1), (8, 2)];

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaPerturb<P: Element, Q: Element> {
    cuda: Cuda,
    nearest: Kernel,
    stochastic: Option<Kernel>,
    slots: Vec<Slot>,
    tables: Option<Tables>,
    /// The terms of the last call that had many.
    many: Option<Table>,
    types: PhantomData<(P, Q)>,
}

struct Kernel {
    name: String,
    function: CudaFunction,
}

/// The tables of the last call. They hold until an address changes.
struct Tables {
    bound: Vec<[u64; 2]>,
    tensors: CudaSlice<u64>,
    chunks: CudaSlice<u64>,
    chunk_count: usize,
}

/// Terms as a parameter of a kernel.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Few([u64; FEW * TERM]);

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Few {}

impl<P: Element<Real = Q::Real>, Q: Element> CudaPerturb<P, Q> {
    pub(crate) fn new(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let module = modules::load(cuda, "perturb", &[CHUNK as u32, THREADS, FEW as u32])?;
        let kernel = |rounding: &str| -> Result<Kernel> {
            let name = format!("perturb_{}{rounding}_{}_{}", distribution.name(), P::DTYPE, Q::DTYPE);
            Ok(Kernel { function: modules::function(cuda, &module, &name)?, name })
        };
        let nearest = kernel("")?;
        let stochastic = (Q::DTYPE == Dtype::Bf16).then(|| kernel("_stochastic")).transpose()?;
        Ok(Self { cuda: cuda.clone(), nearest, stochastic, slots, tables: None, many: None, types: PhantomData })
    }

    /// Brings the tables up to date with the addresses of a call: where each tensor is read and written.
    fn bind(&mut self, bound: Vec<[u64; 2]>, in_place: bool) -> Result<()> {
        if self.tables.as_ref().is_some_and(|tables| tables.bound == bound) {
            return Ok(());
        }
        check::<P, Q>(&self.slots, &bound, in_place)?;
        not_capturing(&self.cuda, "the addresses of tensors have changed")?;
        let (mut tensors, mut chunks) = (Vec::new(), Vec::new());
        for (position, (slot, &[from, to])) in self.slots.iter().zip(&bound).enumerate() {
            let places = [from / size_of::<P>() as u64, to / size_of::<Q>() as u64, slot.first];
            let together = |pack: u64| places.iter().all(|place| place % pack == places[0] % pack);
            let flags: u64 = PACKED.iter().filter(|(pack, _)| together(*pack)).map(|(_, flag)| flag).sum();
            tensors.extend([from, to, slot.first, slot.id | flags << 32]);
            chunks.extend(chunks_of::<Q>(position, slot.length, to).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        let (tensors, chunks) = (uploaded(&self.cuda, &tensors)?, uploaded(&self.cuda, &chunks)?);
        self.tables = Some(Tables { bound, tensors, chunks, chunk_count });
        Ok(())
    }

    /// The terms' words, and where they lie on the device if they are many.
    fn bind_terms(&mut self, terms: &[Term]) -> Result<(Few, u64)> {
        let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
        for term in terms {
            let [field, _, step] = term.address(0)?.fields();
            let coefficient = Q::Real::from_f64(term.coefficient);
            words.extend([term.seed, u64::from(field) | u64::from(step) << 32, bits(coefficient)]);
        }
        if terms.len() <= FEW {
            words.resize(TERM * FEW, 0);
            return Ok((Few(std::array::from_fn(|k| words[k])), 0));
        }
        let table = match &mut self.many {
            Some(table) if table.memory.len() >= words.len() => table,
            many => {
                not_capturing(&self.cuda, "there are more terms than before")?;
                many.insert(Table::new(&self.cuda, words.len().next_power_of_two())?)
            }
        };
        table.hold(&self.cuda, words, "the terms have changed")?;
        Ok((Few([0; FEW * TERM]), own(&self.cuda, &table.memory)))
    }
}

/// The bits of a number, those of an f32 below.
fn bits<T: Real>(value: T) -> u64 {
    match T::DTYPE {
        Dtype::F64 => value.to_f64().to_bits(),
        _ => u64::from((value.to_f64() as f32).to_bits()),
    }
}

/// Looks for memory that is not aligned, and for memory that is written and used otherwise.
fn check<P: Element, Q: Element>(slots: &[Slot], bound: &[[u64; 2]], in_place: bool) -> Result<()> {
    let mut spans = Vec::with_capacity(2 * slots.len());
    for (position, (slot, &[from, to])) in slots.iter().zip(bound).enumerate() {
        if !in_place {
            spans.push(Span::read::<P>("parameter", position, from, slot.length));
        }
        spans.push(Span::written::<Q>(if in_place { "parameter" } else { "target" }, position, to, slot.length));
    }
    check_spans(spans)
}

impl<P: Element<Real = Q::Real>, Q: Element> PerturbBackend<P, Q> for CudaPerturb<P, Q> {
    fn perturb(
        &mut self,
        terms: &[Term],
        rounding: Rounding,
        from: Option<&[View<'_, P>]>,
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let from = from.map(|from| read(&cuda, &from[position], &mut guards));
            let to = written(&cuda, to, &mut guards);
            bound.push([from.unwrap_or(to), to]);
        }
        self.bind(bound, from.is_none())?;
        let (few, many) = self.bind_terms(terms)?;

        let Some(tables) = &self.tables else { return Ok(()) };
        let (seed, step) = match rounding {
            Rounding::Nearest => (0, 0),
            Rounding::Stochastic { seed, step } => (seed, step as u32),
        };
        let kernel = self.stochastic.as_ref().filter(|_| rounding != Rounding::Nearest).unwrap_or(&self.nearest);
        let (count, blocks) = (terms.len() as u32, tables.chunk_count as u32);
        let mut launch = cuda.stream().launch_builder(&kernel.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&many).arg(&count).arg(&few).arg(&seed).arg(&step);
        // SAFETY: the contract of `perturb_<distribution>_<from>_<to>` in src/cuda/mod.rs. The caller has checked lengths and
        // devices, `check` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; `bind_terms` wrote as many terms as there are, into the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&kernel.name, blocks))
    }
}
