//! The project's kernels as a C++ compiler understands them: the same sources behind a header that stands for CUDA,
//! compiled for this machine, give the bits that their PTX gives in softcuda. So do three kernels whose threads wait for
//! each other.
//!
//! Without a C++ compiler (`CXX`, else `g++`) these tests say so and pass.

#![cfg(target_os = "linux")]

#[path = "host/barriers.rs"]
mod barriers;
#[path = "host/compiled.rs"]
mod compiled;
#[path = "host/conversions.rs"]
mod conversions;
#[path = "host/device.rs"]
mod device;
#[path = "host/rules.rs"]
mod rules;
#[path = "host/values.rs"]
mod values;
