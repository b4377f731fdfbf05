//! What an ensemble knows of its method, and a backend of an ensemble.

use std::fmt::Debug;

use crate::element::{Element, Real};
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::rules::{Record, Settings};

/// A method that steps several copies of a model together: settings, and what changes from step to step.
///
/// Like a rule it stands twice: here, and in `kernels/optim/<name>.cuh`.
pub trait Method: Settings + Debug {
    /// The method's name: the stem of its kernels, and what a saved state is of.
    const NAME: &'static str;

    /// What one of the copies is called.
    const COPY: &'static str;

    /// The state arrays of each copy of a tensor, of as many elements as the tensor has; they start at 0.
    const STATES: &'static [&'static str];

    /// What the update of an element receives: final scalars, in the arithmetic type.
    type Scalars<T: Real>: Record<T> + Copy + Send + Sync;

    /// How many of [`Method::STATES`], from the first on, these settings make use of; the others are not kept.
    fn kept(&self) -> usize {
        Self::STATES.len()
    }

    /// The seed of the noise that steps draw where none is given; `None` where these settings draw none.
    fn noise_seed(_: &Self::Hyper) -> Option<u64> {
        None
    }

    /// Checks the settings. Errors: what lies outside its range, and settings that contradict each other.
    fn check(&self) -> Result<()> {
        self.check_ranges()
    }

    /// The scalars of step `t`, counted from 1, in f64; each is rounded to the arithmetic type once.
    fn tick(hyper: &Self::Hyper, t: u64) -> Self::Scalars<f64>;
}

/// What is kept from step to step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Saved<T: Real> {
    /// Steps taken.
    pub(crate) steps: u64,
    /// The state arrays: tensor by tensor, in it copy by copy, in it the first [`Method::kept`] of [`Method::STATES`].
    pub(crate) states: Vec<Vec<T>>,
}

/// The copies of an ensemble on a device. The caller has checked every argument: counts, lengths, devices.
pub(crate) trait Backend<P: Element, G: Element>: Send {
    /// Steps every tensor. Parameters and gradients stand copy by copy, in it tensor by tensor; `extras` likewise, or there
    /// are none.
    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()>;

    /// Sets the settings, as numbers.
    fn set_hyper(&mut self, hyper: &[f64]) -> Result<()>;

    /// Steps taken.
    fn steps(&self) -> Result<u64>;

    /// What is kept.
    fn read(&self) -> Result<Saved<P::Real>>;

    /// Replaces what is kept.
    fn write(&mut self, saved: Saved<P::Real>) -> Result<()>;
}
