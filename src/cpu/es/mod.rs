//! Evolution strategies on the CPU.

mod sample;
mod shape;
mod sums;

pub(crate) use sample::CpuSample;
pub(crate) use shape::CpuShape;
pub(crate) use sums::CpuSums;
