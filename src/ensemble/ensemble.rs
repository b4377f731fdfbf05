use std::fmt;

use super::saved;
use super::{Backend, EntropySgd, GtAdam, Method, Mixing, ReplicatedSgd};
use crate::cpu;
use crate::cpu::optim::{CpuEnsemble, Loops};
#[cfg(feature = "cuda")]
use crate::cuda;
#[cfg(feature = "cuda")]
use crate::cuda::optim::CudaEnsemble;
use crate::device::Device;
use crate::element::{Element, Real};
use crate::error::{ErrorKind, Result};
use crate::memory::{View, ViewMut};
use crate::optim::check::{self, Copies};
use crate::optim::{List, Listed, State, Tensor};
use crate::rules::{Pair, Value};

/// Steps several copies of tensors of type `P` with gradients of type `G` by method `M`.
///
/// It owns the state of every copy, not the parameters: those are lent to each [`step`](Self::step). The pairs of types
/// are those of [`Pair`]; states are of the arithmetic type. Settings stay as they are but for the learning rate.
pub struct Ensemble<M: Method, P: Pair<G> = f32, G: Element<Real = P::Real> = P> {
    device: Device,
    pub(super) method: M,
    pub(super) copies: usize,
    /// What each copy takes of each other one, rows first; none where the method mixes nothing.
    pub(super) weights: Vec<f64>,
    pub(super) list: List,
    pub(super) backend: Box<dyn Backend<P, G>>,
}

impl<P: Pair<G>, G: Element<Real = P::Real>> Ensemble<ReplicatedSgd, P, G> {
    /// Replicas of tensors.
    ///
    /// Errors: settings outside their range; no replicas; a tensor in another group than 0, or that shares elements with
    /// another; on CUDA, kernels that do not load.
    pub fn new(device: &Device, method: ReplicatedSgd, replicas: usize, tensors: &[Tensor]) -> Result<Self> {
        Self::with(device, method, replicas, Vec::new(), tensors)
    }

    /// Writes the mean of the replicas of each tensor to `means`, which stand in the order of the tensors; `parameters` are as
    /// in a step. One launch on CUDA, on the device's stream; nothing is waited for.
    ///
    /// Errors: as [`step`](Self::step).
    pub fn mean(&self, parameters: &[View<'_, P>], means: &mut [ViewMut<'_, P>]) -> Result<()> {
        self.shape().count("parameters", parameters.len())?;
        check::count("means", means.len(), self.list.tensors.len())?;
        let place = self.device.place();
        for (position, (mean, tensor)) in means.iter().zip(&self.list.tensors).enumerate() {
            let names = || (format!("mean {position}"), format!("tensor {position}"));
            check::length(mean.len(), tensor.length, names)?;
            check::same_place(|| names().0, mean.place(), place)?;
        }
        let listed = self.list.tensors.iter().enumerate().cycle();
        for (position, ((number, tensor), parameter)) in listed.zip(parameters).enumerate() {
            let names = || (format!("parameter {position}"), format!("tensor {number}"));
            check::length(parameter.len(), tensor.length, names)?;
            check::same_place(|| names().0, parameter.place(), place)?;
        }
        match &self.device {
            Device::Cpu(cpu) => cpu::optim::mean(*cpu, self.copies, parameters, means),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => cuda::optim::mean(cuda, self.copies, parameters, means),
        }
    }
}

impl<P: Pair<G>, G: Element<Real = P::Real>> Ensemble<GtAdam, P, G> {
    /// Agents, as many as the matrix has rows, and their tensors.
    ///
    /// Errors: settings outside their range; a tensor in another group than 0, or that shares elements with another; memory
    /// that does not suffice; on CUDA, kernels that do not load.
    pub fn new(device: &Device, method: GtAdam, mixing: &Mixing, tensors: &[Tensor]) -> Result<Self> {
        Self::with(device, method, mixing.agents(), mixing.weights().to_vec(), tensors)
    }
}

impl<P: Pair<G>, G: Element<Real = P::Real>> Ensemble<EntropySgd, P, G> {
    /// Tensors whose parameters walk around their anchors.
    ///
    /// Errors: settings outside their range; a tensor in another group than 0, or that shares elements with another; memory
    /// that does not suffice; on CUDA, kernels that do not load.
    pub fn new(device: &Device, method: EntropySgd, tensors: &[Tensor]) -> Result<Self> {
        Self::with(device, method, 1, Vec::new(), tensors)
    }

    /// Steps as [`step`](Self::step) does, with standard normal numbers for the noise: an array for each tensor, in the order of
    /// the tensors.
    ///
    /// Noise that is not given is [`normal`](crate::rng::normal) of the words at purpose
    /// [`GRADIENT_NOISE`](crate::rng::Purpose::GRADIENT_NOISE), the step (the first is 1), the tensor's id, its elements and
    /// the seed: the same bits on every device and for every sharding.
    ///
    /// Errors: as [`step`](Self::step).
    pub fn step_with(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        noise: &[Option<View<'_, G>>],
    ) -> Result<()> {
        self.shape().arguments(self.device.place(), parameters, gradients)?;
        self.shape().extras("arrays of noise", "noise", self.device.place(), noise)?;
        self.draws(gradients, noise)?;
        self.backend.step(parameters, gradients, noise)
    }

    /// Whether the parameters are the anchors: no loop has begun that is not over. On CUDA the host waits for the device.
    pub fn at_anchor(&self) -> Result<bool> {
        Ok(self.steps()?.is_multiple_of(self.method.calls()))
    }
}

impl<M: Loops, P: Pair<G>, G: Element<Real = P::Real>> Ensemble<M, P, G> {
    pub(super) fn with(
        device: &Device,
        method: M,
        copies: usize,
        weights: Vec<f64>,
        tensors: &[Tensor],
    ) -> Result<Self> {
        method.check()?;
        if copies == 0 {
            return Err(ErrorKind::NoCopies { copy: M::COPY }.into());
        }
        let mut list = List::default();
        for &tensor in tensors {
            let listed = list.listed(tensor)?;
            check::position("group", listed.group, 1)?;
            list.push(listed);
        }
        let reals: Vec<P::Real> = weights.iter().map(|&weight| P::Real::from_f64(weight)).collect();
        let slots: Vec<_> = list.tensors.iter().map(Listed::slot).collect();
        let mut backend: Box<dyn Backend<P, G>> = match device {
            Device::Cpu(cpu) => Box::new(CpuEnsemble::<M, P::Real>::new(*cpu, &method, &slots, copies, reals)?),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(CudaEnsemble::<M, P, G>::new(cuda, &method, &slots, copies, &reals)?),
        };
        backend.set_hyper(&saved::numbers(&method))?;
        Ok(Self { device: device.clone(), method, copies, weights, list, backend })
    }
}

impl<M: Method, P: Pair<G>, G: Element<Real = P::Real>> Ensemble<M, P, G> {
    /// Errors where noise must be drawn for an element that has no address.
    fn draws(&self, gradients: &[Option<View<'_, G>>], noise: &[Option<View<'_, G>>]) -> Result<()> {
        if M::noise_seed(&self.method.hyper()).is_none() {
            return Ok(());
        }
        for (position, (tensor, gradient)) in self.list.tensors.iter().cycle().zip(gradients).enumerate() {
            if gradient.is_some() && noise.get(position).is_none_or(Option::is_none) {
                check::has_noise(tensor)?;
            }
        }
        Ok(())
    }

    fn shape(&self) -> Copies<'_> {
        Copies { copy: M::COPY, copies: self.copies, tensors: &self.list.tensors }
    }

    /// The device the states lie on and the step runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The settings.
    pub fn settings(&self) -> &M {
        &self.method
    }

    /// The number of copies.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// The tensors of each copy, in the order in which [`step`](Self::step) takes them.
    pub fn tensors(&self) -> &[Listed] {
        &self.list.tensors
    }

    /// Sets the learning rate. Errors: a rate outside its range.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        let mut method = self.method;
        method.set("lr", &Value::Number(lr))?;
        method.check()?;
        self.backend.set_hyper(&saved::numbers(&method))?;
        self.method = method;
        Ok(())
    }

    /// Steps every copy of every tensor.
    ///
    /// `parameters` and `gradients` stand copy by copy, in each in the order of [`tensors`](Self::tensors), `[length]`
    /// each: what belongs to tensor k of copy a has position a · tensors + k. A copy whose gradient is `None` is not moved
    /// by it: a replica keeps its parameters, which count in the mean; an agent mixes, and keeps the gradient it had; a
    /// walker stays where it is, and counts in its mean.
    ///
    /// On CUDA the work is enqueued on the device's stream and the call returns. A step may be captured in a graph once one
    /// with the same gradients and addresses has been taken; every replay is a step, and follows later changes of the
    /// learning rate. After a step with other addresses the graph must be captured again. (cudarc's own event tracking must
    /// be off while a stream is captured.)
    ///
    /// Errors, before anything is touched: a count that differs, a length that differs, memory of another device, arrays
    /// that overlap; noise to draw for a tensor whose id is 2³² or more or whose elements reach beyond 2⁴⁰; on CUDA also
    /// what the driver refuses.
    pub fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[Option<View<'_, G>>]) -> Result<()> {
        self.shape().arguments(self.device.place(), parameters, gradients)?;
        self.draws(gradients, &[])?;
        self.backend.step(parameters, gradients, &[])
    }

    /// Steps taken. On CUDA the host waits for the device.
    pub fn steps(&self) -> Result<u64> {
        self.backend.steps()
    }

    /// Everything a later [`load_state`](Self::load_state) needs to go on with the same bits; the parameters are the
    /// caller's to save. On CUDA the host waits for the device.
    ///
    /// | array | type | what |
    /// |---|---|---|
    /// | `steps` | u64 `[1]` | steps taken |
    /// | `setting.<name>` | f64 `[1]` | a setting; switches are 0 or 1 |
    /// | `mixing` | f64 `[copies²]` | the weights of a method that mixes, rows first |
    /// | `tensor.<id>.<first>.copy.<position>.<name>` | f32 or f64 `[length]` | a state array of a copy |
    pub fn state(&self) -> Result<State> {
        Ok(saved::state(self, self.backend.read()?))
    }

    /// Goes on from a saved state: counter, states, learning rate.
    ///
    /// Errors, before anything is touched: another method or arithmetic type, tensors, copies or settings other than the
    /// learning rate that are not those of this ensemble, arrays that are missing, left over, or of another length or
    /// type.
    pub fn load_state(&mut self, state: &State) -> Result<()> {
        let (method, kept) = saved::read(self, state)?;
        self.backend.set_hyper(&saved::numbers(&method))?;
        self.method = method;
        self.backend.write(kept)
    }
}

impl<M: Method, P: Pair<G>, G: Element<Real = P::Real>> fmt::Debug for Ensemble<M, P, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, method, copies, list, .. } = self;
        f.debug_struct("Ensemble")
            .field("pair", &(P::DTYPE, G::DTYPE))
            .field("device", device)
            .field("method", method)
            .field("copies", copies)
            .field("tensors", &list.tensors)
            .finish_non_exhaustive()
    }
}
