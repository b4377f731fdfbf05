//! Graphs: what was captured, to be launched any number of times.

use std::sync::Arc;

use super::error::{Answer, Code};
use super::pointer::Out;
use super::queue::{Command, Ticket};
use super::state::{Handle, Session, current};
use super::stream::settle;

/// A piece of work and the nodes it waits for, all before it.
pub struct Node {
    pub command: Command,
    pub needs: Vec<usize>,
}

/// What was captured.
pub struct Graph {
    pub nodes: Arc<[Node]>,
}

/// A graph that can be launched.
pub struct Executable {
    pub context: Handle,
    nodes: Arc<[Node]>,
    /// Launches of one executable follow each other.
    last: Option<Ticket>,
}

const AUTO_FREE_ON_LAUNCH: u64 = 1;
const UPLOAD: u64 = 2;
const DEVICE_LAUNCH: u64 = 4;
const USE_NODE_PRIORITY: u64 = 8;

pub fn instantiate(session: &mut Session, out: Out<Handle>, graph: Handle, flags: u64) -> Answer {
    let known = AUTO_FREE_ON_LAUNCH | DEVICE_LAUNCH | USE_NODE_PRIORITY;
    let both = AUTO_FREE_ON_LAUNCH | DEVICE_LAUNCH;
    // Uploads take a stream, which this function does not.
    if flags & UPLOAD != 0 || flags & !known != 0 || flags & both == both {
        return Err(Code::INVALID_VALUE);
    }
    if flags & DEVICE_LAUNCH != 0 {
        return Err(Code::NOT_SUPPORTED);
    }
    let nodes = session.graphs.get(&graph).ok_or(Code::INVALID_VALUE)?.nodes.clone();
    let handle = session.handle();
    session.executables.insert(handle, Executable { context: current(), nodes, last: None });
    out.set(handle)
}

pub fn launch(session: &mut Session, executable: Handle, stream: Handle) -> Answer {
    let stream = session.resolve(stream)?;
    let (nodes, last) = match session.executables.get(&executable) {
        Some(executable) => (executable.nodes.clone(), executable.last),
        None => return Err(Code::INVALID_VALUE),
    };
    if session.captures.of(stream).is_some() {
        session.captures.invalidate(stream);
        return Err(Code::NOT_SUPPORTED);
    }
    session.refuse_implicit(stream)?;

    let context = session.streams[&stream].context;
    let mut before = session.needs(stream);
    before.extend(last);
    let mut tickets: Vec<Ticket> = Vec::with_capacity(nodes.len());
    for node in nodes.iter() {
        let mut needs: Vec<Ticket> = node.needs.iter().map(|&need| tickets[need]).collect();
        if needs.is_empty() {
            needs.clone_from(&before);
        }
        tickets.push(session.queue.push(context, needs, node.command.clone(), true));
    }
    before.extend(tickets);
    let join = session.queue.push(context, before, Command::Join, true);
    session.set_last(stream, join);
    if let Some(executable) = session.executables.get_mut(&executable) {
        executable.last = Some(join);
    }
    session.report.graph_launches += 1;
    settle(session, join)
}

/// There is nothing to move.
pub fn upload(session: &mut Session, executable: Handle, stream: Handle) -> Answer {
    session.resolve(stream)?;
    session.executables.get(&executable).map(|_| ()).ok_or(Code::INVALID_VALUE)
}

pub fn destroy(session: &mut Session, graph: Handle) -> Answer {
    session.graphs.remove(&graph).map(|_| ()).ok_or(Code::INVALID_VALUE)
}

pub fn destroy_executable(session: &mut Session, executable: Handle) -> Answer {
    session.executables.remove(&executable).map(|_| ()).ok_or(Code::INVALID_VALUE)
}
