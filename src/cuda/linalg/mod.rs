//! Linear algebra on CUDA: tables of matrices, and launches that take a whole ragged list.

mod eigh;
mod spd;
mod tables;

pub(crate) use eigh::CudaEigh;
pub(crate) use spd::CudaSpd;
