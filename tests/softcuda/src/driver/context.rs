//! Contexts, the primary one among them, and what is set for one.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::thread::ThreadId;

use super::device::check;
use super::error::{Answer, Code};
use super::pointer::Out;
use super::settings::profile;
use super::state::{Driver, Handle, Session, current, set_current};
use super::stream::Stream;
use crate::machine::Machine;

/// A context.
pub struct Context {
    /// What every call answers since a kernel faulted.
    pub error: Option<Code>,
    /// The legacy default stream.
    pub legacy: Handle,
    /// The default streams of threads that asked for their own.
    pub per_thread: HashMap<ThreadId, Handle>,
    limits: HashMap<u32, usize>,
    cache_config: u32,
}

impl Driver {
    /// The error that the calling thread's context has.
    pub fn context_error(&self) -> Answer {
        self.contexts.get(&current()).and_then(|context| context.error).map_or(Ok(()), Err)
    }

    fn new_context(&mut self) -> Result<Handle, Code> {
        if self.machine.is_none() {
            let profile = profile(&self.settings.profile).map_err(|_| Code::INVALID_DEVICE)?;
            self.machine = Some(Arc::new(Machine::new(profile, self.settings.options.clone())));
        }
        let handle = self.handle();
        let legacy = self.handle();
        self.streams.insert(legacy, Stream::legacy(handle));
        let context = Context { error: None, legacy, per_thread: HashMap::new(), limits: limits(), cache_config: 0 };
        self.contexts.insert(handle, context);
        Ok(handle)
    }
}

/// Stack size, size of the printf buffer, size of the heap of kernels: by number of the limit, with the usual defaults.
fn limits() -> HashMap<u32, usize> {
    HashMap::from([(0, 1 << 10), (1, 1 << 20), (2, 8 << 20)])
}

/// Ends a context with all that is in it.
fn destroy_context(session: &mut Session, handle: Handle) {
    session.captures.forget_context(handle);
    super::queue::run_context(session, handle);
    let driver: &mut Driver = session;
    driver.contexts.remove(&handle);
    driver.streams.retain(|_, stream| stream.context != handle);
    driver.events.retain(|_, event| event.context != handle);
    driver.modules.retain(|_, module| module.context != handle);
    driver.functions.retain(|_, function| function.context != handle);
    driver.executables.retain(|_, executable| executable.context != handle);
    super::memory::free_all(driver, handle);
    if driver.contexts.is_empty() {
        driver.machine = None;
    }
}

pub fn init(session: &mut Session, flags: u32) -> Answer {
    if flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    session.injections.call()?;
    session.initialised = true;
    Ok(())
}

pub fn retain_primary(session: &mut Session, out: Out<Handle>, device: c_int) -> Answer {
    check(device)?;
    let (handle, count) = match session.primary {
        Some(primary) => primary,
        None => (session.new_context()?, 0),
    };
    session.primary = Some((handle, count + 1));
    out.set(handle)
}

pub fn release_primary(session: &mut Session, device: c_int) -> Answer {
    check(device)?;
    match session.primary {
        None => return Err(Code::INVALID_CONTEXT),
        Some((handle, 1)) => {
            session.primary = None;
            destroy_context(session, handle);
        }
        Some((handle, count)) => session.primary = Some((handle, count - 1)),
    }
    Ok(())
}

pub fn reset_primary(session: &mut Session, device: c_int) -> Answer {
    check(device)?;
    if let Some((handle, _)) = session.primary.take() {
        destroy_context(session, handle);
    }
    Ok(())
}

pub fn primary_state(session: &mut Session, device: c_int, flags: Out<u32>, active: Out<c_int>) -> Answer {
    check(device)?;
    flags.set(0)?;
    active.set(c_int::from(session.primary.is_some()))
}

pub fn create_with_affinity(
    session: &mut Session,
    out: Out<Handle>,
    affinity: *const c_void,
    _affinities: c_int,
    flags: u32,
    device: c_int,
) -> Answer {
    create(session, out, affinity, flags, device)
}

/// Parameters, which would restrict or share the device, are refused.
pub fn create(
    session: &mut Session,
    out: Out<Handle>,
    parameters: *const c_void,
    _flags: u32,
    device: c_int,
) -> Answer {
    check(device)?;
    if !parameters.is_null() {
        return Err(Code::NOT_SUPPORTED);
    }
    let handle = session.new_context()?;
    set_current(handle);
    out.set(handle)
}

pub fn destroy(session: &mut Session, context: Handle) -> Answer {
    if session.primary.is_some_and(|(primary, _)| primary == context) || !session.contexts.contains_key(&context) {
        return Err(Code::INVALID_CONTEXT);
    }
    destroy_context(session, context);
    if current() == context {
        set_current(0);
    }
    Ok(())
}

pub fn get_current(_: &mut Session, out: Out<Handle>) -> Answer {
    out.set(current())
}

pub fn make_current(session: &mut Session, context: Handle) -> Answer {
    if context != 0 && !session.contexts.contains_key(&context) {
        return Err(Code::INVALID_CONTEXT);
    }
    set_current(context);
    Ok(())
}

pub fn get_device(session: &mut Session, out: Out<c_int>) -> Answer {
    session.context()?;
    out.set(0)
}

pub fn synchronize(session: &mut Session) -> Answer {
    let context = current();
    session.captures.refuse_in_context(context)?;
    session.report.host_synchronisations += 1;
    super::queue::run_context(session, context);
    session.context_error()
}

pub fn get_limit(session: &mut Session, out: Out<usize>, limit: u32) -> Answer {
    let value = session.context()?.limits.get(&limit).copied();
    out.set(value.ok_or(Code::UNSUPPORTED_LIMIT)?)
}

/// Kept and told back; nothing here runs out of stack.
pub fn set_limit(session: &mut Session, limit: u32, value: usize) -> Answer {
    let slot = session.context()?.limits.get_mut(&limit).ok_or(Code::UNSUPPORTED_LIMIT)?;
    *slot = value;
    Ok(())
}

pub fn get_cache_config(session: &mut Session, out: Out<u32>) -> Answer {
    out.set(session.context()?.cache_config)
}

pub fn set_cache_config(session: &mut Session, config: u32) -> Answer {
    if config > 3 {
        return Err(Code::INVALID_VALUE);
    }
    session.context()?.cache_config = config;
    Ok(())
}

pub fn set_flags(session: &mut Session, _flags: u32) -> Answer {
    session.context().map(|_| ())
}

/// Priorities are accepted, and change nothing.
pub fn priority_range(_: &mut Session, least: Out<c_int>, greatest: Out<c_int>) -> Answer {
    least.set_if_wanted(0);
    greatest.set_if_wanted(-5);
    Ok(())
}

pub fn profiler(session: &mut Session) -> Answer {
    session.context().map(|_| ())
}
