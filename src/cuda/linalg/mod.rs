//! Linear algebra on CUDA: tables of matrices, and launches that take a whole ragged list.

mod factor;
mod plan;
mod spd;
mod tables;
mod tiles;

pub(crate) use factor::CudaFactor;
pub(crate) use spd::CudaSpd;
