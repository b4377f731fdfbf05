//! The averages of rows and columns.

use crate::element::Real;
use crate::lopt::arithmetic::{Scalars, averaged, column_factor, inverse, row_factor, tree};
use crate::lopt::shape::{COLUMNS, Factored, LANES, Span};

/// Brings rows and columns up to date; the means of the squares of their averages and of the inverse roots of these, rows before
/// columns in each, as the features have them.
pub(super) fn update<T: Real>(
    factored: &Factored,
    scalars: &Scalars<T>,
    partials: &[Vec<T>; 2],
    rows: &mut [T],
    columns: &mut [T],
) -> [f64; 12] {
    let of = |axis| (factored.over(axis), &partials[axis as usize]);
    let mut table = Table { scalars, table: rows, of: of(factored.largest) };
    let row_means = table.rows(factored.rows());
    let mut table = Table { scalars, table: columns, of: of(factored.largest.other()) };
    let column_means = table.columns();
    std::array::from_fn(|k| if k / 3 % 2 == 0 { row_means[k / 6 * 3 + k % 3] } else { column_means[k / 6 * 3 + k % 3] })
}

/// The sums of what `count` entries are, 6 numbers an item.
pub(super) fn lane_sums(items: &[[f64; 6]]) -> [f64; 6] {
    std::array::from_fn(|k| lanes_of_32(items.iter().map(|item| item[k])))
}

/// A sum in 32 lanes.
pub(super) fn lanes_of_32(values: impl Iterator<Item = f64>) -> f64 {
    let mut lanes = [0.0; 32];
    values.enumerate().for_each(|(i, value)| lanes[i % 32] += value);
    tree(&mut lanes)
}

struct Table<'a, T> {
    scalars: &'a Scalars<T>,
    table: &'a mut [T],
    /// The sums it is made of, and their parts.
    of: (Span, &'a Vec<T>),
}

impl<T: Real> Table<'_, T> {
    fn entries(&self) -> usize {
        self.of.0.sums() as usize
    }

    /// The new averages of an entry and their inverse roots.
    fn average(&mut self, entry: usize) -> [T; 6] {
        let (span, partials) = self.of;
        let entries = self.entries();
        let total: f64 = partials.iter().skip(entry).step_by(entries).map(|part| part.to_f64()).sum();
        let mean = T::from_f64(total / span.length as f64);
        let v = [0, 1, 2].map(|k| averaged(self.scalars.adafactor[k], self.table[k * entries + entry], mean));
        let both = [v[0], v[1], v[2], inverse(v[0]), inverse(v[1]), inverse(v[2])];
        both.iter().enumerate().for_each(|(k, x)| self.table[k * entries + entry] = *x);
        both
    }

    fn rows(&mut self, span: Span) -> [f64; 6] {
        let entries = self.entries();
        let mut items = Vec::new();
        for item in 0..span.sums() {
            let (o, i) = (item / span.inner, item % span.inner);
            let entry = |r: u64| ((o * span.length + r) * span.inner + i) as usize;
            let mut lanes = [[0.0; LANES]; 9];
            for r in 0..span.length {
                let both = self.average(entry(r)).map(T::to_f64);
                let lane = (r % LANES as u64) as usize;
                for k in 0..6 {
                    lanes[k][lane] += both[k] * both[k];
                }
                for k in 0..3 {
                    lanes[6 + k][lane] += both[k];
                }
            }
            let sums = lanes.each_mut().map(|lanes| tree(lanes));
            for k in 0..3 {
                let mean = T::from_f64(sums[6 + k] / span.length as f64);
                for r in 0..span.length {
                    let entry = entry(r);
                    self.table[(6 + k) * entries + entry] = row_factor(self.table[k * entries + entry], mean);
                }
            }
            items.push(std::array::from_fn(|k| sums[k]));
        }
        lane_sums(&items).map(|sum| sum / entries as f64)
    }

    fn columns(&mut self) -> [f64; 6] {
        let entries = self.entries();
        let mut items = Vec::new();
        for first in (0..entries).step_by(COLUMNS as usize) {
            let mut lanes = [[0.0; LANES]; 6];
            for entry in first..entries.min(first + COLUMNS as usize) {
                let both = self.average(entry);
                for (k, v) in both.into_iter().take(3).enumerate() {
                    self.table[(6 + k) * entries + entry] = column_factor(v);
                }
                let lane = (entry - first) % LANES;
                for (lanes, x) in lanes.iter_mut().zip(both.map(T::to_f64)) {
                    lanes[lane] += x * x;
                }
            }
            items.push(lanes.each_mut().map(|lanes| tree(lanes)));
        }
        lane_sums(&items).map(|sum| sum / entries as f64)
    }
}
