//! Addresses of views.

use cudarc::driver::{DevicePtr, DevicePtrMut, SyncOnDrop};

use crate::device::Cuda;
use crate::element::Element;
use crate::memory::{Read, View, ViewMut, Written};

/// The address of a view on the stream's device; the guards order the stream's work with that of other streams.
pub(super) fn read<'a, T: Element>(cuda: &'a Cuda, view: &'a View<'_, T>, guards: &mut Vec<SyncOnDrop<'a>>) -> u64 {
    match &view.0 {
        Read::Cuda(view) => guarded(view.device_ptr(cuda.stream()), guards),
        Read::Raw(span) => span.address,
        Read::Cpu(_) => unreachable!("ordinary memory used on CUDA"),
    }
}

/// The same for a view that is written.
pub(super) fn written<'a, T: Element>(
    cuda: &'a Cuda,
    view: &'a mut ViewMut<'_, T>,
    guards: &mut Vec<SyncOnDrop<'a>>,
) -> u64 {
    match &mut view.0 {
        Written::Cuda(view) => guarded(view.device_ptr_mut(cuda.stream()), guards),
        Written::Raw(span) => span.address,
        Written::Cpu(_) => unreachable!("ordinary memory used on CUDA"),
    }
}

fn guarded<'a>((address, guard): (u64, SyncOnDrop<'a>), guards: &mut Vec<SyncOnDrop<'a>>) -> u64 {
    guards.push(guard);
    address
}
