//! Evolution strategies on CUDA.

mod directions;
mod sample;
mod sep_cma;
mod shape;
mod sums;
mod tables;

pub(crate) use directions::CudaDirections;
pub(crate) use sample::CudaSample;
pub(crate) use sep_cma::CudaSepCma;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
