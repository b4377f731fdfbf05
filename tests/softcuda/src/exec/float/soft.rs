//! Binary formats, exact values and their rounding: what directed rounding, halves, conversions and matrices share.

use std::cmp::Ordering;

use crate::ir::Rounding;

/// A binary interchange format: a sign, exponent bits, fraction bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Format {
    pub(crate) const F16: Self = Self { exponent_bits: 5, fraction_bits: 10 };
    pub(crate) const BF16: Self = Self { exponent_bits: 8, fraction_bits: 7 };
    /// In its 19 bits; a register holds it shifted left by 13.
    pub(crate) const TF32: Self = Self { exponent_bits: 8, fraction_bits: 10 };
    pub(crate) const F32: Self = Self { exponent_bits: 8, fraction_bits: 23 };
    pub(crate) const F64: Self = Self { exponent_bits: 11, fraction_bits: 52 };

    /// The sign bit.
    pub(crate) fn sign(self) -> u64 {
        1 << (self.exponent_bits + self.fraction_bits)
    }

    /// The bits of +inf.
    pub(crate) fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    /// The NaN that GPUs give: every bit but the sign.
    pub(crate) fn nan(self) -> u64 {
        self.sign() - 1
    }

    /// Bits behind the point.
    pub(crate) fn fraction_bits(self) -> i32 {
        self.fraction_bits as i32
    }

    /// The largest exponent of a number.
    pub(crate) fn max_exponent(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// The smallest exponent of a normal number.
    pub(crate) fn min_exponent(self) -> i32 {
        1 - self.max_exponent()
    }

    /// Whether the bits are a subnormal number.
    pub(crate) fn is_subnormal(self, bits: u64) -> bool {
        let magnitude = bits & (self.sign() - 1);
        magnitude != 0 && magnitude >> self.fraction_bits == 0
    }

    /// What the bits mean.
    pub(crate) fn unpack(self, bits: u64) -> Number {
        let negative = bits & self.sign() != 0;
        let magnitude = bits & (self.sign() - 1);
        if magnitude > self.infinity() {
            return Number::Nan;
        }
        if magnitude == self.infinity() {
            return Number::Infinite { negative };
        }
        let biased = (magnitude >> self.fraction_bits) as i32;
        let fraction = magnitude & ((1 << self.fraction_bits) - 1);
        let significand = fraction | u64::from(biased != 0) << self.fraction_bits;
        let exponent = self.min_exponent() + (biased - 1).max(0) - self.fraction_bits();
        Number::Finite(Exact { negative, significand: significand.into(), exponent, sticky: false })
    }

    /// The bits of a value, rounded. A sticky value needs a bit more than the format keeps.
    pub(crate) fn round(self, value: Exact, rounding: Rounding) -> u64 {
        let sign = if value.negative { self.sign() } else { 0 };
        if value.significand == 0 {
            return sign;
        }
        let top = value.top();
        if top > self.max_exponent() {
            return sign | self.overflow(value.negative, rounding);
        }
        let last = top.max(self.min_exponent()) - self.fraction_bits();
        let kept = value.round_at(last, rounding) as u64;
        let encoded = (((last + self.fraction_bits() - self.min_exponent()) as u64) << self.fraction_bits) + kept;
        sign | if encoded >= self.infinity() { self.overflow(value.negative, rounding) } else { encoded }
    }

    fn overflow(self, negative: bool, rounding: Rounding) -> u64 {
        let to_infinity = match rounding {
            Rounding::Rz | Rounding::Rzi => false,
            Rounding::Rm | Rounding::Rmi => negative,
            Rounding::Rp | Rounding::Rpi => !negative,
            _ => true,
        };
        if to_infinity { self.infinity() } else { self.infinity() - 1 }
    }
}

/// What the bits of a format mean.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Nan,
    Infinite { negative: bool },
    Finite(Exact),
}

/// A number: significand · 2^exponent; if sticky, a little more, by less than 2^exponent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    pub(crate) significand: u128,
    pub(crate) exponent: i32,
    pub(crate) sticky: bool,
}

impl Exact {
    /// An integer.
    pub(crate) fn integer(negative: bool, magnitude: u64) -> Self {
        Self { negative, significand: magnitude.into(), exponent: 0, sticky: false }
    }

    /// The exponent of the leading bit; the significand is not 0.
    pub(crate) fn top(self) -> i32 {
        self.exponent + 127 - self.significand.leading_zeros() as i32
    }

    /// The magnitude as a multiple of 2^`last`, rounded. A sticky value needs `last` above its exponent.
    pub(crate) fn round_at(self, last: i32, rounding: Rounding) -> u128 {
        let shift = last - self.exponent;
        if shift <= 0 {
            debug_assert!(!self.sticky);
            return self.significand << -shift;
        }
        let (kept, remainder) = if shift < 128 {
            (self.significand >> shift, self.significand & ((1 << shift) - 1))
        } else {
            (0, self.significand)
        };
        let to_half = if shift > 128 { Ordering::Less } else { remainder.cmp(&(1 << (shift - 1))) };
        let to_half = to_half.then(if self.sticky { Ordering::Greater } else { Ordering::Equal });
        let inexact = remainder != 0 || self.sticky;
        let away = match rounding {
            Rounding::Rz | Rounding::Rzi => false,
            Rounding::Rm | Rounding::Rmi => self.negative && inexact,
            Rounding::Rp | Rounding::Rpi => !self.negative && inexact,
            Rounding::Rna => to_half.is_ge(),
            _ => to_half.is_gt() || to_half.is_eq() && kept & 1 == 1,
        };
        kept + u128::from(away)
    }

    /// The sum. Significands have at most 106 bits; a zero from unlike signs is -0 only under `Rm`.
    pub(crate) fn add(self, other: Self, rounding: Rounding) -> Self {
        if self.significand == 0 && other.significand == 0 {
            let negative = if rounding == Rounding::Rm {
                self.negative || other.negative
            } else {
                self.negative && other.negative
            };
            return Self { negative, ..self };
        }
        if self.significand == 0 || other.significand == 0 {
            return if self.significand == 0 { other } else { self };
        }
        // Both with their leading bit at 125: what is shifted out of the smaller has no part in a cancellation.
        let (a, b) = (self.leading_at(125), other.leading_at(125));
        let (large, small) = if (a.exponent, a.significand) >= (b.exponent, b.significand) { (a, b) } else { (b, a) };
        let shift = (large.exponent - small.exponent) as u32;
        let aligned = small.significand.checked_shr(shift).unwrap_or(0);
        let sticky = aligned.checked_shl(shift).unwrap_or(0) != small.significand;
        let significand = if large.negative == small.negative {
            large.significand + aligned
        } else {
            large.significand - aligned - u128::from(sticky)
        };
        let negative = if significand == 0 { rounding == Rounding::Rm } else { large.negative };
        Self { negative, significand, exponent: large.exponent, sticky }
    }

    /// The product. Significands have at most 64 bits.
    pub(crate) fn multiply(self, other: Self) -> Self {
        Self {
            negative: self.negative != other.negative,
            significand: self.significand * other.significand,
            exponent: self.exponent + other.exponent,
            sticky: false,
        }
    }

    /// The quotient, to 62 bits and more. The divisor is not 0; significands have at most 64 bits.
    pub(crate) fn divide(self, other: Self) -> Self {
        let negative = self.negative != other.negative;
        if self.significand == 0 {
            return Self { negative, ..self };
        }
        let (a, b) = (self.leading_at(126), other.leading_at(63));
        Self {
            negative,
            significand: a.significand / b.significand,
            exponent: a.exponent - b.exponent,
            sticky: a.significand % b.significand != 0,
        }
    }

    /// The square root of a number that is not negative, to 62 bits and more.
    pub(crate) fn sqrt(self) -> Self {
        if self.significand == 0 {
            return self;
        }
        let mut a = self.leading_at(126);
        if a.exponent % 2 != 0 {
            a.significand >>= 1;
            a.exponent += 1;
        }
        let root = a.significand.isqrt();
        Self { negative: false, significand: root, exponent: a.exponent / 2, sticky: root * root != a.significand }
    }

    fn leading_at(self, position: u32) -> Self {
        let shift = self.significand.leading_zeros() as i32 - 127 + position as i32;
        debug_assert!(shift >= 0);
        Self { significand: self.significand << shift, exponent: self.exponent - shift, ..self }
    }
}
