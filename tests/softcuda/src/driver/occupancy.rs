//! How many blocks of a kernel fit, by threads, shared memory and blocks; by registers as if a thread used 32, because
//! how many it uses is not known before ptxas.

use std::ffi::c_int;

use super::error::{Answer, Code};
use super::function::Function;
use super::pointer::{BlockToShared, Out};
use super::state::{Handle, Session};
use crate::machine::Profile;

/// Shared memory that the system keeps of every block.
const RESERVED: u32 = 1024;
/// Shared memory is given out in multiples of this.
const GRANULE: u32 = 128;

/// Blocks of `threads` that fit one multiprocessor; 0 for one that cannot be launched.
fn blocks(profile: &Profile, function: &Function, threads: c_int, shared: usize) -> Result<u32, Code> {
    let threads = u32::try_from(threads).ok().filter(|&threads| threads > 0).ok_or(Code::INVALID_VALUE)?;
    let info = function.info()?;
    let limit = dynamic_limit(profile, function)?;
    match u32::try_from(shared) {
        Ok(shared) if threads <= function.threads() && shared <= limit => Ok(profile.occupancy(info, threads, shared)),
        _ => Ok(0),
    }
}

/// The most dynamic shared memory of a block.
fn dynamic_limit(profile: &Profile, function: &Function) -> Result<u32, Code> {
    let rest = profile.shared_per_block.saturating_sub(function.info()?.static_shared);
    Ok(function.shared_optin.unwrap_or(0).max(rest))
}

fn find(session: &Session, function: Handle) -> Result<&Function, Code> {
    session.functions.get(&function).ok_or(Code::INVALID_HANDLE)
}

pub fn active_blocks(
    session: &mut Session,
    out: Out<c_int>,
    function: Handle,
    threads: c_int,
    shared: usize,
) -> Answer {
    let profile = session.profile()?;
    let blocks = blocks(&profile, find(session, function)?, threads, shared)?;
    out.set(blocks as c_int)
}

pub fn active_blocks_with_flags(
    session: &mut Session,
    out: Out<c_int>,
    function: Handle,
    threads: c_int,
    shared: usize,
    _flags: u32,
) -> Answer {
    active_blocks(session, out, function, threads, shared)
}

pub fn potential_block_size(
    session: &mut Session,
    grid: Out<c_int>,
    block: Out<c_int>,
    function: Handle,
    block_to_shared: BlockToShared,
    shared: usize,
    limit: c_int,
) -> Answer {
    let profile = session.profile()?;
    let most = find(session, function)?.threads();
    let most = if limit > 0 { most.min(limit as u32) } else { most };
    let mut best = (0, 0, 0);
    let mut threads = most;
    while threads > 0 {
        // The caller's function may call the driver.
        let needed = session.unlocked(|| block_to_shared.call(threads as c_int)).map_err(|_| Code::UNKNOWN)?;
        let shared = needed.unwrap_or(shared);
        let blocks = blocks(&profile, find(session, function)?, threads as c_int, shared)?;
        if blocks * threads > best.0 {
            best = (blocks * threads, blocks, threads);
        }
        threads = threads.next_multiple_of(32) - 32;
    }
    let (_, blocks, threads) = best;
    grid.set((blocks * profile.multiprocessors) as c_int)?;
    block.set(threads as c_int)
}

#[allow(clippy::too_many_arguments)]
pub fn potential_block_size_with_flags(
    session: &mut Session,
    grid: Out<c_int>,
    block: Out<c_int>,
    function: Handle,
    block_to_shared: BlockToShared,
    shared: usize,
    limit: c_int,
    _flags: u32,
) -> Answer {
    potential_block_size(session, grid, block, function, block_to_shared, shared, limit)
}

pub fn available_shared(
    session: &mut Session,
    out: Out<usize>,
    function: Handle,
    blocks: c_int,
    threads: c_int,
) -> Answer {
    let profile = session.profile()?;
    let function = find(session, function)?;
    let wanted = u32::try_from(blocks).ok().filter(|&blocks| blocks > 0).ok_or(Code::INVALID_VALUE)?;
    if self::blocks(&profile, function, threads, 0)? < wanted {
        return Err(Code::INVALID_VALUE);
    }
    let of_block = profile.shared_per_multiprocessor / wanted / GRANULE * GRANULE;
    let free = of_block.saturating_sub(RESERVED + function.info()?.static_shared);
    out.set(free.min(dynamic_limit(&profile, function)?) as usize)
}
