//! Evolution strategies on the CPU.

mod perturb;

pub(crate) use perturb::CpuPerturb;
