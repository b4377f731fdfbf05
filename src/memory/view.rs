use crate::device::Place;
use crate::element::Scalar;

#[cfg(feature = "cuda")]
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut, DeviceSlice};

/// Elements on a CUDA device that nobody but the maker of the view vouches for.
#[cfg(feature = "cuda")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceSpan {
    pub(crate) address: u64,
    pub(crate) length: usize,
    pub(crate) ordinal: usize,
}

#[derive(Debug)]
pub(crate) enum Read<'a, T> {
    Cpu(&'a [T]),
    #[cfg(feature = "cuda")]
    Cuda(CudaView<'a, T>),
    #[cfg(feature = "cuda")]
    Raw(DeviceSpan),
}

#[derive(Debug)]
pub(crate) enum Written<'a, T> {
    Cpu(&'a mut [T]),
    #[cfg(feature = "cuda")]
    Cuda(CudaViewMut<'a, T>),
    #[cfg(feature = "cuda")]
    Raw(DeviceSpan),
}

/// Elements of a device that are read: `&[T]`.
#[derive(Debug)]
pub struct View<'a, T: Scalar>(pub(crate) Read<'a, T>);

/// Elements of a device that are read and written: `&mut [T]`.
#[derive(Debug)]
pub struct ViewMut<'a, T: Scalar>(pub(crate) Written<'a, T>);

macro_rules! view {
    ($View:ident, $Access:ident) => {
        impl<T: Scalar> $View<'_, T> {
            /// The number of elements.
            pub fn len(&self) -> usize {
                match &self.0 {
                    $Access::Cpu(slice) => slice.len(),
                    #[cfg(feature = "cuda")]
                    $Access::Cuda(view) => view.len(),
                    #[cfg(feature = "cuda")]
                    $Access::Raw(span) => span.length,
                }
            }

            /// Whether there are no elements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            pub(crate) fn place(&self) -> Place {
                match &self.0 {
                    $Access::Cpu(_) => Place::Cpu,
                    #[cfg(feature = "cuda")]
                    $Access::Cuda(view) => Place::Cuda(view.stream().context().ordinal()),
                    #[cfg(feature = "cuda")]
                    $Access::Raw(span) => Place::Cuda(span.ordinal),
                }
            }
        }
    };
}

view!(View, Read);
view!(ViewMut, Written);

impl<'a, T: Scalar> From<&'a [T]> for View<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Self(Read::Cpu(slice))
    }
}

impl<'a, T: Scalar> From<&'a Vec<T>> for View<'a, T> {
    fn from(vec: &'a Vec<T>) -> Self {
        Self(Read::Cpu(vec))
    }
}

impl<'a, T: Scalar> From<&'a mut [T]> for ViewMut<'a, T> {
    fn from(slice: &'a mut [T]) -> Self {
        Self(Written::Cpu(slice))
    }
}

impl<'a, T: Scalar> From<&'a mut Vec<T>> for ViewMut<'a, T> {
    fn from(vec: &'a mut Vec<T>) -> Self {
        Self(Written::Cpu(vec))
    }
}

#[cfg(feature = "cuda")]
impl<'a, T: Scalar> From<CudaView<'a, T>> for View<'a, T> {
    fn from(view: CudaView<'a, T>) -> Self {
        Self(Read::Cuda(view))
    }
}

#[cfg(feature = "cuda")]
impl<'a, T: Scalar> From<&'a CudaSlice<T>> for View<'a, T> {
    fn from(slice: &'a CudaSlice<T>) -> Self {
        Self(Read::Cuda(slice.as_view()))
    }
}

#[cfg(feature = "cuda")]
impl<'a, T: Scalar> From<CudaViewMut<'a, T>> for ViewMut<'a, T> {
    fn from(view: CudaViewMut<'a, T>) -> Self {
        Self(Written::Cuda(view))
    }
}

#[cfg(feature = "cuda")]
impl<'a, T: Scalar> From<&'a mut CudaSlice<T>> for ViewMut<'a, T> {
    fn from(slice: &'a mut CudaSlice<T>) -> Self {
        Self(Written::Cuda(slice.as_view_mut()))
    }
}
