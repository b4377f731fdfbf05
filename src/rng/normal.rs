//! The default normal: one from each word. Twin: `kernels/core/normal.cuh`.

use super::batch::BATCH;
use crate::fmath::fma;

const SEGMENTS: u32 = 16;
const ROWS: usize = 32 * SEGMENTS as usize;
/// Of the exponent of 1.
const FIRST_ROW: u32 = 127 * SEGMENTS;
const SEGMENT_END: f32 = 1.0 + 1.0 / SEGMENTS as f32;

/// Cubics, lowest coefficient first; `kernels/normal_table.py` says of what.
static TABLE: [[f32; 4]; ROWS] = parse(include_str!("../../kernels/core/normal_table.inc"));

/// A standard normal number from a word: Φ⁻¹((word | 1) / 2³²) in f32, where the distance to the nearer of 0 and 1 is first
/// rounded to 24 bits.
///
/// `normal(!word)` is `-normal(word)`, so that the mean over all words is 0; and no word's normal is below that of the word
/// before.
#[inline(always)]
pub fn normal(word: u32) -> f32 {
    let (row, t) = place(word);
    evaluate(&TABLE[row as usize], t, word)
}

/// The row of a word in the table, and what the row's cubic is evaluated at.
#[inline(always)]
fn place(word: u32) -> (u32, f32) {
    // Twice the distance from the nearer end, odd, with a sign. In f32 its exponent and the four bits behind say which row,
    // the other bits say where in its segment.
    let bits = ((word | 1) as i32 as f32).to_bits();
    let row = (bits >> 19 & 0xfff) - FIRST_ROW;
    let t = f32::from_bits(bits & 0x7_ffff | 0x3f80_0000) - SEGMENT_END;
    (row, t)
}

#[inline(always)]
fn evaluate(row: &[f32; 4], t: f32, word: u32) -> f32 {
    let magnitude = fma(t, fma(t, fma(t, row[3], row[2]), row[1]), row[0]);
    f32::from_bits(magnitude.to_bits() | !word & 0x8000_0000)
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
