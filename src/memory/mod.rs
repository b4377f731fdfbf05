//! Memory of a device: [`Buffer`], [`View`] and [`ViewMut`] are to a device what `Vec`, `&[T]` and `&mut [T]` are to a
//! program.
//!
//! | Rust | gradus | cudarc |
//! |---|---|---|
//! | `Vec<T>` | [`Buffer<T>`](Buffer) | `CudaSlice<T>` |
//! | `&[T]` | [`View<'_, T>`](View) | `CudaView<'_, T>` |
//! | `&mut [T]` | [`ViewMut<'_, T>`](ViewMut) | `CudaViewMut<'_, T>` |
//!
//! Views are made without a copy from each of the other two columns, and with the feature `cuda` from a raw device
//! pointer (`from_device_ptr`). [`MatRef`] and [`MatMut`] are views with rows and columns.

mod buffer;
mod matrix;
mod view;

pub use buffer::Buffer;
pub(crate) use buffer::zeros;
#[cfg(feature = "cuda")]
pub(crate) use matrix::span;
pub use matrix::{MatMut, MatRef};
#[cfg(feature = "cuda")]
pub(crate) use view::DeviceSpan;
pub(crate) use view::{Read, Written};
pub use view::{View, ViewMut};
