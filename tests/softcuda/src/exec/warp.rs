//! A warp: lanes in splits, each a program counter of its own; which split runs, and when splits become one again.
//!
//! Of all splits the one with the smallest counter runs, up to the next split's counter; splits with equal counters are
//! merged. That is independent scheduling of threads with reconvergence as an optimisation. A split that uses up the
//! warp's quantum yields to others, so that lanes that spin do not starve the lane they wait for.

mod sync;

use super::barrier::Arrival;
use super::block::Env;
use super::copy::Copies;
use super::local::Local;
use super::registers::{FULL, Registers, lanes};
use super::shuffle;
use super::step::{self, Pause};
use super::stop::Stop;
use crate::check::FaultKind;
use crate::lower::{BarrierKind, Op};

/// Lanes that stand at one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// The instruction that comes next.
    pub pc: u32,
    /// The lanes.
    pub mask: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// At a `.sync` instruction, for lanes that its mask names.
    Sync,
    /// At a barrier of the block, since it had been passed so many times.
    Barrier {
        barrier: u32,
        generation: u32,
    },
}

/// How a warp's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Every lane has ended.
    Done,
    /// Every lane waits for other warps.
    Blocked,
    /// The quantum is used up.
    Ready,
}

/// What belongs to a warp besides registers.
#[derive(Default)]
pub struct Side {
    /// The warp in its block.
    pub index: u32,
    /// Lanes that have not ended.
    pub live: u32,
    /// Lanes that began.
    pub born: u32,
    /// Local memory.
    pub local: Local,
    /// Asynchronous copies under way.
    pub copies: Copies,
    /// Instructions so far.
    pub executed: u64,
}

/// A warp.
#[derive(Default)]
pub struct Warp {
    /// Registers; filled before it begins.
    pub registers: Registers,
    /// The rest.
    pub side: Side,
    splits: Vec<Split>,
    /// Turns that used up their quantum: even ones run the smallest counter, others another split.
    rotation: u32,
    /// The barrier, and how often it had been passed, that was last seen to be reached in parts.
    in_parts: Option<(u32, u32)>,
}

impl Warp {
    /// Puts `threads` lanes at the first instruction.
    pub fn begin(&mut self, index: u32, threads: u32, local: u32, one_lane: bool) {
        let live = if threads >= 32 { FULL } else { (1 << threads) - 1 };
        self.side.index = index;
        self.side.live = live;
        self.side.born = live;
        self.side.executed = 0;
        self.side.local.begin(local);
        self.side.copies.begin();
        self.rotation = 0;
        self.in_parts = None;
        self.splits.clear();
        if one_lane {
            self.splits.extend(lanes(live).map(|lane| Split { pc: 0, mask: 1 << lane, state: State::Ready }));
        } else {
            self.splits.push(Split { pc: 0, mask: live, state: State::Ready });
        }
    }

    /// Runs until every lane has ended or waits, or `quantum` instructions are done.
    pub fn turn(&mut self, env: &mut Env<'_>, quantum: u64) -> Result<Turn, Stop> {
        let mut budget = quantum;
        let turn = self.turn_within(env, &mut budget);
        self.side.executed += quantum - budget;
        if let Ok(Turn::Ready) = turn
            && self.side.executed > env.run.instruction_limit
        {
            let split = self.splits.first().copied().unwrap_or(Split { pc: 0, mask: 1, state: State::Ready });
            return Err(self.stop(env, split, FaultKind::TooLong { instructions: self.side.executed }));
        }
        turn
    }

    fn turn_within(&mut self, env: &mut Env<'_>, budget: &mut u64) -> Result<Turn, Stop> {
        let one_lane = env.run.one_lane;
        loop {
            self.wake(env);
            if !one_lane {
                self.merge();
            }
            if self.splits.is_empty() {
                return Ok(Turn::Done);
            }
            let Some((index, limit)) = self.select(one_lane) else {
                self.check_waiting(env)?;
                return Ok(Turn::Blocked);
            };
            let split = &mut self.splits[index];
            let mask = split.mask;
            let pause = step::run(&mut self.registers, &mut self.side, env, &mut split.pc, mask, limit, budget)?;
            self.pause(env, index, pause)?;
            if *budget == 0 || pause == Pause::Yield {
                self.rotation = self.rotation.wrapping_add(1);
                return Ok(if self.splits.is_empty() { Turn::Done } else { Turn::Ready });
            }
        }
    }

    fn pause(&mut self, env: &mut Env<'_>, index: usize, pause: Pause) -> Result<(), Stop> {
        match pause {
            Pause::Limit | Pause::Yield => {}
            Pause::Diverge { taken, target } => {
                self.splits[index].mask &= !taken;
                self.splits.push(Split { pc: target, mask: taken, state: State::Ready });
            }
            Pause::Indexed { active } => self.indexed(env, index, active)?,
            Pause::Sync { active } => self.arrive_sync(env, index, active)?,
            Pause::Barrier { active } => self.arrive_barrier(env, index, active)?,
            Pause::Exit { active } => self.exit(env, index, active)?,
        }
        Ok(())
    }

    /// Splits whose barrier was passed go on behind it.
    fn wake(&mut self, env: &Env<'_>) {
        for split in &mut self.splits {
            let State::Barrier { barrier, generation } = split.state else { continue };
            if !env.barriers.passed(barrier, generation) {
                continue;
            }
            if let Op::Barrier(step) = &env.program.steps[split.pc as usize].op
                && let BarrierKind::Reduce(op, d, _) = step.kind
            {
                env.barriers.reduction(barrier).write(op, &mut self.registers, d, split.mask);
            }
            split.pc += 1;
            split.state = State::Ready;
        }
    }

    fn merge(&mut self) {
        if self.splits.len() < 2 {
            return;
        }
        self.splits.sort_by_key(|split| split.pc);
        self.splits.dedup_by(|next, kept| {
            let waits = |split: &Split| matches!(split.state, State::Barrier { .. });
            let same = next.pc == kept.pc && !waits(next) && !waits(kept);
            if same {
                kept.mask |= next.mask;
                kept.state = State::Ready;
            }
            same
        });
    }

    /// The split that runs, and the counter to stop at.
    fn select(&self, one_lane: bool) -> Option<(usize, u32)> {
        let ready = || self.splits.iter().enumerate().filter(|(_, split)| split.state == State::Ready);
        let count = ready().count();
        if count == 0 {
            return None;
        }
        if one_lane {
            return ready().nth(self.rotation as usize % count).map(|(index, _)| (index, u32::MAX));
        }
        if self.rotation % 2 == 1 && count > 1 {
            // The splits are in order of their counters: merging sorts them.
            let rank = count - 1 - (self.rotation / 2) as usize % count;
            return ready().nth(rank).map(|(index, _)| (index, u32::MAX));
        }
        let (index, split) = ready().min_by_key(|(_, split)| split.pc)?;
        let others = self.splits.iter().filter(|other| !matches!(other.state, State::Barrier { .. }));
        let limit = others.map(|other| other.pc).filter(|&pc| pc > split.pc).min().unwrap_or(u32::MAX);
        Some((index, limit))
    }

    /// Lanes of a split that do not take part in its instruction go on.
    fn leave_inactive(&mut self, index: usize, active: u32) {
        let split = &mut self.splits[index];
        let rest = split.mask & !active;
        split.mask = active;
        if rest != 0 {
            let pc = split.pc + 1;
            self.splits.push(Split { pc, mask: rest, state: State::Ready });
        }
    }

    fn indexed(&mut self, env: &mut Env<'_>, index: usize, active: u32) -> Result<(), Stop> {
        self.leave_inactive(index, active);
        let split = self.splits.swap_remove(index);
        let Op::BranchIndexed(table) = &env.program.steps[split.pc as usize].op else { return Ok(()) };
        let mut rest = active;
        while rest != 0 {
            let choice = self.registers.word(table.0)[rest.trailing_zeros() as usize];
            let same = lanes(rest).filter(|&lane| self.registers.word(table.0)[lane] == choice);
            let mask = same.fold(0, |mask, lane| mask | 1 << lane);
            rest &= !mask;
            let Some(&pc) = table.1.get(choice as usize) else {
                return Err(self.stop(env, Split { mask, ..split }, FaultKind::Trap));
            };
            if env.run.one_lane {
                self.splits.extend(lanes(mask).map(|lane| Split { pc, mask: 1 << lane, state: State::Ready }));
            } else {
                self.splits.push(Split { pc, mask, state: State::Ready });
            }
        }
        Ok(())
    }

    fn arrive_barrier(&mut self, env: &mut Env<'_>, index: usize, active: u32) -> Result<(), Stop> {
        self.leave_inactive(index, active);
        let split = self.splits[index];
        let program = env.program;
        let Op::Barrier(step) = &program.steps[split.pc as usize].op else { return Ok(()) };
        // Lanes may name different barriers: those of the first lane's go first.
        let first = split.mask.trailing_zeros() as usize;
        let barrier = self.registers.word(step.barrier)[first];
        let threads = step.threads.map(|slot| self.registers.word(slot)[first]);
        let same = lanes(split.mask).filter(|&lane| {
            self.registers.word(step.barrier)[lane] == barrier
                && step.threads.map(|slot| self.registers.word(slot)[lane]) == threads
        });
        let mask = same.fold(0, |mask, lane| mask | 1 << lane);
        if barrier > 15 {
            return Err(self.stop(env, split, FaultKind::Trap));
        }
        if mask != split.mask {
            self.splits.push(Split { mask: split.mask & !mask, ..split });
        }
        let generation = env.barriers.generation(barrier);
        if mask != self.side.live && self.in_parts != Some((barrier, generation)) {
            self.in_parts = Some((barrier, generation));
            env.counters.divergent_barriers += 1;
        }
        let predicate = match step.kind {
            BarrierKind::Reduce(_, _, predicate) => self.registers.predicates[predicate as usize] & mask,
            _ => 0,
        };
        // A barrier that counts threads counts those that a short warp lacks.
        let last = 31 - self.side.born.leading_zeros();
        let lacking = if threads.is_some() && mask >> last & 1 == 1 { self.side.born.count_zeros() } else { 0 };
        let arrival = Arrival { lanes: mask.count_ones(), lacking, holding: predicate.count_ones(), threads };
        let split = &mut self.splits[index];
        split.mask = mask;
        if let BarrierKind::Arrive = step.kind {
            split.pc += 1;
        } else {
            split.state = State::Barrier { barrier, generation };
        }
        if env.barriers.arrive(barrier, arrival) {
            env.passed_barrier();
        }
        Ok(())
    }

    fn exit(&mut self, env: &mut Env<'_>, index: usize, active: u32) -> Result<(), Stop> {
        if let Some((lane, groups)) = self.side.copies.pending(active) {
            let split = Split { mask: 1 << lane, ..self.splits[index] };
            return Err(self.stop(env, split, FaultKind::CopiesPending { groups }));
        }
        self.leave_inactive(index, active);
        self.splits.swap_remove(index);
        self.side.live &= !active;
        if env.barriers.exit(active.count_ones()) {
            env.passed_barrier();
        }
        // Who waits for lanes that have ended waits no longer.
        let mut at_barrier = false;
        for split in self.splits.iter_mut().filter(|split| split.state == State::Sync) {
            if let Op::WarpBarrier(_) = env.program.steps[split.pc as usize].op {
                at_barrier = true;
            } else {
                split.state = State::Ready;
            }
        }
        if at_barrier { self.release_warp_barriers(env) } else { Ok(()) }
    }

    /// Nothing can run: if nothing waits for the block either, nothing ever will.
    fn check_waiting(&self, env: &Env<'_>) -> Result<(), Stop> {
        let waits_for_block = self.splits.iter().any(|split| matches!(split.state, State::Barrier { .. }));
        if waits_for_block { Ok(()) } else { Err(self.stuck(env)) }
    }

    /// Why a warp that cannot go on cannot.
    pub fn stuck(&self, env: &Env<'_>) -> Stop {
        let waiting = self.splits.iter().find(|split| split.state == State::Sync);
        if let Some(&split) = waiting {
            let arrived = self.splits.iter().filter(|other| other.state == State::Sync && other.pc == split.pc);
            let arrived = arrived.fold(0, |mask, other| mask | other.mask);
            let op = &env.program.steps[split.pc as usize].op;
            let mask = shuffle::members(&self.registers, op)[split.mask.trailing_zeros() as usize];
            return self.stop(env, split, FaultKind::UnsatisfiedMask { mask, arrived });
        }
        let split = self.splits.first().copied().unwrap_or(Split { pc: 0, mask: 1, state: State::Ready });
        let barrier = match split.state {
            State::Barrier { barrier, .. } => barrier,
            _ => 0,
        };
        let (arrived, expected) = env.barriers.count(barrier);
        self.stop(env, split, FaultKind::DivergentBarrier { barrier, arrived, expected })
    }

    fn stop(&self, env: &Env<'_>, split: Split, kind: FaultKind) -> Stop {
        let line = env.program.steps.get(split.pc as usize).map_or(0, |step| step.line);
        Stop { kind, line, block: env.place.block, thread: 32 * self.side.index + split.mask.trailing_zeros() }
    }
}
