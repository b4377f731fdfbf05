//! Literals: what they are, and what they are as a value of a type.

use super::types::type_name;
use crate::ir::Type;

/// A literal with its sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Literal {
    Integer {
        magnitude: u64,
        negative: bool,
    },
    /// `0f3F800000`.
    Single(f32),
    /// `0d3FF0000000000000` or `1.0`.
    Double(f64),
}

/// Reads a literal without its sign.
pub(super) fn read(text: &str) -> Result<Literal, String> {
    let malformed = || format!("a malformed number `{text}`");
    let of_digits = |digits: &str, radix: u32| u64::from_str_radix(digits, radix).map_err(|_| malformed());
    let (lower, is_float) = (text.to_ascii_lowercase(), text.contains('.'));
    let magnitude = match lower.get(..2) {
        Some("0f") => {
            let bits = of_digits(&lower[2..], 16)?;
            let bits = u32::try_from(bits).ok().filter(|_| lower.len() == 10).ok_or_else(malformed)?;
            return Ok(Literal::Single(f32::from_bits(bits)));
        }
        Some("0d") => {
            let bits = of_digits(&lower[2..], 16)?;
            return if lower.len() == 18 { Ok(Literal::Double(f64::from_bits(bits))) } else { Err(malformed()) };
        }
        Some("0x") => of_digits(lower[2..].trim_end_matches('u'), 16)?,
        Some("0b") => of_digits(lower[2..].trim_end_matches('u'), 2)?,
        _ if is_float || lower.contains('e') => {
            return lower.parse().map(Literal::Double).map_err(|_| malformed());
        }
        _ => {
            let digits = lower.trim_end_matches('u');
            match digits.strip_prefix('0') {
                Some(octal) if !octal.is_empty() => of_digits(octal, 8)?,
                _ => of_digits(digits, 10)?,
            }
        }
    };
    Ok(Literal::Integer { magnitude, negative: false })
}

impl Literal {
    /// The literal with the other sign.
    pub fn negated(self) -> Self {
        match self {
            Self::Integer { magnitude, negative } => Self::Integer { magnitude, negative: !negative },
            Self::Single(value) => Self::Single(-value),
            Self::Double(value) => Self::Double(-value),
        }
    }

    /// The integer, in two's complement of 64 bits.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::Integer { magnitude, negative: false } => Some(magnitude as i64),
            Self::Integer { magnitude, negative: true } => Some((magnitude as i64).wrapping_neg()),
            _ => None,
        }
    }

    /// The bits of the value of a type: integers of two's complement in 64 bits, floats converted to the type.
    pub fn bits(self, ty: Type) -> Result<u64, String> {
        let name = type_name(ty);
        match (self, ty) {
            (Self::Single(value), Type::F32 | Type::B32) => Ok(u64::from(value.to_bits())),
            (Self::Single(value), Type::F64) => Ok(f64::from(value).to_bits()),
            (Self::Double(value), Type::F64 | Type::B64) => Ok(value.to_bits()),
            (Self::Double(value), Type::F32) => Ok(u64::from((value as f32).to_bits())),
            (Self::Integer { magnitude, .. }, Type::Pred) => Ok(u64::from(magnitude != 0)),
            (Self::Integer { .. }, _) if ty.is_float() => {
                Err(format!("an integer where a `.{name}` value is expected"))
            }
            (Self::Integer { .. }, Type::B128) => Err("an immediate where a `.b128` value is expected".into()),
            (Self::Integer { magnitude, negative }, _) => {
                // What does not fit is cut to the width, as PTX has it.
                let value = if negative { magnitude.wrapping_neg() } else { magnitude };
                let (width, all) = (ty.bits(), u64::MAX >> (64 - ty.bits()));
                let fits = if negative { magnitude <= 1 << (width - 1) } else { magnitude <= all };
                Ok(if fits { value } else { value & all })
            }
            _ => Err(format!("a float literal where a `.{name}` value is expected")),
        }
    }
}
