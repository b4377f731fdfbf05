//! What a user sets of a rule: fields with defaults and ranges, by name or as a struct.

use std::ops::{Bound, RangeBounds};

use super::Record;
use crate::error::{Error, ErrorKind, Result};

/// A value of a setting, as [`by_name`](super::by_name) takes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, such as a learning rate.
    Number(f64),
    /// A switch.
    Flag(bool),
    /// One of a setting's named choices, such as `decoupled`.
    Name(String),
}

impl Value {
    /// The value a command line means: `true` and `false` are switches, what reads as a number is one, the rest are names.
    pub fn parse(text: &str) -> Self {
        if let Ok(flag) = text.parse() {
            Self::Flag(flag)
        } else if let Ok(number) = text.parse() {
            Self::Number(number)
        } else {
            Self::Name(text.to_owned())
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Value {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Name(name) => write!(f, "'{name}'"),
        }
    }
}

/// A type that a setting may have: a number, a switch, or an enum of named choices.
pub trait Setting: Copy {
    /// What an error message calls the values of the type.
    const EXPECTED: &'static str;

    /// The number that stands for the value in `Hyper`.
    fn encode(self) -> f64;

    /// The value a number of `Hyper` stands for.
    fn decode(code: f64) -> Option<Self>;

    /// The value that was given by name.
    fn read(value: &Value) -> Option<Self>;
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn encode(self) -> f64 {
        self
    }

    fn decode(code: f64) -> Option<Self> {
        Some(code)
    }

    fn read(value: &Value) -> Option<Self> {
        match *value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn encode(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn decode(code: f64) -> Option<Self> {
        [false, true].into_iter().find(|flag| flag.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match *value {
            Value::Flag(flag) => Some(flag),
            Value::Number(code) => Self::decode(code),
            Value::Name(_) => None,
        }
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn encode(self) -> f64 {
        self as f64
    }

    fn decode(code: f64) -> Option<Self> {
        (code >= 0.0 && code <= crate::step::GREATEST as f64 && code.fract() == 0.0).then_some(code as Self)
    }

    fn read(value: &Value) -> Option<Self> {
        match *value {
            Value::Number(number) => Self::decode(number),
            _ => None,
        }
    }
}

/// The settings of a rule as a whole; made by `settings!`. Every rule has a setting `lr`.
pub trait Settings: Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// All settings as numbers, in the order of the struct: what a kernel's `tick` reads.
    type Hyper: Record<f64> + Copy + Send + Sync;

    /// The settings as numbers: switches are 0 or 1, choices their code.
    fn hyper(&self) -> Self::Hyper;

    /// The settings that [`Settings::hyper`] gave. Errors: a number that stands for no choice. Ranges are not looked at.
    fn from_hyper(hyper: &Self::Hyper) -> Result<Self>;

    /// Multiplies the learning rate, `lr`.
    fn scale_lr(hyper: &mut Self::Hyper, factor: f64);

    /// Sets one setting by its name. Errors: an unknown name, a value of another kind. Ranges are not looked at.
    fn set(&mut self, key: &str, value: &Value) -> Result<()>;

    /// Checks each setting that has a range: finite and inside it. Errors: [`ErrorKind::OutOfRange`].
    fn check_ranges(&self) -> Result<()>;
}

pub(crate) fn in_range(
    rule: &'static str,
    setting: &'static str,
    value: f64,
    range: impl RangeBounds<f64>,
) -> Result<()> {
    if value.is_finite() && range.contains(&value) {
        return Ok(());
    }
    let start = match range.start_bound() {
        Bound::Included(start) => format!("[{start}"),
        Bound::Excluded(start) => format!("({start}"),
        Bound::Unbounded => "(-∞".to_owned(),
    };
    let end = match range.end_bound() {
        Bound::Included(end) => format!("{end}]"),
        Bound::Excluded(end) => format!("{end})"),
        Bound::Unbounded => "∞)".to_owned(),
    };
    Err(ErrorKind::OutOfRange { rule, setting, value, range: format!("{start}, {end}") }.into())
}

pub(crate) fn wrong_type<S: Setting>(rule: &'static str, key: &'static str, value: &Value) -> Error {
    ErrorKind::SettingType { rule, key, value: value.to_string(), expected: S::EXPECTED }.into()
}

pub(crate) fn unknown_setting(rule: &'static str, key: &str, known: &[&'static str]) -> Error {
    ErrorKind::UnknownSetting { rule, key: key.to_owned(), known: known.to_vec() }.into()
}

/// The struct of a rule's settings, its record `Hyper`, and its [`Settings`]:
/// `pub name: type = default` with `, in range` for numbers. One of them is `lr: f64`.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $Rule:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty = $default:expr $(, in $range:expr)?;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $Rule {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $Rule {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        $crate::rules::record::record! { pub struct Hyper { $($field),* } }

        impl $crate::rules::Settings for $Rule {
            type Hyper = Hyper<f64>;

            fn hyper(&self) -> Hyper<f64> {
                Hyper { $($field: $crate::rules::Setting::encode(self.$field)),* }
            }

            fn from_hyper(hyper: &Hyper<f64>) -> $crate::Result<Self> {
                Ok(Self {
                    $($field: $crate::rules::Setting::decode(hyper.$field).ok_or_else(|| {
                        let code = $crate::rules::Value::Number(hyper.$field);
                        $crate::rules::settings::wrong_type::<$type>(stringify!($Rule), stringify!($field), &code)
                    })?),*
                })
            }

            fn scale_lr(hyper: &mut Hyper<f64>, factor: f64) {
                hyper.lr *= factor;
            }

            fn set(&mut self, key: &str, value: &$crate::rules::Value) -> $crate::Result<()> {
                match key {
                    $(stringify!($field) => {
                        self.$field = $crate::rules::Setting::read(value).ok_or_else(|| {
                            $crate::rules::settings::wrong_type::<$type>(stringify!($Rule), stringify!($field), value)
                        })?;
                    })*
                    _ => {
                        let known = &[$(stringify!($field)),*];
                        return Err($crate::rules::settings::unknown_setting(stringify!($Rule), key, known));
                    }
                }
                Ok(())
            }

            fn check_ranges(&self) -> $crate::Result<()> {
                $($($crate::rules::settings::in_range(
                    stringify!($Rule), stringify!($field), $crate::rules::Setting::encode(self.$field), $range)?;)?)*
                Ok(())
            }
        }
    };
}
pub(crate) use settings;
