use std::fmt;

use super::check;
use super::group::Group;
use super::state::State;
use super::tensor::{List, Listed, Tensor};
use crate::backend::Backend;
use crate::cpu::optim::CpuBackend;
#[cfg(feature = "cuda")]
use crate::cuda::optim::CudaBackend;
use crate::device::Device;
use crate::element::Element;
use crate::error::{ErrorKind, Result};
use crate::es::Estimate;
use crate::memory::{View, ViewMut};
use crate::rules::{Form, Pair, Rule};

/// Steps parameters of type `P` with gradients of type `G` by rule `R`.
///
/// It owns the state of every tensor, not the parameters: those are lent to each [`step`](Self::step).
///
/// ```
/// use gradus::optim::{Optimizer, Tensor};
/// use gradus::rules::AdamW;
/// use gradus::Device;
///
/// let mut optimizer = Optimizer::<AdamW>::new(&Device::cpu(), AdamW { lr: 0.1, ..AdamW::default() })?;
/// optimizer.add(Tensor::new(2))?;
///
/// let mut weights = vec![1.0_f32, -1.0];
/// let gradients = vec![0.5_f32, 0.5];
/// optimizer.step(&mut [(&mut weights).into()], &[Some((&gradients).into())])?;
/// assert!(weights[0] < 1.0 && weights[1] < -1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// Several groups, tensors that come and go, gradients that are missing:
///
/// ```
/// use gradus::optim::{Group, Optimizer, Tensor};
/// use gradus::rules::Sgd;
/// use gradus::{Buffer, Device};
///
/// let device = Device::best();
/// let mut optimizer = Optimizer::<Sgd>::new(&device, Sgd { lr: 0.1, ..Sgd::default() })?;
/// let slow = optimizer.add_group(Sgd { lr: 0.01, ..Sgd::default() })?;
/// optimizer.add(Tensor::new(3))?;
/// optimizer.add(Tensor::new(2).group(slow).id(17))?;
///
/// let mut weight = Buffer::from_slice(&device, &[1.0_f32, 2.0, 3.0])?;
/// let mut bias = Buffer::from_slice(&device, &[1.0_f32, 2.0])?;
/// let gradient = Buffer::from_slice(&device, &[1.0_f32, 1.0])?;
/// optimizer.step(&mut [weight.view_mut(), bias.view_mut()], &[None, Some(gradient.view())])?;
/// assert_eq!(weight.to_vec()?, [1.0, 2.0, 3.0]);
/// assert_eq!(bias.to_vec()?, [0.99, 1.99]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Optimizer<R: Rule, P: Pair<G> = f32, G: Element<Real = P::Real> = P> {
    device: Device,
    groups: Vec<Group<R>>,
    list: List,
    backend: Box<dyn Backend<P, G>>,
}

impl<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> Optimizer<R, P, G> {
    /// An optimizer without tensors, with one group (group 0).
    ///
    /// Errors: settings that fail [`Rule::check`]; on CUDA, kernels that do not load.
    pub fn new(device: &Device, group: impl Into<Group<R>>) -> Result<Self> {
        let group = group.into();
        group.check()?;
        let mut backend: Box<dyn Backend<P, G>> = match device {
            Device::Cpu(cpu) => Box::new(CpuBackend::new::<R>(*cpu)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(CudaBackend::new(cuda, Form::of::<R>())?),
        };
        backend.set_groups(vec![group.row()])?;
        Ok(Self { device: device.clone(), groups: vec![group], list: List::default(), backend })
    }

    /// The device the states lie on and the step runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The groups, in the order they were added.
    pub fn groups(&self) -> &[Group<R>] {
        &self.groups
    }

    /// Adds a group and returns its position. Errors: settings that fail [`Rule::check`].
    pub fn add_group(&mut self, group: impl Into<Group<R>>) -> Result<usize> {
        let group = group.into();
        group.check()?;
        let mut groups = self.groups.clone();
        groups.push(group);
        self.replace_groups(groups)?;
        Ok(self.groups.len() - 1)
    }

    /// Replaces the settings of a group; states and counters stay. An average and slow weights stay where the new settings
    /// have them too; else they are dropped, and begin anew when they are asked for again.
    ///
    /// Errors: no such group, settings that fail [`Rule::check`].
    pub fn set_group(&mut self, position: usize, group: impl Into<Group<R>>) -> Result<()> {
        check::position("group", position, self.groups.len())?;
        let group = group.into();
        group.check()?;
        let mut groups = self.groups.clone();
        groups[position] = group;
        self.replace_groups(groups)
    }

    /// Sets the learning rate of one group.
    ///
    /// Errors: no such group, a rate outside the rule's range.
    pub fn set_group_lr(&mut self, position: usize, lr: f64) -> Result<()> {
        check::position("group", position, self.groups.len())?;
        self.set_group(position, self.groups[position].with_lr(lr)?)
    }

    /// Sets the learning rate of every group. Errors: as [`Optimizer::set_group_lr`]; then no group is changed.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        let groups = self.groups.iter().map(|group| group.with_lr(lr)).collect::<Result<Vec<_>>>()?;
        self.replace_groups(groups)
    }

    fn replace_groups(&mut self, groups: Vec<Group<R>>) -> Result<()> {
        self.backend.set_groups(groups.iter().map(Group::row).collect())?;
        self.groups = groups;
        Ok(())
    }

    /// The tensors, in the order in which [`step`](Self::step) takes them.
    pub fn tensors(&self) -> &[Listed] {
        &self.list.tensors
    }

    /// Adds a tensor behind the others, with a state of zeros and no steps taken, and returns its position.
    ///
    /// Errors: no such group; elements that another tensor of the same id holds, or that begin where another begins;
    /// memory that does not suffice.
    pub fn add(&mut self, tensor: Tensor) -> Result<usize> {
        check::position("group", tensor.group, self.groups.len())?;
        let listed = self.list.listed(tensor)?;
        self.backend.add(listed.slot())?;
        self.list.push(listed);
        Ok(self.list.tensors.len() - 1)
    }

    /// Removes a tensor with its state; those behind it move up. Errors: no such tensor.
    pub fn remove(&mut self, position: usize) -> Result<Listed> {
        check::position("tensor", position, self.list.tensors.len())?;
        self.backend.remove(position)?;
        Ok(self.list.tensors.remove(position))
    }

    /// Moves a tensor to another group; its state and its counter stay. An average and slow weights stay where the new group
    /// has them too. Errors: no such tensor, no such group.
    pub fn regroup(&mut self, position: usize, group: usize) -> Result<()> {
        check::position("tensor", position, self.list.tensors.len())?;
        check::position("group", group, self.groups.len())?;
        self.backend.regroup(position, group)?;
        self.list.tensors[position].group = group;
        Ok(())
    }

    /// Steps every tensor that has a gradient; a tensor whose gradient is `None` keeps its elements, state and counter.
    ///
    /// `parameters` and `gradients` stand in the order of [`tensors`](Self::tensors), `[length]` each. On CUDA the work is
    /// enqueued on the device's stream and the call returns. A step may be captured in a graph once one with the same
    /// tensors, gradients and addresses has been taken; a replay follows later changes of the settings. After tensors are
    /// added, removed or moved, after a step with other addresses, and after groups are added beyond the first few, the
    /// graph must not be replayed but captured again. (cudarc's own event tracking must be off while a stream is captured.)
    ///
    /// Errors, before anything is touched: a count that differs, a length that differs, memory of another device, arrays
    /// that overlap. On CUDA also what the driver refuses: a step whose second launch is refused has advanced the
    /// tensors' counters but no element; [`load_state`](Self::load_state) of a saved state undoes that.
    pub fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()> {
        self.step_with(parameters, gradients, &[])
    }

    /// Steps as [`step`](Self::step) does, with another array for each tensor: the second gradient of a rule that takes one, or
    /// the noise of a rule that would draw it.
    ///
    /// `extras` stand in the order of [`tensors`](Self::tensors), `[length]` each, or there are none at all. Noise that is not
    /// given is [`normal`](crate::rng::normal) of the words at purpose [`GRADIENT_NOISE`](crate::rng::Purpose::GRADIENT_NOISE),
    /// the tensor's step (the first is 1), its id, its elements and the group's [`seed`](Group::seed): the same bits on every
    /// device and for every sharding.
    ///
    /// Errors: as [`step`](Self::step); arrays for a rule that has no use for them; noise to draw for a tensor whose id is
    /// 2³² or more or whose elements reach beyond 2⁴⁰.
    pub fn step_with(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        check::arguments(self.device.place(), &self.list.tensors, parameters, gradients)?;
        if !extras.is_empty() {
            check::extras(&Form::of::<R>(), self.device.place(), &self.list.tensors, extras)?;
        }
        check::noise(&Form::of::<R>(), &self.list.tensors, gradients, extras)?;
        self.backend.step(parameters, gradients, extras)
    }

    /// Steps every tensor as [`step`](Self::step) does, by a gradient that is a sum of noises: evolution strategies and zeroth-order
    /// methods, without an array for the gradient. Its elements are drawn in registers in the launch that steps them, which reads
    /// and writes nothing but the parameters and the rule's states.
    ///
    /// The gradient is what an [`Estimator<P::Real>`](crate::es::Estimator) of these tensors writes, by their ids and first elements,
    /// in the arithmetic type, not rounded to `G`: a step with that estimate as its gradient gives the same bits. A rule that takes a
    /// second gradient is given none; one that takes noise draws it, as in [`step`](Self::step). A step that is captured in a graph
    /// is replayed with its terms, and with later settings.
    ///
    /// ```
    /// use gradus::es::{Distribution, Estimate, Pairs, Weighting};
    /// use gradus::optim::{Optimizer, Tensor};
    /// use gradus::rules::AdamW;
    /// use gradus::{Buffer, Device};
    ///
    /// let device = Device::best();
    /// let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW::default())?;
    /// optimizer.add(Tensor::new(1000))?;
    /// let mut weights = Buffer::from_slice(&device, &[0.5_f32; 1000])?;
    ///
    /// let pairs = Pairs { sigma: 1e-3, seed: 7, step: 0, count: 2 };
    /// let losses = [[0.3, 0.1], [0.2, 0.4]]; // of the members of each pair
    /// let terms = pairs.terms(&losses, Weighting::Differences)?;
    /// let estimate = Estimate { distribution: Distribution::Normal, terms: &terms };
    /// optimizer.step_estimate(&mut [weights.view_mut()], estimate)?;
    /// # assert!(weights.to_vec()?.iter().all(|w| (w - 0.5).abs() > 5e-4 && (w - 0.5).abs() < 2e-3));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// Errors, before anything is touched: a count, a length, a device or an overlap as of [`step`](Self::step); a coefficient that is
    /// not finite; a pair of 2²⁰ or more; a tensor whose id is 2³² or more or whose elements reach beyond 2⁴⁰; on CUDA, while the
    /// stream is captured, more terms than 8 that are not those of the step before.
    pub fn step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()> {
        let tensors = &self.list.tensors;
        check::parameters(self.device.place(), tensors, parameters)?;
        tensors.iter().try_for_each(check::has_noise)?;
        estimate.check()?;
        self.backend.step_estimate(parameters, estimate)
    }

    /// The average of a tensor's parameters that its group asks for, `[length]`. On CUDA the host waits for the device.
    ///
    /// Errors: no such tensor, a group without an average.
    pub fn averages(&self, position: usize) -> Result<Vec<P::Real>> {
        check::position("tensor", position, self.list.tensors.len())?;
        let [average, ..] = self.backend.read(position)?.around;
        average.ok_or_else(|| ErrorKind::NoAverage { position, group: self.list.tensors[position].group }.into())
    }

    /// Steps taken by the optimizer, whichever tensors had gradients. On CUDA the host waits for the device.
    pub fn steps(&self) -> Result<u64> {
        self.backend.steps()
    }

    /// Steps taken by one tensor. Errors: no such tensor. On CUDA the host waits for the device.
    pub fn tensor_steps(&self, position: usize) -> Result<u64> {
        check::position("tensor", position, self.list.tensors.len())?;
        Ok(self.backend.read(position)?.steps)
    }

    /// Everything a later [`load_state`](Self::load_state) needs to go on with the same bits; the parameters are the
    /// caller's to save. On CUDA the host waits for the device.
    pub fn state(&self) -> Result<State> {
        let tensors = (0..self.list.tensors.len()).map(|k| self.backend.read(k)).collect::<Result<Vec<_>>>()?;
        let rows = self.groups.iter().map(Group::row).collect();
        Ok(State::of(&Form::of::<R>(), self.backend.steps()?, rows, &self.list.tensors, tensors))
    }

    /// Goes on from a saved state: counters, states, the settings of the groups and which tensor is in which.
    ///
    /// Errors, before anything is touched: another rule or arithmetic type, groups or tensors that are not those of this
    /// optimizer, arrays that are missing, left over, or of another length or type.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let mut groups = Vec::new();
        let mut accept = |position, row: &[f64]| {
            groups.push(Group::from_row(position, row)?);
            Ok(())
        };
        let tensors = &self.list.tensors;
        let loaded = state.read::<P::Real>(&Form::of::<R>(), self.groups.len(), tensors, &mut accept)?;
        self.replace_groups(groups)?;
        for (position, (tensor, group)) in loaded.tensors.into_iter().zip(loaded.membership).enumerate() {
            self.backend.regroup(position, group)?;
            self.list.tensors[position].group = group;
            self.backend.write(position, tensor)?;
        }
        self.backend.set_steps(loaded.steps)
    }
}

impl<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> fmt::Debug for Optimizer<R, P, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, groups, list, .. } = self;
        f.debug_struct("Optimizer")
            .field("pair", &(P::DTYPE, G::DTYPE))
            .field("device", device)
            .field("groups", groups)
            .field("tensors", &list.tensors)
            .finish_non_exhaustive()
    }
}
