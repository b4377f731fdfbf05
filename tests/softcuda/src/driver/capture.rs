//! Streams that record what is enqueued on them in place of executing it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread::{self, ThreadId};

use super::error::{Answer, Code};
use super::graph::{Graph, Node};
use super::pointer::Out;
use super::queue::Command;
use super::state::{Handle, Session};

const GLOBAL: u32 = 0;
const THREAD_LOCAL: u32 = 1;
const RELAXED: u32 = 2;

/// All captures that go on.
#[derive(Default)]
pub struct Captures {
    captures: HashMap<Handle, Capture>,
}

struct Capture {
    context: Handle,
    /// The stream on which it began and must end.
    origin: Handle,
    mode: u32,
    thread: ThreadId,
    nodes: Vec<Node>,
    /// The streams that take part: the nodes that their next node waits for.
    tails: BTreeMap<Handle, Vec<usize>>,
    invalid: bool,
}

impl Captures {
    /// The capture a stream takes part in, and the nodes that its next node will wait for.
    pub fn of(&self, stream: Handle) -> Option<(Handle, Vec<usize>)> {
        self.captures.iter().find_map(|(&handle, capture)| Some((handle, capture.tails.get(&stream)?.clone())))
    }

    fn find(&mut self, stream: Handle) -> Option<(Handle, &mut Capture)> {
        let mut captures = self.captures.iter_mut();
        let (&handle, capture) = captures.find(|(_, capture)| capture.tails.contains_key(&stream))?;
        Some((handle, capture))
    }

    /// Adds a node. Errors: the capture is invalid.
    pub fn add(&mut self, stream: Handle, command: Command) -> Answer {
        let (_, capture) = self.find(stream).ok_or(Code::ILLEGAL_STATE)?;
        if capture.invalid {
            return Err(Code::CAPTURE_INVALIDATED);
        }
        let node = capture.nodes.len();
        let needs = capture.tails.insert(stream, vec![node]).unwrap_or_default();
        capture.nodes.push(Node { command, needs });
        Ok(())
    }

    /// A stream waits for an event that was recorded in a capture: it takes part from now on.
    pub fn join(&mut self, handle: Handle, stream: Handle, nodes: &[usize]) -> Answer {
        if let Some((other, _)) = self.find(stream)
            && other != handle
        {
            self.invalidate(stream);
            if let Some(capture) = self.captures.get_mut(&handle) {
                capture.invalid = true;
            }
            return Err(Code::CAPTURE_MERGE);
        }
        let capture = self.captures.get_mut(&handle).ok_or(Code::CAPTURED_EVENT)?;
        if capture.invalid {
            return Err(Code::CAPTURE_INVALIDATED);
        }
        let tail = capture.tails.entry(stream).or_default();
        tail.extend(nodes);
        tail.sort_unstable();
        tail.dedup();
        Ok(())
    }

    /// What a stream captures will be no graph.
    pub fn invalidate(&mut self, stream: Handle) {
        if let Some((_, capture)) = self.find(stream) {
            capture.invalid = true;
        }
    }

    /// Errors: the stream captures, and cannot be waited for.
    pub fn refuse_stream(&mut self, stream: Handle) -> Answer {
        self.refuse(|capture| capture.tails.contains_key(&stream))
    }

    /// Errors: a stream of the context captures.
    pub fn refuse_in_context(&mut self, context: Handle) -> Answer {
        self.refuse(|capture| capture.context == context)
    }

    /// For calls that may wait for a stream behind the scenes. Errors: a capture goes on that forbids them.
    pub fn refuse_unsafe(&mut self) -> Answer {
        let thread = thread::current().id();
        self.refuse(|capture| match capture.mode {
            GLOBAL => true,
            THREAD_LOCAL => capture.thread == thread,
            _ => false,
        })
    }

    fn refuse(&mut self, forbids: impl Fn(&Capture) -> bool) -> Answer {
        let mut answer = Ok(());
        for capture in self.captures.values_mut().filter(|capture| forbids(capture)) {
            capture.invalid = true;
            answer = Err(Code::CAPTURE_UNSUPPORTED);
        }
        answer
    }

    pub fn forget_context(&mut self, context: Handle) {
        self.captures.retain(|_, capture| capture.context != context);
    }
}

impl Capture {
    /// Whether all nodes are before the end of the stream of origin.
    fn is_joined(&self) -> bool {
        let mut open = self.tails.get(&self.origin).cloned().unwrap_or_default();
        let mut reached = HashSet::new();
        while let Some(node) = open.pop() {
            if reached.insert(node) {
                open.extend(&self.nodes[node].needs);
            }
        }
        reached.len() == self.nodes.len()
    }
}

pub fn begin(session: &mut Session, stream: Handle, mode: u32) -> Answer {
    if mode > RELAXED {
        return Err(Code::INVALID_VALUE);
    }
    let stream = session.resolve(stream)?;
    if session.context()?.legacy == stream {
        return Err(Code::CAPTURE_UNSUPPORTED);
    }
    if session.captures.of(stream).is_some() {
        return Err(Code::ILLEGAL_STATE);
    }
    let capture = Capture {
        context: session.streams[&stream].context,
        origin: stream,
        mode,
        thread: thread::current().id(),
        nodes: Vec::new(),
        tails: BTreeMap::from([(stream, Vec::new())]),
        invalid: false,
    };
    let handle = session.handle();
    session.captures.captures.insert(handle, capture);
    Ok(())
}

pub fn end(session: &mut Session, stream: Handle, out: Out<Handle>) -> Answer {
    out.set(0)?;
    let stream = session.resolve(stream)?;
    let (handle, capture) = session.captures.find(stream).ok_or(Code::ILLEGAL_STATE)?;
    if capture.origin != stream {
        capture.invalid = true;
        return Err(Code::CAPTURE_UNMATCHED);
    }
    if capture.mode != RELAXED && capture.thread != thread::current().id() {
        capture.invalid = true;
        return Err(Code::CAPTURE_WRONG_THREAD);
    }
    let capture = session.captures.captures.remove(&handle).ok_or(Code::ILLEGAL_STATE)?;
    if capture.invalid {
        return Err(Code::CAPTURE_INVALIDATED);
    }
    if !capture.is_joined() {
        return Err(Code::CAPTURE_UNJOINED);
    }
    let graph = session.handle();
    session.graphs.insert(graph, Graph { nodes: capture.nodes.into() });
    out.set(graph)
}

/// 0: no; 1: yes; 2: yes, but it will be no graph.
pub fn status(session: &mut Session, stream: Handle, out: Out<u32>) -> Answer {
    let stream = session.resolve(stream)?;
    if session.implicit(stream).is_some() {
        return Err(Code::CAPTURE_IMPLICIT);
    }
    out.set(session.captures.find(stream).map_or(0, |(_, capture)| if capture.invalid { 2 } else { 1 }))
}
