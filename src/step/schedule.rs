use super::{GREATEST, Hyper};
use crate::error::{Error, Result};
use crate::fmath::{self, fma, max, select, sqrt};
use crate::rules::settings::in_range;

/// How the learning rate changes from step to step: a factor of the rule's `lr`, computed where the step counter lives, so
/// that a captured graph follows it.
///
/// Step `t` of the optimizer, counted from 1 and whichever tensors had gradients, has the factor
///
/// ```text
/// t ≤ warmup                 s + (1-s) · rise(t / warmup)                    rise(x) = x, or (1 - cos πx) / 2
/// t ≤ warmup + hold          1
/// after it                   floor + (1-floor) · fall(left)                  left = 1 - (t - warmup - hold) / (total - warmup - hold),
///                                                                            0 at least
///   fall   constant          1
///          linear            left
///          cosine            (1 - cos(π left)) / 2
///          polynomial        left^power
///          exponential       the factor is max(floor, γ^(t - warmup - hold))
///          inverse root      the factor is max(floor, √(max(warmup + hold, 1) / t))
/// ```
///
/// Other libraries count the first step 0, and so give it the rate 0 in a warm-up: here it has `1 / warmup`.
///
/// ```
/// use gradus::optim::{Group, Optimizer, Schedule};
/// use gradus::{rules::AdamW, Device};
///
/// let schedule = Schedule::cosine(10_000).warmup(500).floor(0.1);
/// let mut optimizer = Optimizer::<AdamW>::new(&Device::cpu(), Group::new(AdamW::default()).schedule(schedule))?;
/// assert_eq!(schedule.factor(500), 1.0);
/// assert_eq!(schedule.factor(10_000), 0.1);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    warmup: u64,
    warmup_start: f64,
    rise: Rise,
    hold: u64,
    total: u64,
    floor: f64,
    fall: Fall,
}

/// The shape of a warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rise {
    Linear,
    Cosine,
}

/// What follows the steps at the full rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fall {
    Constant,
    Linear,
    Cosine,
    Polynomial(f64),
    Exponential(f64),
    InverseRoot,
}

const RISE_LINEAR: f64 = 0.0;
const RISE_COSINE: f64 = 1.0;

const FALL_CONSTANT: f64 = 0.0;
const FALL_LINEAR: f64 = 1.0;
const FALL_COSINE: f64 = 2.0;
const FALL_POLYNOMIAL: f64 = 3.0;
const FALL_EXPONENTIAL: f64 = 4.0;
const FALL_INVERSE_ROOT: f64 = 5.0;

impl Default for Schedule {
    fn default() -> Self {
        Self::constant()
    }
}

impl Schedule {
    fn new(total: u64, fall: Fall) -> Self {
        Self { warmup: 0, warmup_start: 0.0, rise: Rise::Linear, hold: 0, total, floor: 0.0, fall }
    }

    /// The full rate in every step.
    pub fn constant() -> Self {
        Self::new(0, Fall::Constant)
    }

    /// Falls in a straight line from the end of the warm-up to step `total`.
    pub fn linear(total: u64) -> Self {
        Self::new(total, Fall::Linear)
    }

    /// Falls along half a cosine from the end of the warm-up to step `total` (Loshchilov & Hutter 2017, without restarts).
    pub fn cosine(total: u64) -> Self {
        Self::new(total, Fall::Cosine)
    }

    /// Falls as a power of the share of steps that are left; `power > 0`.
    pub fn polynomial(total: u64, power: f64) -> Self {
        Self::new(total, Fall::Polynomial(power))
    }

    /// Shrinks by the factor `gamma` a step; `(0, 1]`.
    pub fn exponential(gamma: f64) -> Self {
        Self::new(0, Fall::Exponential(gamma))
    }

    /// A linear warm-up, then a rate that falls as `1/√t` (Vaswani et al. 2017).
    pub fn inverse_square_root(warmup: u64) -> Self {
        Self::new(0, Fall::InverseRoot).warmup(warmup)
    }

    /// A linear warm-up, `stable` steps at the full rate, then a linear fall of `decay` steps (WSD).
    pub fn warmup_stable_decay(warmup: u64, stable: u64, decay: u64) -> Self {
        let total = warmup.saturating_add(stable).saturating_add(decay);
        Self { hold: stable, ..Self::linear(total).warmup(warmup) }
    }

    /// Rises along half a cosine from `1 / start_divisor` to the full rate at step `peak`, and falls along half a cosine to
    /// `1 / (start_divisor · end_divisor)` at step `total` (Smith & Topin 2019, in the form of
    /// `torch.optim.lr_scheduler.OneCycleLR`, whose defaults are a peak at 0.3 of all steps, 25 and 10 000).
    pub fn one_cycle(total: u64, peak: u64, start_divisor: f64, end_divisor: f64) -> Self {
        let rising = Self { warmup_start: 1.0 / start_divisor, rise: Rise::Cosine, ..Self::cosine(total) };
        rising.warmup(peak).floor(1.0 / (start_divisor * end_divisor))
    }

    /// Rises to the full rate in the first `steps` steps; those of the fall are counted behind them.
    pub fn warmup(mut self, steps: u64) -> Self {
        self.warmup = steps;
        self
    }

    /// The factor that a warm-up begins from, `[0, 1]`; 0 by default.
    pub fn warmup_start(mut self, factor: f64) -> Self {
        self.warmup_start = factor;
        self
    }

    /// Keeps the full rate for `steps` steps behind the warm-up.
    pub fn hold(mut self, steps: u64) -> Self {
        self.hold = steps;
        self
    }

    /// The factor that the rate falls to, `[0, 1]`; 0 by default.
    pub fn floor(mut self, factor: f64) -> Self {
        self.floor = factor;
        self
    }

    /// The factor of the learning rate in step `step`, counted from 1.
    pub fn factor(&self, step: u64) -> f64 {
        let [warmup, warmup_start, rise, hold, total, floor, fall, shape] = self.encode();
        let zeros = <Hyper<f64> as crate::rules::Record<f64>>::from_fn(|_| 0.0);
        lr_factor(&Hyper { warmup, warmup_start, rise, hold, total, floor, fall, shape, ..zeros }, step)
    }

    pub(crate) fn check(&self) -> Result<()> {
        const NAME: &str = "Schedule";
        for (setting, steps) in [("warmup", self.warmup), ("hold", self.hold), ("total", self.total)] {
            in_range(NAME, setting, steps as f64, 0.0..=GREATEST as f64)?;
        }
        in_range(NAME, "warmup_start", self.warmup_start, 0.0..=1.0)?;
        in_range(NAME, "floor", self.floor, 0.0..=1.0)?;
        match self.fall {
            Fall::Polynomial(power) => in_range(NAME, "power", power, f64::MIN_POSITIVE..)?,
            Fall::Exponential(gamma) => in_range(NAME, "gamma", gamma, f64::MIN_POSITIVE..=1.0)?,
            Fall::Constant | Fall::Linear | Fall::Cosine | Fall::InverseRoot => {}
        }
        let ends = matches!(self.fall, Fall::Linear | Fall::Cosine | Fall::Polynomial(_));
        let begin = self.warmup.saturating_add(self.hold);
        if ends && self.total <= begin {
            return Err(Error::setting(
                NAME,
                format!("total = {} steps do not go beyond the {begin} of warm-up and hold", self.total),
            ));
        }
        Ok(())
    }

    /// The schedule as [`Hyper`] has it, from `warmup` to `shape`.
    pub(crate) fn encode(&self) -> [f64; 8] {
        let rise = match self.rise {
            Rise::Linear => RISE_LINEAR,
            Rise::Cosine => RISE_COSINE,
        };
        let (fall, shape) = match self.fall {
            Fall::Constant => (FALL_CONSTANT, 0.0),
            Fall::Linear => (FALL_LINEAR, 0.0),
            Fall::Cosine => (FALL_COSINE, 0.0),
            Fall::Polynomial(power) => (FALL_POLYNOMIAL, power),
            Fall::Exponential(gamma) => (FALL_EXPONENTIAL, gamma),
            Fall::InverseRoot => (FALL_INVERSE_ROOT, 0.0),
        };
        [self.warmup as f64, self.warmup_start, rise, self.hold as f64, self.total as f64, self.floor, fall, shape]
    }

    pub(crate) fn decode([warmup, warmup_start, rise, hold, total, floor, fall, shape]: [f64; 8]) -> Option<Self> {
        let rise = match rise {
            RISE_LINEAR => Rise::Linear,
            RISE_COSINE => Rise::Cosine,
            _ => return None,
        };
        let fall = match fall {
            FALL_CONSTANT => Fall::Constant,
            FALL_LINEAR => Fall::Linear,
            FALL_COSINE => Fall::Cosine,
            FALL_POLYNOMIAL => Fall::Polynomial(shape),
            FALL_EXPONENTIAL => Fall::Exponential(shape),
            FALL_INVERSE_ROOT => Fall::InverseRoot,
            _ => return None,
        };
        let [warmup, hold, total] = [warmup, hold, total].map(|steps| steps as u64);
        Some(Self { warmup, warmup_start, rise, hold, total, floor, fall })
    }
}

/// The factor of the learning rate in the optimizer's step `step`, counted from 1.
pub(crate) fn lr_factor(h: &Hyper<f64>, step: u64) -> f64 {
    let t = step as f64;
    let begin = h.warmup + h.hold;
    if t <= h.warmup {
        let x = t / h.warmup;
        let risen = select(h.rise == RISE_COSINE, fma(-0.5, fmath::sincospi(x).cos, 0.5), x);
        return fma(1.0 - h.warmup_start, risen, h.warmup_start);
    }
    if t <= begin {
        return 1.0;
    }
    let left = max(1.0 - (t - begin) / (h.total - begin), 0.0);
    if h.fall == FALL_LINEAR {
        return fma(1.0 - h.floor, left, h.floor);
    }
    if h.fall == FALL_COSINE {
        return fma(1.0 - h.floor, fma(-0.5, fmath::sincospi(left).cos, 0.5), h.floor);
    }
    if h.fall == FALL_POLYNOMIAL {
        return fma(1.0 - h.floor, fmath::pow(left, h.shape), h.floor);
    }
    if h.fall == FALL_EXPONENTIAL {
        return max(fmath::pow(h.shape, t - begin), h.floor);
    }
    if h.fall == FALL_INVERSE_ROOT {
        return max(sqrt(max(begin, 1.0) / t), h.floor);
    }
    1.0
}
