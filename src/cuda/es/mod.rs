//! Evolution strategies on CUDA.

mod directions;
mod low_rank;
mod sample;
mod sep_cma;
mod shape;
mod sums;
mod tables;
mod terms;

pub(crate) use directions::CudaDirections;
pub(crate) use low_rank::CudaLowRank;
pub(crate) use sample::CudaSample;
pub(crate) use sep_cma::CudaSepCma;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
