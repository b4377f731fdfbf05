//! AdamW: Adam whose weight decay acts on the parameter and not on the gradient; and Adam, its L2 form.
//!
//! Loshchilov & Hutter, "Decoupled weight decay regularization" (2019), Algorithm 2, in the order of `torch.optim.AdamW`;
//! Kingma & Ba, "Adam" (2015), Algorithm 1, for [`Decay::L2`]:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)
//! p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / (√v / √(1-β₂ᵗ) + ε)        (without L2; with it the first factor is 1)
//! ```
//!
//! ε stands outside the root and is not scaled by the bias correction, as in PyTorch and apex; Adam's paper mentions a
//! form whose ε is scaled ("epsilon hat"), which differs in the first steps. bitsandbytes applies the decay after the
//! update instead of before it.

use super::prelude::*;

settings! {
    /// Settings of AdamW and Adam. State: two elements a parameter.
    pub struct AdamW {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 1e-2, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::Decoupled;
    }
}

impl AdamW {
    /// Adam: no decay by default, and one that is set acts as an L2 penalty on the gradient.
    pub fn adam() -> Self {
        Self { weight_decay: 0.0, decay: Decay::L2, ..Self::default() }
    }
}

record! { pub struct Scalars { l2, keep, one_minus_beta1, one_minus_beta2, inverse_root_bias2, eps, step_size } }
record! { pub struct State { m, v } }

impl Rule for AdamW {
    const NAME: &'static str = "adamw";
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
            inverse_root_bias2: 1.0 / sqrt(bias2),
            eps: h.eps,
            step_size: h.lr / bias1,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        let denominator = fma(sqrt(state.v), s.inverse_root_bias2, s.eps);
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
