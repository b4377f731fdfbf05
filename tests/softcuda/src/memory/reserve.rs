//! Tables far larger than what is used of them: pages are zero, and cost nothing, until they are written.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Host pages, at the most.
const PAGE: usize = 1 << 16;

/// Integers of which all zero bits are a value and which may change behind a shared reference.
///
/// # Safety
/// The type must be valid for every bit pattern, have no destructor, and change only atomically.
pub(super) unsafe trait Atomic: Sync {}

// SAFETY: any four bytes are an AtomicU32, it has no destructor, and it changes only by atomic operations.
unsafe impl Atomic for AtomicU32 {}
// SAFETY: any eight bytes are an AtomicU64, it has no destructor, and it changes only by atomic operations.
unsafe impl Atomic for AtomicU64 {}

/// A slice of atomics in address space of its own, unmapped when dropped.
pub(super) struct Reserve<T: Atomic> {
    start: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
}

// SAFETY: a Reserve owns its mapping alone and hands out nothing but shared references to atomics, which are Sync.
unsafe impl<T: Atomic> Send for Reserve<T> {}
// SAFETY: as above.
unsafe impl<T: Atomic> Sync for Reserve<T> {}

impl<T: Atomic> Reserve<T> {
    /// `len` zeros. `None`: the host refuses that much address space.
    pub fn new(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>())?.max(1);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory there is.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        Some(Self { start: NonNull::new(start.cast())?, len, owns: PhantomData })
    }

    /// Asks the host for large pages, which are quicker to come by where most of them will be written.
    pub fn in_large_pages(self) -> Self {
        // SAFETY: the range is this mapping, whole; the advice changes nothing that can be read.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.len * size_of::<T>(), libc::MADV_HUGEPAGE) };
        self
    }

    /// Gives back the memory of the whole host pages within a range of elements. What was there is not zero for certain.
    pub fn give_back(&self, range: Range<usize>) {
        debug_assert!(range.end <= self.len);
        let start = (range.start * size_of::<T>()).next_multiple_of(PAGE);
        let end = range.end.min(self.len) * size_of::<T>() / PAGE * PAGE;
        if start < end {
            // SAFETY: the range lies in this mapping, which is page-aligned; its pages stay mapped and become zeros, to
            // another thread no different from atomic stores of zero.
            unsafe { libc::madvise(self.start.as_ptr().byte_add(start).cast(), end - start, libc::MADV_DONTNEED) };
        }
    }
}

impl<T: Atomic> Deref for Reserve<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping is `len` elements long, readable and writable until drop, aligned to a page, and every bit
        // pattern is a T.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Atomic> Drop for Reserve<T> {
    fn drop(&mut self) {
        // SAFETY: this is the mapping of `new`, whole; no reference into it outlives self.
        unsafe { libc::munmap(self.start.as_ptr().cast(), (self.len * size_of::<T>()).max(1)) };
    }
}
