//! Device memory and a block's shared memory: where addresses lead, what may be touched, what has been written.
//!
//! Addresses: device allocations lie in one range of addresses of their own ([`DEVICE_BASE`]), with guard gaps, and are never
//! reused until the range wraps; freed ranges stay known, so that a use after free is told from a wild address. No device
//! address is an address of the host: both canonical halves of x86-64 are far away, so a host that follows one faults.
//! Shared and local memory have windows of their own in the generic address space ([`SHARED_WINDOW`], [`LOCAL_WINDOW`]).
//!
//! Unsafe code is in `reserve` alone: it maps the tables, and hands them out as slices of atomics.

mod block;
mod clock;
mod device;
mod flight;
mod global;
mod hazard;
mod heap;
mod lanes;
mod race;
mod record;
mod reserve;
mod scatter;
mod shared;
mod words;
mod written;

use crate::check::Place;
pub use block::BlockMemory;
pub use device::DeviceMemory;
pub use global::GlobalAccess;
pub use shared::SharedMemory;

/// Device addresses begin here: just above all that a host process can map.
pub const DEVICE_BASE: u64 = 1 << 47;
/// Generic addresses of a block's shared memory begin here; `cvta.to.shared` subtracts it.
pub const SHARED_WINDOW: u64 = 0x7f00_0000_0000_0000;
/// Generic addresses of a thread's local memory begin here.
pub const LOCAL_WINDOW: u64 = 0x7e00_0000_0000_0000;
/// Bytes of a window.
pub const WINDOW: u64 = 1 << 40;

/// One instruction of one warp that touches memory.
pub struct WarpAccess<'a> {
    /// An address for each lane.
    pub addresses: &'a [u64; 32],
    /// The lanes that take part.
    pub mask: u32,
    /// Bytes a lane touches: element × vector length, a power of two, at most 32; also the alignment that is owed.
    pub bytes: u32,
    /// Where it happens: for checks and messages.
    pub place: &'a Place,
}

/// The bytes of a warp's access: lane i's stand at `i * access.bytes`.
pub type LaneBytes = [u8; 32 * 32];
