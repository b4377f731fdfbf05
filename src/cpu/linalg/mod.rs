//! Linear algebra by faer: one matrix a thread, or, of large matrices that are fewer than the threads, all threads a matrix.

mod factor;
mod plan;
mod source;
mod spd;
mod square;

pub(crate) use factor::CpuFactor;
pub(crate) use spd::CpuSpd;
