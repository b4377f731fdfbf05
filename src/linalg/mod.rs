//! Linear algebra on ragged lists of matrices, one call for all of them.
//!
//! * [`SpdInverse`]: damped inverses of symmetric positive-definite blocks of any sizes, with a [`Report`] for each.
//! * [`Eigh`]: eigendecompositions of symmetric matrices, with an [`EighReport`] for each.
//! * [`BasisRefresh`]: steps of orthogonal iteration on eigenbases, of any order.
//! * [`SyrkEma`]: moving averages of Gram matrices, which are such blocks.
//! * [`KronApply`]: the inverses of two blocks applied to the gradient of a layer.
//! * [`EigenApply`]: a function of their eigenvalues, or of second moments in their eigenbases, applied to it.
//! * [`SpdFactor`]: their Cholesky factors, kept, and solutions for any numbers of right-hand sides.
//! * [`InverseRoot`]: inverse p-th roots of such blocks, as Shampoo needs them.
//! * [`PolarFactor`]: matrices made orthogonal by Newton-Schulz iterations, as Muon steps with them.
//! * [`Reductions`]: traces, inner products, norms and greatest eigenvalues.
//! * [`Symmetric`]: how such a block lies in memory: whole, its lower half, or packed.
//!
//! A call is deterministic: a block gets the same bits in any list and at any place of it, run after run. Devices agree within
//! rounding, not bit for bit: residuals are what they promise.
//!
//! On the CPU, faer does the arithmetic, blocks side by side on the threads of the current rayon pool. On CUDA, blocks of up to
//! 248 rows (124 of f64) are inverted in the registers of one thread block each, read once and written once; larger ones, and
//! all that are only factored, are cut into tiles that all thread blocks share out.
//! Eigendecompositions take a thread block a matrix, by Jacobi's rotations. `kernels/README.md` describes these.

mod basis;
mod blocks;
mod eigenbasis;
mod eigh;
mod factor;
mod fault;
mod kron;
mod layer;
mod polar;
mod reduce;
mod report;
mod root;
mod spd;
mod symmetric;
mod syrk;

pub(crate) use basis::BasisBackend;
pub use basis::BasisRefresh;
pub(crate) use blocks::Job;
pub use blocks::{Block, SpdSettings};
pub(crate) use eigenbasis::EigenBackend;
pub use eigenbasis::{EigenApply, EigenLayer, Eigenbases, Eigenbasis, Epilogue};
pub(crate) use eigh::EighBackend;
pub use eigh::{Eigh, EighReport, EighSettings, EighStatus};
pub(crate) use factor::FactorBackend;
pub use factor::SpdFactor;
pub use fault::Fault;
pub(crate) use kron::KronBackend;
pub use kron::{Inverses, KronApply};
pub use layer::{KlClip, LayerDirection, LayerGradient, Linear};
pub(crate) use polar::PolarBackend;
pub use polar::{PolarFactor, PolarNorm, PolarSettings};
pub(crate) use reduce::ReduceBackend;
pub use reduce::{Operand, Reduction, Reductions};
pub use report::{Report, Status};
pub use root::{InverseRoot, RootBlock, RootReport, RootSettings, RootStatus};
pub(crate) use root::{RootBackend, goes_on};
pub(crate) use spd::SpdBackend;
pub use spd::{SpdInverse, WarmStart};
pub(crate) use symmetric::Form;
pub use symmetric::Symmetric;
pub use syrk::{Convolution, Gram, Inputs, SyrkEma};
pub(crate) use syrk::{From as RowsFrom, SyrkBackend, averaged};
