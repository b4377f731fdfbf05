use std::fmt;

use super::Fault;

/// What became of a block in a call of [`SpdInverse::invert`](super::SpdInverse::invert) or
/// [`SpdFactor::factor`](super::SpdFactor::factor).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Whether the block was inverted, or factored, and what stood in the way.
    pub status: Status,
    /// What was added to the diagonal in the last attempt.
    pub damping: f64,
    /// Attempts after the first, each with more damping.
    pub retries: u32,
    /// `ln det(A + damping·1)`; NaN where the block was not, or was refined.
    pub log_determinant: f64,
    /// The smallest pivot, a squared diagonal element of the Cholesky factor: at least the smallest eigenvalue of
    /// `A + damping·1`. NaN where the block was not, or was refined.
    pub smallest_pivot: f64,
    /// `‖1 - (A + damping·1)·X‖_F / √n` of the inverse X, where it was refined from the one before, without pivots: see
    /// [`WarmStart`](super::WarmStart).
    pub residual: Option<f64>,
}

impl Report {
    /// Whether the inverse was written, or the factor replaced.
    pub fn is_inverted(&self) -> bool {
        self.status == Status::Inverted
    }
}

/// Whether a block was inverted, or factored. Where it was not, the inverse or factor that stood there stands there still.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// The inverse was written, or the factor replaced.
    Inverted,
    /// No attempt found the block positive definite.
    NotPositiveDefinite {
        /// The first row whose pivot was not a positive number in the last attempt.
        row: u32,
        /// That pivot.
        pivot: f64,
    },
    /// The matrix is not one to be computed with.
    Faulty(Fault),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inverted => f.write_str("inverted"),
            Self::NotPositiveDefinite { row, pivot } => {
                write!(f, "not positive definite: the pivot of row {row} is {pivot:e}")
            }
            Self::Faulty(fault) => fault.fmt(f),
        }
    }
}
