//! Optimizers of several copies of a model: replicas that attract each other, agents that mix what they know, a walker
//! around an anchor.
//!
//! | method | copies | paper |
//! |---|---|---|
//! | [`ReplicatedSgd`] | replicas, each pulled to their mean | Pittorino et al. 2021 |
//! | [`GtAdam`] | agents, which mix parameters and gradient trackers with their neighbours | Carnevale et al. 2020 |
//! | [`EntropySgd`] | a walker around an anchor, which follows the walker's mean | Chaudhari et al. 2017 |
//!
//! A rule of [`rules`](crate::rules) sees one element; here the same element of every copy goes into an update. [`Ensemble`]
//! steps a method's copies as [`Optimizer`](crate::optim::Optimizer) steps tensors by a rule:
//!
//! ```text
//! ensemble.step(&mut parameters, &gradients)       parameters of copy 0, of copy 1, ...; gradients likewise
//!  ├─ check     counts, lengths, devices, overlap   → an error that names the place and both values; nothing is touched
//!  └─ update    t += 1, scalars, then every chunk of every tensor: load each copy → method → store each copy
//! ```
//!
//! On CUDA a step is one launch, whatever the number of tensors and copies, on the caller's stream and without waiting for
//! the device; on the CPU the same chunks go through rayon. Both give the same bits.

#[allow(clippy::module_inception, reason = "it is what the module is named for")]
mod ensemble;
pub mod entropy_sgd;
pub mod gt_adam;
mod method;
mod mixing;
pub mod replicated_sgd;
mod saved;

pub use ensemble::Ensemble;
pub use entropy_sgd::EntropySgd;
pub use gt_adam::{GtAdam, Start};
pub use method::Method;
pub(crate) use method::{Backend, Saved};
pub use mixing::Mixing;
pub use replicated_sgd::ReplicatedSgd;
