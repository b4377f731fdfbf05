//! INNA: a step along a velocity and the gradient, which follows a Newton-like inertial system.
//!
//! Castera et al., "An inertial Newton algorithm for deep learning" (2021), Algorithm 1, as its authors' code has it
//! (camcastera/INNA-for-DeepLearning). The paper keeps a second point ψ:
//!
//! ```text
//! u = (α - 1/β) p + ψ/β        ψ ← ψ - lrₜ u        p ← p - lrₜ (u + β g + λp)        lrₜ = lr / t^decaypower
//! ```
//!
//! What is kept here is the velocity `u` itself, ψ = (1-αβ) p + β u, and the same trajectory is
//!
//! ```text
//! d = β g + λp        (u, p) ← (u - lrₜ α u + lrₜ (1-αβ)/β · d,  p - lrₜ (u + d))        both from the old u and p
//! ```
//!
//! so that rounding `p` to a short type does not become velocity, and a parameter that is changed from outside keeps its own.
//! ψ starts at (1-αβ) p, which is u = 0; with `gradient_start` at (1-αβ) p - (β²-β) g₁, which is u = (1-β) g₁: Castera,
//! "Inertial Newton algorithms avoiding strict saddle points" (2021), and its code (camcastera/INNAavoidsSaddles). λ acts as in
//! the code: it is not multiplied by β, and ψ does not feel it.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::Inna};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<Inna>::new(&device, Inna { decaypower: 0.5, ..Inna::default() })?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! let gradient = Buffer::from_slice(&device, &[0.5_f32])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! assert_eq!(weight.to_vec()?, [0.995]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use crate::fmath;

settings! {
    /// Settings of INNA. State: one element a parameter.
    pub struct Inna {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 0.1, in 0.0..;
        /// Viscous damping α: how fast the velocity dies away; `alpha ≥ 0`.
        pub alpha: f64 = 0.5, in 0.0..;
        /// Newtonian damping β: the share of the gradient that acts at once; `beta > 0`.
        pub beta: f64 = 0.1, in f64::MIN_POSITIVE..;
        /// The rate of step `t` is `lr / t^decaypower`; `decaypower ≥ 0`.
        pub decaypower: f64 = 0.0, in 0.0..;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Whether the velocity starts as `(1-β) g`, not as 0.
        pub gradient_start: bool = false;
    }
}

impl Inna {
    /// The start that avoids strict saddle points: with a velocity along the first gradient.
    pub fn saddles() -> Self {
        Self { gradient_start: true, ..Self::default() }
    }
}

record! { pub struct Scalars { first, start, beta, weight_decay, kept, gained, lr } }
record! { pub struct State { velocity } }

impl Rule for Inna {
    const NAME: &'static str = "inna";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let lr = h.lr / fmath::pow(t as f64, h.decaypower);
        Scalars {
            first: select(t == 1, 1.0, 0.0),
            start: select(h.gradient_start != 0.0, 1.0 - h.beta, 0.0),
            beta: h.beta,
            weight_decay: h.weight_decay,
            kept: 1.0 - lr * h.alpha,
            gained: lr * (1.0 - h.alpha * h.beta) / h.beta,
            lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let velocity = select(s.first != real(0.0), s.start * g, state.velocity);
        let d = fma(s.weight_decay, p, s.beta * g);
        state.velocity = fma(s.kept, velocity, s.gained * d);
        fma(-s.lr, velocity + d, p)
    }
}
