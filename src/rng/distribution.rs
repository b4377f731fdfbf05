//! Distributions of mean 0 and variance 1.

use super::address::{Address, BLOCK, key};
use super::normal::normal;
use super::philox::philox4x32;
use crate::error::Result;

/// How numbers of mean 0 and variance 1 are distributed, and which bits of an address decide one.
///
/// | distribution | number | bits of an element |
/// |---|---|---|
/// | `Normal` | [`normal`](super::normal) | word e mod 4 of the counter e / 4 |
/// | `Rademacher` | 1 or -1, where the bit is set | bit e mod 128 of the counter e / 128 |
/// | `Uniform` | [`uniform`], between -√3 and √3 | word e mod 4 of the counter e / 4 |
///
/// Numbers of different distributions at one address are not independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Distribution {
    /// Standard normal.
    #[default]
    Normal,
    /// 1 or -1, each with probability ½: the least variance of estimates along random directions (Spall 1992), and by far the
    /// cheapest to draw.
    Rademacher,
    /// Uniform.
    Uniform,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Rademacher, Self::Uniform];

    /// The name that kernels use: `normal`, `rademacher`, `uniform`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Rademacher => "rademacher",
            Self::Uniform => "uniform",
        }
    }

    /// The number of an element at an address. Errors: an element of 2⁴⁰ or more.
    pub fn number(self, seed: u64, address: &Address, element: u64) -> Result<f32> {
        address.covers(element, 1)?;
        let words = |counter: u64| philox4x32(address.counter_of_block(counter), key(seed));
        let word = || words(element / BLOCK)[(element % BLOCK) as usize];
        Ok(match self {
            Self::Normal => normal(word()),
            Self::Rademacher => sign(&words(element / SIGNS), element),
            Self::Uniform => uniform(word()),
        })
    }
}

/// Elements whose signs are the bits of one counter.
pub(super) const SIGNS: u64 = 128;

/// 1, or -1 where bit `element` modulo 128 of the words is set, the lowest of the first word first.
#[inline(always)]
pub(super) fn sign(words: &[u32; 4], element: u64) -> f32 {
    let bit = words[(element / 32 % 4) as usize] >> (element % 32) & 1;
    f32::from_bits(1.0_f32.to_bits() | bit << 31)
}

/// A number between -√3 and √3 from a word: √3·s/2³¹ in f32, where s is `word | 1` as a signed integer.
///
/// `uniform(!word)` is `-uniform(word)`.
#[inline(always)]
pub fn uniform(word: u32) -> f32 {
    // √3 / 2³¹.
    const SCALE: f32 = f32::from_bits(0x305d_b3d7);
    (word | 1) as i32 as f32 * SCALE
}
