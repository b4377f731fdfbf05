//! RMSprop: a gradient divided by the root of its running mean square, plain, centered, and with momentum.
//!
//! Tieleman & Hinton, "Lecture 6.5: rmsprop" (2012); Graves, "Generating sequences with recurrent neural networks" (2013),
//! equations 38 to 41, for the centered form. As `torch.optim.RMSprop` has it:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! v ← v + (1-α)(g² - v)                                  v₀ = initial_scale
//! a ← a + (1-α)(g - a)
//! D = √max(v - a², 0) + ε  (centered; else √v + ε)       (√(… + ε) with EpsPlacement::Inside)
//! b ← μ b + g / D
//! p ← (1 - lr·λ) p - lr·b                                (with L2 the first factor is 1)
//! ```
//!
//! The states are `v`, a as `mean`, and b as `buffer`. Nothing is corrected for its start. v - a² is not negative but for
//! rounding. Where D is 0, which takes ε = 0, the direction is 0.
//!
//! PyTorch puts ε behind the root. Keras, and optax unless it is told otherwise, put it under the root, and have α = 0.9. The lecture
//! has α = 0.9 and no ε. Keras and optax fill b with `lr·g / D`, which is the same while `lr` is constant. `initial_scale` is
//! optax's.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::{EpsPlacement, RmsProp}};
//!
//! let device = Device::cpu();
//! let of_optax = RmsProp { alpha: 0.75, eps_placement: EpsPlacement::Inside, ..RmsProp::default() };
//! let mut optimizer = Optimizer::<RmsProp>::new(&device, of_optax)?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weight = Buffer::from_slice(&device, &[0.0_f32, 0.0])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32, 2e-4])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! // The root of v is half the gradient, and ε = 1e-8 under the root counts as much as a v of (1e-4)².
//! let [large, small] = weight.to_vec()?[..] else { panic!("two weights") };
//! assert!((large + 0.02).abs() < 1e-7 && (small + 0.02 / 2.0_f32.sqrt()).abs() < 1e-7);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{EpsPlacement, eps_inside, eps_outside, quotient};
use super::prelude::*;

settings! {
    /// Settings of RMSprop. State: three elements a parameter.
    pub struct RmsProp {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-2, in 0.0..;
        /// Decay of the running means of gradients and of their squares; `[0, 1)`.
        pub alpha: f64 = 0.99, in 0.0..1.0;
        /// Added to the denominator, in units of the gradient, or of its square under the root; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Whether ε stands behind the root or under it.
        pub eps_placement: EpsPlacement = EpsPlacement::Outside;
        /// Whether the denominator is of the gradient's variance, not of its mean square.
        pub centered: bool = false;
        /// Factor μ by which the momentum buffer shrinks a step; `momentum ≥ 0`.
        pub momentum: f64 = 0.0, in 0.0..;
        /// What the running mean of squares starts at, in units of the gradient squared; `initial_scale ≥ 0`.
        pub initial_scale: f64 = 0.0, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! {
    pub struct Scalars { l2, keep, start, one_minus_alpha, centered, eps_inside, eps_outside, momentum, lr }
}
record! { pub struct State { v, mean, buffer } }

impl Rule for RmsProp {
    const NAME: &'static str = "rmsprop";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(2);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            start: select(t == 1, h.initial_scale, 0.0),
            one_minus_alpha: 1.0 - h.alpha,
            centered: h.centered,
            eps_inside: eps_inside(h.eps_placement, h.eps),
            eps_outside: eps_outside(h.eps_placement, h.eps),
            momentum: h.momentum,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        let v = state.v + s.start;
        state.v = fma(s.one_minus_alpha, d * d - v, v);
        state.mean = fma(s.one_minus_alpha, d - state.mean, state.mean);
        let variance = fma(-state.mean, state.mean, state.v);
        let positive = select(variance < real(0.0), real(0.0), variance);
        let root = sqrt(select(s.centered != real(0.0), positive, state.v) + s.eps_inside);
        state.buffer = fma(s.momentum, state.buffer, quotient(d, root + s.eps_outside));
        fma(-s.lr, state.buffer, p * s.keep)
    }
}
