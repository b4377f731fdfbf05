//! Local memory of a warp's threads.

use crate::check::{AccessError, AccessErrorKind};
use crate::memory::LaneBytes;

/// The local memory of 32 threads.
#[derive(Default)]
pub struct Local {
    /// Thread by thread.
    bytes: Vec<u8>,
    size: usize,
}

impl Local {
    /// Makes room; what is there is undefined.
    pub fn begin(&mut self, size: u32) {
        self.size = size as usize;
        self.bytes.clear();
        self.bytes.resize(32 * self.size, 0xcd);
    }

    /// A lane's bytes at an address.
    pub fn slice(&mut self, lane: usize, address: u64, bytes: u32) -> Result<&mut [u8], AccessError> {
        let error = |kind| AccessError {
            kind,
            address,
            bytes,
            lane: Some(lane as u32),
            other: None,
            detail: format!("local memory of {} bytes", self.size),
        };
        if address.checked_add(u64::from(bytes)).is_none_or(|end| end > self.size as u64) {
            return Err(error(AccessErrorKind::OutOfBounds));
        }
        if !address.is_multiple_of(u64::from(bytes.max(1))) && bytes.is_power_of_two() {
            return Err(error(AccessErrorKind::Misaligned));
        }
        let start = lane * self.size + address as usize;
        Ok(&mut self.bytes[start..start + bytes as usize])
    }

    /// Loads into every lane's bytes.
    pub fn load(
        &mut self,
        lanes: impl Iterator<Item = usize>,
        addresses: &[u64; 32],
        bytes: u32,
        to: &mut LaneBytes,
    ) -> Result<(), AccessError> {
        for lane in lanes {
            let at = lane * bytes as usize;
            to[at..at + bytes as usize].copy_from_slice(self.slice(lane, addresses[lane], bytes)?);
        }
        Ok(())
    }

    /// Stores every lane's bytes.
    pub fn store(
        &mut self,
        lanes: impl Iterator<Item = usize>,
        addresses: &[u64; 32],
        bytes: u32,
        from: &LaneBytes,
    ) -> Result<(), AccessError> {
        for lane in lanes {
            let at = lane * bytes as usize;
            self.slice(lane, addresses[lane], bytes)?.copy_from_slice(&from[at..at + bytes as usize]);
        }
        Ok(())
    }
}
