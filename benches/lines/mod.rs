//! A step, and what it is measured against: the same arrays, or the same bytes, moved in simpler ways.
//!
//! * `step`: [`Optimizer::step`](gradus::optim::Optimizer::step), with the views made anew each time, as a caller does.
//! * `stream`: every array of the step read and written as the step does it, with one addition instead of the rule.
//! * `memcpy`: as many bytes read and written by copies.
//! * `naive`: the formula as one writes it down, in a plain loop on one thread; fewer elements, so compare rates.
//!
//! A line is built by a function of its name, which returns the closure to be timed; its arrays live as long as that.

mod group;
mod memcpy;
mod naive;
mod step;
mod stream;

use bytemuck::Zeroable;
use gradus::element::{Element, Real};
use gradus::rules::{Record, Rule};

pub use group::group;
use naive::{formula, naive};
#[allow(unused_imports, reason = "only the table of ratios takes the lines one by one")]
pub use {memcpy::memcpy, step::step, stream::stream};

/// Tensors of equal lengths.
#[derive(Clone, Copy)]
pub struct Shape {
    pub tensors: usize,
    /// Elements of each.
    pub length: usize,
}

impl Shape {
    /// `elements` spread over `tensors`; what does not go round is left out.
    pub fn spread(elements: usize, tensors: usize) -> Self {
        Self { tensors, length: elements / tensors }
    }

    /// The bytes that a step must move: parameters and states read and written, gradients read.
    pub fn bytes<R: Rule, P: Element, G: Element>(self) -> u64 {
        let states = R::State::<P::Real>::NAMES.len() * size_of::<P::Real>();
        (self.tensors * self.length * (2 * size_of::<P>() + size_of::<G>() + 2 * states)) as u64
    }
}

/// What a step reads and writes of one tensor.
pub struct Arrays<P: Element, G: Element> {
    parameter: Vec<P>,
    gradient: Vec<G>,
    /// In the order of the rule's `State`.
    states: Vec<Vec<P::Real>>,
}

impl<P: Element, G: Element> Arrays<P, G> {
    fn of<R: Rule>(shape: Shape) -> Vec<Self> {
        let zeros = |_: &&str| vec![P::Real::zeroed(); shape.length];
        let arrays = |_| Self {
            parameter: values(shape.length),
            gradient: values(shape.length),
            states: R::State::<P::Real>::NAMES.iter().map(zeros).collect(),
        };
        (0..shape.tensors).map(arrays).collect()
    }
}

/// Numbers from -0.5 to 0.5 without a pattern.
fn values<E: Element>(length: usize) -> Vec<E> {
    let value = |k: usize| f64::from((k as u32).wrapping_mul(0x9e37_79b1)) / f64::from(u32::MAX) - 0.5;
    (0..length).map(|k| E::store(E::Real::from_f64(value(k)))).collect()
}
