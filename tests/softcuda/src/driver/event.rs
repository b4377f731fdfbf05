//! Events.

use std::time::Instant;

use super::error::{Answer, Code};
use super::pointer::Out;
use super::queue::{self, Command, Ticket};
use super::state::{Handle, Session, current};
use super::stream::settle;

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;
/// `CU_EVENT_BLOCKING_SYNC`, `CU_EVENT_DISABLE_TIMING`; events for other processes are not supported.
const FLAGS: u32 = 3;

/// An event.
pub struct Event {
    pub context: Handle,
    timing: bool,
    pub state: State,
}

/// What an event was last recorded behind.
#[derive(Clone)]
pub enum State {
    Never,
    /// Work that is not executed yet.
    Pending(Ticket),
    Done(Instant),
    /// Nodes of a graph that is being captured.
    Captured(Handle, Vec<usize>),
}

/// The work that an event was recorded behind is done.
pub fn happen(session: &mut Session, event: Handle, ticket: Ticket) {
    if let Some(event) = session.events.get_mut(&event)
        && matches!(event.state, State::Pending(pending) if pending == ticket)
    {
        event.state = State::Done(Instant::now());
    }
}

fn get(session: &mut Session, event: Handle) -> Result<&mut Event, Code> {
    session.events.get_mut(&event).ok_or(Code::INVALID_HANDLE)
}

pub fn create(session: &mut Session, out: Out<Handle>, flags: u32) -> Answer {
    if flags > FLAGS {
        return Err(if flags & !7 == 0 { Code::NOT_SUPPORTED } else { Code::INVALID_VALUE });
    }
    let handle = session.handle();
    let event = Event { context: current(), timing: flags & DISABLE_TIMING == 0, state: State::Never };
    session.events.insert(handle, event);
    out.set(handle)
}

pub fn destroy(session: &mut Session, event: Handle) -> Answer {
    session.events.remove(&event).map(|_| ()).ok_or(Code::INVALID_HANDLE)
}

pub fn record(session: &mut Session, event: Handle, stream: Handle) -> Answer {
    let context = get(session, event)?.context;
    let stream = session.resolve(stream)?;
    if session.streams[&stream].context != context {
        return Err(Code::INVALID_HANDLE);
    }
    if let Some((capture, nodes)) = session.captures.of(stream) {
        get(session, event)?.state = State::Captured(capture, nodes);
        return Ok(());
    }
    session.refuse_implicit(stream)?;
    let ticket = session.append(stream, &[], Command::Record(event));
    get(session, event)?.state = State::Pending(ticket);
    settle(session, ticket)
}

pub fn query(session: &mut Session, event: Handle) -> Answer {
    let state = get(session, event)?.state.clone();
    match state {
        State::Captured(..) => return Err(Code::CAPTURED_EVENT),
        State::Never => return Ok(()),
        State::Pending(_) | State::Done(_) => {}
    }
    session.captures.refuse_unsafe()?;
    if let State::Pending(ticket) = state {
        queue::run_something(session);
        session.context_error()?;
        if session.queue.is_pending(ticket) {
            return Err(Code::NOT_READY);
        }
    }
    Ok(())
}

pub fn synchronize(session: &mut Session, event: Handle) -> Answer {
    let state = get(session, event)?.state.clone();
    if matches!(state, State::Captured(..)) {
        return Err(Code::CAPTURED_EVENT);
    }
    session.captures.refuse_unsafe()?;
    session.report.host_synchronisations += 1;
    if let State::Pending(ticket) = state {
        queue::run_until(session, &[ticket]);
    }
    session.context_error()
}

pub fn elapsed(session: &mut Session, out: Out<f32>, start: Handle, end: Handle) -> Answer {
    let mut times = [Instant::now(); 2];
    for (time, event) in times.iter_mut().zip([start, end]) {
        let event = get(session, event)?;
        *time = match event.state {
            _ if !event.timing => return Err(Code::INVALID_HANDLE),
            State::Never => return Err(Code::INVALID_HANDLE),
            State::Captured(..) => return Err(Code::CAPTURED_EVENT),
            State::Pending(_) => return Err(Code::NOT_READY),
            State::Done(time) => time,
        };
    }
    let [start, end] = times;
    let milliseconds = match end.checked_duration_since(start) {
        Some(duration) => duration.as_secs_f32() * 1e3,
        None => -start.duration_since(end).as_secs_f32() * 1e3,
    };
    out.set(milliseconds)
}
