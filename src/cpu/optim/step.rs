//! One step on the CPU: every tensor, and every few chunks of it, through rayon. Nothing is allocated.

use rayon::prelude::*;

use super::one_pass::OnePass;
use crate::backend::{Backend, Bound, CHUNK, Slot, TensorState, check_memory};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::memory::{Read, View, ViewMut, Written, zeros};
use crate::rules::{MAX_STATES, Pair, Record, Rule};

/// The tensors of an optimizer in ordinary memory.
pub(crate) struct CpuBackend<R: Rule, T: Real> {
    cpu: Cpu,
    steps: u64,
    groups: Vec<Group<R>>,
    tensors: Vec<Tensor<R, T>>,
    /// The arguments of the last step: those that come again need no check.
    bound: Vec<Bound>,
}

struct Group<R: Rule> {
    gradient_scale: f64,
    hyper: R::Hyper,
}

struct Tensor<R: Rule, T: Real> {
    slot: Slot,
    steps: u64,
    carry: R::Carry,
    states: Vec<Vec<T>>,
}

impl<R: Rule, T: Real> CpuBackend<R, T> {
    pub(crate) fn new(cpu: Cpu) -> Self {
        const { assert!(<R::State<T> as Record<T>>::NAMES.len() <= MAX_STATES) };
        Self { cpu, steps: 0, groups: Vec::new(), tensors: Vec::new(), bound: Vec::new() }
    }
}

impl<R, P, G> Backend<P, G> for CpuBackend<R, P::Real>
where
    R: Rule,
    P: Pair<G>,
    G: Element<Real = P::Real>,
{
    fn add(&mut self, slot: Slot) -> Result<()> {
        let array = |_| zeros(slot.length as usize);
        self.tensors.push(Tensor {
            slot,
            steps: 0,
            carry: R::Carry::from_fn(|_| 0.0),
            states: R::State::<P::Real>::NAMES.iter().map(array).collect::<Result<_>>()?,
        });
        self.bound.clear();
        Ok(())
    }

    fn remove(&mut self, position: usize) -> Result<()> {
        self.tensors.remove(position);
        self.bound.clear();
        Ok(())
    }

    fn regroup(&mut self, position: usize, group: usize) {
        self.tensors[position].slot.group = group;
    }

    fn set_groups(&mut self, groups: Vec<Vec<f64>>) -> Result<()> {
        let group = |row: Vec<f64>| Group { gradient_scale: row[0], hyper: R::Hyper::from_fn(|k| row[1 + k]) };
        self.groups = groups.into_iter().map(group).collect();
        Ok(())
    }

    fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()> {
        let address = |(parameter, gradient): (&mut ViewMut<'_, P>, &Option<View<'_, G>>)| Bound {
            parameter: host_mut(parameter).as_ptr().addr() as u64,
            gradient: gradient.as_ref().map(|gradient| host(gradient).as_ptr().addr() as u64),
        };
        let unchanged = parameters.iter_mut().zip(gradients).map(address).eq(self.bound.iter().copied());
        if !unchanged {
            let bound: Vec<Bound> = parameters.iter_mut().zip(gradients).map(address).collect();
            let slots: Vec<Slot> = self.tensors.iter().map(|tensor| tensor.slot).collect();
            check_memory::<P, G>(&slots, &bound)?;
            self.bound = bound;
        }

        self.steps = self.steps.wrapping_add(1);
        let (cpu, groups) = (self.cpu, &self.groups);
        let arguments = (self.tensors.par_iter_mut(), parameters.par_iter_mut(), gradients.par_iter());
        arguments.into_par_iter().for_each(|(tensor, parameter, gradient)| {
            if let Some(gradient) = gradient {
                let group = &groups[tensor.slot.group];
                tick(tensor, group, host_mut(parameter), host(gradient), |pass| pass.run(cpu));
            }
        });
        Ok(())
    }

    fn steps(&self) -> Result<u64> {
        Ok(self.steps)
    }

    fn set_steps(&mut self, steps: u64) -> Result<()> {
        self.steps = steps;
        Ok(())
    }

    fn read(&self, position: usize) -> Result<TensorState<P::Real>> {
        let tensor = &self.tensors[position];
        let carry = (0..R::Carry::NAMES.len()).map(|k| *tensor.carry.nth(k)).collect();
        Ok(TensorState { steps: tensor.steps, carry, arrays: tensor.states.clone() })
    }

    fn write(&mut self, position: usize, state: TensorState<P::Real>) -> Result<()> {
        let tensor = &mut self.tensors[position];
        tensor.steps = state.steps;
        tensor.carry = R::Carry::from_fn(|k| state.carry[k]);
        tensor.states = state.arrays;
        Ok(())
    }
}

/// Advances the tensor's counter, computes its scalars and passes its arrays on. Twin: `kernels/optim/tick.cuh`.
fn tick<R: Rule, P: Element, G: Element>(
    tensor: &mut Tensor<R, P::Real>,
    group: &Group<R>,
    parameter: &mut [P],
    gradient: &[G],
    run: impl FnOnce(OnePass<'_, R, P, G>),
) {
    tensor.steps = tensor.steps.wrapping_add(1);
    let scalars = R::tick(&group.hyper, tensor.steps, &mut tensor.carry);
    let mut states = tensor.states.iter_mut();
    run(OnePass {
        gradient_scale: P::Real::from_f64(group.gradient_scale),
        scalars: &R::Scalars::from_fn(|k| P::Real::from_f64(*scalars.nth(k))),
        parameter,
        gradient,
        states: std::array::from_fn(|_| states.next().map(Vec::as_mut_slice).unwrap_or_default()),
    });
}

/// Chunks that one task takes: enough to outweigh the making of a task.
const CHUNKS_OF_A_TASK: usize = 4;

impl<R: Rule, P: Element, G: Element<Real = P::Real>> OnePass<'_, R, P, G> {
    /// Runs the chunks, in parallel where there are many.
    fn run(mut self, cpu: Cpu) {
        let chunks = self.parameter.len().div_ceil(CHUNK as usize);
        if chunks <= CHUNKS_OF_A_TASK {
            return cpu.run(self);
        }
        let first = self.split_off(chunks / 2 * CHUNK as usize);
        rayon::join(|| first.run(cpu), || self.run(cpu));
    }

    /// Splits the first `count` elements off.
    fn split_off(&mut self, count: usize) -> Self {
        Self {
            gradient_scale: self.gradient_scale,
            scalars: self.scalars,
            parameter: self.parameter.split_off_mut(..count).unwrap_or_default(),
            gradient: self.gradient.split_off(..count).unwrap_or_default(),
            states: self.states.each_mut().map(|state| state.split_off_mut(..count).unwrap_or_default()),
        }
    }
}

/// The elements of a view that the caller has checked to be in ordinary memory.
fn host<'a, T: Element>(view: &'a View<'_, T>) -> &'a [T] {
    match &view.0 {
        Read::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        _ => unreachable!("a CUDA view in a step on the CPU"),
    }
}

fn host_mut<'a, T: Element>(view: &'a mut ViewMut<'_, T>) -> &'a mut [T] {
    match &mut view.0 {
        Written::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        _ => unreachable!("a CUDA view in a step on the CPU"),
    }
}
