//! One step on the CPU: tick each tensor, then every chunk of every tensor through rayon.

use rayon::prelude::*;

use super::one_pass::OnePass;
use crate::backend::{Backend, Bound, Slot, TensorState, check_memory, chunks};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::memory::{Read, View, ViewMut, Written};
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
        let zeros = || vec![P::Real::from_f64(0.0); slot.length as usize];
        self.tensors.push(Tensor {
            slot,
            steps: 0,
            carry: R::Carry::from_fn(|_| 0.0),
            states: R::State::<P::Real>::NAMES.iter().map(|_| zeros()).collect(),
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
        let bound: Vec<Bound> = parameters.iter_mut().zip(gradients).map(address).collect();
        if self.bound != bound {
            let slots: Vec<Slot> = self.tensors.iter().map(|tensor| tensor.slot).collect();
            check_memory::<P, G>(&slots, &bound)?;
            self.bound = bound;
        }

        self.steps += 1;
        let groups = &self.groups;
        let mut active: Vec<Active<'_, R, P, G>> = (self.tensors.iter_mut().zip(parameters).zip(gradients))
            .filter_map(|((tensor, parameter), gradient)| {
                let gradient = host(gradient.as_ref()?);
                Some(Active::tick(tensor, &groups[tensor.slot.group], host_mut(parameter), gradient))
            })
            .collect();
        let cpu = self.cpu;
        let chunks: Vec<OnePass<'_, R, P, G>> = active.iter_mut().flat_map(Active::split).collect();
        chunks.into_par_iter().for_each(|chunk| cpu.run(chunk));
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

/// A tensor that has a gradient, with the scalars of its step.
struct Active<'a, R: Rule, P: Element, G: Element> {
    gradient_scale: P::Real,
    scalars: R::Scalars<P::Real>,
    parameter: &'a mut [P],
    gradient: &'a [G],
    states: [&'a mut [P::Real]; MAX_STATES],
}

impl<'a, R: Rule, P: Element, G: Element> Active<'a, R, P, G> {
    /// Advances the tensor's counter and computes its scalars. Twin: `kernels/optim/tick.cuh`.
    fn tick(tensor: &'a mut Tensor<R, P::Real>, group: &Group<R>, parameter: &'a mut [P], gradient: &'a [G]) -> Self {
        tensor.steps += 1;
        let scalars = R::tick(&group.hyper, tensor.steps, &mut tensor.carry);
        let mut states = tensor.states.iter_mut();
        Self {
            gradient_scale: P::Real::from_f64(group.gradient_scale),
            scalars: R::Scalars::from_fn(|k| P::Real::from_f64(*scalars.nth(k))),
            parameter,
            gradient,
            states: std::array::from_fn(|_| states.next().map(Vec::as_mut_slice).unwrap_or_default()),
        }
    }

    /// The tensor's chunks.
    fn split(&mut self) -> impl Iterator<Item = OnePass<'_, R, P, G>> {
        let (gradient_scale, scalars) = (self.gradient_scale, &self.scalars);
        let mut parameter = &mut *self.parameter;
        let mut gradient = self.gradient;
        let mut states = self.states.each_mut().map(|state| &mut **state);
        chunks(parameter.len() as u64, 0).map(move |range| {
            let count = (range.end - range.start) as usize;
            OnePass {
                gradient_scale,
                scalars,
                parameter: parameter.split_off_mut(..count).unwrap_or_default(),
                gradient: gradient.split_off(..count).unwrap_or_default(),
                states: states.each_mut().map(|state| state.split_off_mut(..count).unwrap_or_default()),
            }
        })
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
