//! AdaMax: Adam with a decaying greatest gradient in the place of the second moment.
//!
//! Kingma & Ba, "Adam: a method for stochastic optimization" (2015), Algorithm 2, in the form of `torch.optim.Adamax`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        u ← max(β₂ u, |g| + ε)
//! p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / u        (with L2 the first factor is 1)
//! ```
//!
//! u needs no correction for its start at 0. The paper has no ε, which is `eps = 0` here: an element that never had a gradient
//! then has u = 0, and stays. In PyTorch and optax ε stands inside the greatest, as above; Keras adds it to u.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::AdaMax};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<AdaMax>::new(&device, AdaMax { lr: 0.25, eps: 0.0, ..AdaMax::default() })?;
//! optimizer.add(Tensor::new(3))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32, 1.0, 1.0])?;
//! let gradient = Buffer::from_slice(&device, &[0.001_f32, -1000.0, 0.0])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! let [down, up, still] = weight.to_vec()?[..] else { panic!("three weights") };
//! assert!((down - 0.75).abs() < 1e-6 && (up - 1.25).abs() < 1e-6 && still == 1.0);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::quotient;
use super::prelude::*;
use crate::fmath::abs;

settings! {
    /// Settings of AdaMax. State: two elements a parameter.
    pub struct AdaMax {
        /// Learning rate, per step, and the longest step where gradients are steady; `lr ≥ 0`.
        pub lr: f64 = 2e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the greatest gradient; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the gradient's size before it is compared, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, one_minus_beta1, beta2, eps, step_size } }
record! { pub struct State { m, u } }

impl Rule for AdaMax {
    const NAME: &'static str = "adamax";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            beta2: h.beta2,
            eps: h.eps,
            step_size: h.lr / (1.0 - powi(h.beta1, t)),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        let decayed = s.beta2 * state.u;
        let size = abs(d) + s.eps;
        state.u = select(decayed > size, decayed, size);
        fma(-s.step_size, quotient(state.m, state.u), p * s.keep)
    }
}
