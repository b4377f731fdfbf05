//! Evolution strategies on CUDA.

mod sample;
mod shape;
mod sums;
mod tables;

pub(crate) use sample::CudaSample;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
