//! ADOPT: the gradient is divided by the second moment of the step before, clipped, and only then averaged.
//!
//! Taniguchi et al., "ADOPT: modified Adam can converge with any β₂ with the optimal rate" (2024), Algorithm 2, in the form of
//! its authors' code (iShohei220/adopt):
//!
//! ```text
//! g ← g + λp  (L2 only)
//! t = 1:  v ← g²                                     (p, its decay included, and m stay as they are)
//! t > 1:  n ← clip(g / max(√v, ε), ±(t-1)^¼)         m ← m + (1-β₁)(n - m)         v ← v + (1-β₂)(g² - v)
//!         p ← (1 - lr·λ) p - lr·m                    (with L2 the first factor is 1)
//! ```
//!
//! The first step only measures. ε is a floor under the root and is not added to it. Without `clip` the bounds of `n` are
//! infinite (Algorithm 1). pytorch_optimizer clips at t^¼, as if it were a step further; optax agrees with the authors.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Adopt};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Adopt>::new(&device, Adopt { lr: 1e-2, ..Adopt::default() })?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [1.0]);
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [0.999]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{UNLIMITED, clamp};
use super::prelude::*;

settings! {
    /// Settings of ADOPT. State: two elements a parameter.
    pub struct Adopt {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of normalised gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.9999, in 0.0..1.0;
        /// The least denominator, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-6, in 0.0..;
        /// Whether normalised gradients are clipped at `(t-1)^¼`.
        pub clip: bool = true;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, first, eps, limit, one_minus_beta1, square_weight, lr } }
record! { pub struct State { m, v } }

impl Rule for Adopt {
    const NAME: &'static str = "adopt";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let first = t == 1;
        let earlier = (t - 1) as f64;
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: select(first, 1.0, keep(h.decay, h.lr, h.weight_decay)),
            first: select(first, 1.0, 0.0),
            eps: h.eps,
            limit: select(h.clip != 0.0, sqrt(sqrt(earlier)), UNLIMITED),
            one_minus_beta1: 1.0 - h.beta1,
            square_weight: select(first, 1.0, 1.0 - h.beta2),
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        let root = sqrt(state.v);
        let denominator = select(root < s.eps, s.eps, root);
        let normed = select(s.first != real(0.0), real(0.0), clamp(d / denominator, s.limit));
        state.m = fma(s.one_minus_beta1, normed - state.m, state.m);
        state.v = fma(s.square_weight, d * d - state.v, state.v);
        fma(-s.lr, state.m, p * s.keep)
    }
}
