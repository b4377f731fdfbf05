use std::fmt::Display;

use crate::error::{ErrorKind, Result};
use crate::rng::{Address, Purpose};

/// `a·ε`: a noise, by what it is a function of, and how much of it.
///
/// The noise of an element is that of its place in the tensor of its id, whatever the shard, for
/// [`Purpose::PERTURBATION`]. The sign of an antithetic pair is that of the coefficient: `ε` and `-ε` have one address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// `a`, which is rounded to the arithmetic type; finite.
    pub coefficient: f64,
    /// The seed: that of a run, or of a direction where seeds are what is sent around.
    pub seed: u64,
    /// The step or generation, counted modulo 2³².
    pub step: u64,
    /// The antithetic pair or particle, below 2²⁰.
    pub pair: u64,
}

impl Term {
    /// The address of its noise in the tensor of an id. Errors: a pair of 2²⁰ or more; an id of 2³² or more.
    pub(crate) fn address(&self, id: u64) -> Result<Address> {
        Address::new(Purpose::PERTURBATION, self.step, id, self.pair)
    }

    /// Errors: the coefficient of the term at a position is not finite; a pair of 2²⁰ or more.
    pub(super) fn check(&self, position: usize) -> Result<()> {
        is_finite(&format_args!("term {position}"), self.coefficient)?;
        self.address(0).map(drop)
    }

    /// Errors: as [`check`](Self::check).
    pub(super) fn check_all(terms: &[Self]) -> Result<()> {
        terms.iter().enumerate().try_for_each(|(position, term)| term.check(position))
    }
}

/// Errors: a coefficient of `what` that is not finite.
pub(super) fn is_finite(what: &dyn Display, coefficient: f64) -> Result<()> {
    if coefficient.is_finite() {
        return Ok(());
    }
    let message = format!("the coefficient {coefficient} is not finite");
    Err(ErrorKind::Noise { what: what.to_string(), message }.into())
}
