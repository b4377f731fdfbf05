//! Evolution strategies on the CPU.

mod lattice;
mod shape;
mod sums;

pub(crate) use lattice::CpuLattice;
pub(crate) use shape::CpuShape;
pub(crate) use sums::CpuSums;
