//! What is tested: every rule of the table with the settings it accepts, and every pair of storage types.
//!
//! A rule is a value here, so that a property is compiled once for a pair of types and not for each rule as well.

use std::any::Any;
use std::sync::OnceLock;

use gradus::Device;
use gradus::element::{Element, Real};
use gradus::rules::*;
use steppers::Stepped;

use super::data::{Numbers, seed};

/// A rule under test.
pub struct Subject {
    pub name: &'static str,
    /// Its names, each with the settings it stands for; the defaults come first.
    pub presets: Vec<(&'static str, AnyRule)>,
    /// The names of its settings, as numbers.
    pub settings: &'static [&'static str],
    pub states: &'static [&'static str],
    pub carry: &'static [&'static str],
    pub momentum: Option<usize>,
    pub extra: Extra,
    /// What the settings are as numbers.
    pub hyper: fn(&AnyRule) -> Vec<f64>,
    /// The rule of such numbers, if it accepts them.
    pub from_hyper: fn(&[f64]) -> Option<AnyRule>,
    pub scale_lr: fn(&mut [f64], f64),
    pub is_stateless: fn(&[f64]) -> bool,
    /// The scalars of a step, of settings, the step and what is carried.
    pub tick: fn(&[f64], u64, &mut [f64]) -> Vec<f64>,
    single: Update<f32>,
    double: Update<f64>,
}

/// The update of an element, of scalars, the parameter, what the step gives it, and its states.
pub type Update<T> = fn(&[T], T, Given<T>, &mut [T]) -> T;

/// What a step gives an element.
pub struct Given<T> {
    pub gradient: T,
    /// The second gradient or the noise; 0 where there is none.
    pub other: T,
    /// Whether the step was given that.
    pub is_given: bool,
}

impl Subject {
    fn of<R: Rule + Into<AnyRule> + TryFrom<AnyRule>>(presets: Vec<(&'static str, R)>) -> Self {
        Self {
            name: R::NAME,
            presets: presets.into_iter().map(|(name, rule)| (name, rule.into())).collect(),
            settings: R::Hyper::NAMES,
            states: R::State::<f64>::NAMES,
            carry: R::Carry::NAMES,
            momentum: R::MOMENTUM,
            extra: <R::Gradient<f64> as Gradient<f64>>::EXTRA,
            hyper: |rule| values(&R::try_from(*rule).unwrap_or_else(|_| panic!("{rule:?} is no {}", R::NAME)).hyper()),
            from_hyper: |hyper| {
                let rule = R::from_hyper(&record(hyper)).ok().filter(|rule| rule.check().is_ok());
                rule.map(R::into)
            },
            scale_lr: |hyper, factor| {
                let mut scaled: R::Hyper = record(hyper);
                R::scale_lr(&mut scaled, factor);
                hyper.copy_from_slice(&values(&scaled));
            },
            is_stateless: |hyper| R::is_stateless(&record(hyper)),
            tick: |hyper, t, carry| {
                let mut carried: R::Carry = record(carry);
                let scalars = R::tick(&record(hyper), t, &mut carried);
                carry.copy_from_slice(&values(&carried));
                values(&scalars)
            },
            single: update::<R, f32>,
            double: update::<R, f64>,
        }
    }

    /// The rule with its defaults.
    pub fn default(&self) -> AnyRule {
        self.presets[0].1
    }

    /// The update in an arithmetic type.
    pub fn update<T: Real>(&self) -> Update<T> {
        let updates: [&dyn Any; 2] = [&self.single, &self.double];
        *updates.into_iter().find_map(|update| update.downcast_ref()).expect("arithmetic is in f32 or f64")
    }
}

fn update<R: Rule, T: Real>(scalars: &[T], p: T, given: Given<T>, state: &mut [T]) -> T {
    let mut own: R::State<T> = record(state);
    let gradient = R::Gradient::new(given.gradient, given.other, given.is_given);
    let p = R::update(&record(scalars), p, gradient, &mut own);
    state.iter_mut().enumerate().for_each(|(k, state)| *state = *own.nth(k));
    p
}

fn values<T: Copy, R: Record<T>>(record: &R) -> Vec<T> {
    (0..R::NAMES.len()).map(|k| *record.nth(k)).collect()
}

fn record<T: Copy, R: Record<T>>(values: &[T]) -> R {
    R::from_fn(|k| values[k])
}

macro_rules! subjects {
    ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
        /// Every rule of the table.
        pub fn subjects() -> &'static [Subject] {
            static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
            SUBJECTS.get_or_init(|| {
                vec![$(Subject::of::<$Rule>(vec![
                    (stringify!($module), $Rule::default()), $((stringify!($alias), $preset)),*
                ])),*]
            })
        }
    };
}
gradus::for_each_rule!(subjects);

/// The rule of a name.
pub fn subject(name: &str) -> &'static Subject {
    subjects().iter().find(|subject| subject.name == name).unwrap_or_else(|| panic!("no rule is named {name}"))
}

/// A property of a rule's steps, whatever the types.
pub trait Property {
    /// Panics where the property does not hold.
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject);
}

macro_rules! pairs {
    ($(($parameter:ident, $gradient:ident),)*) => {
        /// Checks a property of a rule with every pair of storage types.
        pub fn on_every_pair<C: Property>(subject: &'static Subject) {
            use half::{bf16, f16};
            $(C::check::<$parameter, $gradient>(subject);)*
        }
    };
}
gradus::for_each_pair!(pairs);

/// A rule, its types and a device, as failures name them.
pub fn label<P: Element, G: Element>(subject: &Subject, device: &Device) -> String {
    format!("{} ({}, {}) on {device}", subject.name, P::DTYPE, G::DTYPE)
}

/// The numbers that [`every_setting`] gives to settings: what is outside a setting's range is left out.
const VALUES: [f64; 6] = [0.0, 1.0, 2.0, 0.5, 0.9, 0.01];

/// The presets, and settings that between them give each setting each number of [`VALUES`] that it may have.
pub fn every_setting(subject: &Subject) -> Vec<AnyRule> {
    let mut numbers = Numbers::new(seed());
    let mut all: Vec<AnyRule> = subject.presets.iter().map(|(_, preset)| *preset).collect();
    let defaults = (subject.hyper)(&subject.default());
    for position in 0..defaults.len() {
        for value in VALUES {
            // Some values are allowed only beside certain others: those are drawn until the rule accepts them.
            let drawn = (0..200).find_map(|_| {
                let drawn = |(k, default): (usize, &f64)| match numbers.below(2) {
                    _ if k == position => value,
                    0 => numbers.pick(&VALUES),
                    _ => *default,
                };
                let hyper: Vec<f64> = defaults.iter().enumerate().map(drawn).collect();
                (subject.from_hyper)(&hyper)
            });
            all.extend(drawn);
        }
    }
    all
}
