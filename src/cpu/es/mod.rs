//! Evolution strategies on the CPU.

mod low_rank;
mod multiply;
mod shape;
mod sums;

pub(crate) use low_rank::CpuLowRank;
pub(crate) use shape::CpuShape;
pub(crate) use sums::CpuSums;
