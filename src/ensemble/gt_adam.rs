//! GTAdam: Adam of several agents, each with its own loss, who know the gradient of the sum of all losses by tracking it.
//!
//! Carnevale, Farina, Notarnicola & Notarstefano, "GTAdam: gradient tracking with adaptive momentum for distributed online
//! optimization" (2020). Agent i mixes with its neighbours j by the weights W of a doubly stochastic matrix; g is its
//! gradient at its parameters before the step, g' the one of the step before:
//!
//! ```text
//! sᵢ ← Σⱼ Wᵢⱼ sⱼ + gᵢ - g'ᵢ
//! mᵢ ← β₁ mᵢ + (1-β₁) sᵢ        vᵢ ← min(β₂ vᵢ + (1-β₂) sᵢ², G)
//! xᵢ ← Σⱼ Wᵢⱼ xⱼ - lr mᵢ / √(vᵢ + ε)
//! ```
//!
//! All sums are of what stands before the step. ε stands inside the root, and nothing is corrected for its start at 0. The trackers' mean is at
//! all times the mean of the gradients.
//!
//! [`Start`] says where they begin. In the paper, [`Start::Gradient`], the first trackers are the first gradients. The default,
//! [`Start::Mixing`], is the form of NVIDIA/NVFlare, the implementation there is: trackers and gradients are 0 in the first
//! step, which therefore only mixes the parameters and takes no gradient; from the second step on the two forms are the same.
//! NVFlare writes a step from the middle on: x first, and the tracker with the gradient at the new x.
//!
//! ```
//! use gradus::ensemble::{Ensemble, GtAdam, Mixing, Start};
//! use gradus::optim::Tensor;
//! use gradus::{Buffer, Device};
//!
//! let device = Device::cpu();
//! let mixing = Mixing::new(2, &[0.75, 0.25, 0.25, 0.75])?;
//! let method = GtAdam { lr: 0.0, start: Start::Gradient, ..GtAdam::default() };
//! let mut agents = Ensemble::<GtAdam>::new(&device, method, &mixing, &[Tensor::new(1)])?;
//!
//! let mut first = Buffer::from_slice(&device, &[1.0_f32])?;
//! let mut second = Buffer::from_slice(&device, &[3.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32])?;
//! agents.step(&mut [first.view_mut(), second.view_mut()], &[Some(gradient.view()), None])?;
//! assert_eq!((first.to_vec()?, second.to_vec()?), (vec![1.5], vec![2.5]));
//! # Ok::<(), gradus::Error>(())
//! ```

use super::Method;
use crate::element::Real;
use crate::fmath::{fma, real, select, sqrt};
use crate::rules::record::record;
use crate::rules::settings::settings;
use crate::rules::{Setting, Value};

/// Where the trackers of [`GtAdam`] begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At 0: the first step mixes the parameters, and its gradients are not read. NVFlare's form.
    Mixing,
    /// At the gradients of the first step. The paper's form.
    Gradient,
}

/// The code of [`Start::Mixing`] in [`Hyper`].
const START_MIXING: f64 = 0.0;
/// The code of [`Start::Gradient`] in [`Hyper`].
const START_GRADIENT: f64 = 1.0;

impl Setting for Start {
    const EXPECTED: &'static str = "'mixing' or 'gradient'";

    fn encode(self) -> f64 {
        match self {
            Self::Mixing => START_MIXING,
            Self::Gradient => START_GRADIENT,
        }
    }

    fn decode(code: f64) -> Option<Self> {
        [Self::Mixing, Self::Gradient].into_iter().find(|start| start.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "mixing" => Some(Self::Mixing),
            Value::Name(name) if name == "gradient" => Some(Self::Gradient),
            _ => None,
        }
    }
}

settings! {
    /// Settings of GTAdam. State: four elements a parameter of each agent.
    pub struct GtAdam {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of the trackers; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of the squared trackers; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the second moment inside the root, in units of the gradient's square; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Bound G of the second moment, in units of the gradient's square; `bound ≥ 0`.
        pub bound: f64 = 1e6, in 0.0..;
        /// Where the trackers begin.
        pub start: Start = Start::Mixing;
    }
}

record! { pub struct Scalars { tracks, one_minus_beta1, one_minus_beta2, eps, bound, lr } }
record! { pub struct State { tracker, gradient, m, v } }

impl Method for GtAdam {
    const NAME: &'static str = "gt_adam";
    const COPY: &'static str = "agent";
    const STATES: &'static [&'static str] = &["tracker", "gradient", "m", "v"];
    type Scalars<T: Real> = Scalars<T>;

    fn tick(h: &Hyper<f64>, t: u64) -> Scalars<f64> {
        let tracks = t > 1 || h.start == START_GRADIENT;
        Scalars {
            tracks: select(tracks, 1.0, 0.0),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            eps: h.eps,
            bound: h.bound,
            lr: h.lr,
        }
    }
}

/// A sum with another agent's value in it; a weight of 0 keeps what is not finite there away.
#[inline(always)]
pub(crate) fn mixed<T: Real>(sum: T, weight: T, value: T) -> T {
    select(weight != real(0.0), fma(weight, value, sum), sum)
}

/// The new value of an agent's parameter; `x` and `tracker` are the mixtures of all agents', `g` is the gradient if one is
/// given.
#[inline(always)]
pub(crate) fn update<T: Real>(s: &Scalars<T>, x: T, tracker: T, g: T, given: bool, state: &mut State<T>) -> T {
    let tracks = given && s.tracks != real(0.0);
    state.tracker = select(tracks, tracker + (g - state.gradient), tracker);
    state.gradient = select(tracks, g, state.gradient);
    state.m = fma(s.one_minus_beta1, state.tracker - state.m, state.m);
    let v = fma(s.one_minus_beta2, state.tracker * state.tracker - state.v, state.v);
    state.v = select(v > s.bound, s.bound, v);
    fma(-s.lr, state.m / sqrt(state.v + s.eps), x)
}
