//! Random numbers that are pure functions of an address: philox4x32-10(counter = [`Address`] and element, key = seed).
//!
//! A number depends neither on a launch, a device, a sharding, a number of threads nor on any number drawn before it, and
//! the CPU and CUDA give the same bits. [`noise`](crate::noise) fills memory of a device with them.

mod address;
mod batch;
mod distribution;
#[cfg(test)]
mod exhaustive;
mod normal;
mod philox;

pub(crate) use address::BLOCK;
pub use address::{Address, Purpose, key};
pub(crate) use batch::{BATCH, Draws, Normals, Rows, Signs, Uniforms};
pub use distribution::{Distribution, uniform};
pub use normal::normal;
pub use philox::philox4x32;
