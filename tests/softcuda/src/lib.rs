//! A CUDA driver in software.
//!
//! PTX goes through [`front`] (text to [`ir`]), [`valid`] (after it, execution cannot panic) and [`lower`] (registers to
//! slots), and runs in [`exec`], warp by warp, on [`memory`] with [`check`]s and [`count`]ers. [`machine`] ties them
//! together; [`driver`] speaks the driver API that cudarc calls.

// This documentation is read beside the source.
#![allow(rustdoc::private_intra_doc_links)]

pub mod check;
pub mod count;
pub mod driver;
pub mod exec;
pub mod front;
mod install;
pub mod ir;
mod launch;
pub mod lower;
pub mod machine;
pub mod memory;
pub mod opcodes;
pub mod valid;

pub use install::{Installed, install};
pub use launch::{Argument, LaunchError, launch};
