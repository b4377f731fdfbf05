//! Packing, unpacking, and arithmetic with a carry: lane by lane.

use super::integer::{low, multiply};
use super::registers::{Registers, lanes};
use crate::ir::Type;
use crate::lower::{Carry, Parts, Place};

/// The halves of a register's lane: of less than 128 bits the second is zero.
fn wide(registers: &Registers, place: Place, lane: usize) -> u128 {
    match place {
        Place::Quad(slot) => {
            let high = registers.doubles[slot as usize + 1].0[lane];
            u128::from(high) << 64 | u128::from(registers.doubles[slot as usize].0[lane])
        }
        place => registers.get(place, lane).into(),
    }
}

/// `mov.b64 d, {a, b}`.
pub fn pack(registers: &mut Registers, parts: &Parts, active: u32) {
    for lane in lanes(active) {
        let mut value = 0_u128;
        for (index, part) in parts.parts.iter().enumerate() {
            if let Some(place) = *part {
                let bits = low(registers.get(place, lane), parts.part_bits);
                value |= u128::from(bits) << (index as u32 * parts.part_bits);
            }
        }
        registers.set(parts.whole, lane, value as u64);
        if let Place::Quad(slot) = parts.whole {
            registers.doubles[slot as usize + 1].0[lane] = (value >> 64) as u64;
        }
    }
}

/// `mov.b64 {a, b}, s`.
pub fn unpack(registers: &mut Registers, parts: &Parts, active: u32) {
    for lane in lanes(active) {
        let value = wide(registers, parts.whole, lane);
        for (index, part) in parts.parts.iter().enumerate() {
            if let Some(place) = *part {
                let bits = (value >> (index as u32 * parts.part_bits)) as u64;
                registers.set(place, lane, low(bits, parts.part_bits));
            }
        }
    }
}

/// `add.cc`, `subc`, `madc` and their kin. A subtraction's carry is its borrow.
pub fn carry(registers: &mut Registers, step: &Carry, active: u32) {
    let bits = step.bits;
    let ty = match (bits, step.signed) {
        (64, true) => Type::S64,
        (64, false) => Type::U64,
        (_, true) => Type::S32,
        (_, false) => Type::U32,
    };
    let mut carries = registers.predicates[step.carry as usize];
    for lane in lanes(active) {
        let get = |place| low(registers.get(place, lane), bits);
        let (mut a, mut b) = (get(step.a), get(step.b));
        if let (Some(half), Some(c)) = (step.multiply, step.c) {
            a = multiply(half, ty, a, b);
            b = get(c);
        }
        let carry_in = u128::from(step.reads && carries >> lane & 1 == 1);
        let (a, b) = (u128::from(a), u128::from(b));
        // A borrow shows above the value's bits.
        let sum = if step.subtract { a.wrapping_sub(b).wrapping_sub(carry_in) } else { a + b + carry_in };
        registers.set(step.d, lane, low(sum as u64, bits));
        if step.writes {
            let out = (sum >> bits & 1) as u32;
            carries = carries & !(1 << lane) | out << lane;
        }
    }
    registers.predicates[step.carry as usize] = carries;
}
