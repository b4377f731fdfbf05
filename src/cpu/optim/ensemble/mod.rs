//! One step of several copies on the CPU: every chunk of every tensor, through rayon. Twin: `kernels/optim/copies.cuh`.

mod entropy_sgd;
mod gt_adam;
mod replicated_sgd;

use bytemuck::Zeroable;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::one_pass::Noise;
use crate::backend::{Bound, CHUNK, Slot, check_memory};
use crate::cpu::address::{bounds, host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::ensemble::{Backend, Method, Saved};
use crate::error::Result;
use crate::memory::{View, ViewMut, zeros};
use crate::rng::{Address, Purpose, key};
use crate::rules::{Pair, Record};

pub(crate) use replicated_sgd::mean;

/// Elements that are loaded, updated and stored together.
const BLOCK: usize = 64;

/// The elements of a block.
type Column<T> = [T; BLOCK];

/// A method with its loop over the copies of a chunk.
pub trait Loops: Method {
    /// Updates a chunk; `weights` are those that the copies mix by, rows first.
    fn update<P: Element, G: Element<Real = P::Real>>(
        scalars: &Self::Scalars<P::Real>,
        weights: &[P::Real],
        chunk: Chunk<'_, P, G>,
    );
}

/// A chunk of a tensor, in every copy.
pub struct Chunk<'a, P: Element, G> {
    parameters: Vec<&'a mut [P]>,
    gradients: Vec<Option<&'a [G]>>,
    /// What the step is given beside the gradients; empty where it is given nothing.
    extras: Vec<Option<&'a [G]>>,
    /// What is drawn where the method takes noise and is given none.
    noise: Option<Noise>,
    /// The arrays of copy 0, then those of copy 1, ...
    states: Vec<&'a mut [P::Real]>,
    /// Elements.
    length: usize,
}

impl<'a, P: Element, G: Element> Chunk<'a, P, G> {
    /// Splits the first elements off, at most [`CHUNK`].
    fn split_off(&mut self) -> Self {
        let count = self.length.min(CHUNK as usize);
        self.length -= count;
        let noise = self.noise;
        self.noise = noise.map(|noise| noise.behind(count));
        let read = |arrays: &mut Vec<Option<&'a [G]>>| {
            arrays.iter_mut().map(|array| array.as_mut().map(|array| first(array, count))).collect()
        };
        Chunk {
            parameters: self.parameters.iter_mut().map(|array| first_mut(array, count)).collect(),
            gradients: read(&mut self.gradients),
            extras: read(&mut self.extras),
            noise,
            states: self.states.iter_mut().map(|array| first_mut(array, count)).collect(),
            length: count,
        }
    }
}

fn first_mut<'a, T>(array: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    array.split_off_mut(..count).unwrap_or_default()
}

fn first<'a, T>(array: &mut &'a [T], count: usize) -> &'a [T] {
    array.split_off(..count).unwrap_or_default()
}

/// The block of an array from an element on; zeros behind its end.
#[inline(always)]
fn load<E: Element>(array: &[E], at: usize) -> Column<E::Real> {
    let mut column = [E::Real::zeroed(); BLOCK];
    match array[at..].first_chunk::<BLOCK>() {
        Some(block) => {
            for i in 0..BLOCK {
                column[i] = block[i].load();
            }
        }
        None => {
            for (to, from) in column.iter_mut().zip(&array[at..]) {
                *to = from.load();
            }
        }
    }
    column
}

/// Writes what of a block is in the array.
#[inline(always)]
fn store<E: Element>(array: &mut [E], at: usize, column: &Column<E::Real>) {
    match array[at..].first_chunk_mut::<BLOCK>() {
        Some(block) => {
            for i in 0..BLOCK {
                block[i] = E::store(column[i]);
            }
        }
        None => {
            for (to, from) in array[at..].iter_mut().zip(column) {
                *to = E::store(*from);
            }
        }
    }
}

/// The loop of a chunk, compiled for each instruction set.
struct Pass<'a, M: Method, P: Element, G> {
    scalars: &'a M::Scalars<P::Real>,
    weights: &'a [P::Real],
    chunk: Chunk<'a, P, G>,
}

impl<M: Loops, P: Element, G: Element<Real = P::Real>> WithSimd for Pass<'_, M, P, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        M::update::<P, G>(self.scalars, self.weights, self.chunk);
    }
}

/// The copies of an ensemble's tensors in ordinary memory.
pub(crate) struct CpuEnsemble<M: Method, T: Real> {
    cpu: Cpu,
    hyper: M::Hyper,
    weights: Vec<T>,
    copies: usize,
    /// State arrays of a copy.
    arrays: usize,
    /// The tensors, once for each copy.
    slots: Vec<Slot>,
    kept: Saved<T>,
    /// The arguments of the last step: those that come again need no check.
    bound: Vec<Bound>,
}

impl<M: Method, T: Real> CpuEnsemble<M, T> {
    /// Errors: memory that does not suffice.
    pub(crate) fn new(cpu: Cpu, method: &M, tensors: &[Slot], copies: usize, weights: Vec<T>) -> Result<Self> {
        let arrays = method.kept();
        let lengths = tensors.iter().flat_map(|tensor| (0..copies * arrays).map(|_| tensor.length as usize));
        let states = lengths.map(zeros).collect::<Result<_>>()?;
        let hyper = M::Hyper::from_fn(|_| 0.0);
        let kept = Saved { steps: 0, states };
        Ok(Self { cpu, hyper, weights, copies, arrays, slots: tensors.repeat(copies), kept, bound: Vec::new() })
    }
}

impl<M: Loops, P: Pair<G>, G: Element<Real = P::Real>> Backend<P, G> for CpuEnsemble<M, P::Real> {
    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        let extra = |position: usize| extras.get(position).and_then(Option::as_ref).map(host);
        let bound: Vec<Bound> = bounds(parameters, gradients, extras).collect();
        if bound != self.bound {
            check_memory::<P, G>(&self.slots, &bound)?;
            self.bound = bound;
        }

        self.kept.steps = self.kept.steps.wrapping_add(1);
        let scalars = M::tick(&self.hyper, self.kept.steps);
        let scalars = M::Scalars::from_fn(|k| P::Real::from_f64(*scalars.nth(k)));
        let (seed, step) = (M::noise_seed(&self.hyper), self.kept.steps);
        let noise = |slot: &Slot| {
            let address = Address::new(Purpose::GRADIENT_NOISE, step, slot.id, 0).ok()?;
            Some(Noise { key: key(seed?), address, element: slot.first })
        };
        let tensors = self.slots.len() / self.copies;
        let mut whole: Vec<Chunk<'_, P, G>> = Vec::with_capacity(tensors);
        let mut states = self.kept.states.iter_mut().map(Vec::as_mut_slice);
        for slot in &self.slots[..tensors] {
            let states = states.by_ref().take(self.copies * self.arrays).collect();
            let (parameters, gradients, extras) = (Vec::new(), Vec::new(), Vec::new());
            let (noise, length) = (noise(slot), slot.length as usize);
            whole.push(Chunk { parameters, gradients, extras, noise, states, length });
        }
        for (position, (parameter, gradient)) in parameters.iter_mut().zip(gradients).enumerate() {
            whole[position % tensors].parameters.push(host_mut(parameter));
            whole[position % tensors].gradients.push(gradient.as_ref().map(host));
            whole[position % tensors].extras.push(extra(position));
        }
        let mut chunks = Vec::new();
        for mut tensor in whole {
            while tensor.length > 0 {
                chunks.push(tensor.split_off());
            }
        }
        let (cpu, weights) = (self.cpu, &self.weights);
        chunks.into_par_iter().for_each(|chunk| cpu.run(Pass::<M, P, G> { scalars: &scalars, weights, chunk }));
        Ok(())
    }

    fn set_hyper(&mut self, hyper: &[f64]) -> Result<()> {
        self.hyper = M::Hyper::from_fn(|k| hyper[k]);
        Ok(())
    }

    fn steps(&self) -> Result<u64> {
        Ok(self.kept.steps)
    }

    fn read(&self) -> Result<Saved<P::Real>> {
        Ok(self.kept.clone())
    }

    fn write(&mut self, saved: Saved<P::Real>) -> Result<()> {
        self.kept = saved;
        Ok(())
    }
}
