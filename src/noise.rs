//! Memory of a device filled with the random numbers of [`rng`](crate::rng).

use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::error::Result;
use crate::memory::ViewMut;
use crate::optim::check::same_place_as;
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
    same_place_as("the device that draws it", || "the noise".to_owned(), out.place(), device.place())?;
    address.covers(first, out.len() as u64)?;
    match device {
        Device::Cpu(cpu) => cpu::noise::normals(*cpu, key(seed), address, first, out),
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => cuda::noise::normals(cuda, seed, address, first, out)?,
    }
    Ok(())
}
