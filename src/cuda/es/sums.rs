//! Sums of noises, added to parameters or alone: one launch. Twin: `src/cpu/es/sums.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, CudaSlice, DeviceRepr, PushKernelArg, SyncOnDrop};

use crate::backend::{CHUNK, Slot};
use crate::cuda::address::{own, read, written};
use crate::cuda::chunks::{chunks_of, count_chunks};
use crate::cuda::transfer::{Table, not_capturing, uploaded};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element, Real};
use crate::error::Result;
use crate::es::{Beside, Distribution, Kind, Rounding, SumsBackend, Term, check_memory};
use crate::memory::ViewMut;

/// Terms that travel with a launch.
const FEW: usize = 8;
/// Words of a term: the seed, counter words 1 and 3, the bits of the coefficient and of the square's, which share a word if
/// both have 32.
const fn term_words<T: Real>() -> usize {
    2 + size_of::<T>() / 4
}
/// The most of them.
const TERM: usize = term_words::<f64>();
/// Elements of a pack, and the flag of a row whose arrays and noise have packs of so many that begin together.
const PACKED: [(u64, u64); 2] = [(4, 1), (8, 2)];

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaSums<P: Element, Q: Element> {
    cuda: Cuda,
    distribution: Distribution,
    usual: Kernel,
    /// That of stochastic rounding, or of squares, where there is one.
    other: Option<Kernel>,
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

/// The tables of the last call. They hold until an address changes, or what stands there.
struct Tables {
    bound: Vec<[u64; 2]>,
    kind: Kind,
    tensors: CudaSlice<u64>,
    chunks: CudaSlice<u64>,
    chunk_count: usize,
}

/// Terms as a parameter of a kernel, which takes [`FEW`] of its arithmetic type: the others are behind what it reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Few([u64; FEW * TERM]);

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Few {}

impl<P: Element<Real = Q::Real>, Q: Element> CudaSums<P, Q> {
    /// Sums that are added to parameters.
    pub(crate) fn perturb(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let name = |rounding| format!("perturb_{}{rounding}_{}_{}", distribution.kernel(), P::DTYPE, Q::DTYPE);
        let stochastic = (Q::DTYPE == Dtype::Bf16).then(|| name("_stochastic"));
        Self::new(cuda, "perturb", distribution, (name(""), stochastic), slots)
    }

    /// Sums alone.
    pub(crate) fn estimate(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let name = |squares| format!("estimate_{}{squares}_{}", distribution.kernel(), Q::DTYPE);
        let squares = (Q::DTYPE == Q::Real::DTYPE).then(|| name("_squares"));
        Self::new(cuda, "estimate", distribution, (name(""), squares), slots)
    }

    fn new(
        cuda: &Cuda,
        module: &'static str,
        distribution: Distribution,
        (usual, other): (String, Option<String>),
        slots: Vec<Slot>,
    ) -> Result<Self> {
        let module = modules::load(cuda, module, &[CHUNK as u32, THREADS, FEW as u32])?;
        let kernel = |name: String| -> Result<Kernel> {
            Ok(Kernel { function: modules::function(cuda, &module, &name)?, name })
        };
        let (usual, other) = (kernel(usual)?, other.map(kernel).transpose()?);
        let cuda = cuda.clone();
        Ok(Self { cuda, distribution, usual, other, slots, tables: None, many: None, types: PhantomData })
    }

    /// Brings the tables up to date with the addresses of a call: what stands beside each tensor, and where it is written.
    fn bind(&mut self, bound: Vec<[u64; 2]>, kind: Kind) -> Result<()> {
        if self.tables.as_ref().is_some_and(|tables| tables.bound == bound && tables.kind == kind) {
            return Ok(());
        }
        check_memory::<P, Q>(&self.slots, &bound, kind)?;
        not_capturing(&self.cuda, "the addresses of tensors have changed")?;
        let (mut tensors, mut chunks) = (Vec::new(), Vec::new());
        for (position, (slot, &[other, to])) in self.slots.iter().zip(&bound).enumerate() {
            let places = [other / size_of::<P>() as u64, to / size_of::<Q>() as u64, slot.first];
            let together = |pack: u64| places.iter().all(|place| place % pack == places[0] % pack);
            let flags: u64 = PACKED.iter().filter(|(pack, _)| together(*pack)).map(|(_, flag)| flag).sum();
            tensors.extend([other, to, slot.first, slot.id | flags << 32]);
            chunks.extend(chunks_of::<Q>(position, slot.length, to).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        let (tensors, chunks) = (uploaded(&self.cuda, &tensors)?, uploaded(&self.cuda, &chunks)?);
        self.tables = Some(Tables { bound, kind, tensors, chunks, chunk_count });
        Ok(())
    }

    /// The terms' words, and where they lie on the device if they are many.
    fn bind_terms(&mut self, terms: &[Term], factors: &[f64]) -> Result<(Few, u64)> {
        let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
        for (position, term) in terms.iter().enumerate() {
            let [field, _, step] = term.address(0)?.fields();
            words.extend([term.seed, u64::from(field | self.distribution.mark()) | u64::from(step) << 32]);
            let numbers = [term.coefficient, factors.get(position).copied().unwrap_or(0.0)];
            match Q::Real::DTYPE {
                Dtype::F64 => words.extend(numbers.map(f64::to_bits)),
                _ => {
                    let [low, high] = numbers.map(|number| u64::from((number as f32).to_bits()));
                    words.push(low | high << 32);
                }
            }
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

impl<P: Element<Real = Q::Real>, Q: Element> SumsBackend<P, Q> for CudaSums<P, Q> {
    fn sum(
        &mut self,
        terms: &[Term],
        rounding: Rounding,
        mut beside: Beside<'_, '_, P>,
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let kind = beside.kind();
        let (few, many) = self.bind_terms(terms, beside.factors())?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let others: Vec<u64> = match &mut beside {
            Beside::Itself | Beside::Nothing => Vec::new(),
            Beside::Parameters(from) => from.iter().map(|from| read(&cuda, from, &mut guards)).collect(),
            Beside::Squares(_, to) => to.iter_mut().map(|to| written(&cuda, to, &mut guards)).collect(),
        };
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let to = written(&cuda, to, &mut guards);
            bound.push([others.get(position).copied().unwrap_or(to), to]);
        }
        self.bind(bound, kind)?;

        let Some(tables) = &self.tables else { return Ok(()) };
        let (seed, step) = match rounding {
            Rounding::Nearest => (0, 0),
            Rounding::Stochastic { seed, step } => (seed, step as u32),
        };
        let is_other = rounding != Rounding::Nearest || kind == Kind::Squares;
        let kernel = self.other.as_ref().filter(|_| is_other).unwrap_or(&self.usual);
        let (count, blocks) = (terms.len() as u32, tables.chunk_count as u32);
        let mut launch = cuda.stream().launch_builder(&kernel.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&many).arg(&count).arg(&few).arg(&seed).arg(&step);
        // SAFETY: the contract of `perturb_<distribution>_<from>_<to>` in src/cuda/mod.rs. The caller has checked lengths and
        // devices, `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; `bind_terms` wrote as many terms as there are, into the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&kernel.name, blocks))
    }
}
