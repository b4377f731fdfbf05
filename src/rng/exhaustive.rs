//! The normals of all 2^32 words: errors against the quantile, moments, symmetry, order, and a sum of their bits.

use std::array::from_fn;
use std::f64::consts::{SQRT_2, TAU};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::batch::BATCH;
use super::normal;
use super::normal::normals_of_words;
use crate::device::Cpu;

/// Words of the lower half, whose normals are negative. The complements of these are the upper half.
const HALF: u32 = 1 << 31;

/// Words of a task.
const TASK: u32 = 1 << 20;

/// Words whose quantiles are expanded about that of the middle one.
const EXPANDED: u32 = 1 << 10;

/// Words at either end of the half whose quantiles are computed one by one: in the tail for the expansion's sake, in the
/// middle for the digits'.
const TAIL: u32 = 1 << 19;
const MIDDLE: u32 = HALF - EXPANDED;

/// What holds of the words of a task. In lanes, for the processor's sake.
#[derive(Clone, Copy)]
struct Found {
    words: u64,
    /// Sums over the lower half.
    squares: [f64; LANES],
    fourths: [f64; LANES],
    /// The greatest differences from the quantile, in units and in units of its last place; below 1, of that of 1.
    error: [f64; LANES],
    ulps: [f64; LANES],
    /// Words whose complement's normal is not the negative.
    asymmetric: [u32; LANES],
    /// Words of a batch whose normal is below that of the word before.
    unordered: [u32; LANES],
    /// The normals' bits, added.
    bits: [u64; LANES],
}

const LANES: usize = 16;

impl Found {
    const NOTHING: Self = Self {
        words: 0,
        squares: [0.0; LANES],
        fourths: [0.0; LANES],
        error: [0.0; LANES],
        ulps: [0.0; LANES],
        asymmetric: [0; LANES],
        unordered: [0; LANES],
        bits: [0; LANES],
    };

    fn and(self, other: Self) -> Self {
        Self {
            words: self.words + other.words,
            squares: from_fn(|i| self.squares[i] + other.squares[i]),
            fourths: from_fn(|i| self.fourths[i] + other.fourths[i]),
            error: from_fn(|i| self.error[i].max(other.error[i])),
            ulps: from_fn(|i| self.ulps[i].max(other.ulps[i])),
            asymmetric: from_fn(|i| self.asymmetric[i] + other.asymmetric[i]),
            unordered: from_fn(|i| self.unordered[i] + other.unordered[i]),
            bits: from_fn(|i| self.bits[i] + other.bits[i]),
        }
    }

    #[inline(always)]
    fn add(&mut self, words: &[u32; BATCH], quantiles: &[f64; BATCH]) {
        let normals = normals_of_words(words);
        let complements = normals_of_words(&words.map(|word| !word));
        for start in (0..BATCH).step_by(LANES) {
            for i in 0..LANES {
                let at = start + i;
                let magnitude = -f64::from(normals[at]);
                let error = (magnitude - quantiles[at]).abs();
                // The unit in the last place of the binade in which the quantile lies, below 1 that of 1.
                let binade = f64::from_bits(quantiles[at].to_bits() & 0x7ff0_0000_0000_0000);
                let unit = if binade < 1.0 { 1.0 } else { binade } / 8_388_608.0;
                let ulps = error / unit;
                let square = magnitude * magnitude;
                self.squares[i] += square;
                self.fourths[i] += square * square;
                // Not `max`, which would lose a NaN.
                self.error[i] = if error <= self.error[i] { self.error[i] } else { error };
                self.ulps[i] = if ulps <= self.ulps[i] { self.ulps[i] } else { ulps };
                let opposite = normals[at].to_bits() ^ 0x8000_0000;
                self.asymmetric[i] = self.asymmetric[i].wrapping_add(u32::from(complements[at].to_bits() != opposite));
                let before = if at == 0 { normal(words[0].saturating_sub(1)) } else { normals[at - 1] };
                self.unordered[i] = self.unordered[i].wrapping_add(u32::from(normals[at] < before));
                self.bits[i] = self.bits[i].wrapping_add(u64::from(normals[at].to_bits()));
            }
        }
        self.words += BATCH as u64;
    }
}

/// Words from `start` on, of the lower half.
struct Task {
    start: u32,
}

impl WithSimd for Task {
    type Output = Found;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Found {
        let mut found = Found::NOTHING;
        for start in (self.start..self.start + TASK).step_by(EXPANDED as usize) {
            let middle = start + EXPANDED / 2;
            let m = quantile(middle);
            let slope = slope(m);
            for start in (start..start + EXPANDED).step_by(BATCH) {
                let words = from_fn(|i| start.wrapping_add(i as u32));
                let quantiles = if (TAIL..MIDDLE).contains(&start) {
                    let way = |word: u32| f64::from(((middle | 1) as i32).wrapping_sub((word | 1) as i32)) / WORDS;
                    words.map(|word| expansion(m, slope * way(word)))
                } else {
                    words.map(quantile)
                };
                found.add(&words, &quantiles);
            }
        }
        found
    }
}

const WORDS: f64 = 4_294_967_296.0;

/// The derivative of -Φ⁻¹ towards the tail, where it is m.
fn slope(m: f64) -> f64 {
    TAU.sqrt() * (m * m / 2.0).exp()
}

/// The Taylor series of -Φ⁻¹ about a place where it is m, cut behind the fourth power of x: the way times the slope at m.
#[inline(always)]
fn expansion(m: f64, x: f64) -> f64 {
    let fourth = (7.0 + 6.0 * m * m) * m / 24.0;
    m + x * (1.0 + x * (m / 2.0 + x * ((1.0 + 2.0 * m * m) / 6.0 + x * fourth)))
}

/// -Φ⁻¹((word | 1) / 2³²) of a word of the lower half: Halley's iteration, from the word's normal.
#[inline(never)]
fn quantile(word: u32) -> f64 {
    let below = f64::from(word | 1) / WORDS;
    let mut z = -f64::from(normal(word));
    for _ in 0..4 {
        // Near the middle it is the distance from one half that has all digits.
        let excess =
            if z < 0.5 { (0.5 - below) - libm::erf(z / SQRT_2) / 2.0 } else { libm::erfc(z / SQRT_2) / 2.0 - below };
        let newton = excess * slope(z);
        z += newton / (1.0 - newton * z / 2.0);
    }
    z
}

#[test]
fn known_answers() {
    let text = include_str!("../../tests/known_answers/normal.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 12);
    for line in lines {
        let mut parts = line.split_whitespace();
        let mut hexadecimal = || u32::from_str_radix(parts.next().unwrap(), 16).unwrap();
        let (word, bits) = (hexadecimal(), hexadecimal());
        let exact: f64 = parts.next().unwrap().parse().unwrap();
        assert_eq!(normal(word).to_bits(), bits, "{word:#x}: {:#x}", normal(word).to_bits());
        assert!((-quantile(word) / exact - 1.0).abs() < 1e-14, "{word:#x}: {}, not {exact}", -quantile(word));
    }
}

#[test]
fn every_word() {
    let cpu = Cpu::default();
    // In order: the sums are the same whatever the threads.
    let tasks: Vec<Found> = (0..HALF / TASK).into_par_iter().map(|task| cpu.run(Task { start: task * TASK })).collect();
    let found = tasks.into_iter().fold(Found::NOTHING, Found::and);

    let words = found.words as f64;
    let variance = found.squares.iter().sum::<f64>() / words;
    let fourth = found.fourths.iter().sum::<f64>() / words;
    let error = found.error.iter().copied().fold(0.0, f64::max);
    let ulps = found.ulps.iter().copied().fold(0.0, f64::max);
    let unordered: u32 = found.unordered.iter().sum();
    let bits: u64 = found.bits.iter().sum();
    println!("variance 1 - {:e}, fourth moment 3 - {:e}", 1.0 - variance, 3.0 - fourth);
    println!("errors to {error:e} and {ulps} ulp, {unordered} out of order, bits {bits:#x}");

    assert_eq!(found.words, u64::from(HALF));
    assert_eq!(found.asymmetric, [0; LANES]);
    assert!(error < 4.758e-7, "{error:e}");
    assert!(ulps < 1.259, "{ulps} ulp");
    assert!((1.0 - variance - 1.31478e-8).abs() < 1e-12, "variance 1 - {:e}", 1.0 - variance);
    assert!((3.0 - fourth - 1.30195e-7).abs() < 1e-11, "fourth moment 3 - {:e}", 3.0 - fourth);
    assert_eq!(unordered, 0, "words whose normal is below that of the word before");
    assert_eq!(bits, 0x5f81_af9a_7d39_69fe, "the sum of the bits of the normals of 0 to 2^31 - 1: {bits:#x}");
}
