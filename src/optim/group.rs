use crate::error::Result;
use crate::rules::{Record, Rule};

/// Settings that hold for a group of tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group<R> {
    /// The rule's settings.
    pub rule: R,
    /// Whether the objective is maximised: every gradient counts with the opposite sign.
    pub maximize: bool,
}

impl<R: Rule> Group<R> {
    /// A group that minimises.
    pub fn new(rule: R) -> Self {
        Self { rule, maximize: false }
    }

    /// Chooses between minimising and maximising.
    pub fn maximize(mut self, maximize: bool) -> Self {
        self.maximize = maximize;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.rule.check()
    }

    /// The group as a backend takes it: the factor of its gradients, then the rule's `Hyper`.
    pub(crate) fn row(&self) -> Vec<f64> {
        let hyper = self.rule.hyper();
        let fields = (0..R::Hyper::NAMES.len()).map(|k| *hyper.nth(k));
        std::iter::once(if self.maximize { -1.0 } else { 1.0 }).chain(fields).collect()
    }

    /// The group of a [`Group::row`]. Errors: a number that stands for nothing, settings that fail [`Rule::check`].
    pub(crate) fn from_row(row: &[f64]) -> Result<Self> {
        let rule = R::from_hyper(&R::Hyper::from_fn(|k| row[1 + k]))?;
        rule.check()?;
        Ok(Self { rule, maximize: row[0] < 0.0 })
    }

    /// The names of a row's numbers.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once("gradient_scale").chain(R::Hyper::NAMES.iter().copied())
    }
}

impl<R: Rule> From<R> for Group<R> {
    fn from(rule: R) -> Self {
        Self::new(rule)
    }
}
