//! What is computed of an element, of a row and of a tensor. Twin: `kernels/lopt/arithmetic.cuh`.

use super::{Network, Settings};
use crate::element::Real;
use crate::fmath::{exp, fma, real, select, sqrt};

/// What the network is told of an element, then of the step.
pub(crate) const FEATURES: usize = 28;
pub(crate) const TIMES: usize = 11;
pub(crate) const INPUTS: usize = FEATURES + TIMES;

/// Steps that the features of time are measured in.
const TIMESCALES: [f64; TIMES] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// What a step is computed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalars<T> {
    /// Shares that averages keep, and those that what is new gets: of the momenta, of the squares, of the factored squares.
    pub(crate) momentum: [[T; 2]; 3],
    pub(crate) rms: [T; 2],
    pub(crate) adafactor: [[T; 2]; 3],
    /// What multiplies the direction, and the magnitude before it is an exponent.
    pub(crate) rate: T,
    pub(crate) exp_mult: T,
    /// What is left of a parameter.
    pub(crate) kept: T,
    /// The same of the nominal term, if there is one, and of the decay beside it.
    pub(crate) nominal_rate: T,
    pub(crate) nominal_mult: T,
    pub(crate) decay_rate: T,
    pub(crate) decay_mult: T,
}

impl<T: Real> Scalars<T> {
    pub(crate) fn new(settings: &Settings, network: &Network) -> Self {
        let [momentum, rms, adafactor] = network.decays(settings);
        let both = |beta: f64| [real(beta), real(1.0 - beta)];
        let three = |betas: &[f64]| [both(betas[0]), both(betas[1]), both(betas[2])];
        let star = settings.star.unwrap_or_default();
        Self {
            momentum: three(&momentum),
            rms: both(rms[0]),
            adafactor: three(&adafactor),
            rate: real(settings.lr * settings.step_mult),
            exp_mult: real(settings.exp_mult),
            kept: real(1.0 - settings.lr * settings.weight_decay),
            nominal_rate: real(settings.lr * star.nominal_lr / 3.0),
            nominal_mult: real(star.nominal_exp_mult),
            decay_rate: real(settings.lr * settings.weight_decay),
            decay_mult: real(star.decay_exp_mult),
        }
    }
}

/// `1/√x`, both rounded.
#[inline(always)]
pub(crate) fn rsqrt<T: Real>(x: T) -> T {
    real::<T>(1.0) / sqrt(x)
}

/// The greater of the two; a NaN stays.
#[inline(always)]
fn at_least<T: Real>(x: T, least: f64) -> T {
    select(x < real(least), real(least), x)
}

/// The new average of an old one and what is new.
#[inline(always)]
pub(crate) fn averaged<T: Real>([kept, share]: [T; 2], old: T, new: T) -> T {
    fma(kept, old, share * new)
}

/// What is summed over axes.
#[inline(always)]
pub(crate) fn squared<T: Real>(g: T) -> T {
    g * g + real::<T>(1e-30)
}

/// The feature of a row or column beside its second moment.
#[inline(always)]
pub(crate) fn inverse<T: Real>(v: T) -> T {
    rsqrt(v + real::<T>(1e-8))
}

#[inline(always)]
pub(crate) fn row_factor<T: Real>(v: T, mean: T) -> T {
    rsqrt(at_least(v / (mean + real::<T>(1e-9)), 1e-9))
}

#[inline(always)]
pub(crate) fn column_factor<T: Real>(v: T) -> T {
    rsqrt(at_least(v, 1e-9))
}

/// Feature 9, of the new square.
#[inline(always)]
pub(crate) fn adam_factor<T: Real>(v: T) -> T {
    rsqrt(v + real::<T>(1e-6))
}

/// A gradient or momentum as Adafactor scales it.
#[inline(always)]
pub(crate) fn scaled<T: Real>(x: T, row: T, column: T) -> T {
    x * row * column
}

/// What scales a gradient and a momentum where second moments are not factored.
#[inline(always)]
pub(crate) fn unfactored<T: Real>(w: T) -> [T; 2] {
    [rsqrt(at_least(w + real::<T>(1e-9), 1e-9)), rsqrt(w + real::<T>(1e-6))]
}

/// What a feature is multiplied by, of the sum of its squares over so many elements.
pub(crate) fn normaliser<T: Real>(sum: f64, count: f64) -> T {
    T::from_f64(1.0 / (1e-5 + sum / count).sqrt())
}

/// The features of time of the step with this number, from 0.
pub(crate) fn times<T: Real>(step: u64) -> [T; TIMES] {
    TIMESCALES.map(|scale| T::from_f64(crate::fmath::tanh(step as f64 / scale - 1.0)))
}

/// A neuron's output.
#[inline(always)]
pub(crate) fn relu<T: Real>(x: T) -> T {
    select(x <= real(0.0), real(0.0), x)
}

/// The new parameter, of the network's outputs.
#[inline(always)]
pub(crate) fn stepped<T: Real>(scalars: &Scalars<T>, p: T, [direction, magnitude]: [T; 2]) -> T {
    let step = direction * exp(magnitude * scalars.exp_mult);
    fma(-step, scalars.rate, scalars.kept * p)
}

/// The same with a nominal term, of the momenta and the square as features 6 to 9 have them.
#[inline(always)]
pub(crate) fn stepped_by_star<T: Real>(scalars: &Scalars<T>, p: T, outputs: [T; 4], adam: [T; 3], r: T) -> T {
    let [direction, magnitude, nominal, decay] = outputs;
    let step = direction * exp(magnitude * scalars.exp_mult) * r;
    let nominal = (adam[0] + adam[1] + adam[2]) * exp(nominal * scalars.nominal_mult);
    let decay = scalars.decay_rate * exp(decay * scalars.decay_mult);
    fma(-nominal, scalars.nominal_rate, fma(-step, scalars.rate, fma(-decay, p, p)))
}

/// The sum of lanes, a power of two of them: the upper half is added to the lower until one is left.
pub(crate) fn tree<T: Real>(lanes: &mut [T]) -> T {
    let mut half = lanes.len() / 2;
    while half > 0 {
        let (low, high) = lanes[..2 * half].split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    lanes[0]
}
