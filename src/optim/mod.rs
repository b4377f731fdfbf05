//! The optimizer: groups of settings, tensors that belong to them, and the step.
//!
//! ```text
//! opt.step(&mut parameters, &gradients)
//!  ├─ check     counts, lengths, devices, overlap     → an error that names the tensor and both values; nothing is touched
//!  ├─ tick      for every tensor with a gradient: t += 1, Carry, Scalars
//!  └─ update    every chunk of every tensor: load → rule → store
//! ```
//!
//! On CUDA `tick` and `update` are one launch each, whatever the number of tensors and groups, on the caller's stream and
//! without waiting for the device. On the CPU the same chunks go through rayon, and the bits depend neither on the number
//! of threads nor on the instruction set.

pub(crate) mod check;
mod group;
mod optimizer;
mod state;
mod stepper;
mod tensor;

pub use group::Group;
pub use optimizer::Optimizer;
pub use state::{Array, State};
pub use stepper::Stepper;
pub(crate) use tensor::List;
pub use tensor::{Listed, Tensor};

pub use crate::step::{Average, Lookahead, Momentum, Schedule};
