//! Views of device memory that only the caller vouches for.

use crate::element::Scalar;
use crate::memory::{DeviceSpan, Read, View, ViewMut, Written};

macro_rules! from_device_ptr {
    ($View:ident, $Access:ident) => {
        impl<T: Scalar> $View<'_, T> {
            /// Elements at an address of a CUDA device, for engines that own their memory.
            ///
            /// `address` is a device address (a `CUdeviceptr`); `ordinal` is the device's number.
            ///
            /// # Safety
            /// For the view's lifetime, which the caller chooses, `length` initialised elements must stand at `address`
            /// on that device. Whatever wrote them must be ordered before the work of the stream they are used on, and
            /// whatever touches them later after it. Nothing else may write them meanwhile, nor read them while a
            /// [`ViewMut`] of them stands.
            pub unsafe fn from_device_ptr(address: u64, length: usize, ordinal: usize) -> Self {
                Self($Access::Raw(DeviceSpan { address, length, ordinal }))
            }
        }
    };
}

from_device_ptr!(View, Read);
from_device_ptr!(ViewMut, Written);
