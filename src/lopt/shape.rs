//! Shapes of tensors, and the sums over them that the accumulators are made of.

use crate::error::{Error, Result};

/// What errors call it.
pub(super) const WHAT: &str = "SmallFcLopt";

/// Elements of a chunk: the unit of work of the passes over elements, and of their partial sums.
pub(crate) const CHUNK: u64 = 4096;
/// Lanes of such a partial sum; entries that a block takes of a table, too.
pub(crate) const LANES: usize = 256;
/// Elements of an axis that go into a partial sum of squared gradients, and lanes of it.
pub(crate) const SEGMENT: u64 = 256;
pub(crate) const SEGMENT_LANES: usize = 32;
/// Entries of a table of columns that share a partial sum of its statistics.
pub(crate) const COLUMNS: u64 = 1024;

/// A tensor as its accumulators see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Elements.
    pub(crate) length: u64,
    /// How its second moments are factored, if it has at least two axes.
    pub(crate) factored: Option<Factored>,
}

/// A tensor of the axes A, X, B, Y and C, the last running fastest; X and Y are its two largest and the others what lies
/// around them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factored {
    pub(crate) sizes: [u64; 5],
    /// The axis, X or Y, that is the largest: rows are means over it, columns over the other.
    pub(crate) largest: Axis,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Axis {
    X,
    Y,
}

impl Axis {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::X => Self::Y,
            Self::Y => Self::X,
        }
    }
}

/// An array \[outer×length×inner\], summed over the axis in the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) outer: u64,
    pub(crate) length: u64,
    pub(crate) inner: u64,
}

impl Span {
    /// The number of sums.
    pub(crate) fn sums(&self) -> u64 {
        self.outer * self.inner
    }

    /// Partial sums that each of them is made of.
    pub(crate) fn segments(&self) -> u64 {
        self.length.div_ceil(SEGMENT)
    }
}

impl Shape {
    /// The shape of a tensor of these axes, the last running fastest; without axes it has one element.
    ///
    /// Errors: more elements than memory has addresses; an axis of 2³¹ or more that is not alone.
    pub(super) fn new(position: usize, axes: &[usize]) -> Result<Self> {
        let refused = |message| Err(Error::setting(WHAT, format!("tensor {position} {axes:?}: {message}")));
        let elements = axes.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        let Some(length) = elements.filter(|&length| length <= isize::MAX as usize) else {
            return refused("it has more elements than memory has addresses".to_owned());
        };
        let length = length as u64;
        if axes.len() < 2 || length == 0 {
            return Ok(Self { length, factored: None });
        }
        let product = |axes: &[usize]| axes.iter().map(|&axis| axis as u64).product::<u64>();
        // Of equal axes a later one counts as the larger, as a stable sort has it.
        let largest = (0..axes.len()).max_by_key(|&axis| axes[axis]).unwrap_or_default();
        let second = (0..axes.len()).filter(|&axis| axis != largest).max_by_key(|&axis| axes[axis]).unwrap_or_default();
        let (x, y) = (largest.min(second), largest.max(second));
        let sizes =
            [product(&axes[..x]), axes[x] as u64, product(&axes[x + 1..y]), axes[y] as u64, product(&axes[y + 1..])];
        if sizes.iter().any(|&size| size >= 1 << 31) {
            return refused("the two largest axes, and what lies around them, must be shorter than 2³¹".to_owned());
        }
        Ok(Self { length, factored: Some(Factored { sizes, largest: if largest == x { Axis::X } else { Axis::Y } }) })
    }

    /// The arrays that are kept from step to step, each a name and a length: moments, then rows and columns.
    pub(crate) fn kept(&self) -> Vec<(&'static str, u64)> {
        const MOMENTS: [&str; 7] = ["m0", "m1", "m2", "v", "w0", "w1", "w2"];
        let Some(factored) = &self.factored else { return MOMENTS.map(|name| (name, self.length)).to_vec() };
        let [rows, columns] = [factored.largest, factored.largest.other()].map(|axis| factored.over(axis).sums());
        let of_moments = MOMENTS[..4].iter().map(|name| (*name, self.length));
        let of_rows = ["row0", "row1", "row2"].map(|name| (name, rows));
        of_moments.chain(of_rows).chain(["column0", "column1", "column2"].map(|name| (name, columns))).collect()
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.length.div_ceil(CHUNK)
    }
}

impl Factored {
    /// The sums of elements over an axis.
    pub(crate) fn over(&self, axis: Axis) -> Span {
        let [a, x, b, y, c] = self.sizes;
        match axis {
            Axis::X => Span { outer: a, length: x, inner: b * y * c },
            Axis::Y => Span { outer: a * x * b, length: y, inner: c },
        }
    }

    /// The sums of elements over X and over Y.
    pub(crate) fn spans(&self) -> [Span; 2] {
        [Axis::X, Axis::Y].map(|axis| self.over(axis))
    }

    /// The sums of rows over the axis that they have and columns do not.
    pub(crate) fn rows(&self) -> Span {
        let [a, x, b, y, c] = self.sizes;
        match self.largest {
            Axis::Y => Span { outer: a, length: x, inner: b * c },
            Axis::X => Span { outer: a * b, length: y, inner: c },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factored(axes: &[usize]) -> ([u64; 5], Axis) {
        let Factored { sizes, largest } = Shape::new(0, axes).unwrap().factored.unwrap();
        (sizes, largest)
    }

    #[test]
    fn the_two_largest_axes_are_factored() {
        assert_eq!(factored(&[3, 5]), ([1, 3, 1, 5, 1], Axis::Y));
        assert_eq!(factored(&[5, 3]), ([1, 5, 1, 3, 1], Axis::X));
        assert_eq!(factored(&[4, 4]), ([1, 4, 1, 4, 1], Axis::Y));
        assert_eq!(factored(&[8, 6, 3, 3]), ([1, 8, 1, 6, 9], Axis::X));
        assert_eq!(factored(&[3, 3, 6, 8]), ([9, 6, 1, 8, 1], Axis::Y));
        assert_eq!(factored(&[7, 2, 9, 5]), ([1, 7, 2, 9, 5], Axis::Y));
        assert_eq!(factored(&[1, 1, 1]), ([1, 1, 1, 1, 1], Axis::Y));
        for axes in [&[][..], &[7], &[0, 3]] {
            assert_eq!(Shape::new(0, axes).unwrap().factored, None);
        }
        assert_eq!(Shape::new(0, &[]).unwrap().length, 1);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let says = |axes: &[usize]| Shape::new(2, axes).unwrap_err().to_string();
        assert_eq!(
            says(&[1 << 40, 1 << 40]),
            "SmallFcLopt: tensor 2 [1099511627776, 1099511627776]: it has more elements than memory has addresses"
        );
        assert!(says(&[1 << 31, 2]).contains("must be shorter than 2³¹"));
        assert!(Shape::new(0, &[1 << 40]).is_ok());
    }
}
