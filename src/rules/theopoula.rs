//! THEO POULA: a tamed, boosted gradient step of the Langevin dynamics, with Gaussian noise.
//!
//! Lim & Sabanis, "Polygonal unadjusted Langevin algorithms: creating stable and efficient adaptive algorithms for neural
//! networks" (2021), the algorithm TheoPouLa, in the form of the author's code (DongyoungLim/THEO_POULA), element by element:
//!
//! ```text
//! g ← g + λp
//! p ← p - lr · g (1 + s / (ε + |g|)) / (1 + s |g|) + √(2 lr / β) ξ            s = √lr,  ξ ~ N(0, 1)
//! ```
//!
//! The divisor tames: while `lr ≤ 1`, no gradient moves its element further than `√lr`, however large it is. The bracket boosts
//! small gradients. β is the inverse temperature: noise of a higher one stays closer to the minima, and
//! [`UNLIMITED`](super::UNLIMITED) is no noise, for which none is drawn. (In the authors' code β = 1 is that.)
//!
//! The noise ξ comes with [`Optimizer::step_with`](crate::optim::Optimizer::step_with), or is drawn: the
//! [`normal`](crate::rng::normal) of the element's address, the tensor's step and id and the group's
//! [`seed`](crate::optim::Group::seed).
//!
//! The regulariser `η θ ‖θ‖²ʳ / (1 + √lr ‖θ‖²ʳ)` of the paper needs the norm of all parameters and is not here: η = 0, as in the
//! authors' defaults. Where it stands is disputed: the paper adds it behind the taming, the authors' code to the gradient before it. The
//! defaults are the code's; its examples take ε = lr = 0.1.
//!
//! State: none.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::rules::{TheoPoula, UNLIMITED};
//! use gradus::Device;
//!
//! let rule = TheoPoula { lr: 0.25, eps: 1.0, beta: UNLIMITED, ..TheoPoula::default() };
//! let mut optimizer = Optimizer::<TheoPoula>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(2))?;
//! let mut weights = vec![1.0_f32, 1.0];
//! let gradients = vec![0.0_f32, 1e30];
//! optimizer.step(&mut [(&mut weights).into()], &[Some((&gradients).into())])?;
//! assert_eq!(weights, [1.0, 0.5]); // tamed: lr / √lr
//!
//! let mut noisy = Optimizer::<TheoPoula>::new(&Device::cpu(), TheoPoula { lr: 0.5, beta: 4.0, ..TheoPoula::default() })?;
//! noisy.add(Tensor::new(2))?;
//! let (gradients, noise) = (vec![0.0_f32, 0.0], vec![1.0_f32, -1.0]);
//! noisy.step_with(&mut [(&mut weights).into()], &[Some((&gradients).into())], &[Some((&noise).into())])?;
//! assert_eq!(weights, [1.5, 0.0]); // √(2 · 0.5 / 4) either way
//! # Ok::<(), gradus::Error>(())
//! ```

use super::WithNoise;
use super::prelude::*;
use crate::fmath::abs;

settings! {
    /// Settings of THEO POULA. State: none.
    pub struct TheoPoula {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 0.1, in 0.0..;
        /// Inverse temperature β, in units of 1 / loss; `beta > 0`, or [`UNLIMITED`](super::UNLIMITED) for no noise.
        pub beta: f64 = 1e14;
        /// Bounds the boost of small gradients, in units of the gradient; `eps > 0`.
        pub eps: f64 = 1e-8, in f64::MIN_POSITIVE..;
        /// Weight decay λ, an L2 penalty on the loss; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
    }
}

record! { pub struct Scalars { weight_decay, root_lr, eps, lr, noise } }

impl Rule for TheoPoula {
    const NAME: &'static str = "theopoula";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = Nothing<T>;
    type Gradient<T: Real> = WithNoise<T>;

    fn check(&self) -> Result<()> {
        self.check_ranges()?;
        if self.beta > 0.0 {
            return Ok(());
        }
        Err(Error::setting("TheoPoula", format!("beta = {} is neither above 0 nor infinite", self.beta)))
    }

    fn tick(h: &Hyper<f64>, _: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            weight_decay: h.weight_decay,
            root_lr: sqrt(h.lr),
            eps: h.eps,
            lr: h.lr,
            noise: sqrt(2.0 * h.lr / h.beta),
        }
    }

    fn takes_noise<T: Real>(s: &Scalars<T>) -> bool {
        s.noise != real(0.0)
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: WithNoise<T>, _: &mut Nothing<T>) -> T {
        let d = fma(s.weight_decay, p, g.gradient);
        let size = abs(d);
        let boosted = fma(s.root_lr, d / (size + s.eps), d);
        let moved = fma(-s.lr, boosted / fma(s.root_lr, size, real(1.0)), p);
        select(s.noise != real(0.0), fma(s.noise, g.noise, moved), moved)
    }
}
