//! The one device: its name and attributes.

use std::ffi::{c_char, c_int};

use super::error::{Answer, Code};
use super::pointer::Out;
use super::settings::profile;
use super::state::{Driver, Session};
use crate::machine::Profile;

/// CUDA 12.8: what cudarc is compiled for.
const VERSION: c_int = 12_080;

/// The greatest number that names an attribute in CUDA 12.8.
const LAST_ATTRIBUTE: u32 = 145;

impl Driver {
    /// The device that contexts are made on.
    pub fn profile(&self) -> Result<Profile, Code> {
        match &self.machine {
            Some(machine) => Ok(machine.profile().clone()),
            None => profile(&self.settings.profile).map_err(|_| Code::NO_DEVICE),
        }
    }
}

/// Errors: there is no such device.
pub fn check(device: c_int) -> Answer {
    if device == 0 { Ok(()) } else { Err(Code::INVALID_DEVICE) }
}

pub fn version(_: &mut Session, out: Out<c_int>) -> Answer {
    out.set(VERSION)
}

pub fn count(_: &mut Session, out: Out<c_int>) -> Answer {
    out.set(1)
}

pub fn get(_: &mut Session, out: Out<c_int>, ordinal: c_int) -> Answer {
    check(ordinal)?;
    out.set(0)
}

pub fn name(session: &mut Session, out: Out<c_char>, length: c_int, device: c_int) -> Answer {
    check(device)?;
    out.set_text(session.profile()?.name, length)
}

pub fn uuid(_: &mut Session, out: Out<[u8; 16]>, device: c_int) -> Answer {
    check(device)?;
    out.set(*b"softcuda device0")
}

pub fn total_memory(session: &mut Session, out: Out<usize>, device: c_int) -> Answer {
    check(device)?;
    out.set(session.profile()?.memory as usize)
}

pub fn attribute(session: &mut Session, out: Out<c_int>, attribute: u32, device: c_int) -> Answer {
    check(device)?;
    let value = value(&session.profile()?, attribute).ok_or(Code::INVALID_VALUE)?;
    out.set(value)
}

/// An attribute by its number; those that are not listed are 0, which for most says that the device lacks something.
fn value(profile: &Profile, attribute: u32) -> Option<c_int> {
    let value = match attribute {
        // Threads of a block, and along each axis.
        1..=3 => 1024,
        4 => 64,
        // Blocks along each axis.
        5 => i32::MAX as u32,
        6 | 7 => 65_535,
        8 => profile.shared_per_block,
        // Constant memory, warp size, pitch.
        9 => 64 << 10,
        10 => 32,
        11 => i32::MAX as u32,
        // Registers of a block and of a multiprocessor.
        12 | 82 => profile.registers_per_multiprocessor,
        // Clock in kHz, for those who divide by it; texture alignment; copies overlap kernels.
        13 => 1_000_000,
        14 => 512,
        15 => 1,
        16 => profile.multiprocessors,
        // Host memory can be mapped: page-locked memory is host memory here.
        19 => 1,
        // Kernels at the same time.
        31 => 1,
        // Memory clock, bus width, L2.
        36 => 1_000_000,
        37 => 4096,
        38 => 40 << 20,
        39 => profile.threads_per_multiprocessor,
        // Copy engines, unified addresses.
        40 => 1,
        41 => 1,
        75 => profile.capability.0,
        76 => profile.capability.1,
        // Priorities of streams, L1 for global and local memory.
        78..=80 => 1,
        81 => profile.shared_per_multiprocessor,
        // Preemption, cooperative launches.
        90 => 1,
        95 => 1,
        97 => profile.shared_per_block_optin,
        106 => profile.blocks_per_multiprocessor,
        // Shared memory that the system keeps of every block.
        111 => 1024,
        // Memory pools.
        115 => 1,
        _ if (1..=LAST_ATTRIBUTE).contains(&attribute) => 0,
        _ => return None,
    };
    Some(value as c_int)
}
