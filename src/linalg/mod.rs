//! Linear algebra on ragged lists of matrices, one call for all of them.
//!
//! * [`SpdInverse`]: damped inverses of symmetric positive-definite blocks of any sizes, with a [`Report`] for each.
//! * [`Eigh`]: eigendecompositions of symmetric matrices, with an [`EighReport`] for each.
//! * [`SyrkEma`]: moving averages of Gram matrices, which are such blocks.
//! * [`KronApply`]: the inverses of two blocks applied to the gradient of a layer.
//! * [`Symmetric`]: how such a block lies in memory: whole, its lower half, or packed.
//!
//! A call is deterministic: a block gets the same bits in any list and at any place of it, run after run. Devices agree within
//! rounding, not bit for bit: residuals are what they promise.
//!
//! On the CPU, faer does the arithmetic, blocks side by side on the threads of the current rayon pool. On CUDA, blocks of up to
//! 248 rows (124 of f64) are inverted in the registers of one thread block each, read once and written once; larger ones are cut
//! into tiles that all thread blocks share out. Eigendecompositions take a thread block a matrix, by
//! Jacobi's rotations. `kernels/README.md` describes these.

mod eigh;
mod kron;
mod report;
mod spd;
mod symmetric;
mod syrk;

use crate::error::{ErrorKind, Result};

pub(crate) use eigh::EighBackend;
pub use eigh::{Eigh, EighReport, EighSettings, EighStatus};
pub(crate) use kron::KronBackend;
pub use kron::{Inverses, KlClip, KronApply, LayerDirection, LayerGradient, Linear};
pub use report::{Report, Status};
pub use spd::{Block, SpdInverse, SpdSettings};
pub(crate) use spd::{Job, SpdBackend};
pub(crate) use symmetric::Form;
pub use symmetric::Symmetric;
pub use syrk::{Convolution, Gram, Inputs, SyrkEma};
pub(crate) use syrk::{From as RowsFrom, SyrkBackend, averaged};

/// The error of a call that does not fit its plan.
fn refuse<T>(what: String, message: String) -> Result<T> {
    Err(ErrorKind::Matrices { what, message }.into())
}
