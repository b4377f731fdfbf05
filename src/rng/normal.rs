//! The default normal: one from each word. Twin: `kernels/core/normal.cuh`.

use super::address::{Address, BLOCK};
use super::philox::philox4x32;
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
    let (row, t) = place(word);
    evaluate(&TABLE[row as usize], t, word)
}

/// The row of a word in the table, and what the row's cubic is evaluated at.
#[inline(always)]
fn place(word: u32) -> (u32, f32) {
    // The distance from the nearer end in units of 2^-33, odd; its octave and its segment there; the place in that.
    let nearer = word ^ (word as i32 >> 31) as u32;
    let v = nearer << 1 | 1;
    let octave = v.leading_zeros();
    let m = v << octave;
    let row = octave * SEGMENTS + (m >> 27 & (SEGMENTS - 1));
    let t = (m | 0xf800_0000) as i32 as f32;
    (row, t)
}

#[inline(always)]
fn evaluate(row: &[f32; 4], t: f32, word: u32) -> f32 {
    let magnitude = fma(t, fma(t, fma(t, row[3], row[2]), row[1]), row[0]);
    f32::from_bits(magnitude.to_bits() | !word & 0x8000_0000)
}

/// Elements whose normals are drawn together.
pub(crate) const BATCH: usize = 64;

/// The normals of [`BATCH`] neighbouring elements from the first one of `block` on.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "four lanes are written at once")]
pub(crate) fn normals(key: [u32; 2], address: &Address, block: u64) -> [f32; BATCH] {
    const LANES: usize = BATCH / BLOCK as usize;
    let mut lanes = [[0; LANES]; BLOCK as usize];
    for i in 0..LANES {
        let words = philox4x32(address.counter_of_block(block + i as u64), key);
        for j in 0..BLOCK as usize {
            lanes[j][i] = words[j];
        }
    }
    normals_of_words(&std::array::from_fn(|i| lanes[i % BLOCK as usize][i / BLOCK as usize]))
}

/// The normals of words, in passes that vectorise. Between them whole rows are copied: gathers would take longer.
#[inline(always)]
pub(crate) fn normals_of_words(words: &[u32; BATCH]) -> [f32; BATCH] {
    let (mut index, mut t) = ([0; BATCH], [0.0; BATCH]);
    for i in 0..BATCH {
        (index[i], t[i]) = place(words[i]);
    }
    let mut rows = [[0.0; 4]; BATCH];
    for i in 0..BATCH {
        rows[i] = TABLE[index[i] as usize % ROWS];
    }
    let mut normals = [0.0; BATCH];
    for i in 0..BATCH {
        normals[i] = evaluate(&rows[i], t[i], words[i]);
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
