//! What is tested: every rule of the table with the settings it accepts, and every pair of storage types.

use gradus::Device;
use gradus::element::Element;
use gradus::rules::*;

use super::data::{Numbers, seed};
use super::devices::devices;

/// A rule under test.
pub trait Subject: Rule {
    /// Its names, each with the settings it stands for.
    fn presets() -> Vec<(&'static str, Self)>;

    /// The devices that have it.
    fn devices() -> &'static [Device] {
        devices()
    }
}

macro_rules! subjects {
    ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
        $(impl Subject for $Rule {
            fn presets() -> Vec<(&'static str, Self)> {
                vec![(stringify!($module), Self::default()), $((stringify!($alias), $preset)),*]
            }
        })*
    };
}
gradus::for_each_rule!(subjects);

/// A property of a rule's steps, whatever the types.
pub trait Property {
    /// Panics where the property does not hold.
    fn check<R: Subject, P: Pair<G>, G: Element<Real = P::Real>>();
}

macro_rules! pairs {
    ($(($parameter:ident, $gradient:ident),)*) => {
        /// Checks a property of a rule with every pair of storage types.
        pub fn on_every_pair<R: Subject, C: Property>() {
            use half::{bf16, f16};
            $(C::check::<R, $parameter, $gradient>();)*
        }
    };
}
gradus::for_each_pair!(pairs);

/// A rule, its types and a device, as failures name them.
pub fn label<R: Rule, P: Element, G: Element>(device: &Device) -> String {
    format!("{} ({}, {}) on {device}", R::NAME, P::DTYPE, G::DTYPE)
}

/// The numbers that [`every_setting`] gives to settings: what is outside a setting's range is left out.
const VALUES: [f64; 6] = [0.0, 1.0, 2.0, 0.5, 0.9, 0.01];

/// The presets, and settings that between them give each setting each number of [`VALUES`] that it may have.
pub fn every_setting<R: Subject>() -> Vec<R> {
    let mut numbers = Numbers::new(seed());
    let mut all: Vec<R> = R::presets().into_iter().map(|(_, preset)| preset).collect();
    let defaults = R::default().hyper();
    for position in 0..R::Hyper::NAMES.len() {
        for value in VALUES {
            // Some values are allowed only beside certain others: those are drawn until the rule accepts them.
            let drawn = (0..200).find_map(|_| {
                let hyper = R::Hyper::from_fn(|k| match numbers.below(2) {
                    _ if k == position => value,
                    0 => numbers.pick(&VALUES),
                    _ => *defaults.nth(k),
                });
                R::from_hyper(&hyper).ok().filter(|rule| rule.check().is_ok())
            });
            all.extend(drawn);
        }
    }
    all
}
