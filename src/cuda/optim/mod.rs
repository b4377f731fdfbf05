mod arrays;
mod ensemble;
mod step;
mod tables;

pub(crate) use ensemble::{CudaEnsemble, mean};
pub(crate) use step::CudaBackend;
