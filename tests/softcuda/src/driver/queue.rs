//! Work that was enqueued and not executed yet, and the order in which it is.
//!
//! Every piece of work names the pieces that must be done before it: those before it on its stream, those that an event
//! brought, those of the legacy stream. What these leave open is drawn from a seed, or is the order of the calls.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::Code;
use super::launch::Work;
use super::pointer::{HostFunction, HostSource, HostTarget, UserData};
use super::settings::{Site, StreamMode};
use super::state::{Handle, Session};
use crate::check::{AccessError, AccessErrorKind, Fault, FaultKind};

/// A piece of work, by the order of the calls.
pub type Ticket = u64;

/// What a piece of work does.
#[derive(Clone)]
pub enum Command {
    HostToDevice {
        to: u64,
        from: HostBytes,
    },
    DeviceToHost {
        to: HostTarget,
        from: u64,
        bytes: u64,
    },
    DeviceToDevice {
        to: u64,
        from: u64,
        bytes: u64,
    },
    Fill {
        to: u64,
        pattern: Vec<u8>,
        count: u64,
    },
    Launch(Arc<Work>),
    Free(u64),
    Record(Handle),
    Call(HostFunction, UserData),
    /// Nothing: what comes behind it waits for what it waits for.
    Join,
}

/// Where a copy finds its bytes.
#[derive(Clone)]
pub enum HostBytes {
    /// Pageable memory, as it was at the call.
    Taken(Arc<[u8]>),
    /// Page-locked memory, or memory that a graph reads, as it is when the copy runs.
    Later(HostSource, usize),
}

struct Entry {
    context: Handle,
    needs: Vec<Ticket>,
    command: Command,
    from_graph: bool,
    /// On another thread, which is in a kernel or in a function of the host.
    running: bool,
}

/// Work that was enqueued and not executed yet.
pub struct Queue {
    entries: BTreeMap<Ticket, Entry>,
    next: Ticket,
    random: Option<u64>,
    /// Why a launch that was to run at once was refused.
    refusal: Option<Code>,
}

impl Queue {
    pub fn new(mode: StreamMode) -> Self {
        let mut queue = Self { entries: BTreeMap::new(), next: 1, random: None, refusal: None };
        queue.set_mode(mode);
        queue
    }

    pub fn set_mode(&mut self, mode: StreamMode) {
        self.random = match mode {
            StreamMode::AtEnqueue => None,
            StreamMode::Adversarial { seed } => Some(seed),
        };
    }

    /// Enqueues work behind other work; what of it is done already does not matter.
    pub fn push(&mut self, context: Handle, needs: Vec<Ticket>, command: Command, from_graph: bool) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.entries.insert(ticket, Entry { context, needs, command, from_graph, running: false });
        ticket
    }

    pub fn is_pending(&self, ticket: Ticket) -> bool {
        self.entries.contains_key(&ticket)
    }

    pub fn pending_of(&self, context: Handle) -> Vec<Ticket> {
        self.entries.iter().filter(|(_, entry)| entry.context == context).map(|(&ticket, _)| ticket).collect()
    }

    /// The refusal that [`run_until`] met.
    pub fn take_refusal(&mut self) -> Option<Code> {
        self.refusal.take()
    }

    /// A number below `limit`; always 0 where work runs in the order of the calls.
    fn draw(&mut self, limit: usize) -> usize {
        let Some(state) = &mut self.random else { return 0 };
        // SplitMix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = *state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit as u64) as usize
    }

    /// The pieces of work that others wait for, and those others.
    fn with_needs(&self, tickets: &[Ticket]) -> HashSet<Ticket> {
        let mut found = HashSet::new();
        let mut open = tickets.to_vec();
        while let Some(ticket) = open.pop() {
            if let Some(entry) = self.entries.get(&ticket)
                && found.insert(ticket)
            {
                open.extend(&entry.needs);
            }
        }
        found
    }

    /// Work that waits for nothing, drawn from all of it or from `among`.
    fn pick(&mut self, among: Option<&HashSet<Ticket>>) -> Option<Ticket> {
        let ready: Vec<Ticket> = self
            .entries
            .iter()
            .filter(|(ticket, entry)| {
                !entry.running
                    && among.is_none_or(|among| among.contains(ticket))
                    && !entry.needs.iter().any(|&need| self.is_pending(need))
            })
            .map(|(&ticket, _)| ticket)
            .collect();
        if ready.is_empty() {
            return None;
        }
        let index = self.draw(ready.len());
        Some(ready[index])
    }
}

/// Executes until these pieces of work are done. Others may be done too, if the seed says so.
pub fn run_until(session: &mut Session, targets: &[Ticket]) {
    let needed_only = session.queue.draw(2) == 0;
    while targets.iter().any(|&target| session.queue.is_pending(target)) {
        let needed = needed_only.then(|| session.queue.with_needs(targets));
        match session.queue.pick(needed.as_ref()) {
            Some(ticket) => run_one(session, ticket),
            // Another thread executes what this work waits for.
            None => session.wait(),
        }
    }
}

/// Executes one piece of work, if there is one that waits for nothing: whoever polls gets on.
pub fn run_something(session: &mut Session) {
    if let Some(ticket) = session.queue.pick(None) {
        run_one(session, ticket);
    }
}

/// Executes all work of a context.
pub fn run_context(session: &mut Session, context: Handle) {
    let tickets = session.queue.pending_of(context);
    run_until(session, &tickets);
}

fn run_one(session: &mut Session, ticket: Ticket) {
    let Some(entry) = session.queue.entries.get_mut(&ticket) else { return };
    entry.running = true;
    let (context, command, from_graph) = (entry.context, entry.command.clone(), entry.from_graph);
    // A context that has an error executes nothing more.
    let alive = session.contexts.get(&context).is_some_and(|context| context.error.is_none());
    let result = match command {
        Command::Record(event) => {
            super::event::happen(session, event, ticket);
            Ok(())
        }
        // What panics must not stay enqueued: everything behind it would wait.
        Command::Call(function, data) if alive => session.unlocked(|| function.call(data)).or_else(|_| panicked()),
        Command::Launch(work) if alive => launch(session, &work, from_graph),
        command if alive => catch_unwind(AssertUnwindSafe(|| copy(session, command))).unwrap_or_else(|_| panicked()),
        _ => Ok(()),
    };
    session.queue.entries.remove(&ticket);
    if let Err(failure) = result {
        let Failure { fault, code } = *failure;
        let at_once = !session.is_lazy() && matches!(fault.kind, FaultKind::Launch { .. });
        if at_once {
            session.queue.refusal = Some(code);
        } else if let Some(context) = session.contexts.get_mut(&context) {
            context.error = Some(code);
        }
        session.fault = Some(fault);
    }
}

/// Why work did not end well, and what its context answers from then on.
struct Failure {
    fault: Fault,
    code: Code,
}

fn failure(fault: Fault, code: Code) -> Box<Failure> {
    Box::new(Failure { fault, code })
}

fn panicked() -> Result<(), Box<Failure>> {
    Err(failure(fault("softcuda panicked"), Code::UNKNOWN))
}

/// Runs a kernel. Other threads call the driver meanwhile: their streams go on, as on a device.
fn launch(session: &mut Session, work: &Arc<Work>, from_graph: bool) -> Result<(), Box<Failure>> {
    let Some(machine) = session.machine.clone() else { return Ok(()) };
    if let Err(code) = session.injections.pass(Site::Kernel) {
        return Err(failure(Fault { kernel: work.kernel.clone(), ..fault("injected") }, code));
    }
    match session.unlocked(|| machine.launch(&work.module, &work.launch()).map_err(Box::new)) {
        Ok(Ok(report)) => {
            session.report.launched(work, from_graph, &report.counters);
            Ok(())
        }
        Ok(Err(fault)) => {
            let code = work.code(&fault);
            Err(failure(*fault, code))
        }
        Err(_) => panicked(),
    }
}

/// Moves, fills or frees.
fn copy(session: &mut Session, command: Command) -> Result<(), Box<Failure>> {
    let Some(machine) = session.machine.clone() else { return Ok(()) };
    let memory = machine.memory();
    let copies = &mut session.report.copies;
    let copied = match command {
        Command::HostToDevice { to, from } => {
            let bytes = match from {
                HostBytes::Taken(bytes) => bytes,
                HostBytes::Later(source, bytes) => source.read(bytes).into(),
            };
            copies.host_to_device.add(bytes.len() as u64);
            memory.write(to, &bytes)
        }
        Command::DeviceToHost { to, from, bytes } => {
            copies.device_to_host.add(bytes);
            let mut buffer = vec![0; bytes as usize];
            memory.read(from, &mut buffer).map(|()| to.write(&buffer))
        }
        Command::DeviceToDevice { to, from, bytes } => {
            copies.device_to_device.add(bytes);
            memory.copy(to, from, bytes)
        }
        Command::Fill { to, pattern, count } => {
            copies.fills.add(count * pattern.len() as u64);
            memory.fill(to, &pattern, count)
        }
        Command::Free(address) => {
            super::memory::release(session, address);
            Ok(())
        }
        Command::Launch(_) | Command::Record(_) | Command::Call(..) | Command::Join => Ok(()),
    };
    copied.map_err(|error| {
        let fault = fault_of_copy(error);
        let code = Code::of_fault(&fault);
        failure(fault, code)
    })
}

/// A fault outside of any kernel.
pub fn fault_of_copy(error: AccessError) -> Fault {
    Fault {
        kernel: "(copy)".to_owned(),
        kind: FaultKind::Access(error),
        line: 0,
        text: String::new(),
        block: [0; 3],
        thread: [0; 3],
        other_text: None,
    }
}

fn fault(detail: &str) -> Fault {
    fault_of_copy(AccessError {
        kind: AccessErrorKind::OutOfBounds,
        address: 0,
        bytes: 0,
        lane: None,
        other: None,
        detail: detail.to_owned(),
    })
}
