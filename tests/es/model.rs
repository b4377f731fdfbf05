//! Tensors in guarded memory, and a plan that perturbs them.

use bytemuck::bytes_of;
use gradus::element::{Element, Scalar};
use gradus::es::{Distribution, Perturbation, Target, Term};
use gradus::optim::Tensor;
use gradus::{Device, View, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::memory::Guarded;

/// A tensor: its id, its first element, its length, and where its memory is read and written, in elements behind an aligned
/// address.
pub type Place = (u64, u64, usize, usize, usize);

/// So many terms, each with another seed, step and pair.
pub fn terms(count: usize) -> Vec<Term> {
    let term = |i: u64| Term {
        coefficient: if i.is_multiple_of(2) { 0.1 } else { -0.7 } / (i + 1) as f64,
        seed: 0x0123_4567_89ab_cdef ^ (i << 60) ^ i,
        step: (1 << 40) + 1000 * i,
        pair: (1 << 20) - 1 - i * i,
    };
    (0..count as u64).map(term).collect()
}

/// The tensors of these places.
pub fn tensors(places: &[Place]) -> Vec<Tensor> {
    places.iter().map(|&(id, first, length, ..)| Tensor::new(length).id(id).first(first)).collect()
}

/// A plan for these places, and parameters in memory of the device.
pub struct Model<P: Element, Q: Element> {
    pub plan: Perturbation<P, Q>,
    pub from: Vec<Guarded<P>>,
    pub to: Vec<Guarded<Q>>,
}

impl<P: Element<Real = Q::Real>, Q: Target<P>> Model<P, Q> {
    pub fn new(device: &Device, distribution: Distribution, places: &[Place]) -> Self {
        let plan = Perturbation::new(device, distribution, &tensors(places)).unwrap();
        let mut numbers = Numbers::new(seed());
        let mut from = Vec::new();
        let mut to = Vec::new();
        for &(_, _, length, read, written) in places {
            let elements: Vec<P> = numbers.numbers(length);
            from.push(Guarded::new(device, &elements, read));
            to.push(Guarded::new(device, &vec![Q::zeroed(); length], written));
        }
        Self { plan, from, to }
    }

    pub fn write(&mut self, terms: &[Term]) -> Vec<Vec<Q>> {
        let from: Vec<View<'_, P>> = self.from.iter().map(Guarded::view).collect();
        let mut to: Vec<ViewMut<'_, Q>> = self.to.iter_mut().map(Guarded::view_mut).collect();
        self.plan.write(terms, &from, &mut to).unwrap();
        self.to.iter().map(Guarded::elements).collect()
    }
}

impl<P: Target<P>> Model<P, P> {
    pub fn apply(&mut self, terms: &[Term]) -> Vec<Vec<P>> {
        let mut views: Vec<ViewMut<'_, P>> = self.from.iter_mut().map(Guarded::view_mut).collect();
        self.plan.apply(terms, &mut views).unwrap();
        self.from.iter().map(Guarded::elements).collect()
    }
}

/// The same bits, tensor by tensor.
#[track_caller]
pub fn same<Q: Scalar>(found: &[Vec<Q>], expected: &[Vec<Q>], what: &str) {
    for (tensor, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (element, (found, expected)) in found.iter().zip(expected).enumerate() {
            let equal = bytes_of(found) == bytes_of(expected);
            assert!(equal, "{what}: element {element} of tensor {tensor} is {found:?}, not {expected:?}");
        }
    }
}
