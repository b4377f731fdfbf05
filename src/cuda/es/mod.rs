//! Evolution strategies on CUDA.

mod perturb;

pub(crate) use perturb::CudaPerturb;
