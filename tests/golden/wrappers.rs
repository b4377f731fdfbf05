//! What surrounds a rule, read from the hyperparameters of a file.

use gradus::optim::{Average, Group, Lookahead, Momentum};
use gradus::rules::AnyRule;

use super::file::Hyper;
use super::methods::built;

/// What surrounds the rule that plays a file, and how the file feeds it.
#[derive(Default)]
pub struct Wrappers {
    lookahead: Option<Lookahead>,
    average: Option<Average>,
    /// Whether `grads` holds the parameters that are set before each step, and `params` their averages.
    pub averages_weights: bool,
    /// The steps between those that are given a second gradient, the first one among them.
    pub second_every: Option<u64>,
}

impl Wrappers {
    /// The rule and what surrounds it.
    pub fn group(&self, rule: AnyRule) -> Group<AnyRule> {
        Group::new(rule).lookahead(self.lookahead).average(self.average)
    }
}

impl Hyper {
    /// Lookahead around an inner rule. The authors' defaults.
    pub fn lookahead(mut self, inner: &str) -> Result<Self, String> {
        if let Some(given) = self.name("inner")?.filter(|given| given != inner) {
            return Err(format!("inner = '{given}' is not '{inner}'"));
        }
        let every = [self.count("la_steps")?, self.count("k")?];
        let momentum = [self.name("pullback")?, self.name("pullback_momentum")?];
        self.wrappers.lookahead = Some(Lookahead {
            every: one("la_steps", every)?.unwrap_or(5),
            share: self.number("la_alpha")?.unwrap_or(0.8),
            momentum: match one("pullback", momentum)?.as_deref() {
                None | Some("none") => Momentum::Keep,
                Some("reset") => Momentum::Reset,
                Some("pullback") => Momentum::Pullback,
                Some(other) => return Err(format!("pullback = '{other}' is none of none, reset, pullback")),
            },
        });
        let inner = built(inner).ok_or_else(|| format!("the method '{inner}' is not built"))?;
        (inner.settings)(self)
    }

    /// The average of Gadam and GadamX: of every `avg_freq`-th iterate after step `avg_start`.
    pub fn iterate_average(mut self) -> Result<Self, String> {
        let start = self.count("avg_start")?.unwrap_or(161);
        let every = self.count("avg_freq")?.unwrap_or(1);
        self.wrappers.average = Some(Average::equal().start(start + every).every(every));
        Ok(self)
    }

    /// An average of weights that the file gives: the rule moves nothing.
    pub fn average_of_weights(mut self, average: Average) -> Result<Self, String> {
        self.wrappers.average = Some(average);
        self.wrappers.averages_weights = true;
        self.set("lr", 0.0)
    }

    /// The steps between second gradients.
    pub fn second_every(mut self, key: &str) -> Result<Self, String> {
        self.wrappers.second_every = self.count(key)?;
        Ok(self)
    }
}

/// The value of a hyperparameter that has two names.
fn one<T>(key: &str, values: [Option<T>; 2]) -> Result<Option<T>, String> {
    match values {
        [Some(_), Some(_)] => Err(format!("{key} is given by two names")),
        [first, second] => Ok(first.or(second)),
    }
}
