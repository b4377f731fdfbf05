//! Numbers of neighbouring elements, drawn together so that the arithmetic vectorises. Twin: `kernels/es/draws.cuh`.

use super::address::{Address, BLOCK};
use super::distribution::{ROW_BITS, SIGNS, sign, sign_words, uniform};
use super::normal::normals_of_words;
use super::philox::philox4x32;

/// Elements that are drawn together.
pub(crate) const BATCH: usize = 64;

/// A distribution, for loops that are compiled for each.
pub(crate) trait Draws: Copy + Send + Sync {
    /// The numbers of [`BATCH`] neighbouring elements from `first` on, which [`BLOCK`] divides.
    fn batch(key: [u32; 2], address: &Address, first: u64) -> [f32; BATCH];

    /// Those from any element on.
    #[inline(always)]
    fn numbers(key: [u32; 2], address: &Address, element: u64) -> [f32; BATCH] {
        let skip = (element % BLOCK) as usize;
        let first = element - skip as u64;
        let mut numbers = Self::batch(key, address, first);
        if skip > 0 {
            let behind = Self::batch(key, address, first + BATCH as u64);
            numbers.rotate_left(skip);
            numbers[BATCH - skip..].copy_from_slice(&behind[..skip]);
        }
        numbers
    }
}

/// [`Distribution::Normal`](super::Distribution::Normal).
#[derive(Clone, Copy)]
pub(crate) struct Normals;

/// [`Distribution::Uniform`](super::Distribution::Uniform).
#[derive(Clone, Copy)]
pub(crate) struct Uniforms;

/// [`Distribution::Rademacher`](super::Distribution::Rademacher).
#[derive(Clone, Copy)]
pub(crate) struct Signs;

/// [`Distribution::Hadamard`](super::Distribution::Hadamard).
#[derive(Clone, Copy)]
pub(crate) struct Rows;

impl Draws for Normals {
    #[inline(always)]
    fn batch(key: [u32; 2], address: &Address, first: u64) -> [f32; BATCH] {
        normals_of_words(&words(key, address, first / BLOCK))
    }
}

impl Draws for Uniforms {
    #[inline(always)]
    fn batch(key: [u32; 2], address: &Address, first: u64) -> [f32; BATCH] {
        words(key, address, first / BLOCK).map(uniform)
    }
}

impl Draws for Signs {
    #[inline(always)]
    fn batch(key: [u32; 2], address: &Address, first: u64) -> [f32; BATCH] {
        signs(key, address, first, 0)
    }
}

impl Draws for Rows {
    #[inline(always)]
    fn batch(key: [u32; 2], address: &Address, first: u64) -> [f32; BATCH] {
        let (address, row) = address.group(ROW_BITS);
        signs(key, &address, first, row)
    }
}

/// Those of a row of the Hadamard matrix, of which row 0 changes no sign.
#[inline(always)]
fn signs(key: [u32; 2], address: &Address, first: u64, row: u32) -> [f32; BATCH] {
    let of = |counter: u64| sign_words(key, address, counter, row);
    let (counter, skip) = (first / SIGNS, first % SIGNS);
    let mine = of(counter);
    // The second counter, if it is not looked at, may be beyond all.
    let next = if skip + BATCH as u64 > SIGNS { of(counter + 1) } else { mine };
    std::array::from_fn(|i| {
        let at = skip + i as u64;
        sign(if at < SIGNS { &mine } else { &next }, at)
    })
}

/// The words of [`BATCH`] neighbouring elements from the first one of `block` on.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "four lanes are written at once")]
fn words(key: [u32; 2], address: &Address, block: u64) -> [u32; BATCH] {
    const LANES: usize = BATCH / BLOCK as usize;
    let mut lanes = [[0; LANES]; BLOCK as usize];
    for i in 0..LANES {
        let words = philox4x32(address.counter_of_block(block + i as u64), key);
        for j in 0..BLOCK as usize {
            lanes[j][i] = words[j];
        }
    }
    std::array::from_fn(|i| lanes[i % BLOCK as usize][i / BLOCK as usize])
}
