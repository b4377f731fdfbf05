//! Adadelta: steps of the size that past steps had, turned by the gradient over the root of its mean square.
//!
//! Zeiler, "ADADELTA: an adaptive learning rate method" (2012), Algorithm 1, in the form of `torch.optim.Adadelta`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! v ← v + (1-ρ)(g² - v)
//! δ = √(u + ε) / √(v + ε) · g        u ← u + (1-ρ)(δ² - u)
//! p ← (1 - lr·λ) p - lr·δ            (with L2 the first factor is 1)
//! ```
//!
//! ε stands under both roots, and is what the first step lives on, when u is 0: it gives steps their scale, and it may not be 0.
//! The state `delta` is u. `lr` is PyTorch's: the paper has none, which is `lr = 1`, and u is the mean of δ², not of what `lr`
//! makes of it. ρ = 0.9 and ε = 1e-6 are PyTorch's and optax's; Keras has ρ = 0.95 and ε = 1e-7.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Adadelta};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Adadelta>::new(&device, Adadelta { rho: 0.75, ..Adadelta::default() })?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weight = Buffer::from_slice(&device, &[0.0_f32, 0.0])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32, -1000.0])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! // A first step is √ε / √(1-ρ), whatever the scale of the gradient.
//! let [down, up] = weight.to_vec()?[..] else { panic!("two weights") };
//! assert!((down + 2e-3).abs() < 1e-8 && (up - 2e-3).abs() < 1e-8);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;

settings! {
    /// Settings of Adadelta. State: two elements a parameter.
    pub struct Adadelta {
        /// Learning rate, a factor of each step; `lr ≥ 0`.
        pub lr: f64 = 1.0, in 0.0..;
        /// Decay ρ of the running means of squared gradients and of squared steps; `[0, 1)`.
        pub rho: f64 = 0.9, in 0.0..1.0;
        /// Added under both roots, in units of the gradient squared and of the parameter squared; `eps > 0`.
        pub eps: f64 = 1e-6, in f64::MIN_POSITIVE..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, one_minus_rho, eps, lr } }
record! { pub struct State { v, delta } }

impl Rule for Adadelta {
    const NAME: &'static str = "adadelta";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_rho: 1.0 - h.rho,
            eps: h.eps,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.v = fma(s.one_minus_rho, d * d - state.v, state.v);
        let step = sqrt((state.delta + s.eps) / (state.v + s.eps)) * d;
        state.delta = fma(s.one_minus_rho, step * step - state.delta, state.delta);
        fma(-s.lr, step, p * s.keep)
    }
}
