//! SUPER-ADAM: an estimate of the gradient, by STORM's variance reduction or by a running mean, over an adaptive matrix; rates and
//! weights fall with the step.
//!
//! Huang, Li & Huang, "SUPER-ADAM: faster and universal framework of adaptive gradients" (2021), Algorithm 1, with the adaptive
//! matrix that is a diagonal of second moments, as the authors' code (LIJUNYI95/SuperAdam) has it. With q the gradient of step t's
//! batch at the parameters of step t - 1:
//!
//! ```text
//! v ← v + (1-β)(g² - v)
//! μₜ = k / (M + t)^⅓     a = min(c μ²ₜ₋₁, 0.99)     m ← g + (1-a)(m - q), m = g in the first step        (storm)
//! μₜ = k / (M + t)^½     a = c μₜ                   m ← m + a (g - m)                                    (else)
//! p ← p - lr · μₜ · m / (√v / √(1-βᵗ) + ε)
//! ```
//!
//! k is `scale`, M `offset`, c `gain`, and lr the paper's γ. STORM is the paper's τ = 1 and the code's `tau=False`, its default; the
//! default here is the running mean, which needs no second gradient. The q of STORM comes with
//! [`Optimizer::step_with`](crate::optim::Optimizer::step_with). A step without q begins the estimate anew, `m = g`, as the first
//! step does whether q is given or not.
//!
//! The paper does not correct v for its start at 0, which `bias_correction = false` follows; it asks for `a ≤ 1`, which the code does
//! not see to in the running mean, nor does this. The matrices of one number, from norms of all of a group's gradients, are not here.
//!
//! Weight decay, which the code has none of, is an L2 penalty. Its gradient is known without noise, so that STORM leaves it out of
//! m and the step moves along `m + λp`: q and g are gradients of the loss alone.
//!
//! State: two elements a parameter.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Device, rules::SuperAdam};
//!
//! let rule = SuperAdam { lr: 0.5, scale: 1.0, offset: 7.0, eps: 0.0, ..SuperAdam::storm() };
//! let mut optimizer = Optimizer::<SuperAdam, f64>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(1))?;
//!
//! let mut weight = vec![1.0_f64];
//! optimizer.step(&mut [(&mut weight).into()], &[Some((&vec![2.0]).into())])?;
//! assert!((weight[0] - 0.75).abs() < 1e-15); // 0.5 / ∛8 along the sign of g
//!
//! let (gradient, at_previous_point) = (vec![1.0], vec![2.0]); // the second batch agrees with the first one
//! optimizer.step_with(&mut [(&mut weight).into()], &[Some((&gradient).into())], &[Some((&at_previous_point).into())])?;
//! assert!(weight[0] < 0.75);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::WithSecond;
use super::prelude::*;
use crate::fmath::{self, min};

settings! {
    /// Settings of SUPER-ADAM. State: two elements a parameter.
    pub struct SuperAdam {
        /// Learning rate γ, a factor of the falling rate `μ`; `lr ≥ 0`.
        pub lr: f64 = 0.01, in 0.0..;
        /// Scale k of `μ`; `scale ≥ 0`.
        pub scale: f64 = 1e-3, in 0.0..;
        /// Steps M that `μ` has fallen for before the first one; `offset ≥ 0`.
        pub offset: f64 = 100.0, in 0.0..;
        /// Factor c between `μ`, or its square, and the weight of a new gradient in the estimate; `gain ≥ 0`.
        pub gain: f64 = 5.0, in 0.0..;
        /// Decay β of the running mean of squared gradients; `[0, 1)`.
        pub beta: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-3, in 0.0..;
        /// Weight decay λ, an L2 penalty on the loss; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Whether the estimate is STORM's, which takes second gradients, and not a running mean.
        pub storm: bool = false;
        /// Whether the second moment is corrected for its start at 0.
        pub bias_correction: bool = true;
    }
}

impl SuperAdam {
    /// With STORM's estimate of the gradient.
    pub fn storm() -> Self {
        Self { storm: true, ..Self::default() }
    }
}

record! { pub struct Scalars { storm, weight_decay, one_minus_beta, kept, eps, step_size } }
record! { pub struct State { m, v } }

/// The falling rate of a step.
fn falling(h: &Hyper<f64>, step: f64) -> f64 {
    h.scale * fmath::exp(-select(h.storm != 0.0, 1.0 / 3.0, 0.5) * fmath::ln(h.offset + step))
}

impl Rule for SuperAdam {
    const NAME: &'static str = "superadam";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = WithSecond<T>;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let root_bias = select(h.bias_correction != 0.0, sqrt(1.0 - powi(h.beta, t)), 1.0);
        let storms = h.storm != 0.0;
        let rate = falling(h, t as f64);
        let before = falling(h, t as f64 - 1.0);
        let weight = select(storms, min(h.gain * before * before, 0.99), h.gain * rate);
        Scalars {
            storm: h.storm,
            weight_decay: h.weight_decay,
            one_minus_beta: 1.0 - h.beta,
            kept: select(storms && t == 1, 0.0, 1.0 - weight),
            eps: h.eps * root_bias,
            step_size: h.lr * rate * root_bias,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: WithSecond<T>, state: &mut State<T>) -> T {
        let storms = s.storm != real(0.0);
        let begins = storms && !g.given || s.kept == real(0.0);
        let penalty = s.weight_decay * p;
        let penalised = g.gradient + penalty;
        let d = select(storms, g.gradient, penalised);
        let anchor = select(storms, g.second, d);
        state.m = select(begins, d, fma(s.kept, state.m - anchor, d));
        state.v = fma(s.one_minus_beta, penalised * penalised - state.v, state.v);
        let direction = state.m + select(storms, penalty, real(0.0));
        fma(-s.step_size, direction / (sqrt(state.v) + s.eps), p)
    }
}
