//! Evolution strategies on CUDA.

mod lattice;
mod shape;
mod sums;
mod tables;
mod terms;

pub(crate) use lattice::CudaLattice;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
pub(super) use terms::FEW;
