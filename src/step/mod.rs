//! What surrounds a rule in a step: the schedule of its learning rate, averages of the parameters, Lookahead.
//!
//! Like a rule it is pure arithmetic over named numbers, and a twin: `kernels/optim/around.cuh` has the same fields and
//! statements. It composes with every rule in the same launch: the tick computes its scalars beside the rule's, and the
//! update applies them to the element that the rule has just stepped.

mod average;
mod lookahead;
mod schedule;

use crate::element::Real;
use crate::fmath::{fma, real, select};
use crate::rules::Record;
use crate::rules::record::record;

pub use average::Average;
pub use lookahead::{Lookahead, Momentum};
pub use schedule::Schedule;
pub(crate) use schedule::lr_factor;

/// The greatest whole number up to which an f64 holds every one.
pub(crate) const GREATEST: u64 = 1 << 53;

record! { pub struct Hyper {
    gradient_scale, seed,
    warmup, warmup_start, rise, hold, total, floor, fall, shape,
    average, average_decay, average_start, average_every,
    lookahead_every, lookahead_share, lookahead_momentum,
} }
record! { pub struct Carry { averaged, slow_begun } }
record! { pub struct Scalars { gradient_scale, average, slow_begins, slow_share, momentum_kept, momentum_returned } }

/// The code of no average in [`Hyper`].
pub(crate) const AVERAGE_NONE: f64 = 0.0;
/// The code of [`Average::exponential`] in [`Hyper`].
pub(crate) const AVERAGE_EXPONENTIAL: f64 = 1.0;
/// The code of [`Average::equal`] in [`Hyper`].
pub(crate) const AVERAGE_EQUAL: f64 = 2.0;

/// The code of [`Momentum::Keep`] in [`Hyper`].
pub(crate) const MOMENTUM_KEEP: f64 = 0.0;
/// The code of [`Momentum::Reset`] in [`Hyper`].
pub(crate) const MOMENTUM_RESET: f64 = 1.0;
/// The code of [`Momentum::Pullback`] in [`Hyper`].
pub(crate) const MOMENTUM_PULLBACK: f64 = 2.0;

/// The arrays beside a rule's states that a tensor may have, as saved states name them: the average, the slow weights,
/// the momentum at the last synchronisation.
pub(crate) const ARRAYS: [&str; 3] = ["average", "slow", "momentum"];
pub(crate) const AVERAGE: usize = 0;
pub(crate) const SLOW: usize = 1;

impl Hyper<f64> {
    /// Which of [`ARRAYS`] the tensors of a group have.
    pub(crate) fn arrays(&self) -> [bool; ARRAYS.len()] {
        let lookahead = self.lookahead_every != 0.0;
        [self.average != AVERAGE_NONE, lookahead, lookahead && self.lookahead_momentum == MOMENTUM_PULLBACK]
    }
}

impl Carry<f64> {
    /// Which of the scalars begin anew for a tensor whose group wants these of [`ARRAYS`].
    pub(crate) fn forgotten(wanted: [bool; ARRAYS.len()]) -> [bool; 2] {
        [!wanted[AVERAGE], !wanted[SLOW]]
    }

    /// Begins anew with what the group of a tensor does not want.
    pub(crate) fn forget(&mut self, wanted: [bool; ARRAYS.len()]) {
        let forgotten = Self::forgotten(wanted);
        *self = Self::from_fn(|k| select(forgotten[k], 0.0, *self.nth(k)));
    }
}

/// The scalars of a tensor's step `t`, counted from 1.
pub(crate) fn tick(h: &Hyper<f64>, t: u64, carry: &mut Carry<f64>) -> Scalars<f64> {
    let since = t as f64 - h.average_start;
    let collects = h.average != AVERAGE_NONE && since >= 0.0 && is_multiple(since, h.average_every);
    carry.averaged += select(collects, 1.0, 0.0);
    let later = select(h.average == AVERAGE_EXPONENTIAL, 1.0 - h.average_decay, 1.0 / carry.averaged);
    let weight = select(carry.averaged == 1.0, 1.0, later);

    let looks = h.lookahead_every != 0.0;
    let begins = looks && carry.slow_begun == 0.0;
    carry.slow_begun = select(looks, 1.0, 0.0);
    let synchronises = looks && is_multiple(t as f64, h.lookahead_every);
    let pulls = h.lookahead_momentum == MOMENTUM_PULLBACK;
    let kept = select(h.lookahead_momentum == MOMENTUM_KEEP, 1.0, select(pulls, h.lookahead_share, 0.0));
    Scalars {
        gradient_scale: h.gradient_scale,
        average: select(collects, weight, 0.0),
        slow_begins: select(begins, 1.0, 0.0),
        slow_share: select(synchronises, h.lookahead_share, 0.0),
        momentum_kept: kept,
        momentum_returned: select(pulls, 1.0 - h.lookahead_share, 0.0),
    }
}

/// Whether `every` divides `n`; both are whole, `n` is not negative and `every` is not zero.
#[allow(clippy::manual_is_multiple_of, reason = "its twin is written so")]
pub(crate) fn is_multiple(n: f64, every: f64) -> bool {
    n as u64 % every as u64 == 0
}

/// The average after a parameter has come to it.
#[inline(always)]
pub(crate) fn averaged<T: Real>(s: &Scalars<T>, average: T, p: T) -> T {
    select(s.average == real(1.0), p, fma(s.average, p - average, average))
}

/// The weights that both fast and slow ones become at a synchronisation.
#[inline(always)]
pub(crate) fn synchronised<T: Real>(s: &Scalars<T>, slow: T, p: T) -> T {
    fma(s.slow_share, p - slow, slow)
}

/// The momentum behind a synchronisation; `before` is the one behind the synchronisation before it.
#[inline(always)]
pub(crate) fn pulled_back<T: Real>(s: &Scalars<T>, before: T, momentum: T) -> T {
    fma(s.momentum_kept, momentum, s.momentum_returned * before)
}
