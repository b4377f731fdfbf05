use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::DEVICE_BASE;
use super::heap::{ALIGN, Heap, PAGE};
use super::race::RaceShadow;
use super::record::Blocks;
use super::reserve::Reserve;
use super::words;
use crate::check::{AccessError, AccessErrorKind};

/// Addresses set aside where the host allows it.
const RESERVE: u64 = 64 << 30;
/// The least that is tried.
const LEAST_RESERVE: u64 = 64 << 20;
/// What fresh memory is filled with.
const FRESH: u8 = 0xCD;
/// Bytes that host copies move at a time.
const CHUNK: usize = 4096;

/// The memory of a device. Shared by host threads; every method takes `&self`.
pub struct DeviceMemory {
    pub(super) heap: Mutex<Heap>,
    /// Of each page, which bytes are allocated: the first, and the end in the upper half. No page has two allocations.
    pages: Reserve<AtomicU32>,
    pub(super) data: Reserve<AtomicU32>,
    /// A bit a byte: it was written.
    pub(super) init: Reserve<AtomicU64>,
    /// Eight bytes are two words: strong accesses of eight and more hold this.
    pub(super) wide: Mutex<()>,
    pub(super) blocks: Blocks,
    /// Shadows that no launch uses now.
    shadows: Mutex<Vec<Arc<RaceShadow>>>,
}

/// The lock of data that no panic can leave half changed.
#[inline]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeviceMemory {
    /// A device of which `limit` bytes can be allocated at a time.
    ///
    /// # Panics
    /// If the host refuses address space.
    pub fn new(limit: u64) -> Self {
        Self::with_reserve(limit, RESERVE)
    }

    /// The same with a range of addresses of a given size, which wraps when it is used up; less if the host refuses it.
    ///
    /// # Panics
    /// If the host refuses address space.
    pub fn with_reserve(limit: u64, reserve: u64) -> Self {
        let mut reserve = reserve.next_multiple_of(PAGE);
        loop {
            if let Some(memory) = Self::try_new(limit, reserve) {
                return memory;
            }
            reserve = (reserve / 2).next_multiple_of(PAGE);
            assert!(reserve >= LEAST_RESERVE, "the host refuses {reserve} bytes of address space");
        }
    }

    fn try_new(limit: u64, reserve: u64) -> Option<Self> {
        let bytes = usize::try_from(reserve).ok()?;
        Some(Self {
            heap: Mutex::new(Heap::new(DEVICE_BASE, DEVICE_BASE + reserve, limit)),
            pages: Reserve::new(bytes / PAGE as usize)?,
            data: Reserve::new(bytes / 4)?.in_large_pages(),
            init: Reserve::new(bytes / 64)?,
            wide: Mutex::new(()),
            blocks: Blocks::new()?,
            shadows: Mutex::new(vec![Arc::new(RaceShadow::new(bytes)?)]),
        })
    }

    /// At least `bytes` bytes at a multiple of 256 (and of no higher power of two), filled with 0xCD and not initialised.
    /// `None`: out of memory.
    pub fn allocate(&self, bytes: u64) -> Option<u64> {
        let mut heap = lock(&self.heap);
        let address = heap.allocate(bytes)?;
        debug_assert!(address.is_multiple_of(ALIGN));
        let (start, end) = self.range(address, bytes);
        words::fill(&self.data, start, end, [FRESH; 4]);
        words::clear(&self.init, start, end);
        self.set_pages(start, end, true);
        Some(address)
    }

    /// Errors: no allocation begins there, or it was freed before.
    pub fn free(&self, address: u64) -> Result<(), AccessError> {
        let mut heap = lock(&self.heap);
        let bytes = heap.free(address)?;
        let (start, end) = self.range(address, bytes);
        self.set_pages(start, end, false);
        self.data.give_back(start / 4..end / 4);
        self.init.give_back(start / 64..end / 64);
        Ok(())
    }

    /// Base address and size of the allocation that holds an address.
    pub fn allocation(&self, address: u64) -> Option<(u64, u64)> {
        lock(&self.heap).allocation(address)
    }

    /// Bytes allocated now.
    pub fn allocated_bytes(&self) -> u64 {
        lock(&self.heap).allocated()
    }

    /// A copy from the host; it initialises what it writes.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), AccessError> {
        let (start, end) = self.checked(address, bytes.len() as u64)?;
        words::write(&self.data, start, bytes);
        words::set(&self.init, start, end);
        Ok(())
    }

    /// A copy to the host. Reading what is not initialised is allowed here.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), AccessError> {
        let (start, _) = self.checked(address, bytes.len() as u64)?;
        words::read(&self.data, start, bytes);
        Ok(())
    }

    /// A copy on the device; the ranges may overlap. Bytes are initialised afterwards where their sources were.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), AccessError> {
        let (from, _) = self.checked(from, bytes)?;
        let (to, _) = self.checked(to, bytes)?;
        let bytes = bytes as usize;
        let chunks = bytes.div_ceil(CHUNK);
        for chunk in 0..chunks {
            // Away from the overlap: from the end if the target lies above.
            let chunk = if to > from { chunks - 1 - chunk } else { chunk };
            let start = chunk * CHUNK;
            self.copy_chunk(to + start, from + start, CHUNK.min(bytes - start));
        }
        Ok(())
    }

    fn copy_chunk(&self, to: usize, from: usize, len: usize) {
        let mut bytes = [0; CHUNK];
        words::read(&self.data, from, &mut bytes[..len]);
        let whole = words::first_zero(&self.init, from, from + len).is_none();
        let mut initialised = [true; CHUNK];
        if !whole {
            for (index, initialised) in initialised[..len].iter_mut().enumerate() {
                *initialised = words::first_zero(&self.init, from + index, from + index + 1).is_none();
            }
        }
        words::write(&self.data, to, &bytes[..len]);
        if whole {
            return words::set(&self.init, to, to + len);
        }
        for (index, initialised) in initialised[..len].iter().enumerate() {
            let change = if *initialised { words::set } else { words::clear };
            change(&self.init, to + index, to + index + 1);
        }
    }

    /// Fills with `count` times a pattern of 1, 2 or 4 bytes, aligned to its size; initialises.
    ///
    /// # Panics
    /// If the pattern has another size.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), AccessError> {
        let word = match *pattern {
            [a] => [a; 4],
            [a, b] => [a, b, a, b],
            [a, b, c, d] => [a, b, c, d],
            _ => panic!("a pattern of {} bytes", pattern.len()),
        };
        let bytes = count.saturating_mul(pattern.len() as u64);
        if !address.is_multiple_of(pattern.len() as u64) {
            let detail = format!("not a multiple of {}", pattern.len());
            let kind = AccessErrorKind::Misaligned;
            return Err(AccessError { kind, address, bytes: pattern.len() as u32, lane: None, other: None, detail });
        }
        let (start, end) = self.checked(address, bytes)?;
        words::fill(&self.data, start, end, word);
        words::set(&self.init, start, end);
        Ok(())
    }

    /// Whether every byte of a range was written since it was allocated; `false` also outside of allocations.
    pub fn initialised(&self, address: u64, bytes: u64) -> bool {
        self.checked(address, bytes).is_ok_and(|(start, end)| words::first_zero(&self.init, start, end).is_none())
    }

    /// Where in words, in one sentence without a verb, a range lies: "8 bytes behind the 64-byte allocation at 0x...".
    pub fn tell(&self, address: u64, bytes: u64) -> String {
        lock(&self.heap).tell(address, bytes)
    }

    /// Whether an allocation holds a range of at most a page. Its place in the tables.
    #[inline]
    pub(super) fn find(&self, address: u64, bytes: u32) -> Option<usize> {
        let offset = address.wrapping_sub(DEVICE_BASE);
        let page = (offset / PAGE) as usize;
        let (low, high) = unpack(self.pages.get(page)?.load(Relaxed));
        let (start, end) = ((offset % PAGE) as u32, (offset % PAGE) as u32 + bytes);
        let held = start >= low
            && (end <= high
                || high == PAGE as u32
                    && start < high
                    && self.pages.get(page + 1).is_some_and(|next| {
                        let (low, high) = unpack(next.load(Relaxed));
                        low == 0 && end - PAGE as u32 <= high
                    }));
        held.then_some(offset as usize)
    }

    /// Offsets of an allocated range in the tables.
    fn checked(&self, address: u64, bytes: u64) -> Result<(usize, usize), AccessError> {
        let heap = lock(&self.heap);
        if bytes == 0 {
            return Ok((0, 0));
        }
        if heap.holds(address, bytes) { Ok(self.range(address, bytes)) } else { Err(heap.refuse(address, bytes, None)) }
    }

    fn range(&self, address: u64, bytes: u64) -> (usize, usize) {
        let start = (address - DEVICE_BASE) as usize;
        (start, start + bytes as usize)
    }

    fn set_pages(&self, start: usize, end: usize, allocated: bool) {
        let size = PAGE as usize;
        for page in start / size..end.div_ceil(size) {
            let (low, high) = (start.saturating_sub(page * size), (end - page * size).min(size));
            self.pages[page].store(if allocated { (low | high << 16) as u32 } else { 0 }, Relaxed);
        }
    }

    /// A shadow for one launch; [`Self::return_shadow`] takes it back.
    pub(super) fn lend_shadow(&self) -> Arc<RaceShadow> {
        let free = lock(&self.shadows).pop();
        free.unwrap_or_else(|| {
            let shadow = RaceShadow::new(self.data.len() * 4);
            Arc::new(shadow.expect("the host refuses address space for one more launch at a time"))
        })
    }

    pub(super) fn return_shadow(&self, shadow: Arc<RaceShadow>) {
        lock(&self.shadows).push(shadow);
    }
}

#[inline]
fn unpack(page: u32) -> (u32, u32) {
    (page & 0xffff, page >> 16)
}
