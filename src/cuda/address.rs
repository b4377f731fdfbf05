//! Addresses of views.

use cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut, SyncOnDrop};

use crate::backend::Bound;
use crate::device::Cuda;
use crate::element::{Element, Scalar};
use crate::memory::{Read, View, ViewMut, Written};

/// The address of a view on the stream's device; the guards order the stream's work with that of other streams.
pub(super) fn read<'a, T: Scalar>(cuda: &'a Cuda, view: &'a View<'_, T>, guards: &mut Vec<SyncOnDrop<'a>>) -> u64 {
    match &view.0 {
        Read::Cuda(view) => guarded(view.device_ptr(cuda.stream()), guards),
        Read::Raw(span) => span.address,
        Read::Cpu(_) => unreachable!("ordinary memory used on CUDA"),
    }
}

/// The same for a view that is written.
pub(super) fn written<'a, T: Scalar>(
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

/// The address of memory that no other stream uses.
pub(super) fn own<T>(cuda: &Cuda, memory: &CudaSlice<T>) -> u64 {
    memory.device_ptr(cuda.stream()).0
}

fn guarded<'a>((address, guard): (u64, SyncOnDrop<'a>), guards: &mut Vec<SyncOnDrop<'a>>) -> u64 {
    guards.push(guard);
    address
}

/// Where the arguments of a step lie; `extras` are as many, or none.
pub(super) fn bounds<'a, P: Element, G: Element>(
    cuda: &'a Cuda,
    parameters: &'a mut [ViewMut<'_, P>],
    gradients: &'a [Option<View<'_, G>>],
    extras: &'a [Option<View<'_, G>>],
    guards: &mut Vec<SyncOnDrop<'a>>,
) -> Vec<Bound> {
    let mut bounds = Vec::with_capacity(parameters.len());
    for (position, (parameter, gradient)) in parameters.iter_mut().zip(gradients).enumerate() {
        let parameter = written(cuda, parameter, guards);
        let gradient = gradient.as_ref().map(|view| read(cuda, view, guards));
        let extra = extras.get(position).and_then(Option::as_ref).map(|view| read(cuda, view, guards));
        bounds.push(Bound { parameter, gradient, extra });
    }
    bounds
}
