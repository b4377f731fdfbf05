//! Matrices whose noise is a product of two factors, and the addresses of what these are made of.

use super::Term;
use crate::backend::{Slot, Span, check_spans};
use crate::device::{Device, Place};
use crate::element::Scalar;
use crate::error::{Error, Result};
use crate::memory::{View, ViewMut};
use crate::optim::check::{count, length, same_place_as};
use crate::rng::{Address, Distribution, Purpose};

/// The greatest rank.
pub(crate) const MOST_RANK: usize = 64;
/// Rows and columns of a whole matrix are below 2 to this.
pub(crate) const SIDE_SHIFT: u32 = 33;

/// A matrix of a model, or a shard of one, row-major: `[rows×columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    rows: u64,
    columns: u64,
    id: Option<u64>,
    first_row: u64,
    first_column: u64,
}

impl Matrix {
    /// A whole matrix; its id becomes its position in the list.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self { rows: rows as u64, columns: columns as u64, id: None, first_row: 0, first_column: 0 }
    }

    /// Gives the matrix an id: the same in every run, and on every machine that holds a shard of it.
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes it a shard whose element 0 stands in this row and column of the whole matrix.
    pub fn first(mut self, row: u64, column: u64) -> Self {
        (self.first_row, self.first_column) = (row, column);
        self
    }
}

/// A matrix as a plan knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    pub(crate) id: u64,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) first_row: u64,
    pub(crate) first_column: u64,
}

impl Shard {
    pub(crate) fn length(&self) -> u64 {
        self.rows * self.columns
    }

    /// The matrix as memory.
    pub(crate) fn slot(&self) -> Slot {
        Slot { id: self.id, length: self.length(), first: 0, group: 0 }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: u64, more_a: u64, b: u64, more_b: u64| a < b + more_b && b < a + more_a;
        self.id == other.id
            && meet(self.first_row, self.rows, other.first_row, other.rows)
            && meet(self.first_column, self.columns, other.first_column, other.columns)
    }
}

/// One of the two factors of a noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    /// A, with a row for every row of the matrix.
    Left,
    /// B, with a row for every column of the matrix.
    Right,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        if self == Self::Left { Self::Right } else { Self::Left }
    }
}

/// A noise of low rank as the backends take it: its addresses but for the matrix, and the coefficient of `A·Bᵀ`.
#[derive(Clone, Copy)]
pub(crate) struct FactoredTerm {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// The step of B.
    pub(crate) right_step: u64,
    pub(crate) pair: u64,
    pub(crate) coefficient: f64,
}

impl FactoredTerm {
    /// The address of a factor. Errors: a pair of 2²⁰ or more; an id of 2³² or more.
    pub(crate) fn address(&self, side: Side, id: u64) -> Result<Address> {
        let step = if side == Side::Left { self.step } else { self.right_step };
        Address::new(Purpose::FACTORS, step, id, self.pair)
    }
}

/// The element at whose address the number of a row of a column of a factor is drawn.
pub(crate) fn element(side: Side, column: usize, row: u64) -> u64 {
    (2 * column as u64 + u64::from(side == Side::Right)) << SIDE_SHIFT | row
}

/// The matrices of a plan, and their noise.
pub(super) struct Factors {
    place: Place,
    pub(super) distribution: Distribution,
    pub(super) rank: usize,
    /// Steps for which B holds.
    hold: u64,
    shards: Vec<Shard>,
}

impl Factors {
    /// Errors: a rank that is not from 1 to 64; what a shard cannot be.
    pub(super) fn new(device: &Device, distribution: Distribution, rank: usize, matrices: &[Matrix]) -> Result<Self> {
        if !(1..=MOST_RANK).contains(&rank) {
            return Err(Error::setting("low-rank noise", format!("rank = {rank} is not between 1 and {MOST_RANK}")));
        }
        let mut shards: Vec<Shard> = Vec::with_capacity(matrices.len());
        for (position, &Matrix { rows, columns, id, first_row, first_column }) in matrices.iter().enumerate() {
            let shard = Shard { id: id.unwrap_or(position as u64), rows, columns, first_row, first_column };
            check_shard(&shard, &shards, position)?;
            shards.push(shard);
        }
        Ok(Self { place: device.place(), distribution, rank, hold: 1, shards })
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Errors: 0.
    pub(super) fn set_hold(&mut self, steps: u64) -> Result<()> {
        if steps == 0 {
            return Err(Error::setting("low-rank noise", "a factor holds for 0 steps".to_owned()));
        }
        self.hold = steps;
        Ok(())
    }

    /// All that the noise of a term depends on.
    pub(super) fn factored(&self, &Term { seed, step, pair, .. }: &Term, coefficient: f64) -> FactoredTerm {
        FactoredTerm { seed, step, right_step: step - step % self.hold, pair, coefficient }
    }

    /// Errors: views that are read that are not those of the matrices.
    pub(super) fn read<P: Scalar>(&self, all: &'static str, each: &str, views: &[View<'_, P>]) -> Result<()> {
        self.fits(all, each, views.iter().map(|view| (view.len(), view.place())))
    }

    /// Errors: views that are written that are not those of the matrices.
    pub(super) fn written<P: Scalar>(&self, all: &'static str, each: &str, views: &[ViewMut<'_, P>]) -> Result<()> {
        self.fits(all, each, views.iter().map(|view| (view.len(), view.place())))
    }

    fn fits(&self, all: &'static str, each: &str, views: impl ExactSizeIterator<Item = (usize, Place)>) -> Result<()> {
        count(all, views.len(), self.shards.len())?;
        for (position, (shard, (given, place))) in self.shards.iter().zip(views).enumerate() {
            let name = || format!("{each} {position}");
            length(given, shard.length(), || (name(), format!("matrix {position}")))?;
            same_place_as("the plan", name, place, self.place)?;
        }
        Ok(())
    }

    /// Products of rows, as many for each term, with the noises of a matrix: `x` and `y` are the lengths and the places of what is
    /// read and written. Errors: no such matrix; lengths or devices that do not fit.
    pub(super) fn product(
        &self,
        matrix: usize,
        inner_side: Side,
        terms: usize,
        (x, x_place): (usize, Place),
        (y, y_place): (usize, Place),
    ) -> Result<Multiplication> {
        let Some(shard) = self.shards.get(matrix) else {
            let message = format!("there is no matrix {matrix} among {}", self.shards.len());
            return Err(Error::setting("low-rank noise", message));
        };
        let terms = terms as u64;
        let of = Multiplication::of(shard, inner_side, 0);
        let rows = (x as u64).checked_div(terms * of.inner).unwrap_or(0);
        let of = Multiplication { rows, ..of };
        let groups = || format!("{rows} rows for each of {terms} terms");
        length(x, terms * rows * of.inner, || ("x".to_owned(), groups()))?;
        length(y, terms * rows * of.outer, || ("y".to_owned(), groups()))?;
        same_place_as("the plan", || "x".to_owned(), x_place, self.place)?;
        same_place_as("the plan", || "y".to_owned(), y_place, self.place)?;
        Ok(of)
    }
}

/// Errors: what a plan cannot have beside the shards before it.
fn check_shard(shard: &Shard, before: &[Shard], position: usize) -> Result<()> {
    Address::new(Purpose::FACTORS, 0, shard.id, 0)?;
    let sides = [("row", shard.first_row, shard.rows), ("column", shard.first_column, shard.columns)];
    for (what, first, count) in sides {
        let end = first.checked_add(count).filter(|end| *end <= 1 << SIDE_SHIFT);
        if end.is_none() {
            let message = format!(
                "matrix {position} reaches {what} {first} + {count}, beyond the {SIDE_SHIFT} bits of an address"
            );
            return Err(Error::setting("low-rank noise", message));
        }
    }
    if shard.rows.checked_mul(shard.columns).is_none() {
        return Err(Error::setting("low-rank noise", format!("matrix {position} has more elements than memory")));
    }
    match before.iter().position(|other| other.overlaps(shard)) {
        Some(other) => {
            let message =
                format!("matrices {other} and {position} hold the same elements of the matrix of id {}", shard.id);
            Err(Error::setting("low-rank noise", message))
        }
        None => Ok(()),
    }
}

/// Rows that are multiplied by noises of a matrix: `[terms·rows×inner]` to `[terms·rows×outer]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiplication {
    pub(crate) id: u64,
    /// Those of each term.
    pub(crate) rows: u64,
    /// The rows of the factor that is multiplied first, and of the other.
    pub(crate) inner: u64,
    pub(crate) outer: u64,
    /// Where these begin in the whole matrix.
    pub(crate) first_inner: u64,
    pub(crate) first_outer: u64,
    pub(crate) inner_side: Side,
}

impl Multiplication {
    /// Rows by the matrix, the inner side being `Left`, or by its transpose.
    fn of(shard: &Shard, inner_side: Side, rows: u64) -> Self {
        let Shard { id, rows: height, columns, first_row, first_column } = *shard;
        let [(inner, first_inner), (outer, first_outer)] = match inner_side {
            Side::Left => [(height, first_row), (columns, first_column)],
            Side::Right => [(columns, first_column), (height, first_row)],
        };
        Self { id, rows, inner, outer, first_inner, first_outer, inner_side }
    }
}

/// Looks for memory that is not aligned, or that is written and read.
pub(crate) fn check_multiplication<X: Scalar, Y: Scalar>(
    of: &Multiplication,
    terms: usize,
    x: u64,
    y: u64,
) -> Result<()> {
    let rows = terms as u64 * of.rows;
    check_spans(vec![
        Span::read::<X>("factor", 0, x, rows * of.inner),
        Span::written::<Y>("product", 0, y, rows * of.outer),
    ])
}
