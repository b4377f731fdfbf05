//! Sums of noises, added to parameters or alone: one launch. Twin: `src/cpu/es/sums.rs`.

use std::marker::PhantomData;

use cudarc::driver::{PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use super::terms::{FEW, Few, Terms, term_words};
use crate::backend::{CHUNK, Slot};
use crate::cuda::address::{read, written};
use crate::cuda::modules::Kernel;
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element};
use crate::error::Result;
use crate::es::{Adapting, Beside, Distribution, Kind, Rounding, SumsBackend, Term, check_memory};
use crate::memory::{View, ViewMut};

/// The layout of modules whose kernels take them.
pub(super) const LAYOUT: [u32; 3] = [CHUNK as u32, THREADS, FEW as u32];

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaSums<P: Element, Q: Element> {
    cuda: Cuda,
    distribution: Distribution,
    usual: Kernel,
    /// That of stochastic rounding, or of squares, where there is one.
    other: Option<Kernel>,
    slots: Vec<Slot>,
    /// Those of the last call, and what stood beside the tensors there, and in how many rows they were written.
    tables: Option<(Tables<2>, Kind, u32)>,
    terms: Terms,
    types: PhantomData<(P, Q)>,
}

/// What a launch takes beside tensors.
struct Call {
    rounding: Rounding,
    adapting: Option<Adapting>,
    few: Few,
    /// Where the terms lie on the device, unless they are `few`.
    terms: u64,
    /// The terms, or the tensors of a member of a population.
    count: u32,
    /// Where the members of a population begin among the terms; 0 where all terms are of one sum.
    members: u64,
    /// The members, or 1.
    rows: u32,
}

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

    /// Sums that adapt means and deviations.
    pub(crate) fn adapt(cuda: &Cuda, slots: Vec<Slot>) -> Result<Self> {
        let name = format!("search_adapt_{}", Q::DTYPE);
        Self::new(cuda, "estimate", Distribution::Normal, (name, None), slots)
    }

    fn new(
        cuda: &Cuda,
        module: &'static str,
        distribution: Distribution,
        (usual, other): (String, Option<String>),
        slots: Vec<Slot>,
    ) -> Result<Self> {
        let module = modules::load(cuda, module, &LAYOUT)?;
        let kernel = |name: String| Kernel::of(cuda, &module, name);
        let (usual, other) = (kernel(usual)?, other.map(kernel).transpose()?);
        let cuda = cuda.clone();
        Ok(Self { cuda, distribution, usual, other, slots, tables: None, terms: Terms::default(), types: PhantomData })
    }

    /// Brings the tables up to date and launches. The views behind `bound` are borrowed until then.
    fn launch(&mut self, call: Call, bound: Vec<[u64; 2]>, kind: Kind) -> Result<()> {
        let cuda = &self.cuda;
        let Call { rounding, adapting, few, terms, count, members, rows } = call;
        // Those of the first member are the first.
        let stands = |(tables, held_kind, held_rows): &(Tables<2>, Kind, u32)| {
            tables.bound.get(..bound.len()) == Some(&bound) && (*held_kind, *held_rows) == (kind, rows)
        };
        if !self.tables.as_ref().is_some_and(stands) {
            check_memory::<P, Q>(&self.slots, &bound, kind, rows.into())?;
            let each = || self.slots.iter().zip(&bound);
            let size = size_of::<Q>() as u64;
            let row = |n: u64| each().map(move |(slot, &[other, to])| [other, to + n * slot.length * size]);
            let all: Vec<[u64; 2]> = (0..rows.into()).flat_map(row).collect();
            let slots: Vec<Slot> = (0..rows).flat_map(|_| self.slots.iter().copied()).collect();
            let tables = Tables::new::<Q>(cuda, &slots, all, [size_of::<P>(), size_of::<Q>()])?;
            self.tables = Some((tables, kind, rows));
        }
        let Some((tables, ..)) = &self.tables else { return Ok(()) };

        let (seed, step) = match rounding {
            Rounding::Nearest => (0, 0),
            Rounding::Stochastic { seed, step } => (seed, step as u32),
        };
        let is_other = rounding != Rounding::Nearest || kind == Kind::Squares;
        let kernel = self.other.as_ref().filter(|_| is_other).unwrap_or(&self.usual);
        let blocks = tables.chunk_count as u32;
        let mut launch = cuda.stream().launch_builder(&kernel.function);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&terms).arg(&count).arg(&few);
        let numbers = adapting.map(Adapting::numbers::<Q::Real>);
        match &numbers {
            Some((total, most, is_bounded)) => launch.arg(total).arg(most).arg(is_bounded),
            None => launch.arg(&seed).arg(&step).arg(&members),
        };
        // SAFETY: the contract of `perturb_*` and `estimate_*` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; as many terms as there are were bound, into the one place or the other, and behind them where a
        // population's members begin.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&kernel.name, blocks))
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
        let words = term_words::<Q::Real>(terms, beside.factors(), self.distribution)?;
        let (few, many) = self.terms.bind(&cuda, words, terms.len())?;
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
        let call = Call { rounding, adapting, few, terms: many, count: terms.len() as u32, members: 0, rows: 1 };
        self.launch(call, bound, kind)
    }

    fn tile(
        &mut self,
        members: &[&[Term]],
        rounding: Rounding,
        from: &[View<'_, P>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let words = term_words::<Q::Real>(&members.concat(), &[], self.distribution)?;
        let mut firsts = vec![0];
        for terms in members {
            firsts.push(firsts[firsts.len() - 1] + terms.len() as u32);
        }
        let [terms, behind] = self.terms.bind_members(&cuda, words, &firsts)?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = Vec::with_capacity(to.len());
        for (from, to) in from.iter().zip(to) {
            bound.push([read(&cuda, from, &mut guards), written(&cuda, to, &mut guards)]);
        }
        let rows = members.len() as u32;
        let call = Call {
            rounding,
            adapting: None,
            few: Few::NONE,
            terms,
            count: self.slots.len() as u32,
            members: behind,
            rows,
        };
        self.launch(call, bound, Kind::Population)
    }
}
