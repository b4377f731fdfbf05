//! Linear algebra on CUDA: tables of matrices, and launches that take a whole ragged list.

mod arguments;
mod basis;
mod eigenbasis;
mod eigh;
mod factor;
mod kron;
mod layer;
mod plan;
mod polar;
mod poly;
mod products;
mod reduce;
mod root;
mod spd;
mod syrk;
mod tables;
mod tiles;
mod warm;

pub(crate) use basis::CudaBasis;
pub(crate) use eigenbasis::CudaEigen;
pub(crate) use eigh::CudaEigh;
pub(crate) use factor::CudaFactor;
pub(crate) use kron::CudaKron;
pub(crate) use polar::CudaPolar;
pub(crate) use reduce::CudaReduce;
pub(crate) use root::CudaRoot;
pub(crate) use spd::CudaSpd;
pub(crate) use syrk::CudaSyrk;
