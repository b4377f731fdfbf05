//! Allocations of device memory, and copies between it and the host.

use bytemuck::Zeroable;
use cudarc::driver::sys::CUstreamCaptureStatus;
use cudarc::driver::{CudaSlice, DeviceRepr, ValidAsZeroBits};

use crate::device::Cuda;
use crate::error::{ErrorKind, Result};

pub(super) fn zeros<T: DeviceRepr + ValidAsZeroBits>(cuda: &Cuda, length: usize) -> Result<CudaSlice<T>> {
    cuda.explain(cuda.stream().alloc_zeros(length), || format!("allocation of {} bytes", length * size_of::<T>()))
}

pub(super) fn upload<T: DeviceRepr>(cuda: &Cuda, from: &[T], to: &mut CudaSlice<T>, start: usize) -> Result<()> {
    if from.is_empty() {
        return Ok(());
    }
    let mut to = to.slice_mut(start..start + from.len());
    cuda.explain(cuda.stream().memcpy_htod(from, &mut to), || format!("upload of {} bytes", size_of_val(from)))
}

/// A table of at least one word.
pub(super) fn uploaded(cuda: &Cuda, words: &[u64]) -> Result<CudaSlice<u64>> {
    let mut table = zeros(cuda, words.len().max(1))?;
    upload(cuda, words, &mut table, 0)?;
    Ok(table)
}

/// A table on the device that holds from call to call, until a word of it changes.
pub(super) struct Table {
    pub(super) memory: CudaSlice<u64>,
    /// As it was uploaded last.
    words: Vec<u64>,
}

impl Table {
    /// Room for so many words, at least one.
    pub(super) fn new(cuda: &Cuda, room: usize) -> Result<Self> {
        Ok(Self { memory: zeros(cuda, room.max(1))?, words: Vec::new() })
    }

    /// Makes the words those of the next launch. Errors: they differ while the stream is being captured, for `reason`.
    pub(super) fn hold(&mut self, cuda: &Cuda, words: Vec<u64>, reason: &'static str) -> Result<()> {
        if words == self.words {
            return Ok(());
        }
        not_capturing(cuda, reason)?;
        // Should the upload fail halfway, no words are those on the device.
        self.words.clear();
        upload(cuda, &words, &mut self.memory, 0)?;
        self.words = words;
        Ok(())
    }
}

/// Errors while the stream is being captured: what is uploaded then would not be uploaded again by a replay.
pub(super) fn not_capturing(cuda: &Cuda, reason: &'static str) -> Result<()> {
    let status = cuda.explain(cuda.stream().capture_status(), || "query of the stream's capture".to_owned())?;
    if status == CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE {
        return Ok(());
    }
    Err(ErrorKind::StaleCapture { ordinal: cuda.ordinal(), reason }.into())
}

/// Waits for the stream.
pub(super) fn download<T: DeviceRepr + Zeroable + Clone>(
    cuda: &Cuda,
    from: &CudaSlice<T>,
    start: usize,
    length: usize,
) -> Result<Vec<T>> {
    let mut to = vec![T::zeroed(); length];
    if length > 0 {
        let from = from.slice(start..start + length);
        let copied = cuda.stream().memcpy_dtoh(&from, &mut to).and_then(|()| cuda.stream().synchronize());
        cuda.explain(copied, || format!("download of {} bytes", length * size_of::<T>()))?;
    }
    Ok(to)
}
