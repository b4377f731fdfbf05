use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::{Arc, Mutex};

use super::device::lock;
use super::lanes::{self, Piece, pieces};
use super::race::{HeldPage, Race, RaceShadow, Run};
use super::record::{Order, Record, Touch};
use super::scatter::Scattered;
use super::{DeviceMemory, LaneBytes, WarpAccess, words};
use crate::check::{AccessError, AccessErrorKind};
use crate::count::{Counters, Traffic};

/// What a launch asks of global memory while it runs: which checks, and who wrote what since it began.
///
/// Races are between blocks: two accesses to one byte, one of which writes, not both strong, with nothing that orders
/// them. Strong are [`Self::atomic`], [`Self::reduce`], [`Self::strong_load`] and [`Self::strong_store`]. They also order:
/// what a block did before a strong write happens before what another does after a later strong read, whatever their
/// addresses ([`Self::reduce`], an atomic without a result, only writes). Nothing ordered is called a race; a race may go
/// unseen where ordering is read into a kernel's atomics that its author did not mean.
pub struct GlobalAccess<'m> {
    memory: &'m DeviceMemory,
    check_initialised: bool,
    races: Option<Arc<RaceShadow>>,
    order: Order,
    /// Of blocks that have ended, for others.
    #[allow(clippy::vec_box, reason = "lent and given back in its box, which is not worth opening")]
    scattered: Mutex<Vec<Box<Scattered>>>,
}

/// Whether an access reads, and whether it writes.
const READS: (bool, bool) = (true, false);
const WRITES: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

impl<'m> GlobalAccess<'m> {
    /// For one launch.
    ///
    /// # Panics
    /// If other launches run with race checks and the host refuses address space for one more.
    pub fn new(memory: &'m DeviceMemory, check_initialised: bool, check_races: bool) -> Self {
        let races = check_races.then(|| memory.lend_shadow());
        if let Some(races) = &races {
            races.next_epoch();
        }
        Self { memory, check_initialised, races, order: Order::default(), scattered: Mutex::default() }
    }

    /// Room for the races of a block, if they are checked.
    pub(super) fn lend_scattered(&self) -> Option<Box<Scattered>> {
        self.races.as_ref()?;
        Some(lock(&self.scattered).pop().unwrap_or_else(|| Box::new(Scattered::new())))
    }

    pub(super) fn return_scattered(&self, scattered: Box<Scattered>) {
        lock(&self.scattered).push(scattered);
    }

    /// What lies nearest to an address.
    pub(super) fn tell(&self, address: u64, bytes: u32) -> String {
        self.memory.tell(address, bytes.into())
    }

    /// A byte as it is, if it is allocated.
    pub(super) fn peek(&self, address: u64) -> Option<u8> {
        let at = self.memory.find(address, 1)?;
        let mut byte = [0];
        words::read(&self.memory.data, at, &mut byte);
        Some(byte[0])
    }

    /// All blocks of the grid have arrived at a barrier and none has left it: accesses before are ordered before accesses
    /// after.
    pub fn grid_barrier(&self) {
        if let Some(races) = &self.races {
            races.next_epoch();
            self.order.clear();
        }
    }

    /// Reads; lanes that take no part keep their bytes.
    #[inline]
    pub fn load(
        &self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.each(access, Touch::Read, READS, &mut count.global_read, |piece, at| {
            self.load_piece(access, piece, at, bytes)
        })
    }

    /// Writes. Of lanes with one address, the highest wins.
    #[inline]
    pub fn store(&self, access: &WarpAccess<'_>, bytes: &LaneBytes, count: &mut Counters) -> Result<(), AccessError> {
        self.each(access, Touch::Write, WRITES, &mut count.global_written, |piece, at| {
            self.store_piece(access, piece, at, bytes);
        })
    }

    /// A load that is volatile, relaxed or acquire.
    pub fn strong_load(
        &self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        let touch = Touch::StrongRead;
        self.each(access, touch, READS, &mut count.global_read, |piece, at| {
            let _guard = (access.bytes >= 8).then(|| lock(&self.memory.wide));
            self.load_piece(access, piece, at, bytes);
        })?;
        fence(Acquire);
        self.synchronise(access, false, true);
        Ok(())
    }

    /// A store that is volatile, relaxed or release.
    pub fn strong_store(
        &self,
        access: &WarpAccess<'_>,
        bytes: &LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        fence(Release);
        let mut released = false;
        self.each(access, Touch::Atomic, WRITES, &mut count.global_written, |piece, at| {
            // Before the bytes can be seen, so that who sees them comes later.
            if !std::mem::replace(&mut released, true) {
                self.synchronise(access, true, false);
            }
            let _guard = (access.bytes >= 8).then(|| lock(&self.memory.wide));
            self.store_piece(access, piece, at, bytes);
        })?;
        fence(SeqCst);
        Ok(())
    }

    /// Lane by lane in lane order, each atomically: `update` maps the old value (little-endian, `access.bytes` wide) to
    /// the new one, or to `None` to leave it; the old values are returned. When another thread changes the value
    /// meanwhile, `update` is called again.
    ///
    /// # Panics
    /// If `access.bytes` is more than 8.
    pub fn atomic(
        &self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<[u64; 32], AccessError> {
        let old = self.update(access, update, count);
        self.synchronise(access, false, true);
        old
    }

    /// [`Self::atomic`] whose result is not used (`red`): other blocks' accesses are not ordered before this block's.
    pub fn reduce(
        &self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.update(access, update, count).map(|_| ())
    }

    fn update(
        &self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<[u64; 32], AccessError> {
        assert!(access.bytes <= 8, "an atomic of {} bytes", access.bytes);
        let mut old = [0; 32];
        let mut released = false;
        self.each(access, Touch::Atomic, BOTH, &mut Traffic::default(), |piece, at| {
            if !std::mem::replace(&mut released, true) {
                self.synchronise(access, true, false);
            }
            for index in 0..piece.lanes {
                let lane = piece.lane + index;
                let at = if piece.is_one_address(access) { at } else { at + index * access.bytes as usize };
                old[lane] = self.update_lane(at, access.bytes, &mut |value| update(lane, value));
            }
        })?;
        count.global_atomics += u64::from(access.mask.count_ones());
        Ok(old)
    }

    fn update_lane(&self, at: usize, bytes: u32, update: &mut dyn FnMut(u64) -> Option<u64>) -> u64 {
        let data = &self.memory.data;
        if bytes == 8 {
            let _guard = lock(&self.memory.wide);
            let (low, high) = (&data[at / 4], &data[at / 4 + 1]);
            let old = u64::from(low.load(Acquire)) | u64::from(high.load(Acquire)) << 32;
            if let Some(new) = update(old) {
                low.store(new as u32, Release);
                high.store((new >> 32) as u32, Release);
            }
            return old;
        }
        let (word, shift) = (&data[at / 4], at % 4 * 8);
        let mask = u32::MAX >> (32 - 8 * bytes);
        let mut seen = word.load(Acquire);
        loop {
            let old = u64::from(seen >> shift & mask);
            let Some(new) = update(old) else { return old };
            let new = seen & !(mask << shift) | (new as u32 & mask) << shift;
            match word.compare_exchange(seen, new, AcqRel, Acquire) {
                Ok(_) => return old,
                Err(now) => seen = now,
            }
        }
    }

    #[inline]
    fn load_piece(&self, access: &WarpAccess<'_>, piece: &Piece, at: usize, bytes: &mut LaneBytes) {
        let width = access.bytes as usize;
        let target = &mut bytes[piece.lane * width..(piece.lane + piece.lanes) * width];
        words::read(&self.memory.data, at, &mut target[..piece.len as usize]);
        if piece.is_one_address(access) {
            repeat(target, width);
        }
    }

    #[inline]
    fn store_piece(&self, access: &WarpAccess<'_>, piece: &Piece, at: usize, bytes: &LaneBytes) {
        let width = access.bytes as usize;
        let source = &bytes[piece.lane * width..(piece.lane + piece.lanes) * width];
        words::write(&self.memory.data, at, &source[source.len() - piece.len as usize..]);
    }

    /// Checks each piece of an access, does it, and counts the whole.
    #[inline]
    fn each(
        &self,
        access: &WarpAccess<'_>,
        touch: Touch,
        directions: (bool, bool),
        traffic: &mut Traffic,
        mut act: impl FnMut(&Piece, usize),
    ) -> Result<(), AccessError> {
        if access.mask == 0 {
            return Ok(());
        }
        let run = self.run(access, touch);
        if let Some(piece) = Piece::whole(access) {
            let at = self.check(access, &piece, directions, run, &mut None)?;
            act(&piece, at);
            lanes::count(access, &mut [(piece.start, piece.len)], traffic);
            return Ok(());
        }
        let mut touched = [(0, 0); 32];
        let mut found = [(Piece::NONE, 0); 32];
        let mut number = 0;
        let mut page = None;
        for piece in pieces(access) {
            found[number] = (piece, self.check(access, &piece, directions, run, &mut page)?);
            touched[number] = (piece.start, piece.len);
            number += 1;
        }
        drop(page);
        for (piece, at) in &found[..number] {
            act(piece, *at);
        }
        lanes::count(access, &mut touched[..number], traffic);
        Ok(())
    }

    /// What the race check knows of an access before its addresses. `None`: it is not asked.
    #[inline]
    fn run(&self, access: &WarpAccess<'_>, touch: Touch) -> Option<Run> {
        self.races.as_ref()?;
        let block = self.memory.blocks.number(access.place.block)?;
        let releases = self.order.releases(block);
        let record = Record::new(block, access.place.line, access.place.warp * 32, touch, releases);
        Some(Run { start: 0, end: 0, shift: access.bytes.trailing_zeros(), record })
    }

    /// Whether a piece may be touched; its offset.
    #[inline]
    fn check<'s>(
        &'s self,
        access: &WarpAccess<'_>,
        piece: &Piece,
        (reads, writes): (bool, bool),
        run: Option<Run>,
        page: &mut HeldPage<'s>,
    ) -> Result<usize, AccessError> {
        let at = match self.memory.find(piece.start, piece.len) {
            Some(at) if piece.start & u64::from(access.bytes - 1) == 0 => at,
            _ => return Err(self.refuse(access, piece, reads)),
        };
        let end = at + piece.len as usize;
        if reads && let Some(byte) = self.first_uninitialised(at, piece.len as usize) {
            let width = access.bytes as usize;
            return Err(self.uninitialised(access, piece.lane + byte / width, byte % width));
        }
        if let (Some(races), Some(run)) = (&self.races, run) {
            let run = Run { start: at, end, record: run.record.at(piece.lane as u32, 0), ..run };
            races.touch(&run, &self.order, page).map_err(|race| self.race(access, piece, race.offset - at, &race))?;
        }
        if writes {
            words::set(&self.memory.init, at, end);
        }
        Ok(at)
    }

    fn synchronise(&self, access: &WarpAccess<'_>, releases: bool, acquires: bool) {
        if self.races.is_some()
            && let Some(block) = self.memory.blocks.number(access.place.block)
        {
            self.order.strong(block, releases, acquires);
        }
    }

    #[cold]
    fn refuse(&self, access: &WarpAccess<'_>, piece: &Piece, reads: bool) -> AccessError {
        let memory = self.memory;
        for lane in piece.lane..piece.lane + piece.lanes {
            let address = access.addresses[lane];
            if address & u64::from(access.bytes - 1) != 0 {
                let detail =
                    format!("not a multiple of {}; {}", access.bytes, memory.tell(address, access.bytes.into()));
                return error(AccessErrorKind::Misaligned, access, lane, detail);
            }
            let Some(at) = memory.find(address, access.bytes) else {
                return lock(&memory.heap).refuse(address, access.bytes.into(), Some(lane as u32));
            };
            if reads && let Some(byte) = self.first_uninitialised(at, access.bytes as usize) {
                return self.uninitialised(access, lane, byte);
            }
        }
        // Only if another thread freed or allocated meanwhile.
        lock(&memory.heap).refuse(piece.start, piece.len.into(), Some(piece.lane as u32))
    }

    /// The first byte of a range that was never written, if that is checked.
    #[inline]
    fn first_uninitialised(&self, at: usize, bytes: usize) -> Option<usize> {
        if !self.check_initialised {
            return None;
        }
        words::first_zero(&self.memory.init, at, at + bytes).map(|byte| byte - at)
    }

    #[cold]
    fn uninitialised(&self, access: &WarpAccess<'_>, lane: usize, byte: usize) -> AccessError {
        let place = self.memory.tell(access.addresses[lane], access.bytes.into());
        let detail = format!("byte {byte} of {} was never written, {place}", access.bytes);
        error(AccessErrorKind::Uninitialised, access, lane, detail)
    }

    #[cold]
    fn race(&self, access: &WarpAccess<'_>, piece: &Piece, byte: usize, race: &Race) -> AccessError {
        let lane = piece.lane_of(byte, access);
        let place = self.memory.tell(access.addresses[lane], access.bytes.into());
        let other = Some(race.other.toucher(&self.memory.blocks));
        AccessError { other, ..error(AccessErrorKind::GlobalRace, access, lane, place) }
    }
}

impl Drop for GlobalAccess<'_> {
    fn drop(&mut self) {
        if let Some(races) = self.races.take() {
            self.memory.return_shadow(races);
        }
    }
}

/// Fills a slice with its first bytes.
#[inline]
pub(super) fn repeat(bytes: &mut [u8], width: usize) {
    fn chunks<const N: usize>(bytes: &mut [u8]) {
        if let [first, rest @ ..] = bytes.as_chunks_mut::<N>().0 {
            rest.fill(*first);
        }
    }
    match width {
        4 => chunks::<4>(bytes),
        8 => chunks::<8>(bytes),
        16 => chunks::<16>(bytes),
        _ => {
            let (first, rest) = bytes.split_at_mut(width);
            rest.chunks_exact_mut(width).for_each(|chunk| chunk.copy_from_slice(first));
        }
    }
}

fn error(kind: AccessErrorKind, access: &WarpAccess<'_>, lane: usize, detail: String) -> AccessError {
    let lane_number = Some(lane as u32);
    AccessError { kind, address: access.addresses[lane], bytes: access.bytes, lane: lane_number, other: None, detail }
}
