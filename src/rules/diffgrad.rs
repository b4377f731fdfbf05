//! diffGrad: Adam whose step is held back where the gradient stays as it was.
//!
//! Dubey et al., "diffGrad: an optimization method for convolutional neural networks" (2019), in the form of its authors'
//! second version (shivram1987/diffGrad, `diffGrad_v2.py`), with its defaults:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        ξ = 1 / (1 + exp(-|b - g|))        b ← g
//! p ← (1 - lr·λ) p - lr √(1-β₂ᵗ)/(1-β₁ᵗ) · ξ m / (√v + ε)        (with L2 the first factor is 1)
//! ```
//!
//! `b` is the gradient of the step before, the L2 penalty in it; it is 0 at first. The friction ξ is between ½, for a
//! gradient that stays, and 1, and depends on the gradient's unit. ε is scaled by the bias correction, unlike
//! [`AdamW`](super::AdamW)'s. The authors' first version keeps `b` by reference: where a framework writes every gradient to
//! the same memory, its ξ is ½ for ever. That code has L2 decay only.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::DiffGrad};
//!
//! let device = Device::cpu();
//! let rule = DiffGrad { lr: 0.5, beta1: 0.0, beta2: 0.0, ..DiffGrad::default() };
//! let mut optimizer = Optimizer::<DiffGrad>::new(&device, rule)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! for gradient in [100.0_f32, 100.0] {
//!     let gradient = Buffer::from_slice(&device, &[gradient])?;
//!     optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! }
//! assert_eq!(weight.to_vec()?, [0.25]); // a whole step of 0.5, then half a one
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath::{self, abs};

settings! {
    /// Settings of diffGrad. State: three elements a parameter.
    pub struct DiffGrad {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, one_minus_beta1, one_minus_beta2, eps, step_size } }
record! { pub struct State { m, v, before } }

impl Rule for DiffGrad {
    const NAME: &'static str = "diffgrad";
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
            eps: h.eps,
            step_size: h.lr * sqrt(bias2) / bias1,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        // The friction's divisor is multiplied into the other one.
        let friction = real::<T>(1.0) + fmath::exp(-abs(state.before - d));
        state.before = d;
        let denominator = friction * (sqrt(state.v) + s.eps);
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
