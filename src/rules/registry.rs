//! Every rule by name, from the table in `list.rs`.

use super::*;
use crate::error::{Error, ErrorKind, Result};

macro_rules! registry {
    ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
        /// A rule chosen at run time, with its settings.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum AnyRule {
            $(#[doc = concat!("Settings of [`", stringify!($Rule), "`].")] $Rule($Rule),)*
        }

        $(
            impl From<$Rule> for AnyRule {
                fn from(rule: $Rule) -> Self {
                    Self::$Rule(rule)
                }
            }

            /// Errors: another rule.
            impl TryFrom<AnyRule> for $Rule {
                type Error = Error;

                fn try_from(rule: AnyRule) -> Result<Self> {
                    match rule {
                        AnyRule::$Rule(rule) => Ok(rule),
                        #[allow(unreachable_patterns, reason = "the table may have one rule")]
                        other => Err(ErrorKind::OtherRule { given: other.name(), expected: Self::NAME }.into()),
                    }
                }
            }
        )*

        /// The names that [`by_name`] knows, in alphabetical order.
        pub fn names() -> Vec<&'static str> {
            let mut names = vec![$(stringify!($module), $(stringify!($alias),)*)*];
            names.sort_unstable();
            names
        }

        /// The defaults of the rule of this name.
        fn preset(name: &str) -> Option<AnyRule> {
            $(
                if name == stringify!($module) {
                    return Some(AnyRule::$Rule($Rule::default()));
                }
                $(if name == stringify!($alias) {
                    return Some(AnyRule::$Rule($preset));
                })*
            )*
            None
        }

        impl AnyRule {
            /// Sets one setting. Errors: an unknown name, a value of another kind. Ranges are not looked at.
            pub fn set(&mut self, key: &str, value: &Value) -> Result<()> {
                match self {
                    $(Self::$Rule(rule) => rule.set(key, value),)*
                }
            }

            /// Checks the settings, as [`Rule::check`].
            pub fn check(&self) -> Result<()> {
                match self {
                    $(Self::$Rule(rule) => rule.check(),)*
                }
            }

            /// Where the point to evaluate the model at lies, as [`Rule::evaluation`], with the name of the state.
            pub fn evaluation(&self) -> Option<(&'static str, f64)> {
                match self {
                    $(Self::$Rule(rule) => {
                        rule.evaluation().map(|(state, weight)| (<$Rule as Rule>::State::<f64>::NAMES[state], weight))
                    })*
                }
            }

            /// The rule's name: the stem of its kernels.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$Rule(_) => $Rule::NAME,)*
                }
            }
        }
    };
}
crate::for_each_rule!(registry);

/// The rule of a name, its defaults changed by the given settings.
///
/// ```
/// use gradus::rules::by_name;
/// let rule = by_name("adamw", &[("lr", 3e-4.into()), ("decay", "decoupled".into())])?;
/// assert_eq!(rule.name(), "adamw");
/// assert!(by_name("adamwe", &[]).is_err());
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// Errors: an unknown name or setting, with the known ones; a value of another kind or outside its range.
pub fn by_name(name: &str, settings: &[(&str, Value)]) -> Result<AnyRule> {
    let mut rule = preset(name).ok_or_else(|| ErrorKind::UnknownRule { name: name.to_owned(), known: names() })?;
    for (key, value) in settings {
        rule.set(key, value)?;
    }
    rule.check()?;
    Ok(rule)
}
