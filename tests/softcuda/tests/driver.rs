//! The driver, end to end: through cudarc, as gradus calls it.

#![allow(missing_docs)]

#[path = "driver/capture.rs"]
mod capture;
#[path = "driver/device.rs"]
mod device;
#[path = "driver/environment.rs"]
mod environment;
#[path = "driver/errors.rs"]
mod errors;
#[path = "shipped/files.rs"]
mod files;
#[path = "driver/kernels.rs"]
mod kernels;
#[path = "driver/streams.rs"]
mod streams;
#[path = "driver/support.rs"]
mod support;
#[path = "driver/symbols.rs"]
mod symbols;
