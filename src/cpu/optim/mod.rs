mod drawn;
mod ensemble;
mod one_pass;
mod step;

pub(crate) use ensemble::{CpuEnsemble, Loops, mean};
pub(crate) use step::CpuBackend;
