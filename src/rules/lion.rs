//! Lion: the sign of an interpolation between a running mean of gradients and the gradient.
//!
//! Chen et al., "Symbolic discovery of optimization algorithms" (2023), Program 1:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! u ← sign(β₁ m + (1-β₁) g)        m ← β₂ m + (1-β₂) g        sign(0) = 0
//! p ← (1 - lr·λ) p - lr·u          (with L2 the first factor is 1)
//! ```
//!
//! The direction reads the mean of the step before. The paper's programme adds λp to the direction, which is the same
//! step; optax agrees.

use super::prelude::*;

settings! {
    /// Settings of Lion. State: one element a parameter.
    pub struct Lion {
        /// Learning rate, per step; `lr ≥ 0`. Three to ten times smaller than AdamW's is usual.
        pub lr: f64 = 1e-4, in 0.0..;
        /// Weight of the running mean in the direction; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta2: f64 = 0.99, in 0.0..1.0;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::Decoupled;
    }
}

record! { pub struct Scalars { l2, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, lr } }
record! { pub struct State { m } }

impl Rule for Lion {
    const NAME: &'static str = "lion";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            beta1: h.beta1,
            one_minus_beta1: 1.0 - h.beta1,
            beta2: h.beta2,
            one_minus_beta2: 1.0 - h.beta2,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        let direction = sign(fma(s.beta1, state.m, s.one_minus_beta1 * d));
        state.m = fma(s.beta2, state.m, s.one_minus_beta2 * d);
        fma(-s.lr, direction, p * s.keep)
    }
}
