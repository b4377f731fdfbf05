//! An expected word: one number, or a set of them.

use std::fmt;

/// What a word of a buffer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This number.
    Word(u64),
    /// Anything: the PTX ISA does not say.
    Any,
    /// Any NaN of f32 or, if `double`, of f64.
    Nan { double: bool },
    /// A float between two, both included: of f16 or bf16 if `half`, else as wide as the word. Zeros are equal.
    Between { low: u64, high: u64, half: bool },
}

impl Expected {
    /// Reads `0x1f`, `any`, `nan32`, `nan64`, `0x1..0x2` or, of halves, `h0x1..0x2`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "any" => return Some(Self::Any),
            "nan32" | "nan64" => return Some(Self::Nan { double: text == "nan64" }),
            _ => {}
        }
        let Some((low, high)) = text.split_once("..") else {
            return number(text).map(Self::Word);
        };
        let half = low.starts_with('h');
        Some(Self::Between { low: number(low.trim_start_matches('h'))?, high: number(high)?, half })
    }

    /// Whether a word of so many bits is one of these.
    pub fn admits(self, found: u64, bits: u32) -> bool {
        match self {
            Self::Word(word) => word == found,
            Self::Any => true,
            Self::Nan { double: true } => f64::from_bits(found).is_nan(),
            Self::Nan { double: false } => u32::try_from(found).is_ok_and(|found| f32::from_bits(found).is_nan()),
            Self::Between { low, high, half } => {
                let bits = if half { 16 } else { bits };
                found >> (bits - 1) >> 1 == 0 && (place(low, bits)..=place(high, bits)).contains(&place(found, bits))
            }
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{word:#x}"),
            Self::Any => f.write_str("anything"),
            Self::Nan { .. } => f.write_str("NaN"),
            Self::Between { low, high, .. } => write!(f, "{low:#x} to {high:#x}"),
        }
    }
}

/// A number in hexadecimal.
pub fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Where a float stands among all of its format: a NaN beyond the infinities.
fn place(float: u64, bits: u32) -> i64 {
    let sign = 1 << (bits - 1);
    let magnitude = (float & (sign - 1)) as i64;
    if float & sign == 0 { magnitude } else { -magnitude }
}

#[test]
fn intervals_go_by_the_order_of_floats() {
    let interval = |text| Expected::parse(text).expect("an interval");
    let around_zero = interval("0x80000001..0x00000002");
    let admitted = |found| around_zero.admits(found, 32);
    assert!([0x8000_0001, 0x8000_0000, 0, 1, 2].into_iter().all(admitted));
    assert!(![0x8000_0002, 3, 0x7fc0_0000].into_iter().any(admitted));
    let below = interval("h0xbc01..0xbc00");
    assert!(below.admits(0xbc01, 32) && below.admits(0xbc00, 32) && !below.admits(0x3c00, 32));
    assert!(!below.admits(0x1_bc00, 32) && !below.admits(0xbc02, 32) && !below.admits(0xbbff, 32));
    let double = interval("0xbff0000000000001..0xbff0000000000000");
    assert!(double.admits((-1.0_f64).to_bits(), 64) && !double.admits((-1.0_f64).to_bits() - 1, 64));
}

#[test]
fn a_nan_is_one_of_its_width() {
    let single = Expected::Nan { double: false };
    let double = Expected::Nan { double: true };
    assert!(single.admits(0x7fff_ffff, 32) && single.admits(0x7fff_ffff, 64) && !single.admits(0x7f80_0000, 32));
    assert!(double.admits(0xfff8_0000_0000_0000, 64) && !double.admits(0x7fff_ffff, 64));
    assert!(!single.admits(0xfff8_0000_0000_0000, 64));
    assert!(Expected::Word(3).admits(3, 32) && !Expected::Word(3).admits(2, 32));
}
