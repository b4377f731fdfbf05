//! Evolution strategies on the CPU.

mod shape;
mod sums;

pub(crate) use shape::CpuShape;
pub(crate) use sums::CpuSums;
