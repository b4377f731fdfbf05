//! Adagrad: a gradient divided by the root of the sum of all its squares so far.
//!
//! Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization" (2011), the composite
//! mirror descent update with diagonal matrices, in the form of `torch.optim.Adagrad`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! s ← s + g²                                             s₀ = initial_accumulator_value
//! p ← (1 - lrₜ·λ) p - lrₜ · g / (√s + ε)                 lrₜ = lr / (1 + (t-1) lr_decay)
//!                                                        (with L2 the first factor is 1)
//! ```
//!
//! Under the root (`EpsPlacement::Inside`) ε makes the denominator √(s + ε). Where the denominator is 0, which takes ε = 0 and an
//! element without a gradient so far, the parameter stays: the paper's pseudo-inverse. `lr_decay` and weight decay are PyTorch's.
//!
//! optax and Keras start s at 0.1 and divide by √(s + 1e-7): the example below.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::{Adagrad, EpsPlacement}};
//!
//! let device = Device::cpu();
//! let of_optax = Adagrad {
//!     lr: 0.5,
//!     initial_accumulator_value: 0.1,
//!     eps: 1e-7,
//!     eps_placement: EpsPlacement::Inside,
//!     ..Adagrad::default()
//! };
//! let mut optimizer = Optimizer::<Adagrad>::new(&device, of_optax)?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[3.0_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! let expected = 1.0 - 0.5 * 3.0 / (9.1_f32 + 1e-7).sqrt();
//! assert!((weight.to_vec()?[0] - expected).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{EpsPlacement, eps_inside, eps_outside, quotient};
use super::prelude::*;

settings! {
    /// Settings of Adagrad. State: one element a parameter.
    pub struct Adagrad {
        /// Learning rate, of the first step; `lr ≥ 0`.
        pub lr: f64 = 1e-2, in 0.0..;
        /// The rate of step `t` is `lr / (1 + (t-1) lr_decay)`; `lr_decay ≥ 0`.
        pub lr_decay: f64 = 0.0, in 0.0..;
        /// What the sum of squares starts at, in units of the gradient squared; `initial_accumulator_value ≥ 0`.
        pub initial_accumulator_value: f64 = 0.0, in 0.0..;
        /// Added to the denominator, in units of the gradient, or of its square under the root; `eps ≥ 0`.
        pub eps: f64 = 1e-10, in 0.0..;
        /// Whether ε stands behind the root or under it.
        pub eps_placement: EpsPlacement = EpsPlacement::Outside;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, start, eps_inside, eps_outside, lr } }
record! { pub struct State { sum } }

impl Rule for Adagrad {
    const NAME: &'static str = "adagrad";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let earlier = (t - 1) as f64;
        let lr = h.lr / (1.0 + earlier * h.lr_decay);
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, lr, h.weight_decay),
            start: select(t == 1, h.initial_accumulator_value, 0.0),
            eps_inside: eps_inside(h.eps_placement, h.eps),
            eps_outside: eps_outside(h.eps_placement, h.eps),
            lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.sum = fma(d, d, state.sum + s.start);
        let root = sqrt(state.sum + s.eps_inside);
        fma(-s.lr, quotient(d, root + s.eps_outside), p * s.keep)
    }
}
