//! What is tested: an ensemble of each method with its parameters and gradients in guarded memory.

use gradus::Device;
use gradus::element::Element;
use gradus::ensemble::{Ensemble, EntropySgd, GtAdam, Method, Mixing, ReplicatedSgd, Start};
use gradus::optim::Tensor;
use gradus::rules::Pair;

use crate::common::data::{Numbers, seed};
use crate::common::memory::Guarded;

/// A method under test.
pub trait Subject<P: Pair<G>, G: Element<Real = P::Real>> {
    type Method: Method;

    /// An ensemble of these tensors.
    fn new(device: &Device, tensors: &[Tensor]) -> Ensemble<Self::Method, P, G>;
}

/// Three replicas, whose pull grows.
pub struct Replicas;

impl<P: Pair<G>, G: Element<Real = P::Real>> Subject<P, G> for Replicas {
    type Method = ReplicatedSgd;

    fn new(device: &Device, tensors: &[Tensor]) -> Ensemble<ReplicatedSgd, P, G> {
        let method = ReplicatedSgd { lr: 0.1, gamma: 0.5, gamma_growth: 0.05 };
        Ensemble::<ReplicatedSgd, P, G>::new(device, method, 3, tensors).unwrap()
    }
}

/// Four agents in a ring, whose trackers begin at the gradients or at 0.
pub struct Agents<const GRADIENT: bool>;

pub const RING: [f64; 16] = [0.5, 0.25, 0.0, 0.25, 0.25, 0.5, 0.25, 0.0, 0.0, 0.25, 0.5, 0.25, 0.25, 0.0, 0.25, 0.5];

impl<const GRADIENT: bool, P: Pair<G>, G: Element<Real = P::Real>> Subject<P, G> for Agents<GRADIENT> {
    type Method = GtAdam;

    fn new(device: &Device, tensors: &[Tensor]) -> Ensemble<GtAdam, P, G> {
        let start = if GRADIENT { Start::Gradient } else { Start::Mixing };
        let method = GtAdam { lr: 0.05, beta2: 0.9, bound: 2.0, start, ..GtAdam::default() };
        Ensemble::<GtAdam, P, G>::new(device, method, &Mixing::new(4, &RING).unwrap(), tensors).unwrap()
    }
}

/// Walkers whose loops have `INNER` steps, with Nesterov's momentum or with a heavy ball; `INNER` of 0 is SGD, of 9 has no
/// momentum.
pub struct Walkers<const INNER: u64, const NESTEROV: bool>;

impl<const INNER: u64, const NESTEROV: bool, P: Pair<G>, G: Element<Real = P::Real>> Subject<P, G>
    for Walkers<INNER, NESTEROV>
{
    type Method = EntropySgd;

    fn new(device: &Device, tensors: &[Tensor]) -> Ensemble<EntropySgd, P, G> {
        let method = EntropySgd {
            lr: 0.5,
            momentum: if INNER == 9 { 0.0 } else { 0.9 },
            dampening: 0.1,
            weight_decay: 0.01,
            nesterov: NESTEROV,
            inner_steps: INNER,
            noise: 0.3,
            gamma: 0.5,
            gamma_growth: 0.1,
            outer_gamma: NESTEROV,
            anchor_gradient: !NESTEROV,
            seed: 11,
            ..EntropySgd::default()
        };
        Ensemble::<EntropySgd, P, G>::new(device, method, tensors).unwrap()
    }
}

/// An ensemble and what it steps.
pub struct Model<S: Subject<P, G>, P: Pair<G>, G: Element<Real = P::Real>> {
    pub ensemble: Ensemble<S::Method, P, G>,
    pub parameters: Vec<Guarded<P>>,
    pub gradients: Vec<Guarded<G>>,
}

impl<S: Subject<P, G>, P: Pair<G>, G: Element<Real = P::Real>> Model<S, P, G> {
    /// Tensors of these lengths; the arrays of a copy of a tensor begin at `offsets` of its position.
    pub fn new(device: &Device, lengths: &[usize], offsets: impl Fn(usize) -> (usize, usize)) -> Self {
        let mut numbers = Numbers::new(seed());
        let tensors: Vec<Tensor> = lengths.iter().map(|&length| Tensor::new(length)).collect();
        let ensemble = S::new(device, &tensors);
        let (mut parameters, mut gradients) = (Vec::new(), Vec::new());
        for position in 0..ensemble.copies() * lengths.len() {
            let (length, offsets) = (lengths[position % lengths.len()], offsets(position));
            parameters.push(Guarded::new(device, &numbers.numbers(length), offsets.0));
            gradients.push(Guarded::new(device, &numbers.numbers(length), offsets.1));
        }
        Self { ensemble, parameters, gradients }
    }

    /// A step of the copies' tensors that have a gradient.
    pub fn step(&mut self, has_gradient: impl Fn(usize) -> bool) {
        let mut parameters: Vec<_> = self.parameters.iter_mut().map(Guarded::view_mut).collect();
        let gradient = |(position, gradient)| has_gradient(position).then(|| Guarded::view(gradient));
        let gradients: Vec<_> = self.gradients.iter().enumerate().map(gradient).collect();
        self.ensemble.step(&mut parameters, &gradients).unwrap();
    }

    /// Parameters and states, as bytes.
    pub fn everything(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        let bytes = |array: &Guarded<P>| bytemuck::cast_slice(&array.elements()).to_vec();
        (self.parameters.iter().map(bytes).collect(), self.ensemble.state().unwrap().to_bytes())
    }
}
