//! Linear algebra by faer: one matrix a thread, or, of large matrices that are fewer than the threads, all threads a matrix.

mod basis;
mod eigenbasis;
mod eigh;
mod factor;
mod kron;
mod layer;
mod memory;
mod plan;
mod polar;
mod poly;
mod reduce;
mod root;
mod source;
mod spd;
mod square;
mod syrk;
mod warm;

pub(crate) use basis::CpuBasis;
pub(crate) use eigenbasis::CpuEigen;
pub(crate) use eigh::CpuEigh;
pub(crate) use factor::CpuFactor;
pub(crate) use kron::CpuKron;
pub(crate) use polar::CpuPolar;
pub(crate) use reduce::CpuReduce;
pub(crate) use root::CpuRoot;
pub(crate) use spd::CpuSpd;
pub(crate) use syrk::CpuSyrk;
