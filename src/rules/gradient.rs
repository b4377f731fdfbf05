//! What a step gives each element beside its state: the gradient, and for some rules another number.

use crate::element::Real;

/// The number that a rule reads of each element beside the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// None.
    None,
    /// A second gradient, in steps that are given one.
    Second,
    /// A standard normal number: a given one, else one that is drawn from the element's address.
    Noise,
}

/// What a rule's `update` takes of a step for one element.
pub trait Gradient<T: Real>: Copy {
    /// What it holds beside the gradient.
    const EXTRA: Extra;

    /// Of the gradient and the other number; `given` tells whether the step was given that.
    fn new(gradient: T, extra: T, given: bool) -> Self;
}

impl<T: Real> Gradient<T> for T {
    const EXTRA: Extra = Extra::None;

    #[inline(always)]
    fn new(gradient: T, _: T, _: bool) -> Self {
        gradient
    }
}

/// A gradient and a second one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithSecond<T> {
    /// The gradient.
    pub gradient: T,
    /// The second gradient; 0 in a step that is given none.
    pub second: T,
    /// Whether the step is given one.
    pub given: bool,
}

impl<T: Real> Gradient<T> for WithSecond<T> {
    const EXTRA: Extra = Extra::Second;

    #[inline(always)]
    fn new(gradient: T, second: T, given: bool) -> Self {
        Self { gradient, second, given }
    }
}

/// A gradient and a standard normal number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithNoise<T> {
    /// The gradient.
    pub gradient: T,
    /// The number.
    pub noise: T,
}

impl<T: Real> Gradient<T> for WithNoise<T> {
    const EXTRA: Extra = Extra::Noise;

    #[inline(always)]
    fn new(gradient: T, noise: T, _: bool) -> Self {
        Self { gradient, noise }
    }
}
