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
/// | `Hadamard` | Rademacher's of pair 128·⌊j / 128⌋, times the sign of row j mod 128 and column e mod 128 | that one |
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
    /// 1 or -1 in rows that are orthogonal: every pair alone is Rademacher noise, but the pairs of a group, which are those from a
    /// multiple of 128 to the next, are rows of one matrix `HD`. `D` is a diagonal of Rademacher noise, another one for every group,
    /// `H` the Hadamard matrix of order 128 of Sylvester, whose sign in row r and column c is -1 to the number of bits that r and c
    /// have in common, and which stands side by side with itself as often as the tensor is long.
    ///
    /// Elements count from the first of the unsharded tensor. So
    ///
    /// * over every block of 128 elements that begins at a multiple of 128, any two pairs of a group are exactly orthogonal. Over
    ///   what a tensor holds of its last block, or a shard of its first and last, they are not;
    /// * over all 128 pairs of a group, the noises of any two elements whose places differ modulo 128 are exactly orthogonal, and
    ///   those of two whose places agree are equal or opposite, by chance, whatever their tensors;
    /// * pairs of different groups are independent.
    ///
    /// Antithetic estimates along orthogonal directions vary less than along independent ones (Choromanski et al. 2018, "Structured
    /// evolution with compact architectures for scalable policy optimization", whose Hadamard-Rademacher matrices these are): the
    /// mean square error of the estimate of the gradient g of a linear loss of d elements, all in whole blocks, from N ≤ 128 pairs
    /// of a group is `(d/N - 1)·|g|²`, that of Rademacher noise `(d - 1)/N·|g|²`. It is 0 for 128 pairs over the elements of one
    /// block, and no less to speak of where d is much greater than N.
    Hadamard,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Rademacher, Self::Uniform, Self::Hadamard];

    /// The name: `normal`, `rademacher`, `uniform`, `hadamard`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Rademacher => "rademacher",
            Self::Uniform => "uniform",
            Self::Hadamard => "hadamard",
        }
    }

    /// The name of the kernels that draw it: those of Rademacher noise draw rows where [`ROW`] says so.
    #[cfg(feature = "cuda")]
    pub(crate) const fn kernel(self) -> &'static str {
        match self {
            Self::Hadamard => Self::Rademacher.name(),
            _ => self.name(),
        }
    }

    /// What kernels call it that are given it as a number. Twins: `NORMAL` and others in `kernels/es/term.cuh`.
    #[cfg(feature = "cuda")]
    pub(crate) const fn number_of_kernel(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::Rademacher | Self::Hadamard => 1,
            Self::Uniform => 2,
        }
    }

    /// What the kernels find in counter word 1 of a term, in bits that no block of signs has.
    #[cfg(feature = "cuda")]
    pub(crate) const fn mark(self) -> u32 {
        match self {
            Self::Hadamard => ROW,
            _ => 0,
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
            Self::Hadamard => {
                let (address, row) = address.group(ROW_BITS);
                sign(&sign_words(key(seed), &address, element / SIGNS, row), element)
            }
            Self::Uniform => uniform(word()),
        })
    }
}

/// Elements whose signs are the bits of one counter.
pub(super) const SIGNS: u64 = 128;

/// Pairs of a group are numbered by so many bits, as the elements of a counter are.
pub(super) const ROW_BITS: u32 = SIGNS.ilog2();

/// The mark of terms whose noises are rows. Twin: `IS_ROW` in `kernels/es/draws.cuh`.
#[cfg(feature = "cuda")]
const ROW: u32 = 32;

/// The signs of the elements of a counter, times those of a row of the Hadamard matrix.
#[inline(always)]
pub(super) fn sign_words(key: [u32; 2], address: &Address, counter: u64, row: u32) -> [u32; 4] {
    let words = philox4x32(address.counter_of_block(counter), key);
    // Bit k of a column's number, of 32 columns: where the row has it, it turns the sign.
    const COLUMNS: [u32; 5] = [0xaaaa_aaaa, 0xcccc_cccc, 0xf0f0_f0f0, 0xff00_ff00, 0xffff_0000];
    let is_in_row = |k: u32| (row >> k & 1).wrapping_neg();
    let within = (0..5).fold(0, |signs, k| signs ^ COLUMNS[k as usize] & is_in_row(k));
    let [low, high] = [is_in_row(5), is_in_row(6)];
    [words[0] ^ within, words[1] ^ within ^ low, words[2] ^ within ^ high, words[3] ^ within ^ low ^ high]
}

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
