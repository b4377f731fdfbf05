mod one_pass;
mod step;

pub(crate) use step::CpuBackend;
