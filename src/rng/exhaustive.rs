//! The normals of all 2^32 words: errors against the quantile, moments, symmetry, order.

use std::f64::consts::{SQRT_2, TAU};
use std::time::Instant;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::normal;
use crate::device::Cpu;

/// Words of the lower half, whose normals are negative; the complements of these are the upper half.
const HALF: u32 = 1 << 31;

/// Words that one task enumerates.
const TASK: u32 = 1 << 20;

/// Words whose quantiles are expanded about that of the middle one.
const EXPANDED: u32 = 1 << 10;

/// Below, the words are too few a leading digit to be expanded.
const FIRST_EXPANDED: u32 = 1 << 19;

/// What holds of the words of a task.
#[derive(Clone, Copy, Default)]
struct Found {
    words: u64,
    /// Over the lower half.
    squares: f64,
    fourths: f64,
    /// Greatest differences from the quantile.
    error: f64,
    error_of: u32,
    ulps: f64,
    ulps_of: u32,
    /// Words whose complement's normal is not the negative.
    asymmetric: u64,
    /// Words whose normal is below that of the word before.
    unordered: u64,
}

impl Found {
    fn and(mut self, other: Self) -> Self {
        self.words += other.words;
        self.squares += other.squares;
        self.fourths += other.fourths;
        self.asymmetric += other.asymmetric;
        self.unordered += other.unordered;
        if other.error > self.error {
            (self.error, self.error_of) = (other.error, other.error_of);
        }
        if other.ulps > self.ulps {
            (self.ulps, self.ulps_of) = (other.ulps, other.ulps_of);
        }
        self
    }
}

/// Words from `start` on, of the lower half.
struct Task {
    start: u32,
    count: u32,
}

impl WithSimd for Task {
    type Output = Found;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Found {
        let mut found = Found::default();
        for start in (self.start..self.start + self.count).step_by(EXPANDED as usize) {
            let middle = start + EXPANDED / 2;
            let expanded = start >= FIRST_EXPANDED && start < HALF - EXPANDED;
            let m = quantile(middle);
            let slope = TAU.sqrt() * (m * m / 2.0).exp();
            let (mut squares, mut fourths) = (0.0, 0.0);
            for word in start..start + EXPANDED {
                let x = slope * (f64::from(middle as i32 - word as i32) / 4_294_967_296.0);
                let fourth = x * (7.0 + 6.0 * m * m) * m / 24.0;
                let series = m + x * (1.0 + x * (m / 2.0 + x * ((1.0 + 2.0 * m * m) / 6.0 + fourth)));
                let exact = if expanded { series } else { quantile(word) };

                let drawn = normal(word);
                let magnitude = -f64::from(drawn);
                let error = (magnitude - exact).abs();
                // The unit in the last place of the binade that the quantile lies in.
                let unit = f64::from_bits(exact.to_bits() & 0x7ff0_0000_0000_0000) / 8_388_608.0;
                let ulps = error / unit;
                if error > found.error {
                    (found.error, found.error_of) = (error, word);
                }
                if ulps > found.ulps {
                    (found.ulps, found.ulps_of) = (ulps, word);
                }
                squares += magnitude * magnitude;
                fourths += magnitude * magnitude * (magnitude * magnitude);
                found.asymmetric += u64::from(normal(!word).to_bits() != (-drawn).to_bits());
                found.unordered += u64::from(drawn < normal(word.saturating_sub(1)));
            }
            found.squares += squares;
            found.fourths += fourths;
            found.words += u64::from(EXPANDED);
        }
        found
    }
}

/// -Φ⁻¹((word + ½) / 2³²) of a word of the lower half, in f64: Halley's iteration from its normal.
fn quantile(word: u32) -> f64 {
    let below = (f64::from(word) + 0.5) / 4_294_967_296.0;
    let mut z = -f64::from(normal(word));
    for _ in 0..4 {
        // Near the middle, where `below` would lose digits, its distance from one half.
        let excess =
            if z < 0.5 { (0.5 - below) - libm::erf(z / SQRT_2) / 2.0 } else { libm::erfc(z / SQRT_2) / 2.0 - below };
        let newton = excess * TAU.sqrt() * (z * z / 2.0).exp();
        z += newton / (1.0 - newton * z / 2.0);
    }
    z
}

fn enumerate(starts: impl IndexedParallelIterator<Item = u32>) -> Found {
    let cpu = Cpu::default();
    let tasks: Vec<Found> = starts.map(|start| cpu.run(Task { start, count: TASK })).collect();
    tasks.into_iter().fold(Found::default(), Found::and)
}

#[test]
fn every_word() {
    let started = Instant::now();
    let found = enumerate((0..HALF / TASK).into_par_iter().map(|task| task * TASK));
    println!("{:.1} s", started.elapsed().as_secs_f64());
    let words = found.words as f64;
    let (variance, fourth) = (found.squares / words, found.fourths / words);
    println!("variance 1 - {:e}, fourth moment 3 - {:e}", 1.0 - variance, 3.0 - fourth);
    println!("error {:e} at {:#x}, {} ulp at {:#x}", found.error, found.error_of, found.ulps, found.ulps_of);
    println!("largest {}, smallest {:e}, {} out of order", normal(u32::MAX), normal(HALF), found.unordered);
}
