//! Linear algebra on CUDA: tables of matrices, and launches that take a whole ragged list.

mod arguments;
mod eigenbasis;
mod eigh;
mod factor;
mod kron;
mod layer;
mod plan;
mod products;
mod spd;
mod syrk;
mod tables;
mod tiles;

pub(crate) use eigenbasis::CudaEigen;
pub(crate) use eigh::CudaEigh;
pub(crate) use factor::CudaFactor;
pub(crate) use kron::CudaKron;
pub(crate) use spd::CudaSpd;
pub(crate) use syrk::CudaSyrk;
