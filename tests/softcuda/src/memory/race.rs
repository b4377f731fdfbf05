//! Races between blocks in global memory.
//!
//! Memory is divided into segments of 64 bytes. A segment of which every access so far covered all bytes by adjacent lanes
//! has two records; the first access that covers a part gives each of its sixteen words two records of its own. Two
//! records hold the latest write and a read, reads of two blocks, or atomics of two: enough to see that an access races,
//! not always to see every access it races with.
//!
//! Records count for one epoch, a launch or what lies between two grid barriers of it; those of a page are cleared when an
//! epoch first touches it. Records change under the lock of their page; what may be skipped is seen without it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard};

use super::device::lock;
use super::record::{Order, Record, Touch};
use super::reserve::Reserve;

const SEGMENT: usize = 64;
const PAGE: usize = 4096;
/// In place of a segment's first record: the words have records.
const BY_WORDS: u64 = u64::MAX;
const WHOLE_WORD: u32 = 15;

/// Records of a device's memory. One launch uses a shadow at a time.
pub(super) struct RaceShadow {
    epoch: AtomicU32,
    page_epochs: Reserve<AtomicU32>,
    segments: Reserve<AtomicU64>,
    words: Reserve<AtomicU64>,
    locks: Box<[PageLock]>,
}

#[derive(Default)]
#[repr(align(64))]
struct PageLock(Mutex<()>);

/// The page whose lock is held from one access to the next.
pub(super) type HeldPage<'s> = Option<(usize, MutexGuard<'s, ()>)>;

/// The record that an access races with, and the offset of a byte both touch.
pub(super) struct Race {
    pub other: Record,
    pub offset: usize,
}

/// Adjacent lanes that touch adjacent bytes; or one lane.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub start: usize,
    pub end: usize,
    /// Log2 of the bytes a lane touches.
    pub shift: u32,
    /// Of the first lane.
    pub record: Record,
}

impl Run {
    /// The access to one segment or word: `low` is of its kind.
    #[inline]
    fn at(&self, offset: usize, low: u32) -> Record {
        self.record.at((offset.saturating_sub(self.start) >> self.shift) as u32, low)
    }
}

impl RaceShadow {
    pub fn new(bytes: usize) -> Option<Self> {
        Some(Self {
            epoch: AtomicU32::new(0),
            page_epochs: Reserve::new(bytes / PAGE)?,
            segments: Reserve::new(bytes / SEGMENT * 2)?,
            words: Reserve::new(bytes / 4 * 2)?,
            locks: (0..256).map(|_| PageLock::default()).collect(),
        })
    }

    /// Everything before is ordered before everything after.
    pub fn next_epoch(&self) {
        self.epoch.fetch_add(1, Release);
    }

    /// Checks an access against those before, and records it.
    #[inline]
    pub fn touch<'s>(&'s self, run: &Run, order: &Order, held: &mut HeldPage<'s>) -> Result<(), Race> {
        let mut start = run.start;
        while start < run.end {
            let end = run.end.min((start / PAGE + 1) * PAGE);
            if !self.nothing_new(run, start, end) {
                self.touch_page(run, start, end, order, held)?;
            }
            start = end;
        }
        Ok(())
    }

    /// Whether an access adds nothing to what stands there: without the lock, for what all blocks read.
    #[inline]
    fn nothing_new(&self, run: &Run, start: usize, end: usize) -> bool {
        if run.record.touch() != Touch::Read || self.page_epochs[start / PAGE].load(Acquire) != self.epoch.load(Relaxed)
        {
            return false;
        }
        let redundant = |a: Record, b: Record| {
            a.is_weak_read() && (b.is_weak_read() || b == Record::NONE && a.block() == run.record.block())
                || a.touch() == Touch::Write && a.block() == run.record.block() && b == Record::NONE
        };
        let mut at = start;
        while at < end {
            let segment = at / SEGMENT;
            let next = (segment + 1) * SEGMENT;
            let pair = pair(&self.segments, segment);
            let first = pair[0].load(Acquire);
            if first != BY_WORDS {
                let whole = at.is_multiple_of(SEGMENT) && next <= end;
                if !whole || !redundant(Record(first), Record(pair[1].load(Relaxed))) {
                    return false;
                }
            } else {
                for word in at / 4..end.min(next).div_ceil(4) {
                    let [a, b] = self::pair(&self.words, word).each_ref().map(|slot| Record(slot.load(Relaxed)));
                    let whole = a.low() == WHOLE_WORD && (b.low() == WHOLE_WORD || b == Record::NONE);
                    if !whole || !redundant(a, b) {
                        return false;
                    }
                }
            }
            at = next;
        }
        true
    }

    fn touch_page<'s>(
        &'s self,
        run: &Run,
        start: usize,
        end: usize,
        order: &Order,
        held: &mut HeldPage<'s>,
    ) -> Result<(), Race> {
        let page = start / PAGE;
        if held.as_ref().is_none_or(|(held, _)| *held != page) {
            // Never two at a time: another thread may hold them the other way round.
            *held = None;
            *held = Some((page, lock(&self.locks[page % self.locks.len()].0)));
            let epoch = self.epoch.load(Relaxed);
            if self.page_epochs[page].load(Relaxed) != epoch {
                let records = PAGE / SEGMENT * 2;
                self.segments[page * records..(page + 1) * records].iter().for_each(|slot| slot.store(0, Relaxed));
                self.page_epochs[page].store(epoch, Release);
            }
        }
        let mut at = start;
        while at < end {
            let segment = at / SEGMENT;
            let next = (segment + 1) * SEGMENT;
            let pair = pair(&self.segments, segment);
            let first = pair[0].load(Relaxed);
            if first != BY_WORDS && at.is_multiple_of(SEGMENT) && next <= end {
                let new = run.at(at, run.shift);
                if first == 0 {
                    pair[0].store(new.0, Relaxed);
                } else {
                    advance::<true>(pair, new, order).map_err(|other| Race { other, offset: at })?;
                }
            } else {
                if first != BY_WORDS {
                    self.divide(segment);
                }
                self.touch_words(run, at, end.min(next), order)?;
            }
            at = next;
        }
        Ok(())
    }

    fn touch_words(&self, run: &Run, start: usize, end: usize, order: &Order) -> Result<(), Race> {
        for word in start / 4..end.div_ceil(4) {
            let (first, last) = (start.max(word * 4), end.min(word * 4 + 4));
            let bytes = (1 << (last - word * 4)) - (1 << (first - word * 4));
            advance::<false>(pair(&self.words, word), run.at(first, bytes), order).map_err(|other| {
                let both = other.low() & bytes;
                Race { other, offset: word * 4 + both.trailing_zeros() as usize }
            })?;
        }
        Ok(())
    }

    /// Gives the words of a segment their own records.
    #[cold]
    fn divide(&self, segment: usize) {
        let slots = pair(&self.segments, segment);
        for (index, slot) in slots.iter().enumerate() {
            let record = Record(slot.load(Relaxed));
            for word in 0..SEGMENT / 4 {
                let of_word = match record {
                    Record::NONE => record,
                    _ => record.at(((word * 4) >> record.low()) as u32, WHOLE_WORD),
                };
                pair(&self.words, segment * SEGMENT / 4 + word)[index].store(of_word.0, Relaxed);
            }
        }
        slots[0].store(BY_WORDS, Release);
    }
}

#[inline]
fn pair(slots: &[AtomicU64], index: usize) -> &[AtomicU64; 2] {
    &slots.as_chunks::<2>().0[index]
}

/// Checks an access against two records and puts it among them. `WHOLE`: all three cover the same bytes.
#[inline]
fn advance<const WHOLE: bool>(slots: &[AtomicU64; 2], new: Record, order: &Order) -> Result<(), Record> {
    let [a, b] = slots.each_ref().map(|slot| Record(slot.load(Relaxed)));
    for old in [a, b] {
        let meet = old != Record::NONE && (WHOLE || old.low() & new.low() != 0);
        if meet && old.races(new) && !order.ordered(old, new.block()) {
            return Err(old);
        }
    }
    let covers = |over: Record, under: Record| under == Record::NONE || WHOLE || under.low() & !over.low() == 0;
    let (first, second) = match new.touch() {
        Touch::Write if covers(new, b) => (new, if covers(new, a) { Record::NONE } else { a }),
        Touch::Write if covers(new, a) => (new, b),
        Touch::Atomic if a.touch() == Touch::Atomic && a != Record::NONE && a.block() != new.block() => (new, a),
        Touch::Atomic if covers(new, a) => (new, b),
        Touch::Write | Touch::Atomic => (a.merged(new).unwrap_or(new), if a.merged(new).is_some() { b } else { a }),
        Touch::Read | Touch::StrongRead => {
            let known = |old: Record| {
                old != Record::NONE && old.block() == new.block() && covers(old, new) && !old.is_exempt_beyond(new)
            };
            if known(a) || known(b) {
                (a, b)
            } else if a == Record::NONE {
                (new, b)
            } else if let (false, Some(merged)) = (WHOLE, a.merged(new)) {
                (merged, b)
            } else if b == Record::NONE {
                (a, new)
            } else if let (false, Some(merged)) = (WHOLE, b.merged(new)) {
                (a, merged)
            } else {
                (a, b)
            }
        }
    };
    slots[0].store(first.0, Relaxed);
    slots[1].store(second.0, Relaxed);
    Ok(())
}
