//! Linear algebra on CUDA: tables of matrices, and launches that take a whole ragged list.

mod kron;
mod factor;
mod plan;
mod products;
mod spd;
mod syrk;
mod tables;
mod tiles;

pub(crate) use kron::CudaKron;
pub(crate) use factor::CudaFactor;
pub(crate) use spd::CudaSpd;
pub(crate) use syrk::CudaSyrk;
