//! RAdam: Adam that adapts only once its second moment rests on enough gradients, and then by a share that rises.
//!
//! Liu et al., "On the variance of the adaptive learning rate and beyond" (2020), Algorithm 2, in the form of `torch.optim.RAdam`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)
//! ρ∞ = 2/(1-β₂) - 1            ρₜ = ρ∞ - 2t β₂ᵗ/(1-β₂ᵗ)
//! rₜ = √((ρₜ-4)(ρₜ-2) ρ∞ / ((ρ∞-4)(ρ∞-2) ρₜ))
//! n = rₜ √(1-β₂ᵗ) · m / (√v + ε)        where ρₜ > threshold
//! n = m                                 below it; 0 without plain_steps
//! p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · n     (with L2 the first factor is 1)
//! ```
//!
//! ρₜ is the length of a moving average as long-sighted as v. It rises from 1 to ρ∞, by about 1 a step at first: with β₂ = 0.999 it
//! passes 5 at the sixth step. Up to there steps go along the corrected mean, as SGD with momentum takes them: they are as large as
//! the gradients are, times `lr`. If ρ∞ is not above the threshold, which for 5 is β₂ ≤ ⅔, no step adapts. ε is added to the
//! uncorrected root: beside a corrected one it would be larger, as Adam's "epsilon hat".
//!
//! The paper's threshold is 4, the least at which rₜ exists; PyTorch asks for more than 5, the authors' code (LiyuanLucasLiu/RAdam)
//! and pytorch_optimizer for 5. Without `plain_steps` the parameter stays up to the threshold, and both moments go on. That is the
//! default of these two; λ acts in such steps here and in pytorch_optimizer, but not in the authors' code.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::RAdam};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<RAdam>::new(&device, RAdam { lr: 0.25, plain_steps: false, ..RAdam::default() })?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32])?;
//! for _ in 0..5 {
//!     optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//!     assert_eq!(weight.to_vec()?, [1.0]);
//! }
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert!(weight.to_vec()?[0] < 1.0);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{rectification, rectification_length};
use super::prelude::*;

settings! {
    /// Settings of RAdam. State: two elements a parameter.
    pub struct RAdam {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the uncorrected second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// The length ρₜ, in gradients, above which steps adapt; `threshold ≥ 4`.
        pub threshold: f64 = 5.0, in 4.0..;
        /// Whether steps that do not adapt go along the mean; else they change nothing but the moments.
        pub plain_steps: bool = true;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, one_minus_beta1, one_minus_beta2, adapts, eps, step_size } }
record! { pub struct State { m, v } }

impl Rule for RAdam {
    const NAME: &'static str = "radam";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let bias2 = 1.0 - powi(h.beta2, t);
        let length = rectification_length(h.beta2, t);
        let adapts = length > h.threshold;
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            adapts: select(adapts, 1.0, 0.0),
            eps: h.eps,
            step_size: h.lr / bias1 * select(adapts, sqrt(bias2) * rectification(h.beta2, length), h.plain_steps),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        let denominator = select(s.adapts != real(0.0), sqrt(state.v) + s.eps, real(1.0));
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
