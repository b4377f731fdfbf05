//! Granules of the memory that a block touches, wherever it lies.
//!
//! Memory is divided into segments of 64 bytes. A segment of which every access so far covered all bytes by adjacent lanes
//! is one granule; the first access that covers a part gives it smaller ones, until a barrier of the block has made all
//! that was done to it past. What one block leaves here is past for the next, which uses the same room.

use std::ops::Range;

use super::clock::{Access, Clocks, Instruction};
use super::hazard::{Granule, Granules};

const SEGMENT: u64 = 64;
const PAGE: u64 = 4096;
const SEGMENTS: usize = (PAGE / SEGMENT) as usize;

#[derive(Clone, Copy, Default)]
struct Segment {
    /// All bytes; if divided, only `write` counts: the latest access.
    whole: Granule,
    /// Which of the divided, plus 1; 0: not divided.
    divided: u32,
}

/// What the threads of a block did to global memory, and what its barriers order.
pub(super) struct Scattered {
    pub clocks: Clocks,
    pages: Pages,
    segments: Vec<Segment>,
    divided: Vec<Granules>,
    /// Of `divided`, those that no segment has.
    free: Vec<u32>,
    /// What was done before this is another block's.
    begun: u32,
}

/// The lane and the access that it races with, and whether that wrote.
type Met = (usize, Access, bool);

impl Scattered {
    pub fn new() -> Self {
        let (clocks, pages) = (Clocks::new(), Pages::new());
        Self { clocks, pages, segments: Vec::new(), divided: Vec::new(), free: Vec::new(), begun: 0 }
    }

    /// Another block begins.
    pub fn begin_block(&mut self) {
        self.clocks.begin_block();
        self.begun = self.clocks.floor();
        self.pages.clear();
        self.free.clear();
        self.free.extend(0..self.divided.len() as u32);
    }

    /// Records that adjacent lanes, from one on, read adjacent bytes, `bytes` each.
    #[inline]
    pub fn read(&mut self, start: u64, lanes: Range<usize>, bytes: u32, instruction: &Instruction) -> Result<(), Met> {
        self.each(
            start,
            lanes,
            bytes,
            instruction,
            |granule, first, clocks, _| {
                let read = granule.read(first, instruction, clocks.known(instruction));
                read.map_err(|other| (other, true))
            },
            |granules, at, lanes, clocks, _| {
                let read = granules.read(at, lanes, bytes as usize, instruction, clocks.known(instruction));
                read.map_err(|(lane, other)| (lane, other, true))
            },
        )
    }

    /// The same of writes. `same` tells whether bytes at an address keep their values when a lane writes them: then what
    /// the same line wrote is no race.
    #[inline]
    pub fn write(
        &mut self,
        start: u64,
        lanes: Range<usize>,
        bytes: u32,
        instruction: &Instruction,
        same: &dyn Fn(u64, usize) -> bool,
    ) -> Result<(), Met> {
        self.each(
            start,
            lanes,
            bytes,
            instruction,
            |granule, first, clocks, at| {
                granule.write(first, instruction, clocks.known(instruction), || same(at, SEGMENT as usize))
            },
            |granules, within, lanes, clocks, at| {
                let same = |part: Range<usize>| same(at + part.start as u64, part.len());
                granules.write(within, lanes, bytes as usize, instruction, clocks.known(instruction), same)
            },
        )
    }

    /// Segment by segment, whole or in parts.
    #[inline]
    fn each(
        &mut self,
        start: u64,
        lanes: Range<usize>,
        bytes: u32,
        instruction: &Instruction,
        mut whole: impl FnMut(&mut Granule, Access, &Clocks, u64) -> Result<(), (Access, bool)>,
        mut part: impl FnMut(&mut Granules, usize, Range<usize>, &Clocks, u64) -> Result<(), Met>,
    ) -> Result<(), Met> {
        let shift = bytes.trailing_zeros();
        // Who goes past the last address is refused by memory itself.
        let Some(end) = start.checked_add((lanes.len() as u64) << shift) else { return Ok(()) };
        let mut at = start;
        while at < end {
            let end_of_page = end.min((at / PAGE + 1) * PAGE);
            let page = self.page(at / PAGE);
            while at < end_of_page {
                let next = end_of_page.min((at / SEGMENT + 1) * SEGMENT);
                let lane = |at: u64| lanes.start + ((at - start) >> shift) as usize;
                let index = page + (at % PAGE / SEGMENT) as usize;
                if self.segments[index].divided != 0 || next - at != SEGMENT {
                    self.divide(index, next - at == SEGMENT);
                }
                let segment = &mut self.segments[index];
                if segment.divided == 0 {
                    let first = instruction.lanes(lane(at), shift);
                    whole(&mut segment.whole, first, &self.clocks, at)
                        .map_err(|(other, wrote)| differing(lane(at), first, other, wrote))?;
                } else {
                    segment.whole.write = instruction.lane(0).0;
                    let granules = &mut self.divided[segment.divided as usize - 1];
                    granules.fit(bytes);
                    part(granules, (at % SEGMENT) as usize, lane(at)..lane(next), &self.clocks, at)?;
                }
                at = next;
            }
        }
        Ok(())
    }

    /// Divides a segment for an access to a part of it; for one to all of it, makes it one again if all else is past.
    fn divide(&mut self, index: usize, whole: bool) {
        let segment = &mut self.segments[index];
        let latest = (segment.whole.write >> 32) as u32;
        if segment.divided != 0 && latest < self.clocks.floor() {
            if latest >= self.begun {
                self.free.push(segment.divided - 1);
            }
            *segment = Segment::default();
        }
        if segment.divided == 0 && !whole {
            let index = self.free.pop().unwrap_or_else(|| {
                self.divided.push(Granules::default());
                self.divided.len() as u32 - 1
            });
            self.divided[index as usize].divide(&segment.whole, SEGMENT as usize);
            segment.divided = index + 1;
        }
    }

    /// Where the segments of a page begin.
    #[inline]
    fn page(&mut self, page: u64) -> usize {
        let first = self.pages.index(page) as usize * SEGMENTS;
        if first >= self.segments.len() {
            self.segments.resize(first + SEGMENTS, Segment::default());
        }
        first
    }
}

/// The first lane whose bytes another thread touched, of two accesses that cover the same segment by adjacent lanes.
#[cold]
fn differing(lane: usize, new: Access, other: Access, wrote: bool) -> Met {
    let of = |access: Access, byte: u32| access.of_lane(byte >> access.shift());
    let differ = (0..SEGMENT as u32).find(|&byte| of(new, byte).thread() != of(other, byte).thread()).unwrap_or(0);
    (lane + (differ >> new.shift()) as usize, of(other, differ), wrote)
}

/// Numbers for pages, in the order in which they are first asked for.
struct Pages {
    /// A page, its number and the generation that gave it; a power of two.
    slots: Vec<(u64, u32, u32)>,
    generation: u32,
    used: u32,
}

impl Pages {
    fn new() -> Self {
        Self { slots: vec![(0, 0, 0); 64], generation: 1, used: 0 }
    }

    fn clear(&mut self) {
        self.used = 0;
        self.generation = self.generation.checked_add(1).unwrap_or_else(|| {
            self.slots.fill((0, 0, 0));
            1
        });
    }

    #[inline]
    fn index(&mut self, page: u64) -> u32 {
        let mut slot = self.first(page);
        loop {
            let (held, index, generation) = self.slots[slot];
            if generation != self.generation {
                return self.insert(page, slot);
            }
            if held == page {
                return index;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn first(&self, page: u64) -> usize {
        (page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }

    fn insert(&mut self, page: u64, slot: usize) -> u32 {
        let index = self.used;
        self.used += 1;
        self.slots[slot] = (page, index, self.generation);
        if self.used as usize * 2 > self.slots.len() {
            let larger = vec![(0, 0, 0); self.slots.len() * 4];
            for held in std::mem::replace(&mut self.slots, larger) {
                if held.2 == self.generation {
                    let mut slot = self.first(held.0);
                    while self.slots[slot].2 == self.generation {
                        slot = (slot + 1) & (self.slots.len() - 1);
                    }
                    self.slots[slot] = held;
                }
            }
        }
        index
    }
}
