//! Linear algebra by faer: one matrix a thread, or, of large matrices that are fewer than the threads, all threads a matrix.

mod eigenbasis;
mod eigh;
mod factor;
mod kron;
mod layer;
mod memory;
mod plan;
mod source;
mod spd;
mod square;
mod syrk;

pub(crate) use eigenbasis::CpuEigen;
pub(crate) use eigh::CpuEigh;
pub(crate) use factor::CpuFactor;
pub(crate) use kron::CpuKron;
pub(crate) use spd::CpuSpd;
pub(crate) use syrk::CpuSyrk;
