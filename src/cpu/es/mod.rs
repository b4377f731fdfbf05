//! Evolution strategies on the CPU.

mod directions;
mod lattice;
mod lattice_low_rank;
mod low_rank;
mod multiply;
mod sample;
mod sep_cma;
mod shape;
mod sums;

pub(crate) use directions::CpuDirections;
pub(crate) use lattice::CpuLattice;
pub(crate) use lattice_low_rank::CpuLatticeLowRank;
pub(crate) use low_rank::CpuLowRank;
pub(crate) use sample::CpuSample;
pub(crate) use sep_cma::CpuSepCma;
pub(crate) use shape::CpuShape;
pub(crate) use sums::CpuSums;
pub(super) use sums::DrawnSum;
