//! `.sync` instructions whose mask names lanes of other splits.

use super::super::block::Env;
use super::super::registers::lanes;
use super::super::shuffle;
use super::super::step;
use super::super::stop::Stop;
use super::{Split, State, Warp};
use crate::check::FaultKind;
use crate::lower::Op;

impl Warp {
    /// A split stands at a `.sync` instruction whose mask names lanes that are not there.
    pub(super) fn arrive_sync(&mut self, env: &mut Env<'_>, index: usize, active: u32) -> Result<(), Stop> {
        self.leave_inactive(index, active);
        self.splits[index].state = State::Sync;
        let Split { pc, .. } = self.splits[index];
        let op = &env.program.steps[pc as usize].op;
        if let Op::WarpBarrier(_) = op {
            return self.release_warp_barriers(env);
        }
        let here = |split: &Split| split.state == State::Sync && split.pc == pc;
        let waiting = self.splits.iter().filter(|split| here(split)).fold(0, |mask, split| mask | split.mask);
        let complete = shuffle::complete(&self.registers, op, waiting, self.side.live);
        let ready = complete.map_err(|lane| self.not_named(env, pc, lane, waiting))?;
        if ready == 0 {
            return Ok(());
        }
        for split in self.splits.iter_mut().filter(|split| here(split)) {
            split.mask &= !ready;
        }
        self.splits.retain(|split| split.mask != 0);
        let mut next = pc;
        let mut one = 1;
        step::run(&mut self.registers, &mut self.side, env, &mut next, ready, pc + 1, &mut one)?;
        if env.run.one_lane {
            self.splits.extend(lanes(ready).map(|lane| Split { pc: next, mask: 1 << lane, state: State::Ready }));
        } else {
            self.splits.push(Split { pc: next, mask: ready, state: State::Ready });
        }
        Ok(())
    }

    /// Lanes may meet at different `bar.warp.sync`, if their masks are the same.
    pub(super) fn release_warp_barriers(&mut self, env: &mut Env<'_>) -> Result<(), Stop> {
        let mask_slot = |split: &Split| match env.program.steps[split.pc as usize].op {
            Op::WarpBarrier(slot) if split.state == State::Sync => Some(slot),
            _ => None,
        };
        let mut masks = [0; 32];
        let mut waiting = 0;
        for split in &self.splits {
            let Some(slot) = mask_slot(split) else { continue };
            for lane in lanes(split.mask) {
                masks[lane] = self.registers.word(slot)[lane];
            }
            waiting |= split.mask;
        }
        let ready = shuffle::complete_groups(&masks, waiting, self.side.live);
        let ready = ready.map_err(|lane| {
            let split = self.splits.iter().find(|split| split.mask >> lane & 1 == 1);
            self.not_named(env, split.map_or(0, |split| split.pc), lane, waiting)
        })?;
        if ready == 0 {
            return Ok(());
        }
        let mut parted = Vec::new();
        for split in &mut self.splits {
            if mask_slot(split).is_none() || split.mask & ready == 0 {
                continue;
            }
            let rest = split.mask & !ready;
            if rest != 0 {
                parted.push(Split { mask: rest, ..*split });
            }
            split.mask &= ready;
            split.pc += 1;
            split.state = State::Ready;
        }
        self.splits.extend(parted);
        env.warp_barrier(self.side.index);
        Ok(())
    }

    fn not_named(&self, env: &Env<'_>, pc: u32, lane: usize, arrived: u32) -> Stop {
        let op = &env.program.steps[pc as usize].op;
        let mask = shuffle::members(&self.registers, op)[lane];
        let split = Split { pc, mask: 1 << lane, state: State::Sync };
        self.stop(env, split, FaultKind::UnsatisfiedMask { mask, arrived })
    }
}
