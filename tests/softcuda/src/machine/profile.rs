//! Devices that are known, and what they admit.

use super::{Accumulation, KernelInfo, Launch, Profile};

const INVALID_VALUE: u32 = 1;
const OUT_OF_RESOURCES: u32 = 701;
const COOPERATIVE_TOO_LARGE: u32 = 720;

/// Shared memory that the system keeps of every block on devices since 8.0.
const SHARED_RESERVED: u32 = 1024;
/// Registers a thread is taken to use, where occupancy asks.
const REGISTERS_PER_THREAD: u32 = 32;

impl Profile {
    /// An A100 with 40 GB: sm_80.
    pub fn a100() -> Self {
        Self {
            name: "softcuda A100",
            capability: (8, 0),
            multiprocessors: 108,
            shared_per_block: 48 << 10,
            shared_per_block_optin: 163 << 10,
            shared_per_multiprocessor: 164 << 10,
            registers_per_multiprocessor: 65_536,
            threads_per_multiprocessor: 2048,
            blocks_per_multiprocessor: 32,
            memory: 40 << 30,
            accumulation: Accumulation::Hardware { block: 8, extra_bits: 1 },
        }
    }

    /// An H100: sm_90.
    pub fn h100() -> Self {
        Self {
            name: "softcuda H100",
            capability: (9, 0),
            multiprocessors: 132,
            shared_per_block_optin: 227 << 10,
            shared_per_multiprocessor: 228 << 10,
            memory: 80 << 30,
            accumulation: Accumulation::Hardware { block: 16, extra_bits: 2 },
            ..Self::a100()
        }
    }

    /// A consumer card with 8 GB: sm_86.
    pub fn small() -> Self {
        Self {
            name: "softcuda small",
            capability: (8, 6),
            multiprocessors: 46,
            shared_per_block_optin: 99 << 10,
            shared_per_multiprocessor: 100 << 10,
            threads_per_multiprocessor: 1536,
            blocks_per_multiprocessor: 16,
            memory: 8 << 30,
            ..Self::a100()
        }
    }

    /// Blocks of a kernel that fit one multiprocessor at the same time, limited by threads, shared memory, registers
    /// (as if a thread used 32) and blocks.
    pub fn occupancy(&self, info: &KernelInfo, threads: u32, dynamic_shared: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        let shared = (info.static_shared + dynamic_shared + SHARED_RESERVED).next_multiple_of(128);
        (self.threads_per_multiprocessor / (warps * 32))
            .min(self.shared_per_multiprocessor / shared)
            .min(self.registers_per_multiprocessor / (warps * 32 * REGISTERS_PER_THREAD))
            .min(self.blocks_per_multiprocessor)
    }

    /// The checks that a driver makes before a launch: its error code and why.
    pub(super) fn admit(&self, info: &KernelInfo, launch: &Launch<'_>) -> Result<(), (u32, String)> {
        let [x, y, z] = launch.block;
        let threads = launch.block.iter().map(|&n| u64::from(n)).product::<u64>();
        if threads == 0 || x > 1024 || y > 1024 || z > 64 || threads > 1024 {
            return Err((INVALID_VALUE, format!("a block of {x} x {y} x {z} threads")));
        }
        let threads = threads as u32;
        let [gx, gy, gz] = launch.grid;
        if gx == 0 || gy == 0 || gz == 0 || gx > i32::MAX as u32 || gy > 65_535 || gz > 65_535 {
            return Err((INVALID_VALUE, format!("a grid of {gx} x {gy} x {gz} blocks")));
        }
        if let Some(required) = info.required_threads
            && required != launch.block
        {
            let message = format!("a block of {x} x {y} x {z} threads for .reqntid {required:?}");
            return Err((INVALID_VALUE, message));
        }
        if let Some(max) = info.max_threads
            && threads > max.iter().product()
        {
            return Err((OUT_OF_RESOURCES, format!("{threads} threads a block for .maxntid {max:?}")));
        }
        if launch.parameters.len() != info.parameter_bytes as usize {
            let message = format!("{} bytes of parameters, not {}", launch.parameters.len(), info.parameter_bytes);
            return Err((INVALID_VALUE, message));
        }
        let shared = u64::from(info.static_shared) + u64::from(launch.shared);
        let limit = match launch.shared_optin {
            None => u64::from(self.shared_per_block),
            Some(dynamic) => u64::from(self.shared_per_block_optin)
                .min(u64::from(self.shared_per_block).max(u64::from(info.static_shared) + u64::from(dynamic))),
        };
        if shared > limit {
            return Err((INVALID_VALUE, format!("{shared} bytes of shared memory, more than {limit}")));
        }
        if launch.cooperative {
            let blocks = u64::from(gx) * u64::from(gy) * u64::from(gz);
            let fit = u64::from(self.occupancy(info, threads, launch.shared)) * u64::from(self.multiprocessors);
            if blocks > fit {
                let message = format!("a cooperative grid of {blocks} blocks, where {fit} fit");
                return Err((COOPERATIVE_TOO_LARGE, message));
            }
        }
        Ok(())
    }
}
