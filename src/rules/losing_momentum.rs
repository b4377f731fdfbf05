//! Losing momentum: a damped particle in the landscape of the loss, whose mass dies away, so that SGD with momentum ends as SGD.
//!
//! After the continuous-time model of Jin, Latz, Liu & Scagliotti, "Losing momentum in continuous-time stochastic optimisation"
//! (2022): `m(t) V' = -∇Φ(X) - α V`, `X' = V`, where batches take turns in Φ and the mass m(t) falls to 0. A step of the semi-implicit,
//! symplectic Euler method with step size h, which takes the damping at the new velocity and then moves with it:
//!
//! ```text
//! mₜ = mass · decayᵗ⁻¹ / t^power
//! g ← g + λp
//! V ← (mₜ V - h g) / (mₜ + α h)
//! p ← p + h V
//! ```
//!
//! **This discretisation and these two schedules of the mass are gradus's own derivation from that model.** The paper proposes a stable,
//! symplectic scheme; that it is this one has not been confirmed, and it was compared with no implementation.
//!
//! h is `lr`. In terms of SGD with momentum a step has the momentum `m / (m + αh)` and the rate `h² / (m + αh)`. A constant gradient is
//! followed at the rate `h / α` whatever the mass: what the mass loses is memory, and without it the rule is SGD of that rate.
//! The divisor is positive for every mass, so that the damping cannot make the velocity swing.
//!
//! State: one element a parameter.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Device, rules::LosingMomentum};
//!
//! let rule = LosingMomentum { lr: 0.5, damping: 2.0, mass: 3.0, decay: 0.0, ..LosingMomentum::default() };
//! let mut optimizer = Optimizer::<LosingMomentum>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(1))?;
//! let (mut weight, gradient) = (vec![1.0_f32], vec![1.0_f32]);
//! optimizer.step(&mut [(&mut weight).into()], &[Some((&gradient).into())])?;
//! assert_eq!(weight, [0.9375]); // 1 - 0.5² / (3 + 2 · 0.5)
//! optimizer.step(&mut [(&mut weight).into()], &[Some((&gradient).into())])?;
//! assert_eq!(weight, [0.6875]); // the mass is gone: SGD of rate 0.5 / 2
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath;

settings! {
    /// Settings of losing momentum. State: one element a parameter.
    pub struct LosingMomentum {
        /// Step size h in time; `lr ≥ 0`. A constant gradient is followed at the rate `lr / damping`.
        pub lr: f64 = 0.1, in 0.0..;
        /// Damping α; `damping > 0`.
        pub damping: f64 = 1.0, in f64::MIN_POSITIVE..;
        /// Mass of the first step, in units of damping times time; `mass ≥ 0`.
        pub mass: f64 = 1.0, in 0.0..;
        /// What a step leaves of the mass, as a factor; `[0, 1]`. 1 for a mass that falls by `power` alone.
        pub decay: f64 = 0.999, in 0.0..=1.0;
        /// The mass falls as `1 / t^power` besides; `power ≥ 0`.
        pub power: f64 = 0.0, in 0.0..;
        /// Weight decay λ, an L2 penalty on the loss; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
    }
}

record! { pub struct Scalars { weight_decay, kept, gained, lr } }
record! { pub struct State { velocity } }

impl Rule for LosingMomentum {
    const NAME: &'static str = "losing_momentum";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let mass = h.mass * powi(h.decay, t - 1) * fmath::exp(-h.power * fmath::ln(t as f64));
        let resistance = mass + h.damping * h.lr;
        let mobility = select(resistance > 0.0, 1.0 / resistance, 0.0);
        Scalars { weight_decay: h.weight_decay, kept: mass * mobility, gained: h.lr * mobility, lr: h.lr }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.weight_decay, p, g);
        state.velocity = fma(s.kept, state.velocity, -s.gained * d);
        fma(s.lr, state.velocity, p)
    }
}
