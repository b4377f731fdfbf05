//! Aida(p, q): AdamW with another power of the gradient in its second moment, and another one of the step's magnitude.
//!
//! Zhang, Niwa & Kleijn, "Extending AdamW by leveraging its second moment and magnitude" (2021), after its abstract:
//!
//! ```text
//! m ← m + (1-β₁)(g - m)        r ← r + (1-β₂)(|g|ᵖ - r)        m̂ = m / (1-β₁ᵗ)        r̂ = r / (1-β₂ᵗ)
//! θ ← (1 - lr·λ) θ - lr · sign(m̂) |m̂|^q / (r̂^(q/p) + ε)
//!                                      / (r̂ + ε)^(q/p)           (with eps_inside)
//! ```
//!
//! (p, q) = (2, 1), the default, is AdamW, and is checked against PyTorch's. For other powers no implementation was found:
//! the formula is all there is, and that the moments are corrected and the decay stands before the update is AdamW's way
//! and not the abstract's word. Both powers are positive numbers, whole or not; a magnitude of 0 has the power 0. The
//! step's length does not depend on the gradient's scale for any of them, but `|g|ᵖ`, `|m̂|^q` and `r̂^(q/p)` must be
//! within the range of the arithmetic type: in f32 gradients of 1e-8 and p = 5 make `r` 0 and the step `|m̂|^q / ε`.
//!
//! The method of the same name in "On suppressing range of adaptive stepsizes of Adam to improve generalisation
//! performance" by the same authors, which pytorch_optimizer has, is another one: projections of whole layers.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Aida};
//!
//! let device = Device::cpu();
//! let rule = Aida { lr: 0.1, beta2: 0.5, p: 1.0, q: 2.0, weight_decay: 0.0, ..Aida::default() };
//! let mut optimizer = Optimizer::<Aida>::new(&device, rule)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! for gradient in [4.0_f32, 1.0] {
//!     let gradient = Buffer::from_slice(&device, &[gradient])?;
//!     optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! }
//! // m̂ = 4 and then 0.46 / 0.19; r̂ = 4 and then 1.5 / 0.75: the square of their ratio.
//! assert!((weight.to_vec()?[0] - (0.9 - 0.1 * (0.46_f32 / 0.19 / 2.0).powi(2))).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::DECAY_DECOUPLED;
use super::prelude::*;
use crate::fmath::{self, abs};

settings! {
    /// Settings of Aida. State: two elements a parameter.
    pub struct Aida {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of powers of gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Power of a gradient's magnitude in its running mean; `p > 0`.
        pub p: f64 = 2.0, in f64::MIN_POSITIVE..;
        /// Power of a step's magnitude; `q > 0`.
        pub q: f64 = 1.0, in f64::MIN_POSITIVE..;
        /// Added to the denominator, in units of the gradient's power q, or with `eps_inside` p; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Whether ε is added before the power `q/p` is taken.
        pub eps_inside: bool = false;
        /// Decoupled weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 1e-2, in 0.0..;
    }
}

record! {
    pub struct Scalars {
        keep, one_minus_beta1, one_minus_beta2, p, q, q_over_p, eps_inside, eps_outside, step_size,
    }
}
record! { pub struct State { m, r } }

impl Rule for Aida {
    const NAME: &'static str = "aida";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        // The corrections, taken out of the powers.
        let bias1 = 1.0 - powi(h.beta1, t);
        let bias2 = 1.0 - powi(h.beta2, t);
        let q_over_p = h.q / h.p;
        let bias2_power = fmath::pow(bias2, q_over_p);
        Scalars {
            keep: keep(DECAY_DECOUPLED, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            p: h.p,
            q: h.q,
            q_over_p,
            eps_inside: select(h.eps_inside != 0.0, h.eps * bias2, 0.0),
            eps_outside: select(h.eps_inside != 0.0, 0.0, h.eps * bias2_power),
            step_size: h.lr * bias2_power / fmath::pow(bias1, h.q),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.r = fma(s.one_minus_beta2, fmath::pow(abs(g), s.p) - state.r, state.r);
        let denominator = fmath::pow(state.r + s.eps_inside, s.q_over_p) + s.eps_outside;
        let magnitude = fmath::pow(abs(state.m), s.q) / denominator;
        fma(-s.step_size, select(state.m < real(0.0), -magnitude, magnitude), p * s.keep)
    }
}
