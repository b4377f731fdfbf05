//! Entropy-SGD: SGD towards the mean of a walk around the parameters, which prefers wide valleys.
//!
//! Chaudhari, Choromanska, Soatto, LeCun, Baldassi, Borgs, Chayes, Sagun & Zecchina, "Entropy-SGD: biasing gradient descent
//! into wide valleys" (2017), Algorithm 1, in the form of its authors' code (ucla-vision/entropy-sgd, Python). A loop is L
//! steps of a walker w, each with a gradient g at w on a batch of its own, and one of the anchor x:
//!
//! ```text
//! x ← w, x̄ ← w                                                      where a loop begins
//!
//! d ← g + λ w, with inner momentum                                  each of the L steps
//! w ← w - lr' (d + γ (w - x) + ε / √(lr'/2) ξ)                      ξ standard normal
//! x̄ ← α x̄ + (1-α) w
//!
//! d ← x - x̄ + λ x, with outer momentum                              behind the last of them
//! w ← x - lr d
//!
//! u ← μ u + (1-damping) d,   d ← d + μ u (Nesterov) or d ← u        momentum
//! ```
//!
//! A step of the ensemble is one of the walker; the last of a loop takes the anchor along, in the same launch. So there
//! is no order of calls to keep: call [`step`](super::Ensemble#method.step) with the gradients at the parameters. They are the
//! anchor, and worth evaluating, after every L-th step: [`at_anchor`](super::Ensemble#method.at_anchor).
//!
//! What differs between the code and the paper:
//!
//! | | code | paper | here |
//! |---|---|---|---|
//! | anchor's step | lr (x - x̄) | lr γ (x - x̄) | `outer_gamma`, off by default |
//! | γ in loop k from 0 on | γ, as its counter never advances (the Lua code's does) | γ (1 + growth)ᵏ | `gamma_growth`, 0 by default |
//! | noise in a step | √(2 lr') ε ξ | √lr' ε ξ | the code's; the paper's with ε / √2 |
//! | gradients a loop | L, after one at the anchor, of which only the first loop makes use | L | `anchor_gradient`, off by default |
//! | steps of a loop | 0 by default, which is SGD | 20 | `inner_steps`, 20 by default |
//!
//! The outer momentum starts as the first gradient of all, not at 0, and is multiplied by μ in the first loop already; the
//! inner momentum begins each loop at 0. Without Nesterov's form the inner momentum collects pull and noise as well. All of this is the code's; the
//! paper's algorithm has no momentum. lr' = 0.1 and α = 0.75 are constants there.
//!
//! A tensor without a gradient stays where it is in that step; its mean and its anchor go on.
//!
//! ```
//! use gradus::ensemble::{Ensemble, EntropySgd};
//! use gradus::optim::Tensor;
//! use gradus::{Buffer, Device};
//!
//! let device = Device::cpu();
//! let method = EntropySgd { lr: 1.0, inner_steps: 5, noise: 0.0, ..EntropySgd::default() };
//! let mut entropy = Ensemble::<EntropySgd>::new(&device, method, &[Tensor::new(1)])?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! for _ in 0..2 * 5 {
//!     let gradient = Buffer::from_slice(&device, &weight.to_vec()?)?; // of the loss w² / 2
//!     entropy.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! }
//! assert!(entropy.at_anchor()? && weight.to_vec()?[0] < 0.7);
//! # Ok::<(), gradus::Error>(())
//! ```

use std::ops::Bound;

use super::Method;
use crate::element::Real;
use crate::error::Result;
use crate::fmath::{fma, max, powi, real, select, sqrt};
use crate::rules::Settings;
use crate::rules::record::record;
use crate::rules::settings::{in_range, settings};
use crate::step::GREATEST;

settings! {
    /// Settings of Entropy-SGD. State: two elements a parameter, four with momentum.
    pub struct EntropySgd {
        /// Learning rate of the anchor, per loop; `lr ≥ 0`.
        pub lr: f64 = 1e-2, in 0.0..;
        /// Decay μ of inner and outer momentum; `momentum ≥ 0`.
        pub momentum: f64 = 0.0, in 0.0..;
        /// What is missing of a direction when it enters the momentum; at most 1.
        pub dampening: f64 = 0.0, in ..=1.0;
        /// L2 penalty λ of walker and anchor; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Nesterov's form of both momenta.
        pub nesterov: bool = true;
        /// Steps L of the walker in a loop; 0 for SGD.
        pub inner_steps: u64 = 20;
        /// Learning rate lr' of the walker, per step; `inner_lr > 0`.
        pub inner_lr: f64 = 0.1, in (Bound::Excluded(0.0), Bound::Unbounded);
        /// Decay α of the walker's mean, per step; `[0, 1)`.
        pub averaging: f64 = 0.75, in 0.0..1.0;
        /// Strength ε of the noise; `noise ≥ 0`.
        pub noise: f64 = 1e-4, in 0.0..;
        /// Strength γ of the pull to the anchor in the first loop, in units of gradient per parameter; `gamma ≥ 0`.
        pub gamma: f64 = 1e-2, in 0.0..;
        /// By which share γ grows from each loop to the next; `gamma_growth ≥ 0`.
        pub gamma_growth: f64 = 0.0, in 0.0..;
        /// Whether γ multiplies the anchor's step.
        pub outer_gamma: bool = false;
        /// Whether a loop begins with a step more, whose gradient is at the anchor and moves nothing: in the first loop the
        /// outer momentum starts as it.
        pub anchor_gradient: bool = false;
        /// Seed of the noise that is drawn; at most 2⁵³.
        pub seed: u64 = 0;
    }
}

record! {
    pub struct Scalars {
        begins, seeds, walks, ends, loops, weight_decay, momentum, undamped, nesterov, gamma, noise, inner_lr,
        one_minus_averaging, outer_gamma, lr,
    }
}
record! { pub struct State { anchor, mean, inner, outer } }

impl EntropySgd {
    /// Steps of a loop.
    pub(super) fn calls(&self) -> u64 {
        (self.inner_steps + u64::from(self.anchor_gradient)).max(1)
    }
}

impl Method for EntropySgd {
    const NAME: &'static str = "entropy_sgd";
    const COPY: &'static str = "walker";
    const STATES: &'static [&'static str] = &["anchor", "mean", "inner", "outer"];
    type Scalars<T: Real> = Scalars<T>;

    fn check(&self) -> Result<()> {
        for (setting, number) in [("inner_steps", self.inner_steps), ("seed", self.seed)] {
            in_range("EntropySgd", setting, number as f64, 0.0..=GREATEST as f64)?;
        }
        self.check_ranges()
    }

    fn kept(&self) -> usize {
        if self.momentum == 0.0 { 2 } else { 4 }
    }

    fn noise_seed(h: &Hyper<f64>) -> Option<u64> {
        (h.noise != 0.0 && h.inner_steps != 0.0).then_some(h.seed as u64)
    }

    fn tick(h: &Hyper<f64>, t: u64) -> Scalars<f64> {
        let calls = max(h.inner_steps + h.anchor_gradient, 1.0);
        let position = (t - 1) % calls as u64;
        let gamma = h.gamma * powi(1.0 + h.gamma_growth, (t - 1) / calls as u64);
        let loops = h.inner_steps > 0.0;
        let walks = loops && position as f64 >= h.anchor_gradient;
        Scalars {
            begins: select(position == 0, 1.0, 0.0),
            seeds: select(t == 1, 1.0, 0.0),
            walks: select(walks, 1.0, 0.0),
            ends: select(position + 1 == calls as u64, 1.0, 0.0),
            loops: select(loops, 1.0, 0.0),
            weight_decay: h.weight_decay,
            momentum: h.momentum,
            undamped: 1.0 - h.dampening,
            nesterov: h.nesterov,
            gamma,
            noise: h.noise / sqrt(0.5 * h.inner_lr),
            inner_lr: h.inner_lr,
            one_minus_averaging: 1.0 - h.averaging,
            outer_gamma: select(h.outer_gamma != 0.0, gamma, 1.0),
            lr: h.lr,
        }
    }
}

/// The momentum after a direction `d` has come to it.
#[inline(always)]
fn gathered<T: Real>(s: &Scalars<T>, momentum: T, d: T) -> T {
    fma(s.momentum, momentum, s.undamped * d)
}

/// What the momentum makes of a direction that has come to it.
#[inline(always)]
fn pushed<T: Real>(s: &Scalars<T>, momentum: T, d: T) -> T {
    let heavy = select(s.nesterov != real(0.0), fma(s.momentum, momentum, d), momentum);
    select(s.momentum != real(0.0), heavy, d)
}

/// The new value of a parameter `p`; `g` is its gradient if one is given, `noise` a standard normal number.
#[inline(always)]
pub(crate) fn update<T: Real>(s: &Scalars<T>, p: T, g: T, given: bool, noise: T, state: &mut State<T>) -> T {
    let begins = s.begins != real(0.0);
    state.anchor = select(begins, p, state.anchor);
    state.mean = select(begins, p, state.mean);
    state.inner = select(begins, real(0.0), state.inner);
    state.outer = select(given && s.seeds != real(0.0), g, state.outer);

    let walks = s.walks != real(0.0);
    let decayed = fma(s.weight_decay, p, g);
    let inner = gathered(s, state.inner, decayed);
    let pulled = fma(s.gamma, p - state.anchor, pushed(s, inner, decayed));
    let shaken = fma(s.noise, noise, pulled);
    let w = select(given && walks, fma(-s.inner_lr, shaken, p), p);
    let collected = select(s.nesterov != real(0.0), inner, shaken);
    state.inner = select(given && walks, collected, state.inner);
    state.mean = select(walks, fma(s.one_minus_averaging, w - state.mean, state.mean), state.mean);

    let loops = s.loops != real(0.0);
    let away = select(loops, s.outer_gamma * (state.anchor - state.mean), g);
    let down = fma(s.weight_decay, state.anchor, away);
    let outer = gathered(s, state.outer, down);
    let leaves = s.ends != real(0.0) && (given || loops);
    state.outer = select(leaves, outer, state.outer);
    select(leaves, fma(-s.lr, pushed(s, outer, down), state.anchor), w)
}
