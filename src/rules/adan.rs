//! Adan: Adam's mean of gradients and a mean of their differences, which stands for Nesterov's look ahead.
//!
//! Xie et al., "Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models" (2022), Algorithm 1, in the
//! form of its authors' code (sail-sg/Adan):
//!
//! ```text
//! d ← g - g'                       g' the gradient of the step before; d = 0 at t = 1
//! m ← m + (1-β₁)(g - m)            v ← v + (1-β₂)(d - v)            n ← n + (1-β₃)((g + β₂ d)² - n)
//! u ← (lr/(1-β₁ᵗ) · m + lr β₂/(1-β₂ᵗ) · v) / (√n / √(1-β₃ᵗ) + ε)
//! p ← (p - u) / (1 + lr·λ)         (proximal; else (1 - lr·λ) p - u)
//! ```
//!
//! The betas are those of the code: the paper's are 1 less these. The paper has no bias correction. optax weighs `d` and `v`
//! with 1-β₂ where the paper and the authors' code have β₂: another rule from the second step on.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Adan};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Adan>::new(&device, Adan { weight_decay: 0.02, ..Adan::default() })?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32, -1.0])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32, -0.5])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! let [down, up] = weight.to_vec()?[..] else { panic!("two weights") };
//! assert!(down < 1.0 && up == -down);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;

settings! {
    /// Settings of Adan. State: four elements a parameter.
    pub struct Adan {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.98, in 0.0..1.0;
        /// Decay of the running mean of differences, and their weight; `[0, 1)`.
        pub beta2: f64 = 0.92, in 0.0..1.0;
        /// Decay of the running mean of squares; `[0, 1)`.
        pub beta3: f64 = 0.99, in 0.0..1.0;
        /// Added to the root of the mean of squares, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Decays by a division behind the update, not by a factor before it.
        pub proximal: bool = true;
    }
}

record! {
    pub struct Scalars {
        first, beta2, one_minus_beta1, one_minus_beta2, one_minus_beta3, mean_rate, difference_rate, inverse_root_bias3,
        eps, keep, shrink,
    }
}
record! { pub struct State { m, v, n, previous } }

impl Rule for Adan {
    const NAME: &'static str = "adan";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = 1.0 - powi(h.beta1, t);
        let bias2 = 1.0 - powi(h.beta2, t);
        let bias3 = 1.0 - powi(h.beta3, t);
        let decay = h.lr * h.weight_decay;
        let proximal = h.proximal != 0.0;
        Scalars {
            first: select(t == 1, 1.0, 0.0),
            beta2: h.beta2,
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            one_minus_beta3: 1.0 - h.beta3,
            mean_rate: h.lr / bias1,
            difference_rate: h.lr * h.beta2 / bias2,
            inverse_root_bias3: 1.0 / sqrt(bias3),
            eps: h.eps,
            keep: select(proximal, 1.0, 1.0 - decay),
            shrink: select(proximal, 1.0 / (1.0 + decay), 1.0),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let difference = select(s.first != real(0.0), real(0.0), g - state.previous);
        let ahead = fma(s.beta2, difference, g);
        state.m = fma(s.one_minus_beta1, g - state.m, state.m);
        state.v = fma(s.one_minus_beta2, difference - state.v, state.v);
        state.n = fma(s.one_minus_beta3, ahead * ahead - state.n, state.n);
        state.previous = g;
        let denominator = fma(sqrt(state.n), s.inverse_root_bias3, s.eps);
        let step = fma(s.difference_rate, state.v, s.mean_rate * state.m) / denominator;
        (p * s.keep - step) * s.shrink
    }
}
