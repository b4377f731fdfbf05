//! Padam: AMSGrad whose denominator is raised to a power between that of SGD with momentum, 0, and that of Adam, 1.
//!
//! Chen, Zhou, Tang, Yang, Cao & Gu, "Closing the generalization gap of adaptive gradient methods in training deep neural
//! networks" (2018), Algorithm 1, in the form of its authors' code (uclaml/Padam), with that code's defaults:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        w ← max(w, v)        (w is v without amsgrad)
//! p ← (1 - lr·λ) p - lr √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√w + ε)^(2·partial)        (with L2 the first factor is 1)
//! ```
//!
//! ε is inside the power, and the bias correction outside of it. So `partial = ½` is Adam with the ε that the correction
//! scales (Adam's paper, "epsilon hat"), not [`AdamW::adam`](super::AdamW::adam), whose ε it does not scale; and `partial =
//! 0` is a momentum whose rate rises with `√(1-β₂ᵗ)`. The paper corrects nothing. The rate is that of SGD rather than of
//! Adam: 0.1. With ε = 0 an element that never had a gradient is 0/0, as in Adam.
//!
//! GadamX (Granziol, Wan, Albanie & Roberts, "Iterate averaging in the quest for best test error", 2020) is Padam with
//! decoupled decay and an [average](crate::optim::Average::equal) of its iterates.
//!
//! ```
//! use gradus::optim::{Average, Group, Optimizer, Tensor};
//! use gradus::rules::{Decay, Padam};
//! use gradus::{Buffer, Device};
//!
//! let device = Device::cpu();
//! let rule = Padam { partial: 0.125, amsgrad: false, weight_decay: 0.1, decay: Decay::Decoupled, ..Padam::default() };
//! let group = Group::new(rule).average(Average::equal());
//! let mut gadamx = Optimizer::<Padam>::new(&device, group)?;
//! gadamx.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[16.0_f32])?;
//! gadamx.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! // The first step: lr · √(1-β₂) · g / (√(1-β₂) · |g|)^¼.
//! let step = 0.1 * 0.001_f32.sqrt() * 16.0 / (0.001_f32.sqrt() * 16.0).powf(0.25);
//! assert!((weight.to_vec()?[0] - (0.99 - step)).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath;

settings! {
    /// Settings of Padam. State: three elements a parameter.
    pub struct Padam {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 0.1, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// The power of the second moment that divides; `partial ≥ 0`. The paper's are at most ½.
        pub partial: f64 = 0.25, in 0.0..;
        /// Whether the greatest second moment divides, not the last one.
        pub amsgrad: bool = true;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! {
    pub struct Scalars { l2, keep, one_minus_beta1, one_minus_beta2, amsgrad, eps, exponent, step_size }
}
record! { pub struct State { m, v, greatest } }

impl Rule for Padam {
    const NAME: &'static str = "padam";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let bias2 = 1.0 - powi(h.beta2, t);
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            amsgrad: h.amsgrad,
            eps: h.eps,
            exponent: 2.0 * h.partial,
            step_size: h.lr * sqrt(bias2) / bias1,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        let stays = (s.amsgrad != real(0.0)) & (state.greatest > state.v);
        state.greatest = select(stays, state.greatest, state.v);
        let root = sqrt(state.greatest) + s.eps;
        // A first power that is not computed is exact.
        let denominator = select(s.exponent == real(1.0), root, fmath::pow(root, s.exponent));
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
