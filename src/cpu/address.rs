//! Views of ordinary memory.

use crate::backend::Bound;
use crate::element::{Element, Scalar};
use crate::memory::{Read, View, ViewMut, Written};

/// The elements of a view that the caller has checked to be in ordinary memory.
pub(super) fn host<'a, T: Scalar>(view: &'a View<'_, T>) -> &'a [T] {
    match &view.0 {
        Read::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        _ => unreachable!("a CUDA view used on the CPU"),
    }
}

/// The same of a view that is written.
pub(super) fn host_mut<'a, T: Scalar>(view: &'a mut ViewMut<'_, T>) -> &'a mut [T] {
    match &mut view.0 {
        Written::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        _ => unreachable!("a CUDA view used on the CPU"),
    }
}

/// Where the arguments of a step lie; `extras` are as many, or none.
pub(super) fn bounds<P: Element, G: Element>(
    parameters: &mut [ViewMut<'_, P>],
    gradients: &[Option<View<'_, G>>],
    extras: &[Option<View<'_, G>>],
) -> impl Iterator<Item = Bound> {
    let read = |view: &View<'_, G>| host(view).as_ptr().addr() as u64;
    parameters.iter_mut().zip(gradients).enumerate().map(move |(position, (parameter, gradient))| Bound {
        parameter: host_mut(parameter).as_ptr().addr() as u64,
        gradient: gradient.as_ref().map(read),
        extra: extras.get(position).and_then(Option::as_ref).map(read),
    })
}
