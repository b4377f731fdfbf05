//! Replicated SGD: SGD on several replicas, each pulled to the mean of all.
//!
//! Pittorino, Lucibello, Feinauer, Perugini, Baldassi, Demyanenko & Zecchina, "Entropic gradient descent algorithms and
//! wide flat minima" (2021), after Baldassi et al., "Unreasonable effectiveness of learning neural networks" (2016):
//!
//! ```text
//! x̄ = (x₁ + ... + x_R) / R
//! xₐ ← xₐ - lr (gₐ + γₜ (xₐ - x̄))        for every replica a, all from the same x̄
//! γₜ = γ (1 + growth)ᵗ⁻¹
//! ```
//!
//! Each replica has a gradient of its own, taken at its own point on a batch of its own. What is evaluated in the end is the
//! mean, [`Ensemble::mean`](super::Ensemble#method.mean). The pull is part of the gradient here: the learning rate multiplies it too. The sum is taken
//! in the order of the replicas.
//!
//! No implementation of the authors is known, and the defaults are this crate's. The one public implementation
//! (Fabbricatore/Replicated-SGD) adds the pull with the opposite sign, so that its replicas repel each other, and moves
//! them one after another.
//!
//! ```
//! use gradus::ensemble::{Ensemble, ReplicatedSgd};
//! use gradus::optim::Tensor;
//! use gradus::{Buffer, Device};
//!
//! let device = Device::cpu();
//! let method = ReplicatedSgd { lr: 0.5, gamma: 1.0, gamma_growth: 0.01 };
//! let mut replicas = Ensemble::<ReplicatedSgd>::new(&device, method, 2, &[Tensor::new(2)])?;
//!
//! let mut first = Buffer::from_slice(&device, &[1.0_f32, 1.0])?;
//! let mut second = Buffer::from_slice(&device, &[3.0_f32, 3.0])?;
//! let gradient = Buffer::from_slice(&device, &[0.0_f32, 1.0])?;
//! replicas.step(&mut [first.view_mut(), second.view_mut()], &[Some(gradient.view()), Some(gradient.view())])?;
//! assert_eq!((first.to_vec()?, second.to_vec()?), (vec![1.5, 1.0], vec![2.5, 2.0]));
//!
//! let mut mean = Buffer::zeros(&device, 2)?;
//! replicas.mean(&[first.view(), second.view()], &mut [mean.view_mut()])?;
//! assert_eq!(mean.to_vec()?, [2.0, 1.5]);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::Method;
use crate::element::Real;
use crate::fmath::{fma, powi};
use crate::rules::record::record;
use crate::rules::settings::settings;

settings! {
    /// Settings of replicated SGD. State: none.
    pub struct ReplicatedSgd {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 0.1, in 0.0..;
        /// Strength γ of the pull to the mean in the first step, in units of gradient per parameter; `gamma ≥ 0`.
        pub gamma: f64 = 0.1, in 0.0..;
        /// By which share γ grows from each step to the next; `gamma_growth ≥ 0`.
        pub gamma_growth: f64 = 0.0, in 0.0..;
    }
}

record! { pub struct Scalars { lr, gamma } }

impl Method for ReplicatedSgd {
    const NAME: &'static str = "replicated_sgd";
    const COPY: &'static str = "replica";
    const STATES: &'static [&'static str] = &[];
    type Scalars<T: Real> = Scalars<T>;

    fn tick(h: &Hyper<f64>, t: u64) -> Scalars<f64> {
        Scalars { lr: h.lr, gamma: h.gamma * powi(1.0 + h.gamma_growth, t - 1) }
    }
}

/// The mean of `count` replicas, of their sum.
#[inline(always)]
pub(crate) fn mean<T: Real>(sum: T, count: T) -> T {
    sum / count
}

/// The new value of a parameter `x` with gradient `g`; `mean` is that of all replicas.
#[inline(always)]
pub(crate) fn update<T: Real>(s: &Scalars<T>, x: T, mean: T, g: T) -> T {
    fma(-s.lr, fma(s.gamma, x - mean, g), x)
}
