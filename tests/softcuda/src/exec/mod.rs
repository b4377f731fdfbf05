//! Runs a lowered kernel: blocks on host threads, warps of a block in turns, lanes of a warp in splits.
//!
//! Arithmetic of one lane is in pure functions ([`float`], [`half`], [`approximate`], [`convert`], [`integer`],
//! [`matrix`]); [`step`] runs a warp through a program, [`warp`] decides which of its lanes run, [`block`] which of its
//! warps, and this file which blocks.

mod access;
pub mod approximate;
mod atomic;
mod barrier;
mod block;
pub mod convert;
mod copy;
mod crew;
mod external;
pub mod float;
pub mod half;
pub mod integer;
mod local;
pub mod matrix;
mod outlined;
mod parts;
mod registers;
mod rounds;
mod scalar;
mod shuffle;
mod step;
mod stop;
mod warp;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use block::{Block, Random, Round, Run};
use crew::Crew;
pub use stop::Stop;

use crate::count::Counters;
use crate::lower::Program;
use crate::machine::{Launch, Options, Profile};
use crate::memory::{DeviceMemory, GlobalAccess};

/// Generic addresses of a kernel's parameters begin here.
pub const PARAMETER_WINDOW: u64 = 0x7d00_0000_0000_0000;

/// The longest turn of a warp of a cooperative launch, whose blocks may wait for each other.
const COOPERATIVE_QUANTUM: u64 = 2000;
/// Bytes of a cooperative launch's workspace.
const WORKSPACE: u64 = 256;

/// Runs a kernel to its end.
pub fn run(
    memory: &DeviceMemory,
    profile: &Profile,
    options: &Options,
    program: &Program,
    launch: &Launch<'_>,
) -> Result<Counters, Stop> {
    let global = GlobalAccess::new(memory, options.check_initialised, options.check_global_races);
    let nowhere = |message: &str| Stop {
        kind: crate::check::FaultKind::Launch { code: 2, message: message.to_owned() },
        line: 0,
        block: [0; 3],
        thread: 0,
    };
    let workspace = match launch.cooperative {
        false => 0,
        true => memory.allocate(WORKSPACE).ok_or_else(|| nowhere("no memory for a cooperative launch"))?,
    };
    if launch.cooperative && memory.write(workspace, &[0; WORKSPACE as usize]).is_err() {
        return Err(nowhere("no memory for a cooperative launch"));
    }
    let run = Run {
        program,
        global: &global,
        parameters: launch.parameters,
        grid: launch.grid,
        block: launch.block,
        dynamic_shared: launch.shared,
        multiprocessors: profile.multiprocessors,
        workspace,
        approximation: options.approximation,
        accumulation: profile.accumulation,
        check_initialised: options.check_initialised,
        check_shared_races: options.check_shared_races,
        one_lane: options.one_lane,
        seed: options.seed,
        quantum: u64::from(options.quantum).max(1),
        instruction_limit: options.instruction_limit,
        wide: step::is_wide(),
        started: Instant::now(),
    };
    let counters = if launch.cooperative { together(&run) } else { apart(&run, options.threads) };
    if launch.cooperative {
        let _ = memory.free(workspace);
    }
    counters.map(|counters| Counters { launches: 1, ..counters })
}

/// The blocks in the order of the seed.
fn order(run: &Run<'_>) -> Vec<u64> {
    let count = run.grid.iter().map(|&n| u64::from(n)).product();
    let mut order: Vec<u64> = (0..count).collect();
    if run.seed != 0 {
        Random::new(run.seed).shuffle(&mut order);
    }
    order
}

/// Runs blocks one after the other on each of several host threads.
fn apart(run: &Run<'_>, threads: usize) -> Result<Counters, Stop> {
    let order = order(run);
    let crew = Crew::of(threads, order.len());
    let next = AtomicU64::new(0);
    let stopped = AtomicBool::new(false);
    let total = Mutex::new(Counters::default());
    // The stop of the block that comes first in the order.
    let stop: Mutex<Option<(u64, Stop)>> = Mutex::new(None);
    let work = || {
        let mut counters = Counters::default();
        let mut warps = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(&index) = order.get(position as usize) else { break };
            let mut block = Block::new(run, index, std::mem::take(&mut warps));
            match to_end(&mut block, run, &stopped) {
                Ok(()) => {
                    let (counted, rest) = block.finish();
                    counters += &counted;
                    warps = rest;
                }
                Err(found) => {
                    stopped.store(true, Ordering::Relaxed);
                    let mut stop = stop.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    if stop.as_ref().is_none_or(|(first, _)| position < *first) {
                        *stop = Some((position, found));
                    }
                }
            }
        }
        *total.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += &counters;
    };
    if crew.size() <= 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..crew.size() {
                scope.spawn(work);
            }
            work();
        });
    }
    match stop.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        Some((_, stop)) => Err(stop),
        None => Ok(total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())),
    }
}

/// Rounds that a block goes on after another one has stopped: it may stop itself, and come first in the order, or wait for ever
/// for what the other one would have done.
const ROUNDS_AFTER_A_STOP: u32 = 200;

fn to_end(block: &mut Block<'_>, run: &Run<'_>, stopped: &AtomicBool) -> Result<(), Stop> {
    let mut after = 0;
    loop {
        if stopped.load(Ordering::Relaxed) {
            after += 1;
            if after > ROUNDS_AFTER_A_STOP {
                return Ok(());
            }
        }
        match block.round(run.quantum)? {
            Round::Done => return Ok(()),
            Round::Ready => {}
            Round::Blocked => return Err(block.stuck()),
        }
    }
}

/// Runs all blocks at the same time, in turns.
fn together(run: &Run<'_>) -> Result<Counters, Stop> {
    let quantum = run.quantum.min(COOPERATIVE_QUANTUM);
    let mut blocks: Vec<_> = order(run).into_iter().map(|index| Block::new(run, index, Vec::new())).collect();
    let mut counters = Counters::default();
    while !blocks.is_empty() {
        let mut any = false;
        let mut rest = Vec::with_capacity(blocks.len());
        for mut block in blocks {
            match block.round(quantum)? {
                Round::Done => {
                    any = true;
                    counters += &block.finish().0;
                }
                Round::Ready => {
                    any = true;
                    rest.push(block);
                }
                Round::Blocked => rest.push(block),
            }
        }
        blocks = rest;
        if let (false, Some(block)) = (any, blocks.first()) {
            return Err(block.stuck());
        }
    }
    Ok(counters)
}
