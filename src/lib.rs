//! Optimizer kernels: every tensor of a model stepped in one fused launch on CUDA, with twins on the CPU that give the
//! same bits.
//!
//! * [`rules`]: the update rules, each a struct of settings with defaults.
//! * [`optim`]: [`Optimizer`](optim::Optimizer), which steps tensors by a rule, on a [`Device`].
//! * [`ensemble`]: optimizers of several copies of a model: replicas, agents, a walker around an anchor.
//! * [`kfac`]: K-FAC and FOOF: directions of linear layers from Kronecker factors.
//! * [`linalg`]: what it is made of: ragged lists of matrices: damped inverses and factors, moving averages of Gram
//!   matrices, eigendecompositions.
//! * [`es`]: evolution strategies: parameters perturbed by noise that is drawn where it is added.
//! * [`lopt`]: learned optimizers, a small network of which makes the step.
//! * [`rng`]: random numbers that are functions of an address, and [`noise`], which fills memory with them.
//! * [`Buffer`], [`View`], [`ViewMut`], [`MatRef`], [`MatMut`]: memory of a device, borrowed without a copy from slices and from cudarc.
//!
//! ```
//! use gradus::optim::{Optimizer, Tensor};
//! use gradus::rules::AdamW;
//! use gradus::{Buffer, Device};
//!
//! let device = Device::best(); // CUDA where there is one, else the CPU: the same bits
//! let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW { lr: 1e-3, ..AdamW::default() })?;
//! optimizer.add(Tensor::new(4))?;
//!
//! let mut weight = Buffer::from_slice(&device, &[0.1_f32, -0.2, 0.3, -0.4])?;
//! let gradient = Buffer::from_slice(&device, &[1.0_f32, 1.0, -1.0, -1.0])?;
//! optimizer.step(&mut [weight.view_mut()], &[Some(gradient.view())])?;
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! The numeric contract, the kernels and how to add a rule are described in `kernels/README.md`.
//!
//! Feature `cuda` (default): the CUDA backend. The driver is loaded at run time, so that it builds and runs, on the CPU,
//! where there is none.

#![deny(unsafe_code)]
#![deny(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod backend;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
pub mod element;
pub mod ensemble;
mod error;
pub mod es;
pub mod fmath;
pub mod kfac;
pub mod linalg;
pub mod lopt;
mod memory;
pub mod noise;
pub mod optim;
pub mod rng;
pub mod rules;
mod step;

pub use device::Device;
pub use error::{Error, ErrorKind, Result};
pub use memory::{Buffer, MatMut, MatRef, View, ViewMut};
