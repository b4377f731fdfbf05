//! AdEMAMix: Adam whose direction adds a second, much slower running mean of the gradients.
//!
//! Pagliardini, Ablin & Grangier, "The AdEMAMix optimizer: better, faster, older" (2024), Algorithm 1, in the form of its
//! authors' code (apple/ml-ademamix):
//!
//! ```text
//! m ← m + (1-β₁)(g - m)        s ← s + (1-β₃ₜ)(g - s)        v ← v + (1-β₂)(g² - v)
//! p ← (1 - lr·λ) p - lr (m / (1-β₁ᵗ) + αₜ s) / (√v / √(1-β₂ᵗ) + ε)
//!
//! αₜ = α · min(t / A, 1)                                                         A = alpha_warmup steps
//! 1 / ln β₃ₜ = (1 - t/B) / ln(β₁ + 1e-8) + t/B / ln(β₃ + 1e-8) for t < B         B = beta3_warmup steps
//! β₃ₜ = β₃ from it on
//! ```
//!
//! The slow mean `s` has no bias correction. Its half-life, which is proportional to `1 / ln β₃ₜ`, warms up along a line; the 1e-8,
//! which is the code's, shows in the ninth digit. α is 2 as in the code: the paper takes 5 to 10, optax 5. pytorch_optimizer adds λp to the gradient
//! unless it is told to decouple.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::AdEMAMix};
//!
//! let device = Device::cpu();
//! let steps = 100_000;
//! let rule = AdEMAMix { alpha: 5.0, alpha_warmup: steps, beta3_warmup: steps, ..AdEMAMix::default() };
//! let mut optimizer = Optimizer::<AdEMAMix>::new(&device, rule)?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32, -1.0])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32, -0.5])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! let [down, up] = weight.to_vec()?[..] else { panic!("two weights") };
//! assert!(down < 1.0 && up == -down);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath;

settings! {
    /// Settings of AdEMAMix. State: three elements a parameter.
    pub struct AdEMAMix {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the fast running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Decay of the slow running mean of gradients; `[0, 1)`.
        pub beta3: f64 = 0.9999, in 0.0..1.0;
        /// Weight of the slow mean beside the fast one; `alpha ≥ 0`.
        pub alpha: f64 = 2.0, in 0.0..;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Decoupled weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Steps in which the slow mean's weight rises from 0; 0 for none.
        pub alpha_warmup: u64 = 0;
        /// Steps in which the slow mean's decay rises from that of the fast one; 0 for none.
        pub beta3_warmup: u64 = 0;
    }
}

record! {
    pub struct Scalars {
        keep, one_minus_beta1, one_minus_beta2, one_minus_beta3, alpha, inverse_bias1, inverse_root_bias2, eps, lr,
    }
}
record! { pub struct State { m, slow, v } }

/// The decay of the slow mean in a step.
fn slow_decay(h: &Hyper<f64>, step: f64) -> f64 {
    let share = step / h.beta3_warmup;
    let life = (1.0 - share) / fmath::ln(h.beta1 + 1e-8) + share / fmath::ln(h.beta3 + 1e-8);
    select(step < h.beta3_warmup, fmath::exp(1.0 / life), h.beta3)
}

impl Rule for AdEMAMix {
    const NAME: &'static str = "ademamix";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let bias2 = 1.0 - powi(h.beta2, t);
        let step = t as f64;
        Scalars {
            keep: 1.0 - h.lr * h.weight_decay,
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            one_minus_beta3: 1.0 - slow_decay(h, step),
            alpha: select(step < h.alpha_warmup, step / h.alpha_warmup * h.alpha, h.alpha),
            inverse_bias1: 1.0 / bias1,
            inverse_root_bias2: 1.0 / sqrt(bias2),
            eps: h.eps,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.slow = fma(s.one_minus_beta3, g - state.slow, state.slow);
        state.v = fma(s.one_minus_beta2, g * g - state.v, state.v);
        let mixed = fma(s.alpha, state.slow, s.inverse_bias1 * state.m);
        let denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        fma(-s.lr, mixed / denominator, p * s.keep)
    }
}
