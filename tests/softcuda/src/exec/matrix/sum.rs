//! Dot products of tensor cores: exact ones, and those of the hardware.

use crate::exec::float::soft::{Exact, Format, Number};
use crate::ir::Rounding;
use crate::machine::Accumulation;

/// An element of A or B, decoded.
#[derive(Clone, Copy)]
pub(super) struct Element {
    kind: Kind,
    negative: bool,
    significand: u32,
    /// Of the significand's last bit.
    exponent: i32,
    /// Of its place before the point; of a subnormal that of the smallest normal.
    scale: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Finite,
    Infinite,
    Nan,
}

impl Element {
    pub(super) const ZERO: Self = Self { kind: Kind::Finite, negative: false, significand: 0, exponent: 0, scale: 0 };

    pub(super) fn new(format: Format, bits: u64) -> Self {
        match format.unpack(bits) {
            Number::Nan => Self { kind: Kind::Nan, ..Self::ZERO },
            Number::Infinite { negative } => Self { kind: Kind::Infinite, negative, ..Self::ZERO },
            Number::Finite(exact) => Self {
                kind: Kind::Finite,
                negative: exact.negative,
                significand: exact.significand as u32,
                exponent: exact.exponent,
                scale: exact.exponent + format.fraction_bits(),
            },
        }
    }

    fn is_zero(self) -> bool {
        self.kind == Kind::Finite && self.significand == 0
    }
}

/// A term of a sum.
#[derive(Clone, Copy, Default)]
struct Term {
    negative: bool,
    significand: u64,
    exponent: i32,
    scale: i32,
}

impl Term {
    /// A magnitude with the term's sign.
    fn signed(&self, magnitude: u64) -> i64 {
        let magnitude = magnitude as i64;
        if self.negative { -magnitude } else { magnitude }
    }
}

/// How dot products are formed.
pub(super) struct Dot {
    pub(super) accumulation: Accumulation,
    /// The blocks of tf32 are half as long.
    pub(super) half_block: bool,
    /// Of the accumulator.
    pub(super) format: Format,
}

impl Dot {
    /// The bits of `start` + Σ a · b.
    ///
    /// As of IEEE sums, a NaN, infinities of both signs, or 0 · inf give NaN, else an infinity gives itself.
    pub(super) fn product(&self, a: &[Element], b: &[Element], start: u64) -> u64 {
        let first = Element::new(self.format, start);
        let mut terms = [Term::default(); super::MAX_K];
        let mut infinite = [false; 2];
        let mut nan = first.kind == Kind::Nan;
        infinite[usize::from(first.negative)] |= first.kind == Kind::Infinite;
        for ((term, a), b) in terms.iter_mut().zip(a).zip(b) {
            let negative = a.negative != b.negative;
            if a.kind != Kind::Finite || b.kind != Kind::Finite {
                nan |= a.kind == Kind::Nan || b.kind == Kind::Nan || a.is_zero() || b.is_zero();
                infinite[usize::from(negative)] = true;
            }
            *term = Term {
                negative,
                significand: u64::from(a.significand) * u64::from(b.significand),
                exponent: a.exponent + b.exponent,
                scale: a.scale + b.scale,
            };
        }
        let sign = |negative: bool| if negative { self.format.sign() } else { 0 };
        if nan || infinite == [true, true] {
            return self.format.nan();
        }
        if infinite[0] || infinite[1] {
            return sign(infinite[1]) | self.format.infinity();
        }
        let terms = &terms[..a.len()];
        match self.accumulation {
            Accumulation::Exact => self.format.round(exact_sum(terms, accumulator(self.format, start)), Rounding::Rn),
            Accumulation::Hardware { block, extra_bits } => self.blocks(terms, start, block, extra_bits),
        }
    }

    /// The model of Khattak and Mikaitis, "Accurate Models of NVIDIA Tensor Cores", arXiv 2512.07004.
    ///
    /// Block after block: products, not normalised, and the accumulator are aligned to the largest of their exponents,
    /// cut off `extra_bits` below the 23 bits of an f32 fraction, and added exactly. An f32 sum is rounded toward zero,
    /// but overflows to an infinity; an f16 sum is rounded to nearest even.
    fn blocks(&self, terms: &[Term], start: u64, block: u32, extra_bits: u32) -> u64 {
        let block = (if self.half_block { block / 2 } else { block }).max(1) as usize;
        let mut bits = start;
        for terms in terms.chunks(block) {
            if bits & (self.format.sign() - 1) >= self.format.infinity() {
                break;
            }
            bits = self.round(aligned_sum(terms, accumulator(self.format, bits), extra_bits));
        }
        bits
    }

    fn round(&self, sum: Exact) -> u64 {
        if self.format != Format::F32 {
            return self.format.round(sum, Rounding::Rn);
        }
        let bits = self.format.round(sum, Rounding::Rz);
        let overflows = sum.significand != 0 && sum.top() > self.format.max_exponent();
        if overflows { bits & self.format.sign() | self.format.infinity() } else { bits }
    }
}

/// The accumulator as a term. An f16 is widened to f32 first, where its subnormals are normal.
fn accumulator(format: Format, bits: u64) -> Term {
    let element = Element::new(format, bits);
    let significand = u64::from(element.significand);
    let term = Term { negative: element.negative, significand, exponent: element.exponent, scale: element.scale };
    if format == Format::F32 || significand == 0 {
        return term;
    }
    Term { scale: element.exponent + significand.ilog2() as i32, ..term }
}

/// The least exponent that terms are aligned to: the model's limit.
const MIN_ALIGNMENT: i32 = -133;

fn aligned_sum(terms: &[Term], start: Term, extra_bits: u32) -> Exact {
    let all = || terms.iter().chain([&start]).filter(|term| term.significand != 0);
    let Some(largest) = all().map(|term| term.scale).max() else {
        return Exact::integer(false, 0);
    };
    let last = largest.max(MIN_ALIGNMENT) - 23 - extra_bits as i32;
    let aligned = |term: &Term| {
        let shift = term.exponent - last;
        // Below 2^(25 + extra_bits), since no term's scale is above the largest.
        let magnitude = if shift >= 0 {
            term.significand << shift
        } else {
            term.significand.checked_shr(shift.unsigned_abs()).unwrap_or(0)
        };
        term.signed(magnitude)
    };
    signed(all().map(aligned).sum::<i64>().into(), last)
}

fn signed(sum: i128, exponent: i32) -> Exact {
    Exact { negative: sum < 0, significand: sum.unsigned_abs(), exponent, sticky: false }
}

/// The sum, exactly, or to 64 bits and more. A zero is -0 if every term is.
fn exact_sum(terms: &[Term], start: Term) -> Exact {
    let all = || terms.iter().chain([&start]).filter(|term| term.significand != 0);
    let Some(low) = all().map(|term| term.exponent).min() else {
        return Exact::integer(start.negative && terms.iter().all(|term| term.negative), 0);
    };
    let high = all().map(|term| term.exponent + 64 - term.significand.leading_zeros() as i32).max().unwrap_or(low);
    // Seventeen terms carry five bits further.
    if high - low <= 56 {
        let sum: i64 = all().map(|term| term.signed(term.significand << (term.exponent - low))).sum();
        return signed(sum.into(), low);
    }
    if high - low <= 120 {
        let shifted = |term: &Term| i128::from(term.signed(term.significand)) << (term.exponent - low);
        return signed(all().map(shifted).sum(), low);
    }
    let mut wide = Wide([0; LIMBS]);
    all().for_each(|term| wide.add(*term));
    wide.value()
}

/// Limbs of a [`Wide`]: from 2^-280, below the last bit of a product of two subnormals of tf32 (2^-272), to 2^296.
const LIMBS: usize = 9;
const WIDE_EXPONENT: i32 = -280;

/// A sum in two's complement, lowest limb first, in units of 2^-280.
struct Wide([u64; LIMBS]);

impl Wide {
    fn add(&mut self, term: Term) {
        let shift = (term.exponent - WIDE_EXPONENT) as usize;
        let shifted = u128::from(term.significand) << (shift % 64);
        let mut parts = [0; LIMBS];
        parts[shift / 64] = shifted as u64;
        // A significand has at most 24 bits: the top limb of the largest product stays in range.
        if let Some(part) = parts.get_mut(shift / 64 + 1) {
            *part = (shifted >> 64) as u64;
        }
        let mut carry = false;
        for (limb, part) in self.0.iter_mut().zip(parts) {
            let (sum, first) = if term.negative { limb.overflowing_sub(part) } else { limb.overflowing_add(part) };
            let carried = u64::from(carry);
            let (sum, second) = if term.negative { sum.overflowing_sub(carried) } else { sum.overflowing_add(carried) };
            *limb = sum;
            carry = first || second;
        }
    }

    fn value(self) -> Exact {
        let Self(mut limbs) = self;
        let negative = limbs[LIMBS - 1] >> 63 == 1;
        if negative {
            let mut carry = true;
            for limb in &mut limbs {
                let (negated, overflow) = (!*limb).overflowing_add(carry.into());
                *limb = negated;
                carry = overflow;
            }
        }
        let top = limbs.iter().rposition(|&limb| limb != 0).unwrap_or(0).max(1);
        Exact {
            negative,
            significand: u128::from(limbs[top]) << 64 | u128::from(limbs[top - 1]),
            exponent: WIDE_EXPONENT + 64 * (top as i32 - 1),
            sticky: limbs[..top - 1].iter().any(|&limb| limb != 0),
        }
    }
}
