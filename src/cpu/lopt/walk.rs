//! Where the row and the column of an element stand.

use crate::lopt::shape::Factored;

/// Neighbouring elements whose places follow one another.
pub(super) struct Run {
    pub(super) count: usize,
    /// The place of the first in the table without X, where the others are behind it.
    pub(super) without_x: u64,
    /// The same in the table without Y, where the others are behind it or in the same place.
    pub(super) without_y: u64,
    pub(super) is_same: bool,
}

/// The way through the elements of a tensor in the order of memory.
pub(super) struct Walk {
    sizes: [u64; 5],
    digits: [u64; 5],
}

impl Walk {
    pub(super) fn new(factored: &Factored, element: u64) -> Self {
        let (sizes, mut digits, mut rest) = (factored.sizes, [0; 5], element);
        for k in (0..5).rev() {
            (digits[k], rest) = (rest % sizes[k], rest / sizes[k]);
        }
        Self { sizes, digits }
    }

    /// The next elements, `most` at the most.
    pub(super) fn run(&mut self, most: usize) -> Run {
        let ([_, sx, sb, sy, sc], [a, x, b, y, c]) = (self.sizes, self.digits);
        let (without_x, without_y) = (((a * sb + b) * sy + y) * sc + c, ((a * sx + x) * sb + b) * sc + c);
        let is_same = sc == 1;
        let axis = if is_same { 3 } else { 4 };
        let count = (self.sizes[axis] - self.digits[axis]).min(most as u64);
        self.digits[axis] += count;
        for k in (1..=axis).rev() {
            if self.digits[k] == self.sizes[k] {
                self.digits[k] = 0;
                self.digits[k - 1] += 1;
            }
        }
        Run { count: count as usize, without_x, without_y, is_same }
    }
}
