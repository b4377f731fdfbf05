//! The device's memory pool: there is one, the default, and it keeps nothing back.

use std::ffi::{c_int, c_void};

use super::device::check;
use super::error::{Answer, Code};
use super::memory;
use super::pointer::Out;
use super::state::{Handle, Session};

/// The handle of the default pool.
const DEFAULT: Handle = 0x10;

fn known(pool: Handle) -> Answer {
    if pool == DEFAULT { Ok(()) } else { Err(Code::INVALID_VALUE) }
}

pub fn get(_: &mut Session, out: Out<Handle>, device: c_int) -> Answer {
    check(device)?;
    out.set(DEFAULT)
}

pub fn set(_: &mut Session, device: c_int, pool: Handle) -> Answer {
    check(device)?;
    known(pool)
}

pub fn trim(_: &mut Session, pool: Handle, _keep: usize) -> Answer {
    known(pool)
}

/// By number: 1 to 3 say which memory may be reused, 4 what is kept back, 5 to 8 how much there is and was.
pub fn get_attribute(session: &mut Session, pool: Handle, attribute: u32, out: Out<c_void>) -> Answer {
    known(pool)?;
    let used: u64 = session.allocations.values().map(|allocation| allocation.bytes).sum();
    match attribute {
        1..=3 => out.set_as::<c_int>(1),
        4 => out.set_as::<u64>(session.release_threshold),
        5 | 7 => out.set_as::<u64>(used),
        6 | 8 => out.set_as::<u64>(session.report.allocations.peak_bytes),
        _ => Err(Code::INVALID_VALUE),
    }
}

pub fn set_attribute(session: &mut Session, pool: Handle, attribute: u32, value: Out<c_void>) -> Answer {
    known(pool)?;
    match attribute {
        1..=3 => value.get_as::<c_int>().map(|_| ()),
        4 => {
            session.release_threshold = value.get_as::<u64>()?;
            Ok(())
        }
        // Peaks, which may be set to 0: kept by the report.
        6 | 8 => value.get_as::<u64>().map(|_| ()),
        _ => Err(Code::INVALID_VALUE),
    }
}

pub fn allocate(session: &mut Session, out: Out<u64>, bytes: usize, pool: Handle, stream: Handle) -> Answer {
    known(pool)?;
    memory::allocate_async(session, out, bytes, stream)
}
