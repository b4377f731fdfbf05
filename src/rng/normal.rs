//! The default normal: one from each word. Twin: `kernels/core/normal.cuh`.

use super::address::{Address, BLOCK};
use super::philox::philox4x32_lanes;
use crate::fmath::fma;

const SEGMENTS: u32 = 16;
const ROWS: usize = 32 * SEGMENTS as usize;

/// Cubics, lowest coefficient first; `kernels/normal_table.py` says of what.
static TABLE: [[f32; 4]; ROWS] = parse(include_str!("../../kernels/core/normal_table.inc"));

/// A standard normal number from a word: Φ⁻¹((word + ½) / 2³²) in f32.
///
/// `normal(!word)` is `-normal(word)`, so that the mean over all words is 0.
#[inline(always)]
pub fn normal(word: u32) -> f32 {
    // The distance from the nearer end in units of 2^-33, odd; its octave and its segment there; the place in that.
    let nearer = word ^ (word as i32 >> 31) as u32;
    let v = nearer << 1 | 1;
    let octave = v.leading_zeros();
    let m = v << octave;
    let row = &TABLE[(octave * SEGMENTS + (m >> 27 & (SEGMENTS - 1))) as usize];
    let t = (m | 0xf800_0000) as i32 as f32;
    let magnitude = fma(t, fma(t, fma(t, row[3], row[2]), row[1]), row[0]);
    f32::from_bits(magnitude.to_bits() | !word & 0x8000_0000)
}

/// The normals of 64 neighbouring elements from the first one of `block` on.
#[inline(always)]
pub(crate) fn normals(key: [u32; 2], address: &Address, block: u64) -> [f32; 64] {
    const LANES: usize = 16;
    let mut counters = [[0; LANES]; BLOCK as usize];
    for i in 0..LANES {
        let counter = address.counter_of_block(block + i as u64);
        for j in 0..BLOCK as usize {
            counters[j][i] = counter[j];
        }
    }
    let words = philox4x32_lanes(counters, key);
    let mut ordered = [0; 64];
    for i in 0..LANES {
        for j in 0..BLOCK as usize {
            ordered[BLOCK as usize * i + j] = words[j][i];
        }
    }
    let mut normals = [0.0; 64];
    for i in 0..64 {
        normals[i] = normal(ordered[i]);
    }
    normals
}

/// The table's text: words in hexadecimal, each the bits of a number.
const fn parse(text: &str) -> [[f32; 4]; ROWS] {
    let bytes = text.as_bytes();
    let mut rows = [[0.0; 4]; ROWS];
    let (mut at, mut word, mut digits, mut words) = (0, 0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'x' => (word, digits) = (0, 0),
            b',' => {
                assert!(digits == 8);
                rows[words / 4][words % 4] = f32::from_bits(word);
                words += 1;
            }
            digit @ (b'0'..=b'9' | b'a'..=b'f') => {
                word = word << 4 | (digit as char).to_digit(16).expect("a digit");
                digits += 1;
            }
            b' ' | b'\n' | b'\r' => {}
            _ => panic!("the table holds words in hexadecimal"),
        }
        at += 1;
    }
    assert!(words == 4 * ROWS);
    rows
}
