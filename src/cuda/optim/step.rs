//! One step on CUDA: two launches, whatever the number of tensors and groups.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, CudaSlice, DeviceRepr, LaunchConfig, PushKernelArg};

use super::arrays::{Counters, States};
use super::tables::{Kept, chunk_rows, layout, row, shared_bytes};
use crate::backend::{Backend, Bound, Settings, Slot, TensorState, carried, check_memory};
use crate::cuda::address::bounds;
use crate::cuda::chunks::{count_chunks, phase};
use crate::cuda::es::{Few, Terms, term_words};
use crate::cuda::transfer::{download, not_capturing, upload, uploaded, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::Estimate;
use crate::memory::{View, ViewMut};
use crate::rules::{Form, Pair, Record};
use crate::step;

/// The tensors of an optimizer in the memory of a CUDA device.
pub(crate) struct CudaBackend<P: Element, G: Element> {
    cuda: Cuda,
    rule: Form,
    tick: CudaFunction,
    update: CudaFunction,
    /// The update by a gradient that is drawn.
    drawn: CudaFunction,
    terms: Terms,
    tensors: Vec<Tensor<P::Real>>,
    counters: Counters<P::Real>,
    settings: Vec<Settings>,
    /// Rows of all groups, with room for more: captured graphs know its address.
    groups: CudaSlice<f64>,
    tables: Option<Tables>,
    /// Whether the tables must be written anew, whatever the addresses.
    stale: bool,
    gradient: PhantomData<G>,
}

/// A tensor and its arrays, which are allocated at its first step or load: their phase follows the parameter's.
struct Tensor<T: Real> {
    slot: Slot,
    /// The rule's states.
    states: Option<States<T>>,
    /// Those of [`step::ARRAYS`] that the group asks for.
    around: [Option<States<T>>; step::ARRAYS.len()],
}

/// The tables of the last step. They hold until an address, a tensor or a group membership changes.
struct Tables {
    bound: Vec<Bound>,
    /// Whether the gradients are drawn.
    is_drawn: bool,
    tensors: CudaSlice<u64>,
    chunks: CudaSlice<u64>,
    chunk_count: usize,
}

/// Numbers that the groups' rows have room for at first.
const GROUPS_ROOM: usize = 256;

/// The name of the kernel that ticks the tensors of a rule.
pub(super) fn tick_name<T: Real>(rule: &Form) -> String {
    format!("{}_tick_{}", rule.name, T::DTYPE)
}

/// The name of the kernel that updates parameters of a rule.
pub(super) fn update_name<P: Element, G: Element>(rule: &Form) -> String {
    format!("{}_{}_{}", rule.name, P::DTYPE, G::DTYPE)
}

/// The name of the kernel that updates parameters of a rule by a gradient that is drawn.
pub(super) fn drawn_name<P: Element>(rule: &Form) -> String {
    format!("{}_drawn_{}", rule.name, P::DTYPE)
}

/// A gradient that kernels draw: `Estimate` in `kernels/es/term.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Drawn {
    terms: u64,
    count: u32,
    distribution: u32,
    few: Few,
}

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Drawn {}

impl<P: Pair<G>, G: Element<Real = P::Real>> CudaBackend<P, G> {
    pub(crate) fn new(cuda: &Cuda, rule: Form) -> Result<Self> {
        let module = modules::load(cuda, rule.name, &layout(&rule))?;
        let scalars = step::Scalars::<f64>::NAMES.len() + rule.scalars;
        Ok(Self {
            cuda: cuda.clone(),
            rule,
            tick: modules::function(cuda, &module, &tick_name::<P::Real>(&rule))?,
            update: modules::function(cuda, &module, &update_name::<P, G>(&rule))?,
            drawn: modules::function(cuda, &module, &drawn_name::<P>(&rule))?,
            terms: Terms::default(),
            tensors: Vec::new(),
            counters: Counters::new(cuda, 1, carried(&rule).count(), scalars)?,
            settings: Vec::new(),
            groups: zeros(cuda, GROUPS_ROOM)?,
            tables: None,
            stale: true,
            gradient: PhantomData,
        })
    }

    fn not_capturing(&self, reason: &'static str) -> Result<()> {
        not_capturing(&self.cuda, reason)
    }

    /// Brings the tables up to date with the addresses of a step.
    fn bind(&mut self, bound: Vec<Bound>, is_drawn: bool) -> Result<()> {
        let stands = |tables: &Tables| tables.bound == bound && tables.is_drawn == is_drawn;
        if !self.stale && self.tables.as_ref().is_some_and(stands) {
            return Ok(());
        }
        let slots: Vec<Slot> = self.tensors.iter().map(|tensor| tensor.slot).collect();
        check_memory::<P, G>(&slots, &bound)?;
        self.not_capturing("tensors, gradients or their addresses have changed")?;

        let states = self.rule.states.len();
        let mut tensors = Vec::new();
        let mut chunks = Vec::new();
        for (position, (tensor, bound)) in self.tensors.iter_mut().zip(&bound).enumerate() {
            let phase = phase::<P>(bound.parameter);
            let settings = &self.settings[tensor.slot.group];
            let kept = tensor.fit(&self.cuda, states, settings, phase)?;
            tensors.extend(row::<P, G>(&tensor.slot, bound, &kept, states, is_drawn));
            chunks.extend(chunk_rows::<P>(position, &tensor.slot, bound, is_drawn).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        let (tensors, chunks) = (uploaded(&self.cuda, &tensors)?, uploaded(&self.cuda, &chunks)?);
        self.tables = Some(Tables { bound, is_drawn, tensors, chunks, chunk_count });
        self.stale = false;
        Ok(())
    }

    /// Ticks and updates, by what is drawn where the tables say so.
    fn launch(&mut self, drawn: Option<Drawn>) -> Result<()> {
        let Some(tables) = &self.tables else { return Ok(()) };
        let cuda = &self.cuda;
        let tensor_count = self.tensors.len() as u64;

        let blocks = (tensor_count.div_ceil(u64::from(THREADS)) as u32).max(1);
        let mut tick = cuda.stream().launch_builder(&self.tick);
        tick.arg(&tables.tensors).arg(&tensor_count).arg(&self.groups);
        tick.arg(&mut self.counters.steps).arg(&mut self.counters.carries).arg(&mut self.counters.scalars);
        // SAFETY: the contract of `<rule>_tick_<T>` in src/cuda/mod.rs. `bind` wrote a row for each of the n tensors;
        // `add` grew the counters, carries and scalars to n rows; `set_groups` wrote a row for every group, and the
        // optimizer checks that a tensor's group exists.
        let launched = unsafe { tick.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&tick_name::<P::Real>(&self.rule), blocks))?;

        let blocks = tables.chunk_count as u32;
        let (function, shared_mem_bytes) = match drawn {
            None => (&self.update, 0),
            Some(_) => (&self.drawn, shared_bytes::<P::Real>()),
        };
        let mut update = cuda.stream().launch_builder(function);
        update.arg(&tables.chunks).arg(&tables.tensors).arg(&self.groups);
        update.arg(&mut self.counters.steps).arg(&self.counters.scalars);
        if let Some(drawn) = &drawn {
            update.arg(drawn);
        }
        // SAFETY: the contracts of `<rule>_<parameter>_<gradient>` and `<rule>_drawn_<parameter>` in src/cuda/mod.rs. The step's arguments were
        // checked for length and device, `check_memory` for overlap and alignment, and their views are borrowed
        // until the launch is enqueued; `States` are of the tensor's length; `chunks` cuts disjoint ranges; the
        // tick before it on the same stream wrote the scalars; as many terms as there are were bound.
        let launched = unsafe { update.launch(LaunchConfig { shared_mem_bytes, ..blocks_of_threads(blocks) }) };
        let name = || if drawn.is_none() { update_name::<P, G>(&self.rule) } else { drawn_name::<P>(&self.rule) };
        cuda.explain(launched.map(drop), || launch_of(&name(), blocks))
    }

    /// Drops the arrays of a tensor that settings do not ask for, with what is carried for them. The tables become stale
    /// where settings want other arrays than before.
    fn refit(&mut self, position: usize, old: Option<&Settings>, new: &Settings) -> Result<()> {
        let wanted = new.around.arrays();
        let same = |old: &Settings| old.around.arrays() == wanted && old.is_stateless == new.is_stateless;
        if old.is_some_and(same) {
            return Ok(());
        }
        self.counters.forget(&self.cuda, position, &step::Carry::<f64>::forgotten(wanted))?;
        for (array, wanted) in self.tensors[position].around.iter_mut().zip(wanted) {
            array.take_if(|_| !wanted);
        }
        self.stale = true;
        Ok(())
    }
}

impl<T: Real> Tensor<T> {
    /// Makes the arrays that the settings ask for, `arrays` of them the rule's, and tells where they are.
    fn fit(&mut self, cuda: &Cuda, arrays: usize, settings: &Settings, phase: u64) -> Result<Kept> {
        let length = self.slot.length;
        let states = match &mut self.states {
            _ if settings.is_stateless => None,
            Some(states) => Some(&*states),
            none => Some(&*none.insert(States::new(cuda, arrays, length, phase)?)),
        };
        let states = states.map(|states| states.addresses(cuda));
        let mut around = [None; step::ARRAYS.len()];
        for (k, wanted) in settings.around.arrays().into_iter().enumerate() {
            if wanted {
                let array = match &mut self.around[k] {
                    Some(array) => array,
                    none => none.insert(States::new(cuda, 1, length, phase)?),
                };
                around[k] = array.addresses(cuda).first().copied();
            }
        }
        Ok(Kept { around, states })
    }
}

impl<P: Pair<G>, G: Element<Real = P::Real>> Backend<P, G> for CudaBackend<P, G> {
    fn add(&mut self, slot: Slot) -> Result<()> {
        self.not_capturing("a tensor was added")?;
        self.counters.grow(&self.cuda, self.tensors.len() + 1)?;
        self.tensors.push(Tensor { slot, states: None, around: [const { None }; step::ARRAYS.len()] });
        self.stale = true;
        Ok(())
    }

    fn remove(&mut self, position: usize) -> Result<()> {
        self.not_capturing("a tensor was removed")?;
        self.counters.remove(&self.cuda, position, self.tensors.len())?;
        self.tensors.remove(position);
        self.stale = true;
        Ok(())
    }

    fn regroup(&mut self, position: usize, group: usize) -> Result<()> {
        let settings = std::mem::take(&mut self.settings);
        let old = &settings[self.tensors[position].slot.group];
        let fitted = self.refit(position, Some(old), &settings[group]);
        self.settings = settings;
        fitted?;
        self.tensors[position].slot.group = group;
        self.stale = true;
        Ok(())
    }

    fn set_groups(&mut self, groups: Vec<Vec<f64>>) -> Result<()> {
        self.not_capturing("settings have changed")?;
        let rows = groups.concat();
        if rows.len() <= self.groups.len() {
            upload(&self.cuda, &rows, &mut self.groups, 0)?;
        } else {
            let mut grown = zeros(&self.cuda, rows.len().next_power_of_two())?;
            upload(&self.cuda, &rows, &mut grown, 0)?;
            self.groups = grown;
        }
        let settings: Vec<Settings> = groups.iter().map(|row| Settings::new(&self.rule, row)).collect();
        let old = std::mem::take(&mut self.settings);
        let mut fitted = Ok(());
        for position in 0..self.tensors.len() {
            let group = self.tensors[position].slot.group;
            fitted = fitted.and_then(|()| self.refit(position, old.get(group), &settings[group]));
        }
        self.settings = settings;
        fitted
    }

    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards = Vec::new();
        let bound = bounds(&cuda, parameters, gradients, extras, &mut guards);
        self.bind(bound, false)?;
        self.launch(None)
    }

    fn step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()> {
        let cuda = self.cuda.clone();
        let Estimate { distribution, terms } = estimate;
        let words = term_words::<P::Real>(terms, &[], distribution)?;
        let (few, many) = self.terms.bind(&cuda, words, terms.len())?;
        let gradients: Vec<Option<View<'_, G>>> = parameters.iter().map(|_| None).collect();
        let mut guards = Vec::new();
        let bound = bounds(&cuda, parameters, &gradients, &[], &mut guards);
        self.bind(bound, true)?;
        let (count, distribution) = (terms.len() as u32, distribution.number_of_kernel());
        self.launch(Some(Drawn { terms: many, count, distribution, few }))
    }

    fn steps(&self) -> Result<u64> {
        Ok(download(&self.cuda, &self.counters.steps, 0, 1)?[0])
    }

    fn set_steps(&mut self, steps: u64) -> Result<()> {
        self.not_capturing("a state was loaded")?;
        upload(&self.cuda, &[steps], &mut self.counters.steps, 0)
    }

    fn read(&self, position: usize) -> Result<TensorState<P::Real>> {
        let (steps, carry) = self.counters.read(&self.cuda, position)?;
        let Tensor { slot, states, around } = &self.tensors[position];
        let zeros = || vec![P::Real::from_f64(0.0); slot.length as usize];
        let states = match states {
            Some(states) => states.read(&self.cuda)?,
            None => self.rule.states.iter().map(|_| zeros()).collect(),
        };
        let mut arrays = [const { None }; step::ARRAYS.len()];
        for (k, wanted) in self.settings[slot.group].around.arrays().into_iter().enumerate() {
            if wanted {
                arrays[k] = Some(match &around[k] {
                    Some(array) => array.read(&self.cuda)?.swap_remove(0),
                    None => zeros(),
                });
            }
        }
        Ok(TensorState { steps, carry, states, around: arrays })
    }

    fn write(&mut self, position: usize, state: TensorState<P::Real>) -> Result<()> {
        self.not_capturing("a state was loaded")?;
        self.counters.write(&self.cuda, position, state.steps, &state.carry)?;
        let cuda = &self.cuda;
        let Tensor { slot, states, around } = &mut self.tensors[position];
        let mut write = |to: &mut Option<States<P::Real>>, from: &[Vec<P::Real>]| {
            let to = match to {
                Some(states) => states,
                none => {
                    self.stale = true;
                    none.insert(States::new(cuda, from.len(), slot.length, 0)?)
                }
            };
            to.write(cuda, from)
        };
        write(states, &state.states)?;
        for (to, from) in around.iter_mut().zip(state.around) {
            if let Some(from) = from {
                write(to, &[from])?;
            }
        }
        Ok(())
    }
}
