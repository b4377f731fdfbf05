//! Asynchronous copies from global to shared memory. The bytes move when they are waited for; until then their destination
//! is nobody's to touch.

use super::access::addresses;
use super::block::Env;
use super::registers::{Registers, lanes};
use crate::check::AccessError;
use crate::lower::CopyAsync;
use crate::memory::WarpAccess;

/// One `cp.async` of a warp.
struct Copy {
    /// The lanes whose copy is under way.
    mask: u32,
    /// The group of each lane's copy.
    group: [u32; 32],
    to: [u64; 32],
    from: [u64; 32],
    bytes: u32,
    /// Bytes that are read; the rest is zero.
    source_bytes: [u32; 32],
    line: u32,
}

/// The copies of a warp.
#[derive(Default)]
pub struct Copies {
    list: Vec<Copy>,
    /// Groups that each lane has committed.
    committed: [u32; 32],
}

impl Copies {
    /// None.
    pub fn begin(&mut self) {
        self.list.clear();
        self.committed = [0; 32];
    }

    /// Begins copies.
    pub fn start(
        &mut self,
        step: &CopyAsync,
        registers: &Registers,
        env: &mut Env<'_>,
        active: u32,
    ) -> Result<(), AccessError> {
        let source_bytes = step.source_bytes.map_or([step.bytes; 32], |slot| *registers.word(slot));
        let to = addresses(registers, step.to.0, step.to.1);
        let access = WarpAccess { addresses: &to, mask: active, bytes: step.bytes, place: &env.place };
        env.shared.begin_copy(&access)?;
        self.list.push(Copy {
            mask: active,
            group: self.committed,
            to,
            from: addresses(registers, step.from.0, step.from.1),
            bytes: step.bytes,
            source_bytes: source_bytes.map(|bytes| bytes.min(step.bytes)),
            line: env.place.line,
        });
        Ok(())
    }

    /// Ends the lanes' group.
    pub fn commit(&mut self, active: u32) {
        lanes(active).for_each(|lane| self.committed[lane] += 1);
    }

    /// Does all copies but those of the newest `pending` groups; `None`: all.
    pub fn wait(&mut self, pending: Option<u32>, env: &mut Env<'_>, active: u32) -> Result<(), AccessError> {
        let line = env.place.line;
        for copy in &mut self.list {
            let is_due = |lane: &usize| {
                pending.is_none_or(|pending| copy.group[*lane].saturating_add(pending) < self.committed[*lane])
            };
            let due = lanes(copy.mask & active).filter(is_due).fold(0, |mask, lane| mask | 1 << lane);
            copy.mask &= !due;
            if due != 0 {
                env.place.line = copy.line;
                perform(copy, env, due)?;
            }
        }
        self.list.retain(|copy| copy.mask != 0);
        env.place.line = line;
        Ok(())
    }

    /// A lane of these with copies that nobody waited for, and how many of its groups have some.
    pub fn pending(&self, active: u32) -> Option<(usize, u32)> {
        let waiting = self.list.iter().fold(0, |mask, copy| mask | copy.mask) & active;
        let lane = lanes(waiting).next()?;
        let mut groups: Vec<_> =
            self.list.iter().filter(|copy| copy.mask >> lane & 1 == 1).map(|copy| copy.group[lane]).collect();
        groups.dedup();
        Some((lane, groups.len() as u32))
    }
}

fn perform(copy: &Copy, env: &mut Env<'_>, due: u32) -> Result<(), AccessError> {
    let whole = lanes(due).filter(|&lane| copy.source_bytes[lane] == copy.bytes).fold(0, |mask, lane| mask | 1 << lane);
    if whole != 0 {
        let access = WarpAccess { addresses: &copy.from, mask: whole, bytes: copy.bytes, place: &env.place };
        env.global.load(&access, &mut env.bytes, &mut env.counters)?;
    }
    let mut bytes = env.bytes.clone();
    for lane in lanes(due & !whole) {
        let at = lane * copy.bytes as usize;
        bytes[at..at + copy.bytes as usize].fill(0);
        for byte in 0..copy.source_bytes[lane] as usize {
            let mut from = [0; 32];
            from[lane] = copy.from[lane] + byte as u64;
            let access = WarpAccess { addresses: &from, mask: 1 << lane, bytes: 1, place: &env.place };
            env.global.load(&access, &mut env.bytes, &mut env.uncounted)?;
            bytes[at + byte] = env.bytes[lane];
        }
    }
    let access = WarpAccess { addresses: &copy.to, mask: due, bytes: copy.bytes, place: &env.place };
    env.shared.end_copy(&access, &bytes, &mut env.counters)
}
