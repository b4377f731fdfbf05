//! Words that several rules share.

use super::{Setting, Value};
use crate::element::Real;
use crate::error::{Error, Result};
use crate::fmath::{self, powi, real, select, sqrt};

/// Where weight decay acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// On the gradient: `g ← g + λp`, before anything else. A penalty `λ/2 ‖p‖²` on the loss.
    L2,
    /// On the parameter: `p ← (1 - lr·λ) p`, before the update.
    Decoupled,
}

/// The code of [`Decay::L2`] in a rule's `Hyper`.
pub const DECAY_L2: f64 = 0.0;
/// The code of [`Decay::Decoupled`] in a rule's `Hyper`.
pub const DECAY_DECOUPLED: f64 = 1.0;

impl Setting for Decay {
    const EXPECTED: &'static str = "'l2' or 'decoupled'";

    fn encode(self) -> f64 {
        match self {
            Self::L2 => DECAY_L2,
            Self::Decoupled => DECAY_DECOUPLED,
        }
    }

    fn decode(code: f64) -> Option<Self> {
        [Self::L2, Self::Decoupled].into_iter().find(|decay| decay.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "l2" => Some(Self::L2),
            Value::Name(name) if name == "decoupled" => Some(Self::Decoupled),
            _ => None,
        }
    }
}

/// What an L2 penalty adds to the gradient, as a factor of the parameter; 0 for other decays.
pub fn l2(decay: f64, weight_decay: f64) -> f64 {
    select(decay == DECAY_L2, weight_decay, 0.0)
}

/// What decoupled decay leaves of the parameter, as a factor; 1 for other decays.
pub fn keep(decay: f64, lr: f64, weight_decay: f64) -> f64 {
    1.0 - lr * select(decay == DECAY_DECOUPLED, weight_decay, 0.0)
}

/// Where the ε of a denominator stands, whose root is that of a running mean or sum of squares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpsPlacement {
    /// Behind the root, in units of the gradient: `g / (√v + ε)`. PyTorch's form.
    Outside,
    /// Under the root, in units of the gradient squared: `g / √(v + ε)`. TensorFlow's and optax's form.
    Inside,
}

/// The code of [`EpsPlacement::Outside`] in a rule's `Hyper`.
pub const EPS_OUTSIDE: f64 = 0.0;
/// The code of [`EpsPlacement::Inside`] in a rule's `Hyper`.
pub const EPS_INSIDE: f64 = 1.0;

impl Setting for EpsPlacement {
    const EXPECTED: &'static str = "'outside' or 'inside'";

    fn encode(self) -> f64 {
        match self {
            Self::Outside => EPS_OUTSIDE,
            Self::Inside => EPS_INSIDE,
        }
    }

    fn decode(code: f64) -> Option<Self> {
        [Self::Outside, Self::Inside].into_iter().find(|placement| placement.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "outside" => Some(Self::Outside),
            Value::Name(name) if name == "inside" => Some(Self::Inside),
            _ => None,
        }
    }
}

/// What is added under the root.
pub fn eps_inside(placement: f64, eps: f64) -> f64 {
    select(placement == EPS_INSIDE, eps, 0.0)
}

/// What is added to the root.
pub fn eps_outside(placement: f64, eps: f64) -> f64 {
    select(placement == EPS_OUTSIDE, eps, 0.0)
}

/// `x / y`, and 0 where `y` is 0: an element that never had a gradient stays where it is without an ε, too.
#[inline(always)]
pub fn quotient<T: Real>(x: T, y: T) -> T {
    select(y == real(0.0), real(0.0), x / y)
}

/// A bound that nothing reaches.
pub const UNLIMITED: f64 = f64::INFINITY;

/// `x` between `-bound` and `bound`; a NaN stays one.
#[inline(always)]
pub fn clamp<T: Real>(x: T, bound: T) -> T {
    select(x > bound, bound, select(x < -bound, -bound, x))
}

/// The rate of step `t` while it rises in a straight line to `lr` over the first steps.
pub fn warmed_up(lr: f64, warmup_steps: f64, t: u64) -> f64 {
    lr * select(warmup_steps > t as f64, t as f64 / warmup_steps, 1.0)
}

/// The weight of step `t` in a schedule-free average; `greatest_lr` is that of the steps up to it.
pub fn average_weight(t: u64, r: f64, greatest_lr: f64, weight_lr_power: f64) -> f64 {
    fmath::pow(t as f64, r) * fmath::pow(greatest_lr, weight_lr_power)
}

/// How many gradients the second moment of step `t` averages, as RAdam approximates it; it rises to `2/(1-β₂) - 1`.
pub fn rectification_length(beta2: f64, t: u64) -> f64 {
    let decayed = powi(beta2, t);
    2.0 / (1.0 - beta2) - 1.0 - 2.0 * t as f64 * decayed / (1.0 - decayed)
}

/// RAdam's factor of a step whose second moment averages so many gradients; for a length above 4 only.
pub fn rectification(beta2: f64, length: f64) -> f64 {
    let limit = 2.0 / (1.0 - beta2) - 1.0;
    sqrt((length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length))
}

/// The errors of settings that AdaBelief and ACProp would not read.
pub(super) fn refuse_unread(rule: &'static str, unread_amsgrad: bool, unread_fixed_decay: bool) -> Result<()> {
    if unread_amsgrad {
        return Err(Error::setting(rule, "amsgrad wants rectify = false, but rectify = true".to_owned()));
    }
    if unread_fixed_decay {
        return Err(Error::setting(rule, "fixed_decay wants decay = 'decoupled', but decay = 'l2'".to_owned()));
    }
    Ok(())
}
