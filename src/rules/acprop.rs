//! ACProp: the gradient divided by how far earlier ones lay from their running mean.
//!
//! Zhuang, Ding, Tang, Dvornek, Tatikonda & Duncan, "Momentum centering and asynchronous update for adaptive gradient
//! methods" (2021), in the form of its authors' code (juntang-zhuang/ACProp-Optimizer), with that code's defaults:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        s ← s + ε  (t > 1)        w ← max(w, s)        (w is s without amsgrad)
//! t = 1:  p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//! t > 1:  p ← (1 - lr·λ) p - lr · g / (√w / √(1-β₂ᵗ⁻¹) + ε)               (with L2 the first factor is 1)
//! s ← s + (1-β₂)((g - m)² - s)
//!
//! rectified, ρₜ ≥ 5:   p ← (1 - lr·λ) p - lr rₜ √(1-β₂ᵗ) · g / (√s + ε)
//! rectified, ρₜ < 5:   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//! ```
//!
//! The divisor is of the steps before (asynchronous), and `s` takes the gradient in afterwards, around the mean that
//! already has it (centered). The numerator is the gradient; with `momentum_update` it is `m / (1-β₁ᵗ)`. ρₜ and rₜ are
//! those of [`AdaBelief`](super::AdaBelief); that `m` steps while ρₜ is below 5 is the code's, and so are rectification and
//! the first step at all: the paper's algorithm divides by the variance of the step before in every step. ε gathers in the
//! state, from the second step on, with `amsgrad` from the first. As it is as small as 1e-16, an element whose first
//! gradient comes late, or whose gradients suddenly depart from what they always were, makes a step of up to `lr · |g| /
//! √ε`.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::ACProp};
//!
//! let device = Device::cpu();
//! let rule = ACProp { lr: 0.1, rectify: false, ..ACProp::default() };
//! let mut optimizer = Optimizer::<ACProp>::new(&device, rule)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! for gradient in [0.5_f32, 0.5] {
//!     let gradient = Buffer::from_slice(&device, &[gradient])?;
//!     optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! }
//! // A step of SGD, then one that is divided by the first residual.
//! assert!((weight.to_vec()?[0] - (1.0 - 0.1 * 0.5 - 0.1 * 0.5 / 0.45)).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{rectification, rectification_length, refuse_unread};
use super::prelude::*;

settings! {
    /// Settings of ACProp. State: three elements a parameter.
    pub struct ACProp {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared residuals; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the mean of squared residuals in every step but the first, and to its root; `eps ≥ 0`.
        pub eps: f64 = 1e-16, in 0.0..;
        /// Whether steps are rectified, and those along the mean alone for which it cannot be done.
        pub rectify: bool = true;
        /// Whether steps go along the corrected mean, not the gradient.
        pub momentum_update: bool = false;
        /// Whether the greatest mean of squared residuals divides, not the last one; not with `rectify`.
        pub amsgrad: bool = false;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::Decoupled;
        /// Whether decoupled decay is λ a step, not `lr·λ`.
        pub fixed_decay: bool = false;
    }
}

record! {
    pub struct Scalars {
        l2, keep, one_minus_beta1, one_minus_beta2, eps, amsgrad, momentum, root_scale,
        step_size,
    }
}
record! { pub struct State { m, s, greatest } }

impl Rule for ACProp {
    const NAME: &'static str = "acprop";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn check(&self) -> Result<()> {
        self.check_ranges()?;
        refuse_unread("ACProp", self.rectify && self.amsgrad, self.fixed_decay && self.decay == Decay::L2)
    }

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let length = rectification_length(h.beta2, t);
        let rectifies = h.rectify != 0.0 && length >= 5.0;
        let adaptive = t > 1 && (h.rectify == 0.0 || rectifies);
        let along_mean = !adaptive || h.momentum_update != 0.0;
        let factor = select(rectifies, rectification(h.beta2, length) * sqrt(1.0 - powi(h.beta2, t)), 1.0);
        // 0 where nothing divides, as in the first step: it has no use for eps behind the root.
        let inverse_root_bias2 = 1.0 / sqrt(1.0 - powi(h.beta2, t - 1));
        let root_scale = select(adaptive, select(rectifies, 1.0, inverse_root_bias2), 0.0);
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, select(h.fixed_decay != 0.0, 1.0, h.lr), h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            eps: select(t > 1 || h.amsgrad != 0.0, h.eps, 0.0),
            amsgrad: h.amsgrad,
            momentum: select(along_mean, 1.0, 0.0),
            root_scale,
            step_size: h.lr * factor / select(along_mean, bias1, 1.0),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        let earlier = state.s + s.eps;
        let stays = (s.amsgrad != real(0.0)) & (state.greatest > earlier);
        state.greatest = select(stays, state.greatest, earlier);
        let divisor = fma(sqrt(state.greatest), s.root_scale, s.eps);
        let denominator = select(s.root_scale == real(0.0), real(1.0), divisor);
        let direction = select(s.momentum != real(0.0), state.m, d);
        let residual = d - state.m;
        state.s = fma(s.one_minus_beta2, residual * residual - earlier, earlier);
        fma(-s.step_size, direction / denominator, p * s.keep)
    }
}
