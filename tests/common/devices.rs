//! The devices that a test runs on: the only place where they are listed.

use std::sync::OnceLock;

use gradus::Device;
use gradus::device::{Cpu, SimdLevel};

/// Every device: the CPU with each of its instruction sets, then device 0 of the CUDA driver.
pub fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| cpus().iter().cloned().chain(cuda()).collect())
}

/// The CPU with each of its instruction sets.
pub fn cpus() -> &'static [Device] {
    static CPUS: OnceLock<Vec<Device>> = OnceLock::new();
    let cpu = |level| Device::Cpu(Cpu::with_simd(level).unwrap());
    CPUS.get_or_init(|| SimdLevel::available().into_iter().map(cpu).collect())
}

/// Device 0 of the software driver, or, with `GRADUS_DRIVER=system`, of the driver that is installed.
#[cfg(all(feature = "cuda", target_os = "linux"))]
fn cuda() -> Vec<Device> {
    match std::env::var("GRADUS_DRIVER").as_deref() {
        Err(_) => softcuda::install().tell_at_exit(),
        Ok("system") => {}
        Ok(other) => panic!("GRADUS_DRIVER={other} names no driver; known: system"),
    }
    vec![Device::cuda(0).unwrap_or_else(|error| panic!("{error}"))]
}

#[cfg(not(all(feature = "cuda", target_os = "linux")))]
fn cuda() -> Vec<Device> {
    Vec::new()
}
