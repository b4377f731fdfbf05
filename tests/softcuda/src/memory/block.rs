use super::clock::{Access, Instruction};
use super::global::GlobalAccess;
use super::lanes::{Piece, pieces};
use super::scatter::Scattered;
use super::{LaneBytes, WarpAccess};
use crate::check::{AccessError, AccessErrorKind, Toucher};
use crate::count::Counters;

/// Global memory as one block sees it: [`GlobalAccess`], and races among the threads of the block.
///
/// They are told as in shared memory ([`SharedMemory`](super::SharedMemory)): two accesses of two threads to one byte, one
/// of which writes, not both strong, with no barrier between. Strong accesses also order threads of a block as they order
/// blocks: what a warp did before a strong write happens before what any warp does after a later strong read.
pub struct BlockMemory<'m> {
    global: &'m GlobalAccess<'m>,
    races: Option<Box<Scattered>>,
}

impl<'m> BlockMemory<'m> {
    /// For a block that begins. Races are checked if the launch's are.
    pub fn new(global: &'m GlobalAccess<'m>) -> Self {
        let mut races = global.lend_scattered();
        if let Some(races) = &mut races {
            races.begin_block();
        }
        Self { global, races }
    }

    /// See [`GlobalAccess::load`].
    #[inline]
    pub fn load(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.read(access, false)?;
        self.global.load(access, bytes, count)
    }

    /// See [`GlobalAccess::store`].
    #[inline]
    pub fn store(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.write(access, false, Some(bytes))?;
        self.global.store(access, bytes, count)
    }

    /// See [`GlobalAccess::strong_load`].
    pub fn strong_load(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.read(access, true)?;
        self.global.strong_load(access, bytes, count)?;
        self.acquire(access.place.warp);
        Ok(())
    }

    /// See [`GlobalAccess::strong_store`].
    pub fn strong_store(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.write(access, true, Some(bytes))?;
        self.release(access.place.warp);
        self.global.strong_store(access, bytes, count)
    }

    /// See [`GlobalAccess::atomic`].
    ///
    /// # Panics
    /// If `access.bytes` is more than 8.
    pub fn atomic(
        &mut self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<[u64; 32], AccessError> {
        self.write(access, true, None)?;
        self.release(access.place.warp);
        let old = self.global.atomic(access, update, count)?;
        self.acquire(access.place.warp);
        Ok(old)
    }

    /// See [`GlobalAccess::reduce`].
    ///
    /// # Panics
    /// If `access.bytes` is more than 8.
    pub fn reduce(
        &mut self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.write(access, true, None)?;
        self.release(access.place.warp);
        self.global.reduce(access, update, count)
    }

    /// A barrier of the whole block was passed.
    pub fn block_barrier(&mut self) {
        if let Some(races) = &mut self.races {
            races.clocks.block_barrier();
        }
    }

    /// The warp's lanes were synchronised.
    #[inline]
    pub fn warp_barrier(&mut self, warp: u32) {
        if let Some(races) = &mut self.races {
            races.clocks.warp_barrier(warp);
        }
    }

    /// A warp makes what it did known to who acquires later: a strong write, wherever.
    pub fn release(&mut self, warp: u32) {
        if let Some(races) = &mut self.races {
            races.clocks.release(warp);
        }
    }

    /// A warp learns what was released: a strong read, wherever.
    pub fn acquire(&mut self, warp: u32) {
        if let Some(races) = &mut self.races {
            races.clocks.acquire(warp);
        }
    }

    #[inline]
    fn read(&mut self, access: &WarpAccess<'_>, strong: bool) -> Result<(), AccessError> {
        let Some(races) = &mut self.races else { return Ok(()) };
        if access.mask == 0 {
            return Ok(());
        }
        let instruction = races.clocks.instruction(access.place.warp, access.place.line, strong);
        let checked = match Piece::whole(access) {
            Some(piece) => read_piece(races, access, &piece, &instruction),
            None => pieces(access).try_for_each(|piece| read_piece(races, access, &piece, &instruction)),
        };
        checked.map_err(|(lane, other, wrote)| self.race(access, lane, other, wrote))
    }

    /// `bytes`: what is stored; `None` for atomics.
    #[inline]
    fn write(&mut self, access: &WarpAccess<'_>, strong: bool, bytes: Option<&LaneBytes>) -> Result<(), AccessError> {
        let Some(races) = &mut self.races else { return Ok(()) };
        if access.mask == 0 {
            return Ok(());
        }
        let instruction = races.clocks.instruction(access.place.warp, access.place.line, strong);
        let global = self.global;
        let checked = match Piece::whole(access) {
            Some(piece) => write_piece(races, access, &piece, &instruction, bytes, global),
            None => {
                pieces(access).try_for_each(|piece| write_piece(races, access, &piece, &instruction, bytes, global))
            }
        };
        checked.map_err(|(lane, other, wrote)| self.race(access, lane, other, wrote))
    }

    #[cold]
    fn race(&self, access: &WarpAccess<'_>, lane: usize, other: Access, wrote: bool) -> AccessError {
        let same_warp = other.thread() / 32 == access.place.warp;
        let (address, bytes) = (access.addresses[lane], access.bytes);
        AccessError {
            kind: AccessErrorKind::GlobalRace,
            address,
            bytes,
            lane: Some(lane as u32),
            other: Some(Toucher { line: other.line(), block: access.place.block, thread: other.thread(), wrote }),
            detail: format!(
                "no barrier of the {} between; {}",
                if same_warp { "warp" } else { "block" },
                self.global.tell(address, bytes)
            ),
        }
    }
}

impl Drop for BlockMemory<'_> {
    fn drop(&mut self) {
        if let Some(races) = self.races.take() {
            self.global.return_scattered(races);
        }
    }
}

type Met = (usize, Access, bool);

#[inline]
fn read_piece(
    races: &mut Scattered,
    access: &WarpAccess<'_>,
    piece: &Piece,
    instruction: &Instruction,
) -> Result<(), Met> {
    if piece.lanes == 1 || !piece.is_one_address(access) {
        return races.read(piece.start, piece.lane..piece.lane + piece.lanes, access.bytes, instruction);
    }
    // Of lanes that read one place, two stand for all.
    let mut each = [piece.lane, piece.lane + 1].into_iter();
    each.try_for_each(|lane| races.read(piece.start, lane..lane + 1, access.bytes, instruction))
}

#[inline]
fn write_piece(
    races: &mut Scattered,
    access: &WarpAccess<'_>,
    piece: &Piece,
    instruction: &Instruction,
    bytes: Option<&LaneBytes>,
    global: &GlobalAccess<'_>,
) -> Result<(), Met> {
    let lanes = piece.lane..piece.lane + piece.lanes;
    let one_address = piece.lanes > 1 && piece.is_one_address(access);
    let same = |lane: usize, at: u64, len: usize| keeps(access, bytes, global, lane, at, len);
    if !one_address {
        let lane = |at: u64| piece.lane_of((at - piece.start) as usize, access);
        return races.write(piece.start, lanes, access.bytes, instruction, &|at, len| same(lane(at), at, len));
    }
    let mut lanes = lanes;
    lanes.try_for_each(|lane| {
        races.write(piece.start, lane..lane + 1, access.bytes, instruction, &|at, len| same(lane, at, len))
    })
}

/// Whether bytes from an address on keep their values when a lane, and those that follow it, write: lower lanes of the
/// access have written before.
#[cold]
fn keeps(
    access: &WarpAccess<'_>,
    bytes: Option<&LaneBytes>,
    global: &GlobalAccess<'_>,
    lane: usize,
    at: u64,
    len: usize,
) -> bool {
    let Some(bytes) = bytes else { return false };
    let width = access.bytes as usize;
    let written = |lane: usize, at: u64| {
        let within = at.checked_sub(access.addresses[lane]).filter(|&within| within < width as u64)?;
        (access.mask >> lane & 1 != 0).then(|| bytes[lane * width + within as usize])
    };
    (at..at + len as u64).all(|at| {
        let new = (lane..32).find_map(|lane| written(lane, at));
        let old = (0..lane).rev().find_map(|lane| written(lane, at)).or_else(|| global.peek(at));
        new.is_some() && new == old
    })
}
