//! The CPU twins of the kernels: the reference they are tested against, and what runs where there is no GPU.

pub(crate) mod noise;
pub(crate) mod optim;
