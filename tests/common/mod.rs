//! What several test programs are built from; each uses a part of it.

#![allow(dead_code)]

pub mod data;
pub mod devices;
pub mod memory;
#[cfg(all(feature = "cuda", target_os = "linux"))]
pub mod software;
pub mod subjects;
