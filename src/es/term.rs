use std::fmt::Display;

use crate::error::{Error, ErrorKind, Result};
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

    /// The term, and the same noise to the other side.
    pub(super) fn both(self) -> [Self; 2] {
        [self, Self { coefficient: -self.coefficient, ..self }]
    }

    /// Errors: as [`check`](Self::check).
    pub(super) fn check_all(terms: &[Self]) -> Result<()> {
        terms.iter().enumerate().try_for_each(|(position, term)| term.check(position))
    }
}

/// Errors: a deviation that is not positive and finite; no antithetic pair, or more than an address tells apart. `what` is what
/// they are made for, `pairs` what they are called.
pub(super) fn check_pairs(what: &'static str, sigma: f64, pairs: &str, count: usize) -> Result<()> {
    const MOST: usize = 1 << 20;
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(Error::setting(what, format!("sigma = {sigma} is not a positive number")));
    }
    if !(1..=MOST).contains(&count) {
        return Err(Error::setting(what, format!("{count} {pairs} are none or more than {MOST}")));
    }
    Ok(())
}

/// Errors: a factor of the square of a term's noise that is not finite.
pub(super) fn check_factors(factors: &[f64]) -> Result<()> {
    factors.iter().enumerate().try_for_each(|(position, &factor)| is_finite(&format_args!("square {position}"), factor))
}

/// Errors: a coefficient of `what` that is not finite.
pub(super) fn is_finite(what: &dyn Display, coefficient: f64) -> Result<()> {
    if coefficient.is_finite() {
        return Ok(());
    }
    let message = format!("the coefficient {coefficient} is not finite");
    Err(ErrorKind::Noise { what: what.to_string(), message }.into())
}
