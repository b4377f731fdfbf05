//! The lanes of an access in pieces of adjacent bytes, and the sectors they touch.

use super::WarpAccess;
use crate::count::Traffic;

/// Bytes of a sector, the unit in which global memory moves.
const SECTOR: u64 = 32;

/// Consecutive lanes whose bytes are adjacent, or all the same.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub start: u64,
    pub lane: usize,
    pub lanes: usize,
    /// Bytes from the first to behind the last.
    pub len: u32,
}

impl Piece {
    pub const NONE: Self = Self { start: 0, lane: 0, lanes: 0, len: 0 };

    /// All active lanes as one piece.
    #[inline]
    pub fn whole(access: &WarpAccess<'_>) -> Option<Self> {
        let lane = access.mask.trailing_zeros() as usize;
        let lanes = (!(access.mask >> lane)).trailing_zeros() as usize;
        if access.mask.count_ones() as usize != lanes {
            return None;
        }
        let start = access.addresses[lane];
        let adjacent = |step: u64| {
            let follow = |addresses: &[u64]| {
                let (mut differ, mut expected) = (0, start);
                for address in addresses {
                    differ |= address ^ expected;
                    expected = expected.wrapping_add(step);
                }
                differ == 0
            };
            if lanes == 32 { follow(access.addresses) } else { follow(&access.addresses[lane..lane + lanes]) }
        };
        if lanes > 1 && access.addresses[lane + 1] == start {
            adjacent(0).then_some(Self { start, lane, lanes, len: access.bytes })
        } else {
            adjacent(access.bytes.into()).then_some(Self { start, lane, lanes, len: access.bytes * lanes as u32 })
        }
    }

    /// Whether every lane has the same address.
    #[inline]
    pub fn is_one_address(&self, access: &WarpAccess<'_>) -> bool {
        self.len == access.bytes
    }

    /// The lane that a byte of the piece belongs to.
    #[inline]
    pub fn lane_of(&self, byte: usize, access: &WarpAccess<'_>) -> usize {
        self.lane + byte / access.bytes as usize
    }
}

/// The pieces of any access, in the order of lanes.
pub(super) fn pieces<'a>(access: &'a WarpAccess<'a>) -> impl Iterator<Item = Piece> + 'a {
    let width = u64::from(access.bytes);
    // Bit i: lane i + 1 follows lane i, or has its address.
    let (mut follows, mut repeats) = (0u32, 0u32);
    for lane in 0..31 {
        let distance = access.addresses[lane + 1].wrapping_sub(access.addresses[lane]);
        follows |= u32::from(distance == width) << lane;
        repeats |= u32::from(distance == 0) << lane;
    }
    let both = access.mask & access.mask >> 1;
    (follows, repeats) = (follows & both, repeats & both);
    let mut rest = access.mask;
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let lane = rest.trailing_zeros() as usize;
        let more = (follows >> lane).trailing_ones() as usize;
        let (lanes, len) = match more {
            0 => (1 + (repeats >> lane).trailing_ones() as usize, access.bytes),
            _ => (1 + more, access.bytes * (1 + more as u32)),
        };
        rest &= !((!0 >> (32 - lanes)) << lane);
        Some(Piece { start: access.addresses[lane], lane, lanes, len })
    })
}

/// Adds what pieces touch to the counts: each sector and each byte once.
#[inline]
pub(super) fn count(access: &WarpAccess<'_>, touched: &mut [(u64, u32)], traffic: &mut Traffic) {
    if !touched.is_sorted() {
        touched.sort_unstable();
    }
    let (mut sectors, mut bytes) = (0, 0);
    let (mut next_sector, mut next_byte) = (0, 0);
    for &(start, len) in &*touched {
        let end = start + u64::from(len);
        let (first, behind) = ((start / SECTOR).max(next_sector), end.div_ceil(SECTOR));
        sectors += behind.saturating_sub(first);
        next_sector = next_sector.max(behind);
        bytes += end.saturating_sub(start.max(next_byte));
        next_byte = next_byte.max(end);
    }
    traffic.requests += 1;
    traffic.bytes += u64::from(access.mask.count_ones() * access.bytes);
    traffic.sectors += sectors;
    traffic.ideal_sectors += bytes.div_ceil(SECTOR);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Place;

    #[test]
    fn pieces_are_maximal_runs() {
        let mut addresses = [0; 32];
        for (lane, address) in addresses.iter_mut().enumerate() {
            *address = match lane {
                0..8 => 1000 + 4 * lane as u64,
                8..12 => 64,
                12..16 => 4 * lane as u64,
                _ => 10_000 - 8 * lane as u64,
            };
        }
        let place = Place { line: 1, block: [0; 3], warp: 0 };
        let access = WarpAccess { addresses: &addresses, mask: 0x0007_fff7, bytes: 4, place: &place };
        let found: Vec<_> = pieces(&access).map(|piece| (piece.start, piece.lane, piece.lanes, piece.len)).collect();
        let expected = [(1000, 0, 3, 12), (1016, 4, 4, 16), (64, 8, 4, 4), (48, 12, 4, 16)];
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..].iter().map(|piece| piece.1).collect::<Vec<_>>(), [16, 17, 18]);
        assert!(Piece::whole(&access).is_none());
    }
}
