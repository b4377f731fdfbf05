//! Device memory: allocating, freeing, copying, filling.

use std::ffi::c_int;

use super::error::{Answer, Code};
use super::pointer::{HostSource, HostTarget, Out};
use super::queue::{Command, HostBytes, fault_of_copy, run_context, run_until};
use super::settings::Site;
use super::state::{Driver, Handle, Session, current};
use super::stream::submit;
use crate::check::{AccessError, AccessErrorKind};

/// Device memory that the API allocated.
pub struct Allocation {
    pub bytes: u64,
    pub context: Handle,
    /// On some stream, its end is enqueued.
    freeing: bool,
}

/// Allocates; memory that is still to be freed is freed first, if there is no other.
fn allocate_device(session: &mut Session, bytes: usize) -> Result<u64, Code> {
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    session.injections.pass(Site::Allocation)?;
    match session.allocate_device(bytes) {
        Err(Code::OUT_OF_MEMORY) if session.allocations.values().any(|allocation| allocation.freeing) => {
            run_context(session, current());
            session.allocate_device(bytes)
        }
        answer => answer,
    }
}

impl Driver {
    fn allocate_device(&mut self, bytes: usize) -> Result<u64, Code> {
        let bytes = bytes as u64;
        let address = self.machine()?.memory().allocate(bytes).ok_or(Code::OUT_OF_MEMORY)?;
        self.allocations.insert(address, Allocation { bytes, context: current(), freeing: false });
        let live = self.allocations.values().map(|allocation| allocation.bytes).sum();
        let allocations = &mut self.report.allocations;
        allocations.made.add(bytes);
        allocations.peak_bytes = allocations.peak_bytes.max(live);
        Ok(address)
    }

    /// Errors: not all of the range is in one allocation or variable; what is wrong is left as the last fault.
    fn check_range(&mut self, address: u64, bytes: usize) -> Answer {
        let machine = self.machine()?;
        let memory = machine.memory();
        let bytes = bytes as u64;
        let found = memory.allocation(address);
        let end = address.checked_add(bytes);
        if found.is_some_and(|(base, size)| end.is_some_and(|end| end - base <= size)) {
            return Ok(());
        }
        let mut byte = [0];
        let last = address.wrapping_add(bytes.saturating_sub(1));
        let told = memory.read(address, &mut byte).and_then(|()| memory.read(last, &mut byte));
        let error = told.err().unwrap_or_else(|| AccessError {
            kind: AccessErrorKind::OutOfBounds,
            address,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            lane: None,
            other: None,
            detail: "more than one allocation".to_owned(),
        });
        self.fault = Some(fault_of_copy(error));
        Err(Code::INVALID_VALUE)
    }

    /// Errors: no allocation begins there, or it is freed already; what is wrong is left as the last fault.
    fn check_free(&mut self, address: u64) -> Answer {
        match self.allocations.get(&address) {
            Some(allocation) if !allocation.freeing => Ok(()),
            found => {
                let detail = if found.is_some() { "freed already" } else { "no allocation begins there" };
                self.fault = Some(fault_of_copy(AccessError {
                    kind: AccessErrorKind::NotAnAllocation,
                    address,
                    bytes: 0,
                    lane: None,
                    other: None,
                    detail: detail.to_owned(),
                }));
                Err(Code::INVALID_VALUE)
            }
        }
    }
}

/// Frees an allocation now.
pub fn release(driver: &mut Driver, address: u64) {
    if let Some(allocation) = driver.allocations.remove(&address) {
        driver.report.allocations.freed.add(allocation.bytes);
        if let Some(machine) = &driver.machine
            && let Err(error) = machine.memory().free(address)
        {
            driver.fault = Some(fault_of_copy(error));
        }
    }
}

/// Frees what a context leaves behind.
pub fn free_all(driver: &mut Driver, context: Handle) {
    let of_context = |(_, allocation): &(&u64, &Allocation)| allocation.context == context;
    let left: Vec<u64> = driver.allocations.iter().filter(of_context).map(|(&address, _)| address).collect();
    for address in left {
        let bytes = driver.allocations[&address].bytes;
        driver.report.allocations.leaked.add(bytes);
        release(driver, address);
    }
}

pub fn allocate(session: &mut Session, out: Out<u64>, bytes: usize) -> Answer {
    session.captures.refuse_unsafe()?;
    let address = allocate_device(session, bytes)?;
    out.set(address)
}

/// The memory is there at once; its use before the stream's earlier work is done is not found out.
pub fn allocate_async(session: &mut Session, out: Out<u64>, bytes: usize, stream: Handle) -> Answer {
    let stream = session.resolve(stream)?;
    if session.captures.of(stream).is_some() {
        // Graphs that own memory are not simulated.
        session.captures.invalidate(stream);
        return Err(Code::NOT_SUPPORTED);
    }
    session.refuse_implicit(stream)?;
    let address = allocate_device(session, bytes)?;
    out.set(address)
}

/// Waits for all work of the context, as drivers do.
pub fn free(session: &mut Session, address: u64) -> Answer {
    if address == 0 {
        return Ok(());
    }
    session.captures.refuse_unsafe()?;
    session.check_free(address)?;
    let context = session.allocations[&address].context;
    run_context(session, context);
    release(session, address);
    Ok(())
}

pub fn free_async(session: &mut Session, address: u64, stream: Handle) -> Answer {
    if address == 0 {
        return Ok(());
    }
    let stream = session.resolve(stream)?;
    if session.captures.of(stream).is_some() {
        session.captures.invalidate(stream);
        return Err(Code::NOT_SUPPORTED);
    }
    session.check_free(address)?;
    let Some(allocation) = session.allocations.get_mut(&address) else { return Err(Code::INVALID_VALUE) };
    allocation.freeing = true;
    let context = allocation.context;
    if session.contexts.get(&context).is_some_and(|context| context.error.is_some()) {
        // Nothing runs there any more.
        release(session, address);
        return Ok(());
    }
    submit(session, stream, Command::Free(address)).map(|_| ())
}

pub fn info(session: &mut Session, free: Out<usize>, total: Out<usize>) -> Answer {
    let machine = session.machine()?;
    let memory = machine.profile().memory;
    free.set(memory.saturating_sub(machine.memory().allocated_bytes()) as usize)?;
    total.set(memory as usize)
}

/// The errors that copies and fills have at the call. `false`: there is nothing to do.
fn begin(session: &mut Session, ranges: &[u64], bytes: usize) -> Result<bool, Code> {
    session.injections.pass(Site::Copy)?;
    if bytes == 0 {
        return Ok(false);
    }
    for &address in ranges {
        session.check_range(address, bytes)?;
    }
    Ok(true)
}

pub fn host_to_device(session: &mut Session, to: u64, from: HostSource, bytes: usize, stream: Handle) -> Answer {
    if !begin(session, &[to], bytes)? {
        return Ok(());
    }
    if from.address() == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let stream = session.resolve(stream)?;
    // A graph reads the host's memory at each launch.
    let later = session.captures.of(stream).is_some() || session.is_pinned(from.address(), bytes);
    let from = if later { HostBytes::Later(from, bytes) } else { HostBytes::Taken(from.read(bytes).into()) };
    submit(session, stream, Command::HostToDevice { to, from }).map(|_| ())
}

pub fn device_to_host(session: &mut Session, to: HostTarget, from: u64, bytes: usize, stream: Handle) -> Answer {
    if !begin(session, &[from], bytes)? {
        return Ok(());
    }
    if to.address() == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let later = session.is_pinned(to.address(), bytes);
    let ticket = submit(session, stream, Command::DeviceToHost { to, from, bytes: bytes as u64 })?;
    if let Some(ticket) = ticket
        && !later
    {
        // Pageable memory has its bytes when the call returns.
        session.report.host_synchronisations += 1;
        run_until(session, &[ticket]);
        session.context_error()?;
    }
    Ok(())
}

pub fn device_to_device(session: &mut Session, to: u64, from: u64, bytes: usize, stream: Handle) -> Answer {
    if !begin(session, &[to, from], bytes)? {
        return Ok(());
    }
    submit(session, stream, Command::DeviceToDevice { to, from, bytes: bytes as u64 }).map(|_| ())
}

pub fn host_to_device_now(session: &mut Session, to: u64, from: HostSource, bytes: usize) -> Answer {
    let stream = legacy_now(session)?;
    host_to_device(session, to, from, bytes, stream)?;
    session.report.host_synchronisations += 1;
    run_until(session, &session.needs(stream));
    session.context_error()
}

pub fn device_to_host_now(session: &mut Session, to: HostTarget, from: u64, bytes: usize) -> Answer {
    let stream = legacy_now(session)?;
    device_to_host(session, to, from, bytes, stream)?;
    run_until(session, &session.needs(stream));
    session.context_error()
}

pub fn device_to_device_now(session: &mut Session, to: u64, from: u64, bytes: usize) -> Answer {
    let stream = legacy_now(session)?;
    device_to_device(session, to, from, bytes, stream)
}

/// The stream of the functions that take none.
fn legacy_now(session: &mut Session) -> Result<Handle, Code> {
    let stream = session.resolve(0)?;
    session.refuse_implicit(stream)?;
    Ok(stream)
}

/// There is one device: a copy between contexts is a copy on it.
pub fn peer(
    session: &mut Session,
    to: u64,
    to_context: Handle,
    from: u64,
    from_context: Handle,
    bytes: usize,
    stream: Handle,
) -> Answer {
    if !session.contexts.contains_key(&to_context) || !session.contexts.contains_key(&from_context) {
        return Err(Code::INVALID_CONTEXT);
    }
    device_to_device(session, to, from, bytes, stream)
}

fn fill(session: &mut Session, to: u64, pattern: &[u8], count: usize, stream: Handle) -> Answer {
    let bytes = count.checked_mul(pattern.len()).ok_or(Code::INVALID_VALUE)?;
    if !to.is_multiple_of(pattern.len() as u64) {
        return Err(Code::INVALID_VALUE);
    }
    if !begin(session, &[to], bytes)? {
        return Ok(());
    }
    submit(session, stream, Command::Fill { to, pattern: pattern.to_vec(), count: count as u64 }).map(|_| ())
}

pub fn fill_8(session: &mut Session, to: u64, value: u8, count: usize, stream: Handle) -> Answer {
    fill(session, to, &[value], count, stream)
}

pub fn fill_16(session: &mut Session, to: u64, value: u16, count: usize, stream: Handle) -> Answer {
    fill(session, to, &value.to_le_bytes(), count, stream)
}

pub fn fill_32(session: &mut Session, to: u64, value: u32, count: usize, stream: Handle) -> Answer {
    fill(session, to, &value.to_le_bytes(), count, stream)
}

pub fn fill_8_now(session: &mut Session, to: u64, value: u8, count: usize) -> Answer {
    fill_8(session, to, value, count, 0)
}

pub fn fill_16_now(session: &mut Session, to: u64, value: u16, count: usize) -> Answer {
    fill_16(session, to, value, count, 0)
}

pub fn fill_32_now(session: &mut Session, to: u64, value: u32, count: usize) -> Answer {
    fill_32(session, to, value, count, 0)
}

/// Base and size of the allocation that holds an address.
pub fn range(session: &mut Session, base: Out<u64>, size: Out<usize>, address: u64) -> Answer {
    let (found, bytes) = session.machine()?.memory().allocation(address).ok_or(Code::NOT_FOUND)?;
    base.set_if_wanted(found);
    size.set_if_wanted(bytes as usize);
    Ok(())
}

/// Facts of an address, by number: context, kind of memory, device and host pointer, ordinal, whether it is managed.
pub fn attribute(session: &mut Session, out: Out<std::ffi::c_void>, attribute: u32, address: u64) -> Answer {
    let on_device = session.machine()?.memory().allocation(address);
    let pinned = session.is_pinned(address, 1);
    if on_device.is_none() && !pinned {
        return Err(Code::INVALID_VALUE);
    }
    match attribute {
        1 => {
            let before = session.allocations.range(..=address).next_back();
            out.set_as::<u64>(before.map_or_else(current, |(_, allocation)| allocation.context))
        }
        2 => out.set_as::<u32>(if pinned { 1 } else { 2 }),
        3 if !pinned => out.set_as::<u64>(address),
        4 if pinned => out.set_as::<u64>(address),
        8 => out.set_as::<u32>(0),
        9 => out.set_as::<c_int>(0),
        11 => out.set_as::<u64>(on_device.map_or(address, |(base, _)| base)),
        12 => out.set_as::<usize>(on_device.map_or(1, |(_, size)| size as usize)),
        _ => Err(Code::INVALID_VALUE),
    }
}
