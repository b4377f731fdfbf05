use std::ops::Range;

use super::clock::{Access, Instruction};
use super::flight::Flights;
use super::global::repeat;
use super::hazard::Hazards;
use super::lanes::{Piece, pieces};
use super::written::Written;
use super::{LaneBytes, WarpAccess};
use crate::check::{AccessError, AccessErrorKind, Toucher};
use crate::count::{Counters, SharedTraffic, shared_traffic};

/// What fresh memory is filled with.
const FRESH: u8 = 0xCD;

/// The shared memory of one block, with its shadow.
///
/// Races are between threads of the block: two accesses to one byte, one of which writes, not both atomic, with no barrier
/// between. Threads of different warps are ordered by [`Self::block_barrier`] and [`Self::partial_barrier`]; lanes of one
/// warp also by [`Self::warp_barrier`], and by nothing else: since Volta lanes advance independently, so that even
/// converged code must synchronise between a store and another lane's load. That a shuffle or a vote counts as
/// synchronisation, and that a barrier of some lanes counts for the whole warp, is more than is promised; nothing ordered
/// is ever called a race. Several lanes or warps that write one value to one place by one instruction do not race; with
/// different values they do.
///
/// An asynchronous copy writes at any time from its issue ([`Self::begin_copy`]) to the wait that completes it
/// ([`Self::end_copy`]): its issue races as a write does, and who touches its destination before the wait, the thread that
/// issued it too, touches a copy in flight. Both are told only where races are checked.
pub struct SharedMemory {
    bytes: Vec<u8>,
    init: Option<Written>,
    hazards: Option<Hazards>,
    flights: Flights,
}

impl SharedMemory {
    /// The memory of a block that begins: filled with 0xCD, not initialised.
    pub fn new(bytes: u32, check_initialised: bool, check_races: bool) -> Self {
        let bytes = bytes as usize;
        Self {
            bytes: vec![FRESH; bytes],
            init: check_initialised.then(|| Written::new(bytes)),
            hazards: check_races.then(|| Hazards::new(bytes)),
            flights: Flights::default(),
        }
    }

    /// The same memory for another block: cheaper than [`Self::new`].
    pub fn reset(&mut self) {
        self.bytes.fill(FRESH);
        if let Some(init) = &mut self.init {
            init.reset(self.bytes.len());
        }
        self.flights.clear();
        self.block_barrier();
    }

    /// Reads; addresses count from 0. Lanes that take no part keep their bytes.
    pub fn load(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &mut LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.each(access, &mut count.shared, |memory, piece, instruction| {
            memory.load_piece(access, piece, instruction, bytes)
        })
    }

    /// Writes, lane by lane in lane order; addresses count from 0.
    pub fn store(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        self.each(access, &mut count.shared, |memory, piece, instruction| {
            memory.store_piece(access, piece, instruction, bytes)
        })
    }

    /// The pieces of an access, which are counted where none is refused.
    #[inline]
    fn each(
        &mut self,
        access: &WarpAccess<'_>,
        traffic: &mut SharedTraffic,
        mut act: impl FnMut(&mut Self, &Piece, Option<&Instruction>) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        if access.mask == 0 {
            return Ok(());
        }
        let instruction = self.instruction(access, false);
        let whole = Piece::whole(access);
        match whole {
            Some(piece) => act(self, &piece, instruction.as_ref())?,
            None => pieces(access).try_for_each(|piece| act(self, &piece, instruction.as_ref()))?,
        }
        shared_traffic(access, whole.is_some(), traffic);
        Ok(())
    }

    /// Asynchronous copies to these bytes are issued.
    pub fn begin_copy(&mut self, access: &WarpAccess<'_>) -> Result<(), AccessError> {
        let instruction = self.instruction(access, false);
        for lane in lanes(access.mask) {
            let (at, width) = (self.find(access, lane)?, access.bytes as usize);
            self.check_flights(access, lane, at, width)?;
            if let (Some(hazards), Some(instruction)) = (&mut self.hazards, &instruction) {
                let result = hazards.write(at, lane..lane + 1, width, instruction, |_| false);
                result.map_err(|(lane, other, wrote)| race(access, lane, other, wrote))?;
                self.flights.begin(at, width, instruction.lane(lane), self.bytes.len());
            }
        }
        Ok(())
    }

    /// The same copies have been waited for: they write now.
    ///
    /// # Panics
    /// If they were not issued.
    pub fn end_copy(
        &mut self,
        access: &WarpAccess<'_>,
        bytes: &LaneBytes,
        count: &mut Counters,
    ) -> Result<(), AccessError> {
        if self.hazards.is_some() {
            lanes(access.mask)
                .for_each(|lane| self.flights.end(access.addresses[lane] as usize, access.bytes as usize));
        }
        self.store(access, bytes, count)
    }

    /// Lane by lane in lane order: `update` maps the old value (little-endian, `access.bytes` wide) to the new one, or to
    /// `None` to leave it; the old values are returned.
    ///
    /// # Panics
    /// If `access.bytes` is more than 8.
    pub fn atomic(
        &mut self,
        access: &WarpAccess<'_>,
        update: &mut dyn FnMut(usize, u64) -> Option<u64>,
        count: &mut Counters,
    ) -> Result<[u64; 32], AccessError> {
        assert!(access.bytes <= 8, "an atomic of {} bytes", access.bytes);
        let mut results = [0; 32];
        if access.mask == 0 {
            return Ok(results);
        }
        let instruction = self.instruction(access, true);
        let width = access.bytes as usize;
        for lane in lanes(access.mask) {
            let at = self.find(access, lane)?;
            self.check_flights(access, lane, at, width)?;
            self.check_initialised(access, lane, at)?;
            if let (Some(hazards), Some(instruction)) = (&mut self.hazards, &instruction) {
                let result = hazards.write(at, lane..lane + 1, width, instruction, |_| false);
                result.map_err(|(lane, other, wrote)| race(access, lane, other, wrote))?;
            }
            let mut value = [0; 8];
            value[..width].copy_from_slice(&self.bytes[at..at + width]);
            results[lane] = u64::from_le_bytes(value);
            if let Some(new) = update(lane, results[lane]) {
                self.bytes[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
            }
        }
        count.shared_atomics += u64::from(access.mask.count_ones());
        Ok(results)
    }

    /// A barrier of the whole block was passed: accesses before it are ordered before accesses after it.
    pub fn block_barrier(&mut self) {
        if let Some(hazards) = &mut self.hazards {
            hazards.clocks.block_barrier();
        }
    }

    /// The same for some warps: those that arrived at a barrier, whether or not they waited.
    pub fn partial_barrier(&mut self, warps: &[u32]) {
        if let Some(hazards) = &mut self.hazards {
            hazards.clocks.partial_barrier(warps);
        }
    }

    /// The warp's lanes were synchronised (`bar.warp.sync`, shuffles and the like).
    #[inline]
    pub fn warp_barrier(&mut self, warp: u32) {
        if let Some(hazards) = &mut self.hazards {
            hazards.clocks.warp_barrier(warp);
        }
    }

    /// Bytes past the counters and checks. What is written here counts as initialised only after
    /// [`Self::mark_initialised`].
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Bytes were written through [`Self::bytes`].
    ///
    /// # Panics
    /// If they are not all there.
    pub fn mark_initialised(&mut self, address: u64, bytes: u64) {
        self.mark(address as usize, bytes as usize);
    }

    fn instruction(&mut self, access: &WarpAccess<'_>, atomic: bool) -> Option<Instruction> {
        let hazards = self.hazards.as_mut()?;
        Some(hazards.instruction(access.place.warp, access.place.line, access.bytes, atomic))
    }

    #[inline]
    fn load_piece(
        &mut self,
        access: &WarpAccess<'_>,
        piece: &Piece,
        instruction: Option<&Instruction>,
        bytes: &mut LaneBytes,
    ) -> Result<(), AccessError> {
        self.check_piece_flights(access, piece)?;
        let width = access.bytes as usize;
        let Some(at) = self.find_piece(access, piece) else { return Err(self.refuse_piece(access, piece, true)) };
        if let (Some(hazards), Some(instruction)) = (&mut self.hazards, instruction) {
            // Of lanes that read one place, two stand for all.
            let one_place = piece.lanes > 1 && piece.is_one_address(access);
            let lanes = if one_place { 1 } else { piece.lanes };
            for first in piece.lane..=piece.lane + usize::from(one_place) {
                let result = hazards.read(at, first..first + lanes, width, instruction);
                result.map_err(|(lane, other)| race(access, lane, other, true))?;
            }
        }
        let target = &mut bytes[piece.lane * width..(piece.lane + piece.lanes) * width];
        let source = &self.bytes[at..at + piece.len as usize];
        if piece.is_one_address(access) {
            copy_lane(target, source, width);
            repeat(target, width);
        } else {
            target.copy_from_slice(source);
        }
        Ok(())
    }

    #[inline]
    fn store_piece(
        &mut self,
        access: &WarpAccess<'_>,
        piece: &Piece,
        instruction: Option<&Instruction>,
        bytes: &LaneBytes,
    ) -> Result<(), AccessError> {
        self.check_piece_flights(access, piece)?;
        let width = access.bytes as usize;
        let Some(at) = self.bounds(access, piece) else { return Err(self.refuse_piece(access, piece, false)) };
        let (first, behind) = (piece.lane, piece.lane + piece.lanes);
        if piece.lanes > 1 && piece.is_one_address(access) {
            // The next lane sees what a lane wrote.
            for lane in first..behind {
                let source = &bytes[lane * width..(lane + 1) * width];
                self.write_hazards(access, lane..lane + 1, at, source, instruction)?;
                copy_lane(&mut self.bytes[at..], source, width);
            }
        } else {
            let source = &bytes[first * width..behind * width];
            self.write_hazards(access, first..behind, at, source, instruction)?;
            if piece.lanes == 1 {
                copy_lane(&mut self.bytes[at..], source, width);
            } else {
                self.bytes[at..at + source.len()].copy_from_slice(source);
            }
        }
        self.mark(at, piece.len as usize);
        Ok(())
    }

    /// Refuses what touches the destination of a copy in flight.
    #[inline]
    fn check_piece_flights(&self, access: &WarpAccess<'_>, piece: &Piece) -> Result<(), AccessError> {
        if self.flights.is_empty() {
            return Ok(());
        }
        let Some(at) = self.bounds(access, piece) else { return Ok(()) };
        self.check_flights(access, piece.lane, at, piece.len as usize)
    }

    /// The same of adjacent bytes, those of a lane and the lanes that follow.
    #[inline]
    fn check_flights(&self, access: &WarpAccess<'_>, lane: usize, at: usize, bytes: usize) -> Result<(), AccessError> {
        if self.flights.is_empty() {
            return Ok(());
        }
        match self.flights.find(at, bytes) {
            Some((byte, copy)) => Err(in_flight(access, lane + byte / access.bytes as usize, copy)),
            None => Ok(()),
        }
    }

    /// Why not all lanes of a piece may touch their bytes.
    #[cold]
    fn refuse_piece(&self, access: &WarpAccess<'_>, piece: &Piece, reads: bool) -> AccessError {
        let refuse = |lane| match self.find(access, lane) {
            Ok(at) if reads => self.check_initialised(access, lane, at).err(),
            found => found.err(),
        };
        let refused = (piece.lane..piece.lane + piece.lanes).find_map(refuse);
        refused.expect("a lane of a piece that is refused is refused")
    }

    /// Where a lane's bytes are, if it may touch them.
    #[inline]
    fn find(&self, access: &WarpAccess<'_>, lane: usize) -> Result<usize, AccessError> {
        let (address, bytes) = (access.addresses[lane], u64::from(access.bytes));
        let size = self.bytes.len() as u64;
        if address & (bytes - 1) == 0 && address < size && bytes <= size - address {
            Ok(address as usize)
        } else {
            Err(refuse(access, lane, size))
        }
    }

    /// Where the bytes of all lanes are, if they may be written.
    #[inline]
    fn bounds(&self, access: &WarpAccess<'_>, piece: &Piece) -> Option<usize> {
        let (start, len, size) = (piece.start, u64::from(piece.len), self.bytes.len() as u64);
        let aligned = start & u64::from(access.bytes - 1) == 0;
        (aligned && start < size && len <= size - start).then_some(start as usize)
    }

    /// Where the bytes of all lanes are, if they may be read. Otherwise lane by lane tells why not.
    #[inline]
    fn find_piece(&self, access: &WarpAccess<'_>, piece: &Piece) -> Option<usize> {
        let start = self.bounds(access, piece)?;
        let end = start + piece.len as usize;
        let written = self.init.as_ref().is_none_or(|init| init.first_missing(start, end).is_none());
        written.then_some(start)
    }

    /// Records that adjacent lanes write.
    #[inline]
    fn write_hazards(
        &mut self,
        access: &WarpAccess<'_>,
        lanes: Range<usize>,
        at: usize,
        source: &[u8],
        instruction: Option<&Instruction>,
    ) -> Result<(), AccessError> {
        let (Some(hazards), Some(instruction)) = (&mut self.hazards, instruction) else { return Ok(()) };
        let same = |part: Range<usize>| self.bytes[at..][part.clone()] == source[part];
        let result = hazards.write(at, lanes, access.bytes as usize, instruction, same);
        result.map_err(|(lane, other, wrote)| race(access, lane, other, wrote))
    }

    #[inline]
    fn check_initialised(&self, access: &WarpAccess<'_>, lane: usize, at: usize) -> Result<(), AccessError> {
        let Some(init) = &self.init else { return Ok(()) };
        let Some(byte) = init.first_missing(at, at + access.bytes as usize) else { return Ok(()) };
        let detail = format!("byte {} of {} was never written", byte - at, access.bytes);
        Err(error(AccessErrorKind::Uninitialised, access, lane, detail))
    }

    #[inline]
    fn mark(&mut self, at: usize, bytes: usize) {
        if let Some(init) = &mut self.init {
            init.set(at, at + bytes);
        }
    }
}

/// Copies the bytes of a lane.
#[inline]
fn copy_lane(to: &mut [u8], from: &[u8], width: usize) {
    match width {
        4 => to[..4].copy_from_slice(&from[..4]),
        8 => to[..8].copy_from_slice(&from[..8]),
        16 => to[..16].copy_from_slice(&from[..16]),
        _ => to[..width].copy_from_slice(&from[..width]),
    }
}

/// The lanes of a mask, ascending.
#[inline]
fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane)
    })
}

#[cold]
fn refuse(access: &WarpAccess<'_>, lane: usize, size: u64) -> AccessError {
    let (address, bytes) = (access.addresses[lane], u64::from(access.bytes));
    if address & (bytes - 1) != 0 {
        return error(AccessErrorKind::Misaligned, access, lane, format!("not a multiple of {bytes}"));
    }
    let whole = format!("the {size} bytes of shared memory");
    let detail = match address.checked_sub(size) {
        None => format!("{} of {bytes} bytes behind {whole}", bytes - (size - address)),
        Some(0) => format!("right behind {whole}"),
        Some(_) if address as i64 <= 0 || (address as u32 as u64 == address && (address as i32) < 0) => {
            let before = if address >> 32 == 0 {
                (address as i32).unsigned_abs().into()
            } else {
                (address as i64).unsigned_abs()
            };
            format!("{before} bytes before {whole}")
        }
        Some(distance) => format!("{distance} bytes behind {whole}"),
    };
    error(AccessErrorKind::OutOfBounds, access, lane, detail)
}

#[cold]
fn race(access: &WarpAccess<'_>, lane: usize, other: Access, wrote: bool) -> AccessError {
    let toucher = Toucher { line: other.line(), block: access.place.block, thread: other.thread(), wrote };
    let same_warp = other.thread() / 32 == access.place.warp;
    let detail = if same_warp { "no barrier of the warp between" } else { "no barrier of the block between" };
    AccessError { other: Some(toucher), ..error(AccessErrorKind::SharedRace, access, lane, detail.to_owned()) }
}

#[cold]
fn in_flight(access: &WarpAccess<'_>, lane: usize, copy: Access) -> AccessError {
    let other = Toucher { line: copy.line(), block: access.place.block, thread: copy.thread(), wrote: true };
    let detail = "no wait of that thread for its copy between".to_owned();
    AccessError { other: Some(other), ..error(AccessErrorKind::CopyInFlight, access, lane, detail) }
}

fn error(kind: AccessErrorKind, access: &WarpAccess<'_>, lane: usize, detail: String) -> AccessError {
    let lane_number = Some(lane as u32);
    AccessError { kind, address: access.addresses[lane], bytes: access.bytes, lane: lane_number, other: None, detail }
}
