//! NAdam: Adam whose direction looks a step ahead along the mean, as Nesterov's momentum does, with a momentum that rises.
//!
//! Dozat, "Incorporating Nesterov momentum into Adam" (2016), in the form of `torch.optim.NAdam`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)
//! μₜ = β₁ (1 - ½ · 0.96^(tψ))        Πₜ = μ₁ μ₂ … μₜ        ψ = momentum_decay
//! n = (1-μₜ)/(1-Πₜ) · g + μₜ₊₁/(1-Πₜ₊₁) · m
//! p ← (1 - lr·λ) p - lr · n / (√v / √(1-β₂ᵗ) + ε)        (with L2 the first factor is 1)
//! ```
//!
//! m decays by the constant β₁: the schedule is in the corrections only. The product Πₜ is f64 for every type of parameter;
//! PyTorch keeps it in its default type, in f32 with 1e-7 of error.
//!
//! Keras has ψ = 1. ψ = 0 holds μ at β₁/2. A ψ so large that 0.96^ψ is 0, 1e6 for one, holds μ at β₁ from the first step on: optax's
//! `nadam`, which has no schedule.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::NAdam};
//!
//! let device = Device::cpu();
//! let constant = NAdam { lr: 0.19, beta1: 0.9, momentum_decay: 1e6, ..NAdam::default() };
//! let mut optimizer = Optimizer::<NAdam>::new(&device, constant)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! // The gradient weighs 1, and the mean, a tenth of it, 0.9 / (1 - 0.9²).
//! assert!((weight.to_vec()?[0] - (1.0 - 0.19 - 0.09)).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath;

settings! {
    /// Settings of NAdam. State: two elements a parameter.
    pub struct NAdam {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 2e-3, in 0.0..;
        /// Decay of the running mean of gradients, and what its schedule rises to; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Pace ψ at which the momentum rises from β₁/2 to β₁, per step; `momentum_decay ≥ 0`.
        pub momentum_decay: f64 = 4e-3, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Carry { mu_product } }
record! {
    pub struct Scalars {
        l2, keep, one_minus_beta1, one_minus_beta2, gradient_weight, mean_weight, inverse_root_bias2, eps, lr,
    }
}
record! { pub struct State { m, v } }

/// The momentum of a step. The factor is ln 0.96.
fn scheduled(h: &Hyper<f64>, step: f64) -> f64 {
    h.beta1 * (1.0 - 0.5 * fmath::exp(-0.04082199452025513 * (step * h.momentum_decay)))
}

impl Rule for NAdam {
    const NAME: &'static str = "nadam";
    type Carry = Carry<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, carry: &mut Carry<f64>) -> Scalars<f64> {
        let bias2 = 1.0 - powi(h.beta2, t);
        let step = t as f64;
        let mu = scheduled(h, step);
        let next = scheduled(h, step + 1.0);
        carry.mu_product = select(t == 1, mu, carry.mu_product * mu);
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            gradient_weight: (1.0 - mu) / (1.0 - carry.mu_product),
            mean_weight: next / (1.0 - carry.mu_product * next),
            inverse_root_bias2: 1.0 / sqrt(bias2),
            eps: h.eps,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        let ahead = fma(s.mean_weight, state.m, s.gradient_weight * d);
        let denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        fma(-s.lr, ahead / denominator, p * s.keep)
    }
}
