use std::fmt;

/// What is wrong with a symmetric matrix that is read: nothing is computed from it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// An element is a NaN or an infinity.
    NotFinite {
        /// The row of the first such element on or below the diagonal.
        row: u32,
        /// Its column.
        column: u32,
        /// The element, or where that is finite the one that should equal it.
        value: f64,
    },
    /// Two elements that should be equal differ by more than the tolerance.
    Asymmetric {
        /// The row of the first such element below the diagonal.
        row: u32,
        /// Its column.
        column: u32,
        /// The element less its mirror image.
        difference: f64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite { row, column, value } => write!(f, "row {row}, column {column} is {value}"),
            Self::Asymmetric { row, column, difference } => {
                write!(f, "row {row}, column {column} is {difference:e} greater than its mirror image")
            }
        }
    }
}
