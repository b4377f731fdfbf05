//! AdaBelief: Adam that divides by how far gradients lie from their running mean, not by how large they are.
//!
//! Zhuang et al., "AdaBelief optimizer: adapting stepsizes by the belief in observed gradients" (2020), Algorithm 2, in the
//! form of its authors' package (`adabelief_pytorch` 0.2.1), with that package's defaults:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        s ← s + (1-β₂)((g - m)² - s) + ε        w ← max(w, s)        (w is s without amsgrad)
//! p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / (√w / √(1-β₂ᵗ) + ε)                (with L2 the first factor is 1)
//!
//! rectified, ρₜ ≥ 5:   p ← (1 - lr·λ) p - lr rₜ √(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√s + ε)
//! rectified, ρₜ < 5:   p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m
//!
//! ρ = 2/(1-β₂) - 1        ρₜ = ρ - 2tβ₂ᵗ/(1-β₂ᵗ)        rₜ = √((ρₜ-4)(ρₜ-2)ρ / ((ρ-4)(ρ-2)ρₜ))
//! ```
//!
//! The residual is taken from the mean that already has the gradient in it. The same ε stands in the state, where it
//! gathers from step to step, and behind the root: in units of the squared gradient, and of the gradient. optax has two
//! settings for them, equal by default. Rectification is RAdam's (Liu et al. 2020) and is not in the paper; its threshold
//! is RAdam's code's, 5, met by `≥`. A rectified step divides by `s` itself, so that `amsgrad` is for steps that are not
//! rectified. With `fixed_decay` the decoupled factor is `1 - λ`, whatever the rate.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::AdaBelief};
//!
//! let device = Device::cpu();
//! let rule = AdaBelief { lr: 0.01, rectify: false, ..AdaBelief::default() };
//! let mut optimizer = Optimizer::<AdaBelief>::new(&device, rule)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! // The first step: m = 0.05 of a gradient of 0.5 leaves a residual of 0.45.
//! assert!((weight.to_vec()?[0] - (1.0 - 0.01 * 0.5 / 0.45)).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{rectification, rectification_length, refuse_unread};
use super::prelude::*;

settings! {
    /// Settings of AdaBelief. State: three elements a parameter.
    pub struct AdaBelief {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared residuals; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the mean of squared residuals in every step, and to its root; `eps ≥ 0`.
        pub eps: f64 = 1e-16, in 0.0..;
        /// Whether steps are rectified, and those along the mean alone for which it cannot be done.
        pub rectify: bool = true;
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
        l2, keep, one_minus_beta1, one_minus_beta2, eps, amsgrad, root_scale, step_size,
    }
}
record! { pub struct State { m, s, greatest } }

impl Rule for AdaBelief {
    const NAME: &'static str = "adabelief";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn check(&self) -> Result<()> {
        self.check_ranges()?;
        refuse_unread("AdaBelief", self.rectify && self.amsgrad, self.fixed_decay && self.decay == Decay::L2)
    }

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let root_bias2 = sqrt(1.0 - powi(h.beta2, t));
        let length = rectification_length(h.beta2, t);
        let rectifies = h.rectify != 0.0 && length >= 5.0;
        let factor = select(rectifies, rectification(h.beta2, length) * root_bias2, 1.0);
        // 0 where nothing divides.
        let root_scale = select(rectifies, 1.0, select(h.rectify != 0.0, 0.0, 1.0 / root_bias2));
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, select(h.fixed_decay != 0.0, 1.0, h.lr), h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            eps: h.eps,
            amsgrad: h.amsgrad,
            root_scale,
            step_size: h.lr * factor / bias1,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        let residual = d - state.m;
        state.s = fma(s.one_minus_beta2, residual * residual - state.s, state.s) + s.eps;
        let stays = (s.amsgrad != real(0.0)) & (state.greatest > state.s);
        state.greatest = select(stays, state.greatest, state.s);
        let divisor = fma(sqrt(state.greatest), s.root_scale, s.eps);
        let denominator = select(s.root_scale == real(0.0), real(1.0), divisor);
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
