//! Schedule-free AdamW: AdamW's steps at a constant rate, and an average of the iterates that takes the place of a schedule
//! and of the momentum.
//!
//! ```text
//! v ← β₂ v + (1-β₂) g²        (g is taken at y, the parameter)
//! d ← g / (√(v / (1-β₂ᵗ)) + ε) + λy                         (λz with decay_at_z)
//! z ← z - lr_t d                                            lr_t = lr · min(t/warmup, 1)
//! x ← (1-c) x + c z                                         c = w_t / Σ w        w_t = t^r · (max lr)^power
//! y ← β₁ x + (1-β₁) z                                       z₀ = x₀ = y₀
//! ```
//!
//! Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky, "The road less scheduled" (2024), Algorithm 1; as
//! `AdamWScheduleFreeReference` of facebookresearch/schedule_free has it at commit 70785b5, with its defaults. Earlier versions
//! multiply the rate by `√(1-β₂ᵗ)` instead, which scales ε and the weights of the average too; so does the paper.
//! The greatest rate is that of the steps so far.
//!
//! The parameter is y; **evaluate the model at x**, which the rule's [`evaluation`](super::Rule::evaluation) gives from y and z
//! ([`schedulefree_sgd`](super::schedulefree_sgd) says how, and has an example of it). β₁ = 0, where y = z, is refused.
//!
//! State: two elements a parameter.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Device, rules::ScheduleFreeAdamW};
//!
//! let rule = ScheduleFreeAdamW { lr: 0.25, eps: 0.0, ..ScheduleFreeAdamW::default() };
//! let mut optimizer = Optimizer::<ScheduleFreeAdamW>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weights = vec![1.0_f32, -1.0];
//! optimizer.step(&mut [(&mut weights).into()], &[Some((&vec![2.0_f32, -0.125]).into())])?;
//! assert_eq!(weights, [0.75, -0.75]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{average_weight, warmed_up};
use super::prelude::*;
use crate::fmath::max;

settings! {
    /// Settings of schedule-free AdamW. State: two elements a parameter.
    pub struct ScheduleFreeAdamW {
        /// Learning rate, per step; `lr ≥ 0`. One to ten times what suits AdamW with a schedule is usual.
        pub lr: f64 = 2.5e-3, in 0.0..;
        /// The average's share of the point that gradients are taken at; `(0, 1)`.
        pub beta1: f64 = 0.9, in f64::MIN_POSITIVE..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Whether λ acts at z instead of y.
        pub decay_at_z: bool = false;
        /// Steps over which the rate rises to `lr` in a straight line.
        pub warmup_steps: u64 = 0;
        /// Power of the step in the average's weights; `r ≥ 0`. Later iterates weigh more where it is not 0.
        pub r: f64 = 0.0, in 0.0..;
        /// Power of the greatest rate so far in the average's weights; `weight_lr_power ≥ 0`.
        pub weight_lr_power: f64 = 2.0, in 0.0..;
    }
}

record! { pub struct Carry { greatest_lr, weight_sum } }
record! { pub struct Scalars {
    begins, one_minus_beta2, inverse_root_bias2, eps, weight_decay, decay_at_z, share, lr, y_lr,
} }
record! { pub struct State { z, v } }

impl Rule for ScheduleFreeAdamW {
    const NAME: &'static str = "schedulefree_adamw";
    type Carry = Carry<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;

    fn evaluation(&self) -> Option<(usize, f64)> {
        Some((0, 1.0 - 1.0 / self.beta1))
    }

    fn tick(h: &Hyper<f64>, t: u64, carry: &mut Carry<f64>) -> Scalars<f64> {
        let bias2 = 1.0 - powi(h.beta2, t);
        let lr = warmed_up(h.lr, h.warmup_steps, t);
        carry.greatest_lr = max(carry.greatest_lr, lr);
        let weight = average_weight(t, h.r, carry.greatest_lr, h.weight_lr_power);
        carry.weight_sum += weight;
        let share = select(carry.weight_sum == 0.0, 0.0, weight / carry.weight_sum);
        Scalars {
            begins: select(t == 1, 1.0, 0.0),
            one_minus_beta2: 1.0 - h.beta2,
            inverse_root_bias2: 1.0 / sqrt(bias2),
            eps: h.eps,
            weight_decay: h.weight_decay,
            decay_at_z: h.decay_at_z,
            share,
            lr,
            y_lr: lr * (1.0 - h.beta1 * (1.0 - share)),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let z = select(s.begins != real(0.0), p, state.z);
        state.v = fma(s.one_minus_beta2, g * g - state.v, state.v);
        let denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        let decayed = select(s.decay_at_z != real(0.0), z, p);
        let d = fma(s.weight_decay, decayed, g / denominator);
        state.z = fma(-s.lr, d, z);
        fma(-s.y_lr, d, fma(s.share, z - p, p))
    }
}
