//! The software driver, one test at a time: what it counts and does wrong belongs to the whole process.

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, CudaStream};
use gradus::Device;
use gradus::device::Cuda;
use softcuda::Installed;
use softcuda::driver::StreamMode;
use softcuda::machine::Options;

/// The driver for one test, as a new process has it.
pub struct Alone {
    pub driver: Installed,
    _alone: MutexGuard<'static, ()>,
}

/// Waits for the other tests, and sets everything back. `None`, with the reason printed, on the system's driver.
pub fn alone() -> Option<Alone> {
    if env::var("GRADUS_DRIVER").is_ok_and(|driver| driver == "system") {
        println!("skipped: GRADUS_DRIVER=system, and only the software driver counts, injects errors and delays work");
        return None;
    }
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = softcuda::install();
    driver.reset();
    driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
    Some(Alone { driver, _alone: alone })
}

impl Alone {
    /// When streams execute from here on.
    pub fn streams(&self, mode: StreamMode) {
        self.driver.configure(Options::default(), "a100", mode);
    }
}

/// A stream of its own without cudarc's event tracking, as captures need it, and the device of it.
pub fn untracked() -> (Device, Arc<CudaStream>) {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the tests use one stream of the context, on which everything is in order.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().unwrap();
    (Device::Cuda(Cuda::from_stream(stream.clone()).unwrap()), stream)
}
