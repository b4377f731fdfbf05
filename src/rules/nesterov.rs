//! Nesterov's accelerated gradient with Sutskever's schedule: a momentum that rises in stages.
//!
//! Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), equations 3 to 5. The
//! parameter is the point `p = θ + μₜ v` that the paper takes the gradient of step `t` at, `t` counted from 1:
//!
//! ```text
//! g ← g + λp
//! μₜ = min(1 - 2^(-1 - log₂(⌊(t-1)/period⌋ + 1)), mu_max) = min(1 - ½ / (⌊(t-1)/period⌋ + 1), mu_max)
//! v ← μₜ v - lr·g
//! p ← p - lr·g + μₜ₊₁ v
//! ```
//!
//! `p` looks ahead with the momentum of the next step. The iterate θ, which the paper reports, is `p - μₜ₊₁ v` after step `t`.
//! The rate stands inside the velocity: with a rate that changes this differs from [`Sgd`](super::Sgd) with Nesterov's form, with a
//! constant rate and momentum it is the same. The paper takes `mu_max` from 0.9, 0.99, 0.995 and 0.999 and rates from 0.0001
//! to 0.05, and lowers the momentum to 0.9 for the last 1000 steps, which is left to the caller.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Nesterov};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Nesterov>::new(&device, Nesterov { lr: 0.25, ..Nesterov::default() })?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [0.625]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath::min;

settings! {
    /// Settings of Nesterov's accelerated gradient. State: one element a parameter.
    pub struct Nesterov {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// The greatest momentum; `[0, 1)`.
        pub mu_max: f64 = 0.99, in 0.0..1.0;
        /// Steps of a stage of the schedule; at least 1.
        pub period: u64 = 250, in 1.0..;
        /// Weight decay λ, an L2 penalty; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
    }
}

record! { pub struct Scalars { weight_decay, momentum, next_momentum, lr } }
record! { pub struct State { velocity } }

/// The momentum of the step that `earlier` steps precede.
fn momentum(h: &Hyper<f64>, earlier: u64) -> f64 {
    let stage = earlier / h.period as u64;
    min(1.0 - 0.5 / (stage + 1) as f64, h.mu_max)
}

impl Rule for Nesterov {
    const NAME: &'static str = "nesterov";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars { weight_decay: h.weight_decay, momentum: momentum(h, t - 1), next_momentum: momentum(h, t), lr: h.lr }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.weight_decay, p, g);
        state.velocity = fma(s.momentum, state.velocity, -s.lr * d);
        fma(s.next_momentum, state.velocity, fma(-s.lr, d, p))
    }
}
