//! Stochastic diagonal Levenberg-Marquardt: a rate of its own for every parameter, from the curvature along it.
//!
//! LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition" (1998), Appendix C; the running
//! mean is that of LeCun et al., "Efficient BackProp" (1998), section 9.1. In a step that is given the curvature `c`, an estimate
//! of the second derivative of the loss by each parameter:
//!
//! ```text
//! h ← |c| where h = 0,  β h + (1-β) |c| elsewhere        (h stays in a step without c)
//! p ← p - lr / (h + μ) · g
//! ```
//!
//! The curvature comes with [`Optimizer::step_with`](crate::optim::Optimizer::step_with), in the gradient's units per unit of
//! the parameter: usually the diagonal of a Gauss-Newton matrix, which is never below 0. Its size is taken, so that negative
//! curvature, and that of an objective which is maximised, does not turn a step round. A mean begins as the first curvature that
//! is not 0. For LeNet-5 the paper estimates `h` anew before every pass and keeps it for the whole of one: β = 0, and a
//! curvature once a pass.
//!
//! μ and the rate are those of LeNet-5's first passes. The papers name no β. Equations and figures are cited from memory and were compared with
//! no implementation.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Sdlm};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Sdlm>::new(&device, Sdlm { lr: 0.5, damping: 1.0, ..Sdlm::default() })?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32, 1.0])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32, 1.0])?;
//! let curvature = Buffer::from_slice(&device, &[1.0_f32, 3.0])?;
//! optimizer.step_with(&mut [weight.view_mut()], &[Some(gradient.view())], &[Some(curvature.view())])?;
//! assert_eq!(weight.to_vec()?, [0.75, 0.875]);
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [0.5, 0.75]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::WithSecond;
use super::prelude::*;
use crate::fmath::abs;

settings! {
    /// Settings of stochastic diagonal Levenberg-Marquardt. State: one element a parameter.
    pub struct Sdlm {
        /// Learning rate, per step, in units of the loss; `lr ≥ 0`.
        pub lr: f64 = 5e-4, in 0.0..;
        /// Decay of the running mean of curvatures; `[0, 1)`.
        pub beta: f64 = 0.99, in 0.0..1.0;
        /// Added to the curvature, in its units: bounds the rate of a flat direction by `lr / damping`; `damping > 0`.
        pub damping: f64 = 0.02, in f64::MIN_POSITIVE..;
    }
}

record! { pub struct Scalars { one_minus_beta, damping, lr } }
record! { pub struct State { h } }

impl Rule for Sdlm {
    const NAME: &'static str = "sdlm";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = WithSecond<T>;

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars { one_minus_beta: 1.0 - h.beta, damping: h.damping, lr: h.lr }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: WithSecond<T>, state: &mut State<T>) -> T {
        let curvature = abs(g.second);
        let mean = fma(s.one_minus_beta, curvature - state.h, state.h);
        let h = select(state.h == real(0.0), curvature, mean);
        state.h = select(g.given, h, state.h);
        fma(-s.lr, g.gradient / (state.h + s.damping), p)
    }
}
