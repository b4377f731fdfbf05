//! Rows of the tables that the kernels in `kernels/linalg` read. Twins of the structs there.

use super::poly::ROOT_REPORT;
use crate::element::Real;
use crate::linalg::{EighReport, EighStatus, Fault, Form, Report, RootReport, RootStatus, Status, Symmetric};

/// Words of a row of the block table.
pub(super) const BLOCK: usize = 6;
/// Words of a report.
pub(super) const REPORT: usize = 6;
/// Words of the first damping of a block.
pub(super) const DAMPED: usize = 2;
/// Words of the findings on a block.
pub(super) const FINDINGS: usize = 2;
/// Words of a row of the table of tiles.
pub(super) const TILES: usize = 5;
/// Words of a row of the table of right-hand sides.
pub(super) const SIDES: usize = 4;
/// Words of an item. Twin of the structs in `kernels/linalg/item.cuh` and `kernels/linalg/spd_tiles.cu`.
pub(super) const ITEM: usize = 2;

/// Words of a row of the table of matrices that are decomposed: a row of the block table, two more.
pub(super) const EIGH_BLOCK: usize = BLOCK + 2;
/// Words of a report on a decomposition.
pub(super) const EIGH_REPORT: usize = 3;

/// Two halves of a word, the low one first.
pub(super) fn word(low: usize, high: usize) -> u64 {
    low as u64 | (high as u64) << 32
}

/// Where the arrays of a block lie; a border of 0 is none.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) source: u64,
    pub(super) border: u64,
    pub(super) inverse: u64,
}

/// The row of a block.
pub(super) fn block<T: Real>(
    addresses: Addresses,
    source: &Symmetric<'_, T>,
    inverse_stride: usize,
    partner: usize,
) -> [u64; BLOCK] {
    let (form, stride) = match &source.form {
        Form::Full(matrix) => (0, matrix.stride()),
        Form::Lower(matrix) => (1, matrix.stride()),
        Form::Packed(_) => (2, 0),
    };
    [
        addresses.source,
        addresses.border,
        addresses.inverse,
        word(source.order(), source.core()),
        word(stride, inverse_stride),
        word(form, partner),
    ]
}

/// The status of a block whose previous inverse was refined; its value is the residual.
const REFINED: u32 = 4;

/// The fault that every kind of report tells in the same way.
fn fault(status: u32, place: u64, value: f64) -> Fault {
    let (row, column) = (place as u32, (place >> 32) as u32);
    match status {
        2 => Fault::NotFinite { row, column, value },
        3 => Fault::Asymmetric { row, column, difference: value },
        other => unreachable!("a report of status {other}"),
    }
}

/// What a report's words say.
pub(super) fn report(words: &[u64; REPORT]) -> Report {
    let [damping, log_determinant, smallest_pivot, value, state, place] = *words;
    let (status, retries) = (state as u32, (state >> 32) as u32);
    let row = place as u32;
    let value = f64::from_bits(value);
    let status = match status {
        0 | REFINED => Status::Inverted,
        1 => Status::NotPositiveDefinite { row, pivot: value },
        other => Status::Faulty(fault(other, place, value)),
    };
    Report {
        status,
        damping: f64::from_bits(damping),
        retries,
        log_determinant: f64::from_bits(log_determinant),
        smallest_pivot: f64::from_bits(smallest_pivot),
        residual: (state as u32 == REFINED).then_some(value),
    }
}

/// What the words of a report on a decomposition say.
pub(super) fn eigh_report(words: &[u64; EIGH_REPORT]) -> EighReport {
    let [value, state, place] = *words;
    let value = f64::from_bits(value);
    let status = match state as u32 {
        0 => EighStatus::Decomposed,
        1 => EighStatus::NotConverged { off_diagonal: value },
        other => EighStatus::Faulty(fault(other, place, value)),
    };
    EighReport { status, sweeps: (state >> 32) as u32 }
}

/// What the words of a report on a root say.
pub(super) fn root_report(words: &[u64; ROOT_REPORT]) -> RootReport {
    let [damping, largest, value, state, place] = *words;
    let value = f64::from_bits(value);
    let status = match state as u32 {
        0 => RootStatus::Found { error: value },
        1 => RootStatus::NotConverged { error: value },
        other => RootStatus::Faulty(fault(other, place, value)),
    };
    RootReport {
        status,
        damping: f64::from_bits(damping),
        largest_eigenvalue: f64::from_bits(largest),
        steps: (state >> 32) as u32,
    }
}
