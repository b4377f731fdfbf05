//! A rule without its type: names, and its functions over plain arrays.

use super::{Extra, Gradient, MAX_STATES, Record, Rule};
use crate::element::Real;

/// The most scalars that a rule's `update` may receive.
pub(crate) const MAX_SCALARS: usize = 24;

/// What a backend knows of a rule: with it a backend is compiled once for a pair of types, and not for each rule as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    /// The names of the settings, as [`Settings::Hyper`](super::Settings::Hyper) has them.
    pub(crate) hyper: &'static [&'static str],
    pub(crate) carry: &'static [&'static str],
    pub(crate) states: &'static [&'static str],
    /// The number of scalars.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "ordinary memory has room for the most there may be"))]
    pub(crate) scalars: usize,
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "only the layout of kernels names it"))]
    pub(crate) momentum: Option<usize>,
    pub(crate) extra: Extra,
    is_stateless: fn(&[f64]) -> bool,
    takes_noise: fn(&[f64]) -> bool,
    tick: fn(&[f64], f64, u64, &mut [f64], &mut [f64]),
}

impl Form {
    pub(crate) const fn of<R: Rule>() -> Self {
        const {
            assert!(R::State::<f64>::NAMES.len() <= MAX_STATES);
            assert!(R::Scalars::<f64>::NAMES.len() <= MAX_SCALARS);
        }
        Self {
            name: R::NAME,
            hyper: R::Hyper::NAMES,
            carry: R::Carry::NAMES,
            states: R::State::<f64>::NAMES,
            scalars: R::Scalars::<f64>::NAMES.len(),
            momentum: R::MOMENTUM,
            extra: <R::Gradient<f64> as Gradient<f64>>::EXTRA,
            is_stateless: |hyper| R::is_stateless(&R::Hyper::from_fn(|k| hyper[k])),
            takes_noise: |scalars| R::takes_noise::<f64>(&R::Scalars::from_fn(|k| scalars[k])),
            tick: tick::<R>,
        }
    }

    /// Whether a group with these settings makes no use of the states.
    pub(crate) fn is_stateless(&self, hyper: &[f64]) -> bool {
        (self.is_stateless)(hyper)
    }

    /// Whether a step of these scalars makes use of noise.
    pub(crate) fn takes_noise<T: Real>(&self, scalars: &[T; MAX_SCALARS]) -> bool {
        self.extra == Extra::Noise && (self.takes_noise)(&scalars.map(T::to_f64))
    }

    /// The scalars of a tensor's step `t`, with the learning rate multiplied by `lr_factor`; zeros stand behind them.
    pub(crate) fn tick<T: Real>(&self, hyper: &[f64], lr_factor: f64, t: u64, carry: &mut [f64]) -> [T; MAX_SCALARS] {
        let mut scalars = [0.0; MAX_SCALARS];
        (self.tick)(hyper, lr_factor, t, carry, &mut scalars);
        scalars.map(T::from_f64)
    }
}

fn tick<R: Rule>(hyper: &[f64], lr_factor: f64, t: u64, carry: &mut [f64], to: &mut [f64]) {
    let mut hyper = R::Hyper::from_fn(|k| hyper[k]);
    R::scale_lr(&mut hyper, lr_factor);
    let mut carried = R::Carry::from_fn(|k| carry[k]);
    let scalars = R::tick(&hyper, t, &mut carried);
    carry.iter_mut().enumerate().for_each(|(k, to)| *to = *carried.nth(k));
    (0..R::Scalars::<f64>::NAMES.len()).for_each(|k| to[k] = *scalars.nth(k));
}
