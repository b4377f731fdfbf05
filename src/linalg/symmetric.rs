use crate::device::Place;
use crate::element::Element;
use crate::error::{ErrorKind, Result};
use crate::memory::{MatRef, View};

/// A symmetric matrix \[order×order\] that is read, in memory of a device.
#[derive(Debug)]
pub struct Symmetric<'a, T: Element> {
    pub(crate) form: Form<'a, T>,
    /// The last row, where it does not stand with the others.
    pub(crate) border: Option<View<'a, T>>,
    core: usize,
}

/// How the matrix lies in memory; twin of the constants in `kernels/linalg/block.cuh`.
#[derive(Debug)]
pub(crate) enum Form<'a, T: Element> {
    Full(MatRef<'a, T>),
    Lower(MatRef<'a, T>),
    Packed(View<'a, T>),
}

impl<'a, T: Element> Symmetric<'a, T> {
    /// Both halves stand there; they are compared, and either may be computed with.
    ///
    /// Errors: the matrix is not square.
    pub fn full(matrix: MatRef<'a, T>) -> Result<Self> {
        let core = square(&matrix)?;
        Ok(Self { form: Form::Full(matrix), border: None, core })
    }

    /// What stands above the diagonal is not read.
    ///
    /// Errors: the matrix is not square.
    pub fn lower(matrix: MatRef<'a, T>) -> Result<Self> {
        let core = square(&matrix)?;
        Ok(Self { form: Form::Lower(matrix), border: None, core })
    }

    /// The lower half without gaps: row i is the i + 1 elements from element i·(i + 1)/2 on.
    ///
    /// Errors: the view has not order·(order + 1)/2 elements.
    pub fn packed(view: impl Into<View<'a, T>>, order: usize) -> Result<Self> {
        let view = view.into();
        let needed = order.checked_add(1).and_then(|next| order.checked_mul(next)).map(|twice| twice / 2);
        if needed != Some(view.len()) {
            let message = format!("packed it does not have {} elements", view.len());
            return Err(ErrorKind::Matrix { rows: order, columns: order, message }.into());
        }
        Ok(Self { form: Form::Packed(view), border: None, core: order })
    }

    /// The matrix with one row more, and one column: those of a bias, whose input is always 1. They are given apart so that the
    /// rows of the rest stay aligned.
    ///
    /// Errors: the row does not have order + 1 elements, or the matrix is bordered already.
    pub fn bordered(self, last_row: impl Into<View<'a, T>>) -> Result<Self> {
        let last_row = last_row.into();
        let refused = |message| ErrorKind::Matrix { rows: self.core, columns: self.core, message };
        if self.border.is_some() {
            return Err(refused("it is bordered already".to_owned()).into());
        }
        if last_row.len() != self.core + 1 {
            return Err(refused(format!("its border has {} elements", last_row.len())).into());
        }
        Ok(Self { border: Some(last_row), ..self })
    }

    /// The number of rows, the border's included.
    pub fn order(&self) -> usize {
        self.core + usize::from(self.border.is_some())
    }

    /// The number of rows without the border's.
    pub(crate) fn core(&self) -> usize {
        self.core
    }

    /// Where the elements lie, the border's last.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let core = match &self.form {
            Form::Full(matrix) | Form::Lower(matrix) => matrix.view.place(),
            Form::Packed(view) => view.place(),
        };
        [Some(core), self.border.as_ref().map(View::place)].into_iter().flatten()
    }
}

fn square<T: Element>(matrix: &MatRef<'_, T>) -> Result<usize> {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    if rows == columns {
        return Ok(rows);
    }
    Err(ErrorKind::Matrix { rows, columns, message: "it is not square".to_owned() }.into())
}
