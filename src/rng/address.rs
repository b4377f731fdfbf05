//! Addresses: what a random number is a function of, besides the seed.

use crate::error::{ErrorKind, Result};

/// What a number is drawn for: draws for different purposes are independent.
///
/// A use that needs more than 32 bits an element takes another purpose for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(u32);

impl Purpose {
    /// Stochastic rounding of parameters.
    pub const PARAMETER_ROUNDING: Self = Self(0);
    /// Stochastic rounding of states.
    pub const STATE_ROUNDING: Self = Self(1);
    /// Noise that is added to a gradient or an update.
    pub const GRADIENT_NOISE: Self = Self(2);
    /// Perturbation of parameters by an evolution strategy.
    pub const PERTURBATION: Self = Self(3);
    /// Factors of a perturbation of low rank.
    pub const FACTORS: Self = Self(4);
    /// Perturbation along a few directions.
    pub const SUBSPACE: Self = Self(5);

    /// The purpose of a number below 64; gradus uses 0 to 5 as named above. Errors: a greater number.
    pub fn new(number: u64) -> Result<Self> {
        Ok(Self(fitting("purpose", number, PURPOSE_BITS)?))
    }
}

const PURPOSE_BITS: u32 = 6;
const PAIR_BITS: u32 = 20;
const TENSOR_BITS: u32 = 32;
const ELEMENT_BITS: u32 = 40;
const PAIR_SHIFT: u32 = 12;
const PURPOSE_SHIFT: u32 = 6;

/// Elements that share a counter: each has one of its four words.
pub(crate) const BLOCK: u64 = 4;

/// Where a tensor's random numbers stand: everything but the seed and the element.
///
/// | counter word | bits | field |
/// |---|---|---|
/// | 0 | 32 | block of elements, low: element / 4 |
/// | 1 | 0-5 | block of elements, high |
/// | 1 | 6-11 | purpose |
/// | 1 | 12-31 | pair or particle |
/// | 2 | 32 | tensor id |
/// | 3 | 32 | step or generation, modulo 2³² |
///
/// An element counts from the first one of the unsharded tensor: a shard draws what the whole tensor draws there. The sign
/// of an antithetic pair is not part of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Counter words 1 to 3, with the block at 0.
    fields: [u32; 3],
}

impl Address {
    /// The address of a tensor's numbers for a purpose, in a step or generation, for a pair or particle.
    ///
    /// The step counts modulo 2³²: then its numbers repeat. Errors: a pair of 2²⁰ or more, a tensor id of 2³² or more.
    pub fn new(purpose: Purpose, step: u64, tensor: u64, pair: u64) -> Result<Self> {
        let pair = fitting("pair", pair, PAIR_BITS)?;
        let tensor = fitting("tensor id", tensor, TENSOR_BITS)?;
        Ok(Self { fields: [pair << PAIR_SHIFT | purpose.0 << PURPOSE_SHIFT, tensor, step as u32] })
    }

    /// The counter of an element and those that share it, from 4·⌊element / 4⌋ on.
    ///
    /// Errors: an element of 2⁴⁰ or more.
    pub fn counter(&self, element: u64) -> Result<[u32; 4]> {
        self.covers(element, 1)?;
        Ok(self.counter_of_block(element / BLOCK))
    }

    /// Errors where one of the elements from `first` to `first + count` has no counter.
    pub(crate) fn covers(&self, first: u64, count: u64) -> Result<()> {
        let last = first.saturating_add(count.saturating_sub(1));
        if count == 0 || last >> ELEMENT_BITS == 0 {
            return Ok(());
        }
        Err(unfit("element", last, ELEMENT_BITS).into())
    }

    /// The counter of a block of elements below 2³⁸.
    #[inline(always)]
    pub(crate) fn counter_of_block(&self, block: u64) -> [u32; 4] {
        let [fields, tensor, step] = self.fields;
        [block as u32, (block >> 32) as u32 | fields, tensor, step]
    }

    /// The address of the first of the 2ⁿ neighbouring pairs among which the address' pair is, and the pair's place among them.
    #[inline(always)]
    pub(crate) fn group(&self, n: u32) -> (Self, u32) {
        let [fields, tensor, step] = self.fields;
        let place = fields >> PAIR_SHIFT & ((1 << n) - 1);
        (Self { fields: [fields - (place << PAIR_SHIFT), tensor, step] }, place)
    }

    /// Counter words 1 to 3 of block 0, as the kernels take them.
    #[cfg(feature = "cuda")]
    pub(crate) fn fields(&self) -> [u32; 3] {
        self.fields
    }
}

/// The key of a seed: its low word, its high word.
pub fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

fn fitting(field: &'static str, given: u64, bits: u32) -> Result<u32> {
    if given >> bits == 0 { Ok(given as u32) } else { Err(unfit(field, given, bits).into()) }
}

fn unfit(field: &'static str, given: u64, bits: u32) -> ErrorKind {
    ErrorKind::NoiseAddress { field, given, bits }
}
