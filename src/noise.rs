//! Memory of a device filled with the random numbers of [`rng`](crate::rng).

use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::error::{ErrorKind, Result};
use crate::memory::ViewMut;
use crate::rng::{Address, key};

/// Fills `out` with the standard normals of a tensor's elements from `first` on: [`rng::normal`](crate::rng::normal) of
/// each element's word.
///
/// The same bits on every device, whatever the parts in which a tensor is filled. One launch on CUDA, on the device's
/// stream; nothing is waited for. An element of type f64 has the same normal, widened: 32 bits decide a number of every
/// type.
///
/// Errors: `out` lies on another device; an element is beyond 2⁴⁰; memory that the caller vouched for is not aligned; the
/// driver refuses.
pub fn normals(device: &Device, seed: u64, address: &Address, first: u64, out: ViewMut<'_, f32>) -> Result<()> {
    if out.place() != device.place() {
        return Err(ErrorKind::WrongDevice {
            what: "the noise".to_owned(),
            given: out.place().to_string(),
            other: "the device that draws it".to_owned(),
            expected: device.place().to_string(),
        }
        .into());
    }
    address.covers(first, out.len() as u64)?;
    match device {
        Device::Cpu(cpu) => cpu::noise::normals(*cpu, key(seed), address, first, out),
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => cuda::noise::normals(cuda, seed, address, first, out)?,
    }
    Ok(())
}
