//! Who touched a word of global memory, in eight bytes; the numbers of blocks; what atomics order.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{PoisonError, RwLock};

use fnv::FnvHashMap;

use super::reserve::Reserve;
use crate::check::Toucher;

/// How memory is touched. Strong accesses (atomics; volatile, relaxed, acquire and release) do not race with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Read,
    Write,
    Atomic,
    StrongRead,
}

impl Touch {
    #[inline]
    fn writes(self) -> bool {
        matches!(self, Touch::Write | Touch::Atomic)
    }

    #[inline]
    fn is_strong(self) -> bool {
        matches!(self, Touch::Atomic | Touch::StrongRead)
    }
}

/// An access of one block; 0 is none. From the lowest bit: block 20, line 19, thread 10, touch 2, low 4, releases 9.
///
/// `low` has two readings. In the record of a word: which of its four bytes. In the record of a segment, all of whose bytes
/// were touched by adjacent lanes: log2 of the bytes a lane touches; `thread` then is that of the first byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record(pub u64);

const BLOCK: u32 = 20;
const LINE: u32 = 19;
const LOW_SHIFT: u32 = BLOCK + LINE + 12;
const RELEASES: u32 = 9;
/// The number of releases of a block, and the line, stay at their highest values when they get there.
pub(super) const MAX_RELEASES: usize = (1 << RELEASES) - 1;
const MAX_LINE: u32 = (1 << LINE) - 1;

impl Record {
    pub const NONE: Self = Self(0);

    #[inline]
    pub fn new(block: u32, line: u32, thread: u32, touch: Touch, releases: usize) -> Self {
        let line = u64::from(line.min(MAX_LINE));
        let releases = releases.min(MAX_RELEASES) as u64;
        Self(
            u64::from(block)
                | line << BLOCK
                | u64::from(thread & 1023) << (BLOCK + LINE)
                | (touch as u64) << (BLOCK + LINE + 10)
                | releases << (64 - RELEASES),
        )
    }

    /// The same access by the thread `lanes` further on, with another `low`.
    #[inline]
    pub fn at(self, lanes: u32, low: u32) -> Self {
        let thread = u64::from(lanes) << (BLOCK + LINE);
        Self(((self.0 & !(15 << LOW_SHIFT)) + thread) | u64::from(low) << LOW_SHIFT)
    }

    #[inline]
    pub fn block(self) -> u32 {
        self.0 as u32 & ((1 << BLOCK) - 1)
    }

    #[inline]
    pub fn touch(self) -> Touch {
        match self.0 >> (BLOCK + LINE + 10) & 3 {
            0 => Touch::Read,
            1 => Touch::Write,
            2 => Touch::Atomic,
            _ => Touch::StrongRead,
        }
    }

    #[inline]
    pub fn low(self) -> u32 {
        (self.0 >> LOW_SHIFT) as u32 & 15
    }

    #[inline]
    pub fn releases(self) -> usize {
        (self.0 >> (64 - RELEASES)) as usize
    }

    #[inline]
    pub fn is_weak_read(self) -> bool {
        self != Self::NONE && self.touch() == Touch::Read
    }

    /// Whether this access is strong and the other is not: atomics of other blocks race with the other alone.
    #[inline]
    pub fn is_exempt_beyond(self, other: Self) -> bool {
        self.touch().is_strong() && !other.touch().is_strong()
    }

    /// Whether the accesses, to the same byte and not ordered, race.
    #[inline]
    pub fn races(self, other: Self) -> bool {
        let (a, b) = (self.touch(), other.touch());
        self.block() != other.block() && (a.writes() || b.writes()) && !(a.is_strong() && b.is_strong())
    }

    /// One record for two accesses of a word that differ in their bytes alone, perhaps also in the lane.
    pub fn merged(self, other: Self) -> Option<Self> {
        let lane_and_low = 15 << LOW_SHIFT | 31 << (BLOCK + LINE);
        (self != Self::NONE && (self.0 ^ other.0) & !lane_and_low == 0)
            .then_some(Self(self.0 | u64::from(other.low()) << LOW_SHIFT))
    }

    pub fn toucher(self, blocks: &Blocks) -> Toucher {
        Toucher {
            line: (self.0 >> BLOCK) as u32 & MAX_LINE,
            block: blocks.coordinates(self.block()),
            thread: (self.0 >> (BLOCK + LINE)) as u32 & 1023,
            wrote: self.touch().writes(),
        }
    }
}

/// Numbers for blocks by their coordinates; they hold for every launch.
pub(super) struct Blocks {
    /// Packed coordinates plus 1; 0 is free.
    slots: Reserve<AtomicU64>,
}

/// Places after the first that are tried for a block.
const PROBES: usize = 64;

impl Blocks {
    pub fn new() -> Option<Self> {
        Some(Self { slots: Reserve::new(1 << BLOCK)? })
    }

    /// The number of a block, not 0. `None`: there is no room, and races of this block are not seen.
    #[inline]
    pub fn number(&self, block: [u32; 3]) -> Option<u32> {
        let [x, y, z] = block.map(u64::from);
        let packed = (x | y << 31 | z << 47) + 1;
        let first = x.wrapping_add(y.wrapping_mul(0x9_e377)).wrapping_add(z.wrapping_mul(0x3_5f1d)) as usize + 1;
        // The last number would make a record of all ones.
        for number in
            (first..first + PROBES).map(|number| number % (self.slots.len() - 1)).filter(|&number| number != 0)
        {
            let slot = &self.slots[number];
            let mut held = slot.load(Relaxed);
            if held == 0 {
                held = slot.compare_exchange(0, packed, Relaxed, Relaxed).err().unwrap_or(packed);
            }
            if held == packed {
                return Some(number as u32);
            }
        }
        None
    }

    fn coordinates(&self, number: u32) -> [u32; 3] {
        let packed = self.slots[number as usize].load(Relaxed).saturating_sub(1);
        [packed as u32 & 0x7fff_ffff, (packed >> 31) as u32 & 0xffff, (packed >> 47) as u32]
    }
}

/// What strong accesses order, in one launch.
///
/// The rule is coarse, so that it never calls ordered accesses a race: every atomic and strong store of a block releases
/// all that the block did before, and every atomic with a result and strong load acquires all that any block released
/// before, whatever the addresses and fences. So the ticket of a reduction's last block and spinning on a flag order what
/// they should; a forgotten fence, or a flag at another address, is not seen.
#[derive(Default)]
pub(super) struct Order {
    clock: AtomicU64,
    /// Asked far oftener than changed.
    blocks: [RwLock<FnvHashMap<u32, BlockOrder>>; 32],
}

#[derive(Default)]
struct BlockOrder {
    /// When the block released, the first [`MAX_RELEASES`] + 1 times.
    released: Vec<u64>,
    /// When it acquired last.
    acquired: u64,
}

impl Order {
    /// What a look at a block gives, if it did anything strong.
    #[inline]
    fn look<T>(&self, block: u32, of: impl FnOnce(&BlockOrder) -> T) -> Option<T> {
        let shard = self.blocks[block as usize % self.blocks.len()].read();
        shard.unwrap_or_else(PoisonError::into_inner).get(&block).map(of)
    }

    /// How often a block released.
    #[inline]
    pub fn releases(&self, block: u32) -> usize {
        if self.clock.load(Acquire) == 0 {
            return 0;
        }
        self.look(block, |order| order.released.len()).unwrap_or(0)
    }

    /// A strong access of a block.
    pub fn strong(&self, block: u32, releases: bool, acquires: bool) {
        let shard = self.blocks[block as usize % self.blocks.len()].write();
        let mut shard = shard.unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.fetch_add(1, AcqRel) + 1;
        let order = shard.entry(block).or_default();
        if acquires {
            order.acquired = now;
        }
        if releases && order.released.len() <= MAX_RELEASES {
            order.released.push(now);
        }
    }

    /// What was ordered is forgotten, when no record is left to ask about.
    pub fn clear(&self) {
        self.blocks.iter().for_each(|shard| shard.write().unwrap_or_else(PoisonError::into_inner).clear());
    }

    /// Whether an access of another block happened before what `block` does now.
    pub fn ordered(&self, earlier: Record, block: u32) -> bool {
        if self.clock.load(Acquire) == 0 {
            return false;
        }
        let released = self.look(earlier.block(), |order| order.released.get(earlier.releases()).copied()).flatten();
        let acquired = self.look(block, |order| order.acquired).unwrap_or(0);
        released.is_some_and(|released| released < acquired)
    }
}
