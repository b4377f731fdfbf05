//! Operands: edges of a format, random bits, and bits near each other.

use rustc_apfloat::Round;
use softcuda::ir::{FloatMode, Rounding};

/// The roundings of arithmetic, with the oracle's name of each.
pub const ROUNDINGS: [(Rounding, Round); 4] = [
    (Rounding::Rn, Round::NearestTiesToEven),
    (Rounding::Rz, Round::TowardZero),
    (Rounding::Rm, Round::TowardNegative),
    (Rounding::Rp, Round::TowardPositive),
];

/// A mode with nothing but a rounding.
pub fn plain(rounding: Rounding) -> FloatMode {
    FloatMode { rounding, ftz: false, sat: false, relu: false, nan: false }
}

/// Every edge of a format, of both signs.
pub fn edges(exponent_bits: u32, fraction_bits: u32) -> Vec<u64> {
    let infinity = ((1u64 << exponent_bits) - 1) << fraction_bits;
    let one = ((1u64 << (exponent_bits - 1)) - 1) << fraction_bits;
    let unit = 1u64 << fraction_bits;
    let magnitudes = [
        0,
        1,
        2,
        3,
        unit / 2,
        unit - 1,
        unit,
        unit + 1,
        2 * unit,
        one - unit * u64::from(fraction_bits),
        one - unit * u64::from(fraction_bits + 1),
        one / 2,
        one - unit,
        one - 1,
        one,
        one + 1,
        one + unit / 2,
        one + unit,
        one + unit * u64::from(fraction_bits),
        one + unit * u64::from(fraction_bits + 1) + 1,
        infinity - unit,
        infinity - 2,
        infinity - 1,
        infinity,
        infinity + unit / 2,
        infinity + 1,
    ];
    let sign = 1 << (exponent_bits + fraction_bits);
    magnitudes.into_iter().flat_map(|bits| [bits, bits | sign]).collect()
}

/// A small generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Bits of a float: any, or an exponent near 1, or a short significand, or an edge.
    pub fn float(&mut self, exponent_bits: u32, fraction_bits: u32, edges: &[u64]) -> u64 {
        let width = 1 + exponent_bits + fraction_bits;
        let any = self.next() >> (64 - width);
        let fraction = any & ((1 << fraction_bits) - 1);
        let sign = any & 1 << (width - 1);
        let near = (1u64 << (exponent_bits - 1)) - 1 - u64::from(fraction_bits) / 2;
        let exponent = (near + self.below(u64::from(fraction_bits) + 2)) << fraction_bits;
        match self.below(8) {
            0 | 1 => any,
            2..=4 => sign | exponent | fraction,
            5 => sign | exponent | fraction & !((1 << (fraction_bits - 3)) - 1),
            6 => sign | fraction,
            _ => edges[self.below(edges.len() as u64) as usize],
        }
    }
}
