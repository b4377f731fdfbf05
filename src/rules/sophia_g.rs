//! Sophia-G: momentum divided by a running estimate of the Hessian's diagonal, each step clipped.
//!
//! ```text
//! h ← β₂ h + (1-β₂) q²                                   (in steps that are given q; q² · B estimates the diagonal)
//! m ← β₁ m + (1-β₁) g
//! p ← (1 - lr·λ) p - lr · sign(m) · min(|m| / (ρ B h + 1e-15), 1)
//! ```
//!
//! Liu, Li, Hall, Liang & Ma, "Sophia: a scalable stochastic second-order optimizer for language model pre-training" (2023),
//! Algorithm 3 with the Gauss-Newton-Bartlett estimator of Algorithm 2, as the authors' `SophiaG` (Liuhong99/Sophia) has it,
//! with its defaults. The second gradient q is the gradient of the batch's mean loss on labels that are sampled from the model's
//! own predictions; every tenth step is usual. Where it is missing, h stays. B is the number of predictions in the batch, tokens for
//! a language model.
//!
//! h is not corrected for its start at 0: until a first q has come, every step is `lr · sign(m)`. Here q acts on the step
//! that it is given to; the authors' loop updates h behind a step, so that q acts on the next one. pytorch_optimizer's
//! `SophiaH` is another rule: Hutchinson's estimator, and `m / max(h, ε)` clipped.
//!
//! State: two elements a parameter.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Device, rules::SophiaG};
//!
//! let rule = SophiaG { lr: 0.1, weight_decay: 0.0, batch_size: 8.0, ..SophiaG::default() };
//! let mut optimizer = Optimizer::<SophiaG>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(2))?;
//!
//! let mut weights = vec![1.0_f32, -1.0];
//! let (gradient, of_sampled_labels) = (vec![0.5_f32, 0.5], vec![0.0_f32, 25.0]);
//! let (gradients, seconds) = ([Some((&gradient).into())], [Some((&of_sampled_labels).into())]);
//! optimizer.step_with(&mut [(&mut weights).into()], &gradients, &seconds)?;
//! assert_eq!(weights[0], 0.9); // flat: a clipped step
//! assert!(weights[1] < -1.0 && weights[1] > -1.001); // steep: a short one
//! # Ok::<(), gradus::Error>(())
//! ```

use super::WithSecond;
use super::common::DECAY_DECOUPLED;
use super::prelude::*;
use crate::fmath::abs;

settings! {
    /// Settings of Sophia-G. State: two elements a parameter.
    pub struct SophiaG {
        /// Learning rate, per step; `lr ≥ 0`. The length of a clipped step.
        pub lr: f64 = 1e-4, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.965, in 0.0..1.0;
        /// Decay of the running mean of squared second gradients, per second gradient; `[0, 1)`.
        pub beta2: f64 = 0.99, in 0.0..1.0;
        /// Scale ρ of the curvature; `rho ≥ 0`. A smaller one clips more.
        pub rho: f64 = 0.04, in 0.0..;
        /// Weight decay λ, on the parameter; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.1, in 0.0..;
        /// Predictions B in a batch; `batch_size > 0`.
        pub batch_size: f64 = 5120.0, in f64::MIN_POSITIVE..;
    }
}

record! { pub struct Scalars { keep, one_minus_beta1, one_minus_beta2, curvature_scale, lr } }
record! { pub struct State { m, h } }

impl Rule for SophiaG {
    const NAME: &'static str = "sophia_g";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = WithSecond<T>;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            keep: keep(DECAY_DECOUPLED, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            curvature_scale: h.rho * h.batch_size,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: WithSecond<T>, state: &mut State<T>) -> T {
        let h = fma(s.one_minus_beta2, g.second * g.second - state.h, state.h);
        state.h = select(g.given, h, state.h);
        state.m = fma(s.one_minus_beta1, g.gradient - state.m, state.m);
        let ratio = abs(state.m) / fma(s.curvature_scale, state.h, real(1e-15));
        let clipped = select(ratio > real(1.0), real(1.0), ratio);
        fma(-s.lr, sign(state.m) * clipped, p * s.keep)
    }
}
