//! The sixteen barriers of a block.

use super::registers::{Registers, lanes};
use crate::ir::BarrierReduction;
use crate::lower::Slot;

/// Lanes of a warp that reach a barrier.
pub struct Arrival {
    /// How many.
    pub lanes: u32,
    /// Lanes that the warp never had, which count where a barrier counts threads.
    pub lacking: u32,
    /// Lanes whose predicate holds.
    pub holding: u32,
    /// Threads that the barrier waits for; `None`: all of the block.
    pub threads: Option<u32>,
}

/// What bar.red gives.
#[derive(Clone, Copy, Default)]
pub struct Reduction {
    count: u32,
    arrived: u32,
}

#[derive(Clone, Copy, Default)]
struct Barrier {
    arrived: u32,
    holding: u32,
    threads: Option<u32>,
    generation: u32,
    reduction: Reduction,
}

/// The barriers of a block.
pub struct Barriers {
    list: [Barrier; 16],
    total: u32,
    exited: u32,
}

impl Barriers {
    /// Those of a block with so many threads.
    pub fn new(total: u32) -> Self {
        Self { list: [Barrier::default(); 16], total, exited: 0 }
    }

    /// How often a barrier has been passed.
    pub fn generation(&self, barrier: u32) -> u32 {
        self.list[barrier as usize].generation
    }

    /// Whether a barrier was passed since it had been passed so many times.
    pub fn passed(&self, barrier: u32, generation: u32) -> bool {
        self.generation(barrier) != generation
    }

    /// What the barrier's last passage reduced.
    pub fn reduction(&self, barrier: u32) -> Reduction {
        self.list[barrier as usize].reduction
    }

    /// Threads that have arrived or ended, and threads that are waited for.
    pub fn count(&self, barrier: u32) -> (u32, u32) {
        let state = &self.list[barrier as usize];
        match state.threads {
            Some(threads) => (state.arrived, threads),
            None => (state.arrived + self.exited, self.total),
        }
    }

    /// Counts an arrival; whether the barrier is passed now.
    pub fn arrive(&mut self, barrier: u32, arrival: Arrival) -> bool {
        let state = &mut self.list[barrier as usize];
        state.threads = arrival.threads;
        state.arrived += arrival.lanes + arrival.lacking;
        state.holding += arrival.holding;
        self.pass(barrier)
    }

    /// Counts threads that ended; whether a barrier is passed by that.
    pub fn exit(&mut self, threads: u32) -> bool {
        self.exited += threads;
        let mut any = false;
        for barrier in 0..16 {
            let state = &self.list[barrier as usize];
            any |= state.arrived > 0 && state.threads.is_none() && self.pass(barrier);
        }
        any
    }

    fn pass(&mut self, barrier: u32) -> bool {
        let (arrived, expected) = self.count(barrier);
        if arrived < expected {
            return false;
        }
        let state = &mut self.list[barrier as usize];
        state.reduction = Reduction { count: state.holding, arrived: state.arrived };
        state.arrived = 0;
        state.holding = 0;
        state.threads = None;
        state.generation = state.generation.wrapping_add(1);
        true
    }
}

impl Reduction {
    /// Writes the result into lanes of a warp.
    pub fn write(self, op: BarrierReduction, registers: &mut Registers, d: Slot, mask: u32) {
        let holds = match op {
            BarrierReduction::Popc => {
                for lane in lanes(mask) {
                    registers.words[d as usize].0[lane] = self.count;
                }
                return;
            }
            BarrierReduction::And => self.count == self.arrived,
            BarrierReduction::Or => self.count > 0,
        };
        let predicate = &mut registers.predicates[d as usize];
        *predicate = if holds { *predicate | mask } else { *predicate & !mask };
    }
}
