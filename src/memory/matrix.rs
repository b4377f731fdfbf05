use super::{View, ViewMut};
use crate::element::Element;
use crate::error::{ErrorKind, Result};

macro_rules! matrix {
    ($(#[$doc:meta])* $Matrix:ident, $View:ident) => {
        $(#[$doc])*
        ///
        /// Row after row: row i begins at element i·`stride`.
        #[derive(Debug)]
        pub struct $Matrix<'a, T: Element> {
            pub(crate) view: $View<'a, T>,
            rows: usize,
            columns: usize,
            stride: usize,
        }

        impl<'a, T: Element> $Matrix<'a, T> {
            /// The \[rows×columns\] elements at the beginning of a view, without gaps between the rows.
            ///
            /// Errors: the view is too short.
            pub fn new(view: impl Into<$View<'a, T>>, rows: usize, columns: usize) -> Result<Self> {
                Self::with_stride(view, rows, columns, columns)
            }

            /// The same with `stride` elements from the beginning of a row to that of the next.
            ///
            /// Errors: the view is too short, or the stride less than a row.
            pub fn with_stride(
                view: impl Into<$View<'a, T>>,
                rows: usize,
                columns: usize,
                stride: usize,
            ) -> Result<Self> {
                let view = view.into();
                check(view.len(), rows, columns, stride)?;
                Ok(Self { view, rows, columns, stride })
            }

            /// The number of rows.
            pub fn rows(&self) -> usize {
                self.rows
            }

            /// The number of columns.
            pub fn columns(&self) -> usize {
                self.columns
            }

            /// Elements from the beginning of a row to that of the next.
            pub fn stride(&self) -> usize {
                self.stride
            }
        }
    };
}

matrix! {
    /// A matrix that is read, in memory of a device.
    MatRef, View
}
matrix! {
    /// A matrix that is read and written, in memory of a device.
    MatMut, ViewMut
}

fn check(length: usize, rows: usize, columns: usize, stride: usize) -> Result<()> {
    let refused = |message| Err(ErrorKind::Matrix { rows, columns, message }.into());
    if stride < columns {
        return refused(format!("its rows are {stride} elements apart"));
    }
    let Some(needed) = span(rows, columns, stride) else {
        return refused(format!("rows {stride} elements apart are more than memory has addresses for"));
    };
    if length < needed {
        return refused(format!("rows {stride} elements apart need {needed} elements and there are {length}"));
    }
    Ok(())
}

/// Elements from the first to the last of a matrix.
pub(crate) fn span(rows: usize, columns: usize, stride: usize) -> Option<usize> {
    if rows == 0 { Some(0) } else { (rows - 1).checked_mul(stride)?.checked_add(columns) }
}
