mod arrays;
mod step;
mod tables;

pub(crate) use step::CudaBackend;
