//! How means and deviations adapt to sums of noises. Twin: `Adapted` in `kernels/es/search.cuh`.

use crate::element::Real;
use crate::fmath::{exp, fma, select};

/// What makes a new mean and deviation of an element of the sums `Σ aⱼ·εⱼ` and `Σ bⱼ·εⱼ²` of its noises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adapting {
    /// `Σ bⱼ`.
    pub(crate) total: f64,
    /// What a deviation changes by at most, as a share of it; where there is none, it changes by the exponential.
    pub(crate) most: Option<f64>,
}

impl Adapting {
    /// The numbers of the arithmetic type, and whether a deviation's change is bounded.
    #[inline(always)]
    pub(crate) fn numbers<T: Real>(self) -> (T, T, u32) {
        (T::from_f64(self.total), T::from_f64(self.most.unwrap_or(0.0)), self.most.is_some().into())
    }

    /// `m + s·Σ aⱼ·εⱼ`, and `s·exp(c)` or `s + s·c`, where c is `Σ bⱼ·(εⱼ² - 1)`.
    #[inline(always)]
    pub(crate) fn adapted<T: Real>(self, mean: T, deviation: T, sum: T, squares: T) -> (T, T) {
        let (total, most, is_bounded) = self.numbers::<T>();
        let change = squares - total;
        let bounded = select(change > most, most, select(change < -most, -most, change));
        let mean = fma(deviation, sum, mean);
        (mean, select(is_bounded != 0, fma(deviation, bounded, deviation), deviation * exp(change)))
    }
}
