//! AMSGrad: Adam whose second moment never falls, so that a rare large gradient shortens every later step.
//!
//! Reddi, Kale & Kumar, "On the convergence of Adam and beyond" (2018), Algorithm 2, in the order of PyTorch's
//! `Adam(amsgrad=True)` and, with [`Decay::Decoupled`], of its `AdamW(amsgrad=True)`:
//!
//! ```text
//! g ← g + λp  (L2 only)
//! m ← m + (1-β₁)(g - m)        v ← v + (1-β₂)(g² - v)        w ← max(w, v)
//! p ← (1 - lr·λ) p - lr/(1-β₁ᵗ) · m / (√w / √(1-β₂ᵗ) + ε)        (with L2 the first factor is 1)
//! ```
//!
//! Where the corrections stand is where implementations differ, and each is a setting here. The paper has none and no ε
//! ([`AmsGrad::paper`] keeps ε, without which an element that never had a gradient is 0/0). PyTorch corrects after the
//! maximum; optax takes the maximum of the corrected moment, `w ← max(w, v / (1-β₂ᵗ))`, in which the large correction of the
//! first steps stays for good: [`Correction::BeforeMax`].
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::{Buffer, Device, rules::AmsGrad};
//!
//! let device = Device::cpu();
//! let mut optimizer = Optimizer::<AmsGrad>::new(&device, AmsGrad { beta1: 0.0, beta2: 0.5, lr: 0.25, ..AmsGrad::paper() })?;
//! optimizer.add(Tensor::new(1))?;
//! let mut weight = Buffer::from_slice(&device, &[1.0_f32])?;
//! for gradient in [8.0, 0.0, 0.0, 0.0, 8.0_f32] {
//!     let gradient = Buffer::from_slice(&device, &[gradient])?;
//!     optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! }
//! let v = 0.5 * 64.0 + 0.5_f32.powi(4) * 32.0; // which Adam would have halved three times only to rise again
//! assert!((weight.to_vec()?[0] - (1.0 - 2.0 / 32.0_f32.sqrt() - 2.0 / v.sqrt())).abs() < 1e-6);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::prelude::*;
use super::{Setting, Value};

settings! {
    /// Settings of AMSGrad. State: three elements a parameter.
    pub struct AmsGrad {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Decay of the running mean of gradients; `[0, 1)`.
        pub beta1: f64 = 0.9, in 0.0..1.0;
        /// Decay of the running mean of squared gradients; `[0, 1)`.
        pub beta2: f64 = 0.999, in 0.0..1.0;
        /// Added to the root of the greatest second moment, in units of the gradient; `eps ≥ 0`.
        pub eps: f64 = 1e-8, in 0.0..;
        /// Whether the mean of gradients is divided by `1-β₁ᵗ`.
        pub mean_correction: bool = true;
        /// Where the second moment is divided by `1-β₂ᵗ`.
        pub variance_correction: Correction = Correction::AfterMax;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

/// Where the second moment is corrected for its start at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Nowhere.
    None,
    /// In the greatest of the moments.
    AfterMax,
    /// In each moment, so that the greatest corrected one is kept.
    BeforeMax,
}

/// The code of [`Correction::None`] in `Hyper`.
pub const CORRECTION_NONE: f64 = 0.0;
/// The code of [`Correction::AfterMax`] in `Hyper`.
pub const CORRECTION_AFTER_MAX: f64 = 1.0;
/// The code of [`Correction::BeforeMax`] in `Hyper`.
pub const CORRECTION_BEFORE_MAX: f64 = 2.0;

impl Setting for Correction {
    const EXPECTED: &'static str = "'none', 'after_max' or 'before_max'";

    fn encode(self) -> f64 {
        match self {
            Self::None => CORRECTION_NONE,
            Self::AfterMax => CORRECTION_AFTER_MAX,
            Self::BeforeMax => CORRECTION_BEFORE_MAX,
        }
    }

    fn decode(code: f64) -> Option<Self> {
        [Self::None, Self::AfterMax, Self::BeforeMax].into_iter().find(|correction| correction.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "none" => Some(Self::None),
            Value::Name(name) if name == "after_max" => Some(Self::AfterMax),
            Value::Name(name) if name == "before_max" => Some(Self::BeforeMax),
            _ => None,
        }
    }
}

impl AmsGrad {
    /// AMSGrad with AdamW's decay: on the parameter, 0.01 by default.
    pub fn decoupled() -> Self {
        Self { weight_decay: 1e-2, decay: Decay::Decoupled, ..Self::default() }
    }

    /// The rule of the paper, which corrects neither moment.
    pub fn paper() -> Self {
        Self { mean_correction: false, variance_correction: Correction::None, ..Self::default() }
    }
}

record! {
    pub struct Scalars { l2, keep, one_minus_beta1, one_minus_beta2, before_max, after_max, eps, step_size }
}
record! { pub struct State { m, v, greatest } }

impl Rule for AmsGrad {
    const NAME: &'static str = "amsgrad";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        let bias1 = select(h.mean_correction != 0.0, 1.0 - powi(h.beta1, t), 1.0);
        let bias2 = 1.0 - powi(h.beta2, t);
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            one_minus_beta1: 1.0 - h.beta1,
            one_minus_beta2: 1.0 - h.beta2,
            before_max: select(h.variance_correction == CORRECTION_BEFORE_MAX, 1.0 / bias2, 1.0),
            after_max: select(h.variance_correction == CORRECTION_AFTER_MAX, 1.0 / sqrt(bias2), 1.0),
            eps: h.eps,
            step_size: h.lr / bias1,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.m = fma(s.one_minus_beta1, d - state.m, state.m);
        state.v = fma(s.one_minus_beta2, d * d - state.v, state.v);
        let v = state.v * s.before_max;
        state.greatest = select(state.greatest > v, state.greatest, v);
        let denominator = fma(sqrt(state.greatest), s.after_max, s.eps);
        fma(-s.step_size, state.m / denominator, p * s.keep)
    }
}
