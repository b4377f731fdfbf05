//! Signum: the sign of a running mean of gradients; and signSGD, the sign of the gradient, which keeps no mean.
//!
//! Bernstein et al., "signSGD: compressed optimisation for non-convex problems" (2018), Algorithm 1 (signSGD) and Algorithm 2
//! (Signum), with the settings of pytorch_optimizer's `SignSGD`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-μ)(g - m)
//! p ← (1 - lr·λ) p - lr·sign(m)        (with L2 the first factor is 1)        sign(0) = 0
//! ```
//!
//! signSGD is μ = 0. The mean is not corrected for its start, which no sign shows. [`Lion`](super::Lion) looks a gradient further
//! ahead in the direction than in the mean.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Signum};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Signum>::new(&device, Signum { lr: 0.25, ..Signum::signsgd() })?;
//! optimizer.add(Tensor::new(3))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32, 1.0, 1.0])?;
//! let gradient = Buffer::from_slice(&device, &[0.001_f32, -1000.0, 0.0])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [0.75, 1.25, 1.0]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;

settings! {
    /// Settings of Signum and signSGD. State: one element a parameter, none without momentum.
    pub struct Signum {
        /// Learning rate, per step, in units of the parameter; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay μ of the running mean of gradients; `[0, 1)`.
        pub momentum: f64 = 0.9, in 0.0..1.0;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::Decoupled;
    }
}

impl Signum {
    /// signSGD: no momentum.
    pub fn signsgd() -> Self {
        Self { momentum: 0.0, ..Self::default() }
    }
}

record! { pub struct Scalars { l2, keep, one_minus_momentum, lr } }
record! { pub struct State { m } }

impl Rule for Signum {
    const NAME: &'static str = "signum";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn is_stateless(h: &Hyper<f64>) -> bool {
        h.momentum == 0.0
    }

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_momentum: 1.0 - h.momentum,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_momentum, d - state.m, state.m);
        fma(-s.lr, sign(state.m), p * s.keep)
    }
}
