use crate::error::{Error, ErrorKind, Result};
use crate::rules::settings::in_range;
use crate::rules::{Record, Rule, Value};
use crate::step::{self, Average, GREATEST, Lookahead, Momentum, Schedule};

/// Settings that hold for a group of tensors: the rule's, and what surrounds it.
///
/// ```
/// use gradus::optim::{Average, Group, Lookahead, Schedule};
/// use gradus::rules::AdamW;
///
/// let group = Group::new(AdamW { lr: 3e-4, ..AdamW::default() })
///     .schedule(Schedule::cosine(10_000).warmup(500))
///     .average(Average::exponential(0.999))
///     .lookahead(Lookahead::default());
/// assert!(!group.maximize);
/// ```
///
/// In a step the rule comes first, then Lookahead, then the average.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group<R> {
    /// The rule's settings.
    pub rule: R,
    /// Whether the objective is maximised: every gradient counts with the opposite sign.
    pub maximize: bool,
    /// How the learning rate changes from step to step.
    pub schedule: Schedule,
    /// An average of the parameters, kept beside them.
    pub average: Option<Average>,
    /// Slow weights that the parameters are pulled back to.
    pub lookahead: Option<Lookahead>,
    /// The seed of the noise that a rule draws; at most 2⁵³.
    pub seed: u64,
}

impl<R> Group<R> {
    /// A group that minimises at a constant rate, and with nothing around the rule.
    pub fn new(rule: R) -> Self {
        Self { rule, maximize: false, schedule: Schedule::constant(), average: None, lookahead: None, seed: 0 }
    }

    /// Chooses between minimising and maximising.
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }

    /// Sets the schedule of the learning rate.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Keeps an average of the parameters.
    pub fn average(mut self, average: impl Into<Option<Average>>) -> Self {
        self.average = average.into();
        self
    }

    /// Pulls the parameters back to slow weights.
    pub fn lookahead(mut self, lookahead: impl Into<Option<Lookahead>>) -> Self {
        self.lookahead = lookahead.into();
        self
    }

    /// Sets the seed of the noise that a rule draws.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same group with another rule.
    pub fn with_rule<S>(self, rule: S) -> Group<S> {
        let Self { rule: _, maximize, schedule, average, lookahead, seed } = self;
        Group { rule, maximize, schedule, average, lookahead, seed }
    }

    /// What surrounds the rule, as numbers.
    pub(crate) fn around(&self) -> step::Hyper<f64> {
        let [warmup, warmup_start, rise, hold, total, floor, fall, shape] = self.schedule.encode();
        let average = self.average.map_or([step::AVERAGE_NONE, 0.0, 0.0, 0.0], |average| average.encode());
        let [average, average_decay, average_start, average_every] = average;
        let lookahead = self.lookahead.map_or([0.0; 3], |lookahead| lookahead.encode());
        let [lookahead_every, lookahead_share, lookahead_momentum] = lookahead;
        step::Hyper {
            gradient_scale: if self.maximize { -1.0 } else { 1.0 },
            seed: self.seed as f64,
            warmup,
            warmup_start,
            rise,
            hold,
            total,
            floor,
            fall,
            shape,
            average,
            average_decay,
            average_start,
            average_every,
            lookahead_every,
            lookahead_share,
            lookahead_momentum,
        }
    }
}

impl<R: Rule> Group<R> {
    pub(crate) fn check(&self) -> Result<()> {
        self.rule.check()?;
        self.schedule.check()?;
        self.average.map_or(Ok(()), |average| average.check())?;
        in_range("Group", "seed", self.seed as f64, 0.0..=GREATEST as f64)?;
        let Some(lookahead) = self.lookahead else { return Ok(()) };
        lookahead.check()?;
        if lookahead.momentum != Momentum::Keep && R::MOMENTUM.is_none() {
            return Err(Error::setting(
                "Lookahead",
                format!("the rule {} has no momentum to reset or pull back", R::NAME),
            ));
        }
        Ok(())
    }

    /// The group as a backend takes it: what surrounds the rule, then the rule's `Hyper`.
    pub(crate) fn row(&self) -> Vec<f64> {
        let (around, hyper) = (self.around(), self.rule.hyper());
        let around = (0..step::Hyper::<f64>::NAMES.len()).map(|k| *around.nth(k));
        around.chain((0..R::Hyper::NAMES.len()).map(|k| *hyper.nth(k))).collect()
    }

    /// The group of a [`Group::row`], which is at this position. Errors: a number that stands for nothing, settings that fail
    /// their check.
    pub(crate) fn from_row(position: usize, row: &[f64]) -> Result<Self> {
        let (around, hyper) = row.split_at(step::Hyper::<f64>::NAMES.len());
        let h = step::Hyper::from_fn(|k| around[k]);
        let unknown = |what: &str| -> Error {
            ErrorKind::State { message: format!("the numbers of group {position} stand for no {what}") }.into()
        };
        if h.gradient_scale.abs() != 1.0 {
            let message = format!("'group.{position}.gradient_scale' is {}, not 1 or -1", h.gradient_scale);
            return Err(ErrorKind::State { message }.into());
        }
        let schedule = [h.warmup, h.warmup_start, h.rise, h.hold, h.total, h.floor, h.fall, h.shape];
        let average = [h.average, h.average_decay, h.average_start, h.average_every];
        let lookahead = [h.lookahead_every, h.lookahead_share, h.lookahead_momentum];
        let group = Self {
            rule: R::from_hyper(&R::Hyper::from_fn(|k| hyper[k]))?,
            maximize: h.gradient_scale < 0.0,
            schedule: Schedule::decode(schedule).ok_or_else(|| unknown("schedule"))?,
            average: match h.average {
                step::AVERAGE_NONE => None,
                _ => Some(Average::decode(average).ok_or_else(|| unknown("average"))?),
            },
            lookahead: match h.lookahead_every {
                0.0 => None,
                _ => Some(Lookahead::decode(lookahead).ok_or_else(|| unknown("lookahead"))?),
            },
            seed: h.seed as u64,
        };
        group.check()?;
        Ok(group)
    }

    /// The group at another learning rate. Errors: a rate outside the rule's range.
    pub(crate) fn with_lr(mut self, lr: f64) -> Result<Self> {
        self.rule.set("lr", &Value::Number(lr))?;
        self.check()?;
        Ok(self)
    }
}

impl<R: Rule> From<R> for Group<R> {
    fn from(rule: R) -> Self {
        Self::new(rule)
    }
}
