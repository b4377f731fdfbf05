//! Linear algebra by faer: one matrix a thread, or, of large matrices that are fewer than the threads, all threads a matrix.

mod eigh;
mod source;
mod spd;
mod square;

pub(crate) use eigh::CpuEigh;
pub(crate) use spd::CpuSpd;
