//! Evolution strategies on CUDA.

mod shape;
mod sums;

pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
