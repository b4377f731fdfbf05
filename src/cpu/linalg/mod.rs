//! Linear algebra by faer: one matrix a thread, or, of large matrices that are fewer than the threads, all threads a matrix.

mod spd;
mod square;

pub(crate) use spd::CpuSpd;
