//! One step on the CPU: every tensor, and every few chunks of it, through rayon. Nothing is allocated, but for what is drawn.

use rayon::prelude::*;

use super::drawn::Drawn;
use super::one_pass::{MAX_ARRAYS, Noise, OnePass, Scalars, update};
use crate::backend::{Backend, Bound, CHUNK, Settings, Slot, TensorState, check_memory};
use crate::cpu::address::{bounds, host, host_mut};
use crate::cpu::es::DrawnSum;
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::Estimate;
use crate::memory::{View, ViewMut, zeros};
use crate::rng::{Address, Purpose, key};
use crate::rules::{Extra, Form, MAX_STATES, Pair, Record, Rule};
use crate::step;

/// The tensors of an optimizer in ordinary memory.
pub(crate) struct CpuBackend<P: Element, G: Element> {
    cpu: Cpu,
    rule: Form,
    update: Update<P, G>,
    /// The update by a gradient that is drawn, which nothing rounds.
    update_drawn: Update<P, P::Real>,
    steps: u64,
    groups: Vec<Settings>,
    tensors: Vec<Tensor<P::Real>>,
    /// The arguments of the last step: those that come again need no check.
    bound: Vec<Bound>,
}

/// Updates chunks: the part of a step that is compiled for each rule.
pub(super) type Update<P, G> = fn(Cpu, OnePass<'_, P, G>);

struct Tensor<T: Real> {
    slot: Slot,
    steps: u64,
    around: step::Carry<f64>,
    carry: Vec<f64>,
    /// The rule's states, then those of [`step::ARRAYS`] that the group asks for; the others are empty.
    arrays: [Vec<T>; MAX_ARRAYS],
}

impl<P: Element, G: Element<Real = P::Real>> CpuBackend<P, G> {
    pub(crate) fn new<R: Rule>(cpu: Cpu) -> Self {
        let (groups, tensors, bound) = (Vec::new(), Vec::new(), Vec::new());
        let (update, update_drawn) = (update::<R, P, G>, update::<R, P, P::Real>);
        Self { cpu, rule: Form::of::<R>(), update, update_drawn, steps: 0, groups, tensors, bound }
    }

    /// Looks for arguments that may not be used together, unless they are those of the last step.
    fn check(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        if !bounds(parameters, gradients, extras).eq(self.bound.iter().copied()) {
            let bound: Vec<Bound> = bounds(parameters, gradients, extras).collect();
            let slots: Vec<Slot> = self.tensors.iter().map(|tensor| tensor.slot).collect();
            check_memory::<P, G>(&slots, &bound)?;
            self.bound = bound;
        }
        Ok(())
    }

    /// Ticks the tensors that are given a gradient and runs their updates, in parallel where there is much to do: an element is so
    /// much `work` as a few of another step.
    fn each<'a, Q: Element<Real = P::Real> + 'a>(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        work: usize,
        given: impl Fn(usize) -> Option<Given<'a, Q>> + Sync,
        run: impl Fn(usize, OnePass<'_, P, Q>) + Sync,
    ) {
        self.steps = self.steps.wrapping_add(1);
        let (step, groups, rule) = (self.steps, &self.groups, &self.rule);
        let one = |position: usize, tensor: &mut Tensor<P::Real>, parameter: &mut ViewMut<'_, P>| {
            let Some(Given { gradient, extra }) = given(position) else { return };
            let group = &groups[tensor.slot.group];
            let scalars = tick(rule, tensor, group, step);
            let draws = extra.is_none() && rule.takes_noise(&scalars.rule);
            let noise = if draws { tensor.noise(rule.extra, &group.around) } else { None };
            let mut arrays = tensor.arrays.iter_mut().map(Vec::as_mut_slice);
            let pass = OnePass {
                scalars: &scalars,
                parameter: host_mut(parameter),
                gradient,
                extra,
                noise,
                arrays: std::array::from_fn(|_| arrays.next().unwrap_or_default()),
            };
            run(position, pass);
        };
        let elements: u64 = self.tensors.iter().map(|tensor| tensor.slot.length).sum();
        if elements.saturating_mul(work as u64) <= CHUNKS_OF_A_TASK as u64 * CHUNK {
            let arguments = self.tensors.iter_mut().zip(parameters).enumerate();
            arguments.for_each(|(position, (tensor, parameter))| one(position, tensor, parameter));
        } else {
            let arguments = (self.tensors.par_iter_mut(), parameters.par_iter_mut()).into_par_iter().enumerate();
            arguments.for_each(|(position, (tensor, parameter))| one(position, tensor, parameter));
        }
    }
}

/// What a tensor is stepped by.
struct Given<'a, Q> {
    gradient: &'a [Q],
    extra: Option<&'a [Q]>,
}

impl<T: Real> Tensor<T> {
    /// Makes the arrays that the group asks for and drops the others, with what is carried for them.
    fn fit(&mut self, around: &step::Hyper<f64>) -> Result<()> {
        let wanted = around.arrays();
        for (array, wanted) in self.arrays[MAX_STATES..].iter_mut().zip(wanted) {
            if !wanted {
                *array = Vec::new();
            } else if array.is_empty() {
                *array = zeros(self.slot.length as usize)?;
            }
        }
        self.around.forget(wanted);
        Ok(())
    }

    /// The noise of the step just ticked, if the rule takes some.
    fn noise(&self, extra: Extra, around: &step::Hyper<f64>) -> Option<Noise> {
        let Slot { id, first, .. } = self.slot;
        let drawn = || Address::new(Purpose::GRADIENT_NOISE, self.steps, id, 0);
        match extra {
            Extra::Noise => Some(Noise { key: key(around.seed as u64), address: drawn().ok()?, element: first }),
            Extra::None | Extra::Second => None,
        }
    }

    fn carried(&self) -> Vec<f64> {
        let around = (0..step::Carry::<f64>::NAMES.len()).map(|k| *self.around.nth(k));
        around.chain(self.carry.iter().copied()).collect()
    }
}

impl<P: Pair<G>, G: Element<Real = P::Real>> Backend<P, G> for CpuBackend<P, G> {
    fn add(&mut self, slot: Slot) -> Result<()> {
        let mut arrays = [const { Vec::new() }; MAX_ARRAYS];
        for array in arrays.iter_mut().take(self.rule.states.len()) {
            *array = zeros(slot.length as usize)?;
        }
        let (around, carry) = (step::Carry::from_fn(|_| 0.0), vec![0.0; self.rule.carry.len()]);
        let mut tensor = Tensor { slot, steps: 0, around, carry, arrays };
        tensor.fit(&self.groups[slot.group].around)?;
        self.tensors.push(tensor);
        self.bound.clear();
        Ok(())
    }

    fn remove(&mut self, position: usize) -> Result<()> {
        self.tensors.remove(position);
        self.bound.clear();
        Ok(())
    }

    fn regroup(&mut self, position: usize, group: usize) -> Result<()> {
        let tensor = &mut self.tensors[position];
        tensor.fit(&self.groups[group].around)?;
        tensor.slot.group = group;
        Ok(())
    }

    fn set_groups(&mut self, groups: Vec<Vec<f64>>) -> Result<()> {
        let groups: Vec<Settings> = groups.iter().map(|row| Settings::new(&self.rule, row)).collect();
        for tensor in &mut self.tensors {
            tensor.fit(&groups[tensor.slot.group].around)?;
        }
        self.groups = groups;
        Ok(())
    }

    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        self.check(parameters, gradients, extras)?;
        let given = |position: usize| {
            let gradient = host(gradients[position].as_ref()?);
            Some(Given { gradient, extra: extras.get(position).and_then(Option::as_ref).map(host) })
        };
        let (cpu, update) = (self.cpu, self.update);
        self.each(parameters, 1, given, |_, pass| pass.run(cpu, update));
        Ok(())
    }

    fn step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()> {
        let gradients: Vec<Option<View<'_, G>>> = parameters.iter().map(|_| None).collect();
        self.check(parameters, &gradients, &[])?;
        let sums = self.tensors.iter().map(|Tensor { slot, .. }| DrawnSum::new(estimate, slot.id));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        let firsts: Vec<u64> = self.tensors.iter().map(|tensor| tensor.slot.first).collect();
        let (cpu, update) = (self.cpu, self.update_drawn);
        self.each(
            parameters,
            estimate.terms.len().max(1),
            |_| Some(Given { gradient: &[], extra: None }),
            |position, pass| Drawn { pass, sum: &sums[position], element: firsts[position] }.run(cpu, update),
        );
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
        let (states, around) = tensor.arrays.split_at(MAX_STATES);
        let wanted = self.groups[tensor.slot.group].around.arrays();
        Ok(TensorState {
            steps: tensor.steps,
            carry: tensor.carried(),
            states: states[..self.rule.states.len()].to_vec(),
            around: std::array::from_fn(|k| wanted[k].then(|| around[k].clone())),
        })
    }

    fn write(&mut self, position: usize, state: TensorState<P::Real>) -> Result<()> {
        let tensor = &mut self.tensors[position];
        let (around, carry) = state.carry.split_at(step::Carry::<f64>::NAMES.len());
        tensor.steps = state.steps;
        tensor.around = step::Carry::from_fn(|k| around[k]);
        tensor.carry = carry.to_vec();
        let (states, arrays) = tensor.arrays.split_at_mut(MAX_STATES);
        for (old, new) in states.iter_mut().zip(state.states) {
            *old = new;
        }
        for (old, new) in arrays.iter_mut().zip(state.around) {
            *old = new.unwrap_or_default();
        }
        Ok(())
    }
}

/// Advances the tensor's counter and computes its scalars; `step` is the optimizer's. Twin: `kernels/optim/tick.cuh`.
fn tick<T: Real>(rule: &Form, tensor: &mut Tensor<T>, group: &Settings, step: u64) -> Scalars<T> {
    tensor.steps = tensor.steps.wrapping_add(1);
    let around = step::tick(&group.around, tensor.steps, &mut tensor.around);
    let lr_factor = step::lr_factor(&group.around, step);
    Scalars {
        around: step::Scalars::from_fn(|k| T::from_f64(*around.nth(k))),
        rule: rule.tick(&group.rule, lr_factor, tensor.steps, &mut tensor.carry),
        is_stateless: group.is_stateless,
    }
}

/// Chunks that one task takes: enough to outweigh the making of a task, and of fewer the way to other threads.
pub(super) const CHUNKS_OF_A_TASK: usize = 4;

impl<P: Element, G: Element<Real = P::Real>> OnePass<'_, P, G> {
    /// Updates the chunks, in parallel where there are many.
    fn run(mut self, cpu: Cpu, update: Update<P, G>) {
        let chunks = self.parameter.len().div_ceil(CHUNK as usize);
        if chunks <= CHUNKS_OF_A_TASK {
            return update(cpu, self);
        }
        let first = self.split_off(chunks / 2 * CHUNK as usize);
        rayon::join(|| first.run(cpu, update), || self.run(cpu, update));
    }

    /// Splits the first `count` elements off.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let noise = self.noise;
        self.noise = noise.map(|noise| noise.behind(count));
        Self {
            scalars: self.scalars,
            parameter: self.parameter.split_off_mut(..count).unwrap_or_default(),
            gradient: self.gradient.split_off(..count).unwrap_or_default(),
            extra: self.extra.as_mut().and_then(|extra| extra.split_off(..count)),
            noise,
            arrays: self.arrays.each_mut().map(|array| array.split_off_mut(..count).unwrap_or_default()),
        }
    }
}
