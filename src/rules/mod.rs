//! Rules: one optimizer's arithmetic each, as pure functions over named values.
//!
//! A rule sees no memory, storage type, thread, tensor or launch. It stands twice, as twins of the same statements in
//! the same order: here, and in `kernels/rules/<name>.cuh`. What steps tensors with it is
//! [`Optimizer`](crate::optim::Optimizer).

use std::fmt::Debug;

use crate::element::{Element, Real};
use crate::error::Result;

mod common;
pub(crate) mod form;
mod gradient;
mod list;
pub(crate) mod record;
mod registry;
pub(crate) mod settings;

macro_rules! modules {
    ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
        $(
            pub mod $module;
            pub use $module::$Rule;
        )*
    };
}
crate::for_each_rule!(modules);

pub use common::{DECAY_DECOUPLED, DECAY_L2, Decay, EPS_INSIDE, EPS_OUTSIDE, EpsPlacement, UNLIMITED, clamp, keep, l2};
pub(crate) use form::Form;
pub use gradient::{Extra, Gradient, WithNoise, WithSecond};
pub use record::{Nothing, Record};
pub use registry::*;
pub use settings::{Setting, Settings, Value};

/// What a rule's file is written with.
mod prelude {
    pub(super) use super::common::{Decay, keep, l2};
    pub(super) use super::record::{Nothing, record};
    pub(super) use super::settings::settings;
    pub(super) use super::{Rule, Settings};
    pub(super) use crate::element::Real;
    pub(super) use crate::error::{Error, Result};
    pub(super) use crate::fmath::{fma, powi, real, select, sign, sqrt};
}

/// The most state arrays a rule may have.
pub(crate) const MAX_STATES: usize = 8;

/// One optimizer's arithmetic: settings, what changes from step to step, and the update of one element.
pub trait Rule: Settings + Debug {
    /// The rule's name: the stem of its kernels.
    const NAME: &'static str;

    /// Scalars of a tensor that live from step to step; they start at 0.
    type Carry: Record<f64> + Send;

    /// What [`Rule::update`] receives: final scalars, in the arithmetic type.
    type Scalars<T: Real>: Record<T> + Copy + Send + Sync;

    /// The state of one element; it starts at 0.
    type State<T: Real>: Record<T>;

    /// What a step gives each element: its gradient, `T`, or a record of that and of another number.
    type Gradient<T: Real>: Gradient<T>;

    /// The position in [`Rule::State`] of the momentum, if there is one: what
    /// [`Lookahead`](crate::optim::Lookahead) may reset or pull back.
    const MOMENTUM: Option<usize> = None;

    /// Checks the settings. Errors: what lies outside its range, and settings that contradict each other.
    fn check(&self) -> Result<()> {
        self.check_ranges()
    }

    /// Whether these settings make no use of the state: then it is neither read nor written, and stays as it is.
    fn is_stateless(_: &Self::Hyper) -> bool {
        false
    }

    /// Whether a step of these scalars makes use of the noise that the rule takes: else none is drawn.
    fn takes_noise<T: Real>(_: &Self::Scalars<T>) -> bool {
        true
    }

    /// Where the point to evaluate the model at lies, if it is not the parameter `p`: at `p + weight (x - p)`, where `x` is
    /// the state at the position that is returned beside the weight.
    fn evaluation(&self) -> Option<(usize, f64)> {
        None
    }

    /// The scalars of a tensor's step `t`, counted from 1, in f64; each is rounded to the arithmetic type once.
    fn tick(hyper: &Self::Hyper, t: u64, carry: &mut Self::Carry) -> Self::Scalars<f64>;

    /// The new value of a parameter `p` with gradient `g`; `state` is changed in place.
    fn update<T: Real>(scalars: &Self::Scalars<T>, p: T, g: Self::Gradient<T>, state: &mut Self::State<T>) -> T;
}

/// A parameter type that may be stepped with gradients of type `G`.
///
/// The pairs are (f32, f32), (f32, bf16), (f32, f16), (bf16, bf16), (bf16, f32), (f16, f16) and (f64, f64); another one
/// does not compile:
///
/// ```compile_fail
/// use gradus::{Device, optim::Optimizer, rules::AdamW};
/// let optimizer = Optimizer::<AdamW, f32, f64>::new(&Device::cpu(), AdamW::default());
/// ```
#[diagnostic::on_unimplemented(message = "no kernel steps parameters of type `{Self}` with gradients of type `{G}`")]
pub trait Pair<G: Element<Real = Self::Real>>: Element {}

macro_rules! implement_pairs {
    ($(($parameter:ident, $gradient:ident),)*) => {
        mod pairs {
            use half::{bf16, f16};
            $(impl super::Pair<$gradient> for $parameter {})*
        }
    };
}
crate::for_each_pair!(implement_pairs);
