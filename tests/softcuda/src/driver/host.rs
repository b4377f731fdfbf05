//! Page-locked host memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use super::error::{Answer, Code};
use super::pointer::Out;
use super::queue::run_context;
use super::state::{Driver, Session, current};

/// Alignment of page-locked memory.
const PAGE: usize = 4096;

impl Driver {
    /// Whether all of a range is page-locked.
    pub fn is_pinned(&self, address: u64, bytes: usize) -> bool {
        let Some((&base, &size)) = self.pinned.range(..=address).next_back() else { return false };
        address - base + bytes as u64 <= size as u64
    }
}

fn layout(bytes: usize) -> Result<Layout, Code> {
    Layout::from_size_align(bytes, PAGE).map_err(|_| Code::OUT_OF_MEMORY)
}

/// The flags ask for what all host memory is here: portable, mapped, or write-combined for all that can be seen.
pub fn allocate(session: &mut Session, out: Out<u64>, bytes: usize, flags: u32) -> Answer {
    if bytes == 0 || flags > 7 {
        return Err(Code::INVALID_VALUE);
    }
    session.captures.refuse_unsafe()?;
    // SAFETY: the layout has a size that is not 0.
    let address = unsafe { alloc_zeroed(layout(bytes)?) } as u64;
    if address == 0 {
        return Err(Code::OUT_OF_MEMORY);
    }
    session.pinned.insert(address, bytes);
    out.set(address)
}

pub fn allocate_plain(session: &mut Session, out: Out<u64>, bytes: usize) -> Answer {
    allocate(session, out, bytes, 0)
}

/// Waits for the copies that may use it.
pub fn free(session: &mut Session, address: u64) -> Answer {
    if !session.pinned.contains_key(&address) {
        return Err(Code::INVALID_VALUE);
    }
    session.captures.refuse_unsafe()?;
    run_context(session, current());
    if let Some(bytes) = session.pinned.remove(&address) {
        // SAFETY: it was allocated above with this layout, and is no longer listed: it is freed once.
        unsafe { dealloc(address as *mut u8, layout(bytes)?) };
    }
    Ok(())
}
