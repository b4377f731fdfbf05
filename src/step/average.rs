use super::{AVERAGE_EQUAL, AVERAGE_EXPONENTIAL, GREATEST};
use crate::error::Result;
use crate::rules::settings::in_range;

/// A running average of a tensor's parameters, kept beside them and never fed back.
///
/// ```text
/// exponential   ā ← d ā + (1-d) p               (EMA; torch.optim.swa_utils, get_ema_multi_avg_fn)
/// equal         ā ← ā + (p - ā) / (n + 1)        (SWA: Izmailov et al. 2018; with Adam or AdamW it is Gadam, with Padam
///                                                 GadamX: Granziol et al. 2020)
/// ```
///
/// `p` is the parameter as it is stored after the step; the average has the arithmetic type. The first collection copies
/// it: there is no bias correction. It begins anew for a tensor that joins a group with an average.
///
/// ```
/// use gradus::optim::{Average, Group, Optimizer, Tensor};
/// use gradus::{rules::Sgd, Device};
///
/// let group = Group::new(Sgd { lr: 0.5, ..Sgd::default() }).average(Average::exponential(0.9));
/// let mut optimizer = Optimizer::<Sgd>::new(&Device::cpu(), group)?;
/// optimizer.add(Tensor::new(1))?;
/// let mut weight = vec![1.0_f32];
/// let gradient = vec![1.0_f32];
/// for _ in 0..2 {
///     optimizer.step(&mut [(&mut weight).into()], &[Some((&gradient).into())])?;
/// }
/// assert_eq!(weight, [0.0]);
/// assert_eq!(optimizer.averages(0)?, [0.9 * 0.5_f32]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// The weight of the average before, `d`, in `[0, 1)`; `None`: all collected parameters weigh the same.
    pub decay: Option<f64>,
    /// The tensor's step behind which the first parameter is collected, counted from 1.
    pub start: u64,
    /// Steps from one collection to the next; at least 1.
    pub every: u64,
}

impl Average {
    /// The exponential moving average (EMA), from the first step on.
    pub fn exponential(decay: f64) -> Self {
        Self { decay: Some(decay), start: 1, every: 1 }
    }

    /// The mean of all parameters (SWA, Gadam), from the first step on.
    pub fn equal() -> Self {
        Self { decay: None, start: 1, every: 1 }
    }

    /// Collects first behind a tensor's step `start`, counted from 1.
    pub fn start(mut self, start: u64) -> Self {
        self.start = start;
        self
    }

    /// Collects behind every `every`-th step from the first on.
    pub fn every(mut self, every: u64) -> Self {
        self.every = every;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        in_range("Average", "decay", self.decay.unwrap_or(0.0), 0.0..1.0)?;
        in_range("Average", "start", self.start as f64, 0.0..=GREATEST as f64)?;
        in_range("Average", "every", self.every as f64, 1.0..=GREATEST as f64)
    }

    /// Kind, decay, start and interval as [`Hyper`](super::Hyper) has them.
    pub(crate) fn encode(&self) -> [f64; 4] {
        let kind = if self.decay.is_some() { AVERAGE_EXPONENTIAL } else { AVERAGE_EQUAL };
        [kind, self.decay.unwrap_or(0.0), self.start as f64, self.every as f64]
    }

    pub(crate) fn decode([kind, decay, start, every]: [f64; 4]) -> Option<Self> {
        let decay = (kind == AVERAGE_EXPONENTIAL).then_some(decay);
        let known = kind == AVERAGE_EXPONENTIAL || kind == AVERAGE_EQUAL;
        known.then_some(Self { decay, start: start as u64, every: every as u64 })
    }
}
