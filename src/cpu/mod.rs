//! The CPU twins of the kernels: the reference they are tested against, and what runs where there is no GPU.

mod address;
pub(crate) mod es;
pub(crate) mod linalg;
pub(crate) mod lopt;
pub(crate) mod noise;
pub(crate) mod optim;
