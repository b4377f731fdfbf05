//! What lanes of a warp do together: shuffles, votes, matches, reductions.

use super::registers::{FULL, Registers, lanes};
use super::rounds::word_result;
use crate::ir::{AtomicOp, Shuffle, Vote};
use crate::lower::{MatchStep, Op, ReduxStep, ShuffleStep, VoteStep};

/// The lanes that each lane's instruction waits for.
pub fn members(registers: &Registers, op: &Op) -> [u32; 32] {
    match op {
        Op::Shuffle(step) => *registers.word(step.mask),
        Op::Vote(step) => *registers.word(step.mask),
        Op::Match(step) => *registers.word(step.mask),
        Op::Redux(step) => *registers.word(step.mask),
        Op::WarpBarrier(mask) => *registers.word(*mask),
        // Matrix instructions are the whole warp's.
        _ => [FULL; 32],
    }
}

/// Of the lanes that stand at an instruction, those whose mask is complete, lanes that have ended counted as there.
/// `Err`: a lane that its mask does not name.
pub fn complete(registers: &Registers, op: &Op, waiting: u32, live: u32) -> Result<u32, usize> {
    complete_groups(&members(registers, op), waiting, live)
}

/// The same, for masks.
pub fn complete_groups(masks: &[u32; 32], waiting: u32, live: u32) -> Result<u32, usize> {
    if let Some(mask) = uniform(masks, waiting) {
        return match waiting & !mask {
            0 if mask & live & !waiting == 0 => Ok(waiting),
            0 => Ok(0),
            unnamed => Err(unnamed.trailing_zeros() as usize),
        };
    }
    let mut ready = 0;
    for (mask, group) in groups(masks, waiting) {
        if group & !mask != 0 {
            return Err((group & !mask).trailing_zeros() as usize);
        }
        if mask & live & !group == 0 {
            ready |= group;
        }
    }
    Ok(ready)
}

/// What all of some lanes name.
fn uniform(masks: &[u32; 32], lanes: u32) -> Option<u32> {
    let first = masks[lanes.trailing_zeros() as usize & 31];
    let mut other = 0;
    for (lane, &mask) in masks.iter().enumerate() {
        other |= u32::from(mask != first) << lane;
    }
    (other & lanes == 0).then_some(first)
}

/// Lanes by the mask they name.
fn groups(masks: &[u32; 32], mut rest: u32) -> impl Iterator<Item = (u32, u32)> {
    let common = uniform(masks, rest);
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        if let Some(mask) = common {
            return Some((mask, std::mem::take(&mut rest)));
        }
        let mask = masks[rest.trailing_zeros() as usize];
        let same = |group: u32, lane: usize| if masks[lane] == mask { group | 1 << lane } else { group };
        let group = lanes(rest).fold(0, same);
        rest &= !group;
        Some((mask, group))
    })
}

/// `shfl`. `Err`: a lane, and one it reads that takes no part.
pub fn shuffle(registers: &mut Registers, step: &ShuffleStep, active: u32) -> Result<(), (usize, u32)> {
    let masks = *registers.word(step.mask);
    let (a, b, c) = (*registers.word(step.a), *registers.word(step.b), *registers.word(step.c));
    let (mut valid, mut sources) = (0, [0_u32; 32]);
    for lane in 0..32 {
        let position = lane as u32;
        let (amount, clamp, segment) = (b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31);
        let last = position & segment | clamp & !segment;
        let (source, in_range) = match step.mode {
            Shuffle::Up => {
                let source = position.wrapping_sub(amount);
                (source, source as i32 >= last as i32)
            }
            Shuffle::Down => (position + amount, position + amount <= last),
            Shuffle::Bfly => (position ^ amount, position ^ amount <= last),
            Shuffle::Idx => {
                let source = position & segment | amount & !segment;
                (source, source <= last)
            }
        };
        sources[lane] = if in_range { source & 31 } else { position };
        valid |= u32::from(in_range) << lane;
    }
    valid &= active;
    for (_, group) in groups(&masks, active) {
        if group == FULL {
            continue;
        }
        let missing = lanes(group & valid).find(|&lane| group >> sources[lane] & 1 == 0);
        if let Some(lane) = missing {
            return Err((lane, sources[lane]));
        }
    }
    let out = sources.map(|source| a[source as usize]);
    word_result(&mut registers.words[step.d as usize].0, &out, active);
    if let Some(slot) = step.valid {
        let predicate = &mut registers.predicates[slot as usize];
        *predicate = *predicate & !active | valid;
    }
    Ok(())
}

/// `vote`.
pub fn vote(registers: &mut Registers, step: &VoteStep, active: u32) {
    let masks = *registers.word(step.mask);
    let holding = registers.predicates[step.predicate as usize];
    for (_, group) in groups(&masks, active) {
        let found = holding & group;
        let holds = match step.mode {
            Vote::All => found == group,
            Vote::Any => found != 0,
            Vote::Uni => found == group || found == 0,
            Vote::Ballot => {
                for lane in lanes(group) {
                    registers.words[step.d as usize].0[lane] = found;
                }
                continue;
            }
        };
        let predicate = &mut registers.predicates[step.d as usize];
        *predicate = if holds { *predicate | group } else { *predicate & !group };
    }
}

/// `match`.
pub fn matches(registers: &mut Registers, step: &MatchStep, active: u32) {
    let masks = *registers.word(step.mask);
    let values: [u64; 32] = std::array::from_fn(|lane| registers.get(step.a, lane));
    for (_, group) in groups(&masks, active) {
        let equal = |lane: usize| {
            lanes(group).filter(|&other| values[other] == values[lane]).fold(0_u32, |mask, other| mask | 1 << other)
        };
        let all_equal = equal(group.trailing_zeros() as usize) == group;
        for lane in lanes(group) {
            let found = match step.all {
                true if all_equal => group,
                true => 0,
                false => equal(lane),
            };
            registers.words[step.d as usize].0[lane] = found;
        }
        if let Some(slot) = step.valid {
            let predicate = &mut registers.predicates[slot as usize];
            *predicate = if all_equal { *predicate | group } else { *predicate & !group };
        }
    }
}

/// `redux`.
pub fn redux(registers: &mut Registers, step: &ReduxStep, active: u32) {
    let masks = *registers.word(step.mask);
    let values = *registers.word(step.a);
    for (_, group) in groups(&masks, active) {
        let reduce = |a: u32, b: u32| match (step.op, step.signed) {
            (AtomicOp::Min, true) => (a as i32).min(b as i32) as u32,
            (AtomicOp::Max, true) => (a as i32).max(b as i32) as u32,
            (AtomicOp::Min, false) => a.min(b),
            (AtomicOp::Max, false) => a.max(b),
            (AtomicOp::And, _) => a & b,
            (AtomicOp::Or, _) => a | b,
            (AtomicOp::Xor, _) => a ^ b,
            _ => a.wrapping_add(b),
        };
        let result = lanes(group).map(|lane| values[lane]).reduce(reduce).unwrap_or_default();
        for lane in lanes(group) {
            registers.words[step.d as usize].0[lane] = result;
        }
    }
}
