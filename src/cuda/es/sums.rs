//! Sums of noises, added to parameters or alone: one launch. Twin: `src/cpu/es/sums.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use super::terms::{FEW, Few, TERM, Terms};
use crate::backend::{CHUNK, Slot};
use crate::cuda::address::{read, written};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element};
use crate::error::Result;
use crate::es::{Adapting, Beside, Distribution, Kind, Rounding, SumsBackend, Term, check_memory};
use crate::memory::ViewMut;

/// The layout of modules whose kernels take them.
pub(super) const LAYOUT: [u32; 3] = [CHUNK as u32, THREADS, FEW as u32];

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaSums<P: Element, Q: Element> {
    cuda: Cuda,
    usual: Kernel,
    /// That of stochastic rounding, or of squares, where there is one.
    other: Option<Kernel>,
    slots: Vec<Slot>,
    /// Those of the last call, and what stood beside the tensors there.
    tables: Option<(Tables<2>, Kind)>,
    terms: Terms,
    types: PhantomData<(P, Q)>,
}

struct Kernel {
    name: String,
    function: CudaFunction,
}

impl<P: Element<Real = Q::Real>, Q: Element> CudaSums<P, Q> {
    /// Sums that are added to parameters.
    pub(crate) fn perturb(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let name = |rounding| format!("perturb_{}{rounding}_{}_{}", distribution.name(), P::DTYPE, Q::DTYPE);
        let stochastic = (Q::DTYPE == Dtype::Bf16).then(|| name("_stochastic"));
        Self::new(cuda, "perturb", name(""), stochastic, slots)
    }

    /// Sums alone.
    pub(crate) fn estimate(cuda: &Cuda, distribution: Distribution, slots: Vec<Slot>) -> Result<Self> {
        let name = |squares| format!("estimate_{}{squares}_{}", distribution.name(), Q::DTYPE);
        let squares = (Q::DTYPE == Q::Real::DTYPE).then(|| name("_squares"));
        Self::new(cuda, "estimate", name(""), squares, slots)
    }

    /// Sums that adapt means and deviations.
    pub(crate) fn adapt(cuda: &Cuda, slots: Vec<Slot>) -> Result<Self> {
        Self::new(cuda, "estimate", format!("search_adapt_{}", Q::DTYPE), None, slots)
    }

    fn new(cuda: &Cuda, module: &'static str, usual: String, other: Option<String>, slots: Vec<Slot>) -> Result<Self> {
        let module = modules::load(cuda, module, &LAYOUT)?;
        let kernel = |name: String| -> Result<Kernel> {
            Ok(Kernel { function: modules::function(cuda, &module, &name)?, name })
        };
        let (usual, other) = (kernel(usual)?, other.map(kernel).transpose()?);
        Ok(Self { cuda: cuda.clone(), usual, other, slots, tables: None, terms: Terms::default(), types: PhantomData })
    }

    /// Brings the tables up to date with the addresses of a call: what stands beside each tensor, and where it is written.
    fn bind(&mut self, bound: Vec<[u64; 2]>, kind: Kind) -> Result<()> {
        if self.tables.as_ref().is_some_and(|(tables, held)| tables.bound == bound && *held == kind) {
            return Ok(());
        }
        check_memory::<P, Q>(&self.slots, &bound, kind)?;
        let tables = Tables::new::<Q>(&self.cuda, &self.slots, bound, [size_of::<P>(), size_of::<Q>()])?;
        self.tables = Some((tables, kind));
        Ok(())
    }

    /// The terms' words, and where they lie on the device if they are many.
    fn bind_terms(&mut self, terms: &[Term], factors: &[f64]) -> Result<(Few, u64)> {
        let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
        for (position, term) in terms.iter().enumerate() {
            let [field, _, step] = term.address(0)?.fields();
            words.extend([term.seed, u64::from(field) | u64::from(step) << 32]);
            let numbers = [term.coefficient, factors.get(position).copied().unwrap_or(0.0)];
            match Q::Real::DTYPE {
                Dtype::F64 => words.extend(numbers.map(f64::to_bits)),
                _ => {
                    let [low, high] = numbers.map(|number| u64::from((number as f32).to_bits()));
                    words.push(low | high << 32);
                }
            }
        }
        self.terms.bind(&self.cuda, words, terms.len())
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
        let (kind, adapting) = (beside.kind(), beside.adapting());
        let (few, many) = self.bind_terms(terms, beside.factors())?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let others: Vec<u64> = match &mut beside {
            Beside::Itself | Beside::Nothing => Vec::new(),
            Beside::Parameters(from) => from.iter().map(|from| read(&cuda, from, &mut guards)).collect(),
            Beside::Squares(_, to) | Beside::Deviations(_, _, to) => {
                to.iter_mut().map(|to| written(&cuda, to, &mut guards)).collect()
            }
        };
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let to = written(&cuda, to, &mut guards);
            bound.push([others.get(position).copied().unwrap_or(to), to]);
        }
        self.bind(bound, kind)?;

        let Some((tables, _)) = &self.tables else { return Ok(()) };
        let (seed, step) = match rounding {
            Rounding::Nearest => (0, 0),
            Rounding::Stochastic { seed, step } => (seed, step as u32),
        };
        let is_other = rounding != Rounding::Nearest || kind == Kind::Squares;
        let kernel = self.other.as_ref().filter(|_| is_other).unwrap_or(&self.usual);
        let (count, blocks) = (terms.len() as u32, tables.chunk_count as u32);
        let mut launch = cuda.stream().launch_builder(&kernel.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&many).arg(&count).arg(&few);
        let numbers = adapting.map(Adapting::numbers::<Q::Real>);
        match &numbers {
            Some((total, most, is_bounded)) => launch.arg(total).arg(most).arg(is_bounded),
            None => launch.arg(&seed).arg(&step),
        };
        // SAFETY: the contract of `perturb_<distribution>_<from>_<to>` in src/cuda/mod.rs, or of `search_adapt_<T>`. The caller has checked lengths and
        // devices, `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; `bind_terms` wrote as many terms as there are, into the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&kernel.name, blocks))
    }
}
