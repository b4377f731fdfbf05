//! Views of ordinary memory as slices.

use crate::element::Element;
use crate::memory::{Read, View, ViewMut, Written};

pub(super) fn slice<'a, T: Element>(view: &'a View<'_, T>) -> &'a [T] {
    match &view.0 {
        Read::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        Read::Cuda(_) | Read::Raw(_) => unreachable!("memory of a CUDA device used on the CPU"),
    }
}

pub(super) fn slice_mut<'a, T: Element>(view: &'a mut ViewMut<'_, T>) -> &'a mut [T] {
    match &mut view.0 {
        Written::Cpu(slice) => slice,
        #[cfg(feature = "cuda")]
        Written::Cuda(_) | Written::Raw(_) => unreachable!("memory of a CUDA device used on the CPU"),
    }
}
