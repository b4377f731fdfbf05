//! Evolution strategies on CUDA.

mod low_rank;
mod shape;
mod sums;
mod terms;

pub(crate) use low_rank::CudaLowRank;
pub(crate) use shape::CudaShape;
pub(crate) use sums::CudaSums;
