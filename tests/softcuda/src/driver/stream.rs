//! Streams: what work on one waits for.

use std::ffi::c_int;
use std::thread;

use super::error::{Answer, Code};
use super::event::State;
use super::pointer::{HostFunction, Out, UserData};
use super::queue::{self, Command, Ticket};
use super::state::{Driver, Handle, Session, current};

/// `CU_STREAM_LEGACY`; 0 is it too.
const LEGACY: Handle = 1;
/// `CU_STREAM_PER_THREAD`.
const PER_THREAD: Handle = 2;
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

/// A stream.
pub struct Stream {
    pub context: Handle,
    kind: Kind,
    /// The last work enqueued.
    last: Option<Ticket>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Waits for all blocking streams, and they for it.
    Legacy,
    Blocking,
    NonBlocking,
}

impl Stream {
    /// The default stream of a context.
    pub fn legacy(context: Handle) -> Self {
        Self { context, kind: Kind::Legacy, last: None }
    }
}

impl Driver {
    /// The stream that a caller's handle means. Errors: no such stream.
    pub fn resolve(&mut self, stream: Handle) -> Result<Handle, Code> {
        match stream {
            0 | LEGACY => Ok(self.context()?.legacy),
            PER_THREAD => {
                let thread = thread::current().id();
                if let Some(&stream) = self.context()?.per_thread.get(&thread) {
                    return Ok(stream);
                }
                let stream = self.handle();
                self.streams.insert(stream, Stream { context: current(), kind: Kind::Blocking, last: None });
                self.context()?.per_thread.insert(thread, stream);
                Ok(stream)
            }
            _ if self.streams.contains_key(&stream) => Ok(stream),
            _ => Err(Code::INVALID_HANDLE),
        }
    }

    /// What new work on a stream waits for.
    pub fn needs(&self, stream: Handle) -> Vec<Ticket> {
        let this = &self.streams[&stream];
        let others = self.streams.values().filter(|other| {
            other.context == this.context
                && match this.kind {
                    Kind::Legacy => other.kind == Kind::Blocking,
                    Kind::Blocking => other.kind == Kind::Legacy,
                    Kind::NonBlocking => false,
                }
        });
        let last = this.last.iter().chain(others.filter_map(|other| other.last.as_ref()));
        last.copied().filter(|&ticket| self.queue.is_pending(ticket)).collect()
    }

    /// The stream that captures, where another is the legacy stream and would wait for it.
    pub fn implicit(&self, stream: Handle) -> Option<Handle> {
        let this = &self.streams[&stream];
        let mut others = self.streams.iter();
        let waits_for = |other: &Stream| other.context == this.context && other.kind == Kind::Blocking;
        let found = others.find(|(handle, other)| waits_for(other) && self.captures.of(**handle).is_some());
        found.filter(|_| this.kind == Kind::Legacy).map(|(&handle, _)| handle)
    }

    /// Errors: as the legacy stream, this one would wait for a stream that captures, which then fails.
    pub fn refuse_implicit(&mut self, stream: Handle) -> Answer {
        match self.implicit(stream) {
            None => Ok(()),
            Some(capturing) => {
                self.captures.invalidate(capturing);
                Err(Code::CAPTURE_IMPLICIT)
            }
        }
    }

    /// Puts work at the end of a stream.
    pub fn append(&mut self, stream: Handle, extra: &[Ticket], command: Command) -> Ticket {
        let mut needs = self.needs(stream);
        needs.extend(extra);
        let context = self.streams[&stream].context;
        let ticket = self.queue.push(context, needs, command, false);
        self.set_last(stream, ticket);
        ticket
    }

    pub fn set_last(&mut self, stream: Handle, ticket: Ticket) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.last = Some(ticket);
        }
    }
}

/// Enqueues work on a stream, or adds it to the graph that the stream captures; then there is no ticket.
pub fn submit(session: &mut Session, stream: Handle, command: Command) -> Result<Option<Ticket>, Code> {
    let stream = session.resolve(stream)?;
    if session.captures.of(stream).is_some() {
        session.captures.add(stream, command)?;
        return Ok(None);
    }
    session.refuse_implicit(stream)?;
    let ticket = session.append(stream, &[], command);
    settle(session, ticket)?;
    Ok(Some(ticket))
}

/// Executes work that was just enqueued, unless it may wait.
pub fn settle(session: &mut Session, ticket: Ticket) -> Answer {
    if session.is_lazy() {
        return Ok(());
    }
    queue::run_until(session, &[ticket]);
    session.queue.take_refusal().map_or(Ok(()), Err)
}

pub fn create(session: &mut Session, out: Out<Handle>, flags: u32) -> Answer {
    if flags > NON_BLOCKING {
        return Err(Code::INVALID_VALUE);
    }
    let kind = if flags == NON_BLOCKING { Kind::NonBlocking } else { Kind::Blocking };
    let handle = session.handle();
    session.streams.insert(handle, Stream { context: current(), kind, last: None });
    out.set(handle)
}

pub fn create_with_priority(session: &mut Session, out: Out<Handle>, flags: u32, _priority: c_int) -> Answer {
    create(session, out, flags)
}

/// Work that is on it is still executed.
pub fn destroy(session: &mut Session, stream: Handle) -> Answer {
    if stream <= PER_THREAD {
        return Err(Code::INVALID_HANDLE);
    }
    session.captures.invalidate(stream);
    session.streams.remove(&stream).map(|_| ()).ok_or(Code::INVALID_HANDLE)
}

pub fn synchronize(session: &mut Session, stream: Handle) -> Answer {
    let stream = session.resolve(stream)?;
    session.captures.refuse_stream(stream)?;
    session.refuse_implicit(stream)?;
    session.report.host_synchronisations += 1;
    // The legacy stream brings the blocking streams with it.
    let tickets = session.needs(stream);
    queue::run_until(session, &tickets);
    session.context_error()
}

pub fn query(session: &mut Session, stream: Handle) -> Answer {
    let stream = session.resolve(stream)?;
    session.captures.refuse_stream(stream)?;
    session.refuse_implicit(stream)?;
    if !session.needs(stream).is_empty() {
        queue::run_something(session);
    }
    session.context_error()?;
    if session.needs(stream).is_empty() { Ok(()) } else { Err(Code::NOT_READY) }
}

pub fn wait_event(session: &mut Session, stream: Handle, event: Handle, _flags: u32) -> Answer {
    let stream = session.resolve(stream)?;
    let state = session.events.get(&event).ok_or(Code::INVALID_HANDLE)?.state.clone();
    match state {
        State::Captured(capture, nodes) => {
            session.refuse_implicit(stream)?;
            session.captures.join(capture, stream, &nodes)
        }
        State::Never => Ok(()),
        State::Done(_) | State::Pending(_) if session.captures.of(stream).is_some() => {
            session.captures.invalidate(stream);
            Err(Code::CAPTURE_ISOLATION)
        }
        State::Done(_) => Ok(()),
        State::Pending(ticket) => {
            session.append(stream, &[ticket], Command::Join);
            Ok(())
        }
    }
}

pub fn launch_host_function(session: &mut Session, stream: Handle, function: HostFunction, data: UserData) -> Answer {
    if function.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    submit(session, stream, Command::Call(function, data)).map(|_| ())
}
