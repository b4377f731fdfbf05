//! Which ranges of the device's addresses are allocated, and which were.

use std::collections::BTreeMap;

use crate::check::{AccessError, AccessErrorKind};

/// Bytes that the page table knows separately, and the least gap behind an allocation.
pub(super) const PAGE: u64 = 4096;
/// Allocations begin at an odd multiple of this.
pub(super) const ALIGN: u64 = 256;
/// Bytes of addresses that are given out, at the least, before freed ones come again: a use after free is told that long, and
/// the host's memory behind freed addresses, which small allocations do not give back, stays bounded.
const QUARANTINE: u64 = 64 << 20;
/// How far from an allocation an address is still told relative to it.
const NEAR: u64 = 1 << 30;

/// Ranges of addresses; nothing here touches memory.
pub(super) struct Heap {
    base: u64,
    end: u64,
    limit: u64,
    /// Where the next search begins.
    cursor: u64,
    /// Bytes of addresses given out since the cursor was last at the base.
    lap: u64,
    allocated: u64,
    /// Base and bytes.
    live: BTreeMap<u64, u64>,
    /// Freed ranges whose addresses were not given out again.
    freed: BTreeMap<u64, u64>,
}

/// What an address is near to.
struct Neighbour {
    base: u64,
    bytes: u64,
    freed: bool,
}

impl Heap {
    pub fn new(base: u64, end: u64, limit: u64) -> Self {
        Self { base, end, limit, cursor: base, lap: 0, allocated: 0, live: BTreeMap::new(), freed: BTreeMap::new() }
    }

    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    pub fn allocate(&mut self, bytes: u64) -> Option<u64> {
        if bytes > self.limit - self.allocated {
            return None;
        }
        if self.lap > QUARANTINE.max(self.allocated) {
            (self.cursor, self.lap) = (self.base, 0);
        }
        let base = match self.gap(self.cursor, self.end, bytes) {
            Some(base) => base,
            None => self.gap(self.base, self.end, bytes)?,
        };
        self.cursor = base + bytes + PAGE;
        self.lap += bytes + PAGE;
        self.allocated += bytes;
        let (from, to) = (base - ALIGN, base + bytes + PAGE);
        let overlapped = self.freed.range(..to).rev().take_while(|(start, bytes)| *start + (**bytes).max(1) > from);
        let overlapped: Vec<u64> = overlapped.map(|(start, _)| *start).collect();
        for start in overlapped {
            self.freed.remove(&start);
        }
        self.live.insert(base, bytes);
        Some(base)
    }

    /// A place for an allocation and the gap behind it, between two addresses.
    fn gap(&self, from: u64, to: u64, bytes: u64) -> Option<u64> {
        let mut base = place(from);
        // An allocation that begins before `from` may reach beyond it.
        if let Some((start, size)) = self.live.range(..=base).next_back() {
            base = base.max(place(start + size + PAGE));
        }
        loop {
            let end = base.checked_add(bytes)?.checked_add(PAGE)?;
            if end > to {
                return None;
            }
            match self.live.range(base..end).next() {
                None => return Some(base),
                Some((start, size)) => base = place(start + size + PAGE),
            }
        }
    }

    /// The size of what was freed.
    pub fn free(&mut self, address: u64) -> Result<u64, AccessError> {
        if let Some(bytes) = self.live.remove(&address) {
            self.allocated -= bytes;
            self.freed.insert(address, bytes);
            return Ok(bytes);
        }
        let (kind, detail) = match self.freed.get(&address) {
            Some(bytes) => {
                let detail = format!("the {bytes}-byte allocation at {address:#x}, freed before");
                (AccessErrorKind::UseAfterFree, detail)
            }
            None => (AccessErrorKind::NotAnAllocation, self.tell(address, 0)),
        };
        Err(AccessError { kind, address, bytes: 0, lane: None, other: None, detail })
    }

    /// The allocation whose bytes an address is one of; that begins there, if it has none.
    pub fn allocation(&self, address: u64) -> Option<(u64, u64)> {
        let (&base, &bytes) = self.live.range(..=address).next_back()?;
        (address - base < bytes || address == base).then_some((base, bytes))
    }

    /// Whether a range lies in one allocation.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        self.allocation(address).is_some_and(|(base, size)| bytes <= size - (address - base))
    }

    /// Why a range that no allocation holds cannot be touched.
    pub fn refuse(&self, address: u64, bytes: u64, lane: Option<u32>) -> AccessError {
        let freed = self.freed.range(..=address).next_back();
        let after_free = freed.is_some_and(|(base, size)| address - base < *size);
        let kind = if after_free { AccessErrorKind::UseAfterFree } else { AccessErrorKind::OutOfBounds };
        let bytes32 = u32::try_from(bytes).unwrap_or(u32::MAX);
        AccessError { kind, address, bytes: bytes32, lane, other: None, detail: self.tell(address, bytes) }
    }

    /// Where a range lies, in words.
    pub fn tell(&self, address: u64, bytes: u64) -> String {
        let below = |ranges: &BTreeMap<u64, u64>, freed| {
            let (&base, &bytes) = ranges.range(..=address).next_back()?;
            Some(Neighbour { base, bytes, freed })
        };
        let above = |ranges: &BTreeMap<u64, u64>, freed| {
            let (&base, &bytes) = ranges.range(address..).next()?;
            Some(Neighbour { base, bytes, freed })
        };
        let neighbours =
            [below(&self.live, false), below(&self.freed, true), above(&self.live, false), above(&self.freed, true)];
        // The first of the nearest: a live allocation goes before a freed one.
        let nearest = neighbours.into_iter().flatten().min_by_key(|neighbour| neighbour.distance(address));
        match nearest {
            Some(neighbour) if neighbour.distance(address) < NEAR => neighbour.tell(address, bytes),
            _ if address < PAGE => "a null pointer".to_owned(),
            _ if address < self.base || address >= self.end => "not an address of device memory".to_owned(),
            _ => "no allocation is near".to_owned(),
        }
    }
}

impl Neighbour {
    fn distance(&self, address: u64) -> u64 {
        if address < self.base { self.base - address } else { (address + 1).saturating_sub(self.base + self.bytes) }
    }

    fn tell(&self, address: u64, bytes: u64) -> String {
        let end = self.base + self.bytes;
        let mut text = if address < self.base {
            format!("{} bytes before ", self.base - address)
        } else if address > end {
            format!("{} bytes behind ", address - end)
        } else if address == end {
            "right behind ".to_owned()
        } else if bytes > end - address {
            format!("{} of {bytes} bytes behind ", bytes - (end - address))
        } else if address == self.base {
            "at the start of ".to_owned()
        } else {
            format!("{} bytes into ", address - self.base)
        };
        text += &format!("the {}-byte allocation at {:#x}", self.bytes, self.base);
        if self.freed {
            text += ", freed";
        }
        text
    }
}

/// The first address from one on at which an allocation may begin: aligned to [`ALIGN`] and no further.
fn place(address: u64) -> u64 {
    (address.max(ALIGN) - ALIGN).next_multiple_of(PAGE) + ALIGN
}
