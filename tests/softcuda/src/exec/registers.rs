//! A warp's registers: three banks, 32 lanes each.

use crate::ir::Special;
use crate::lower::{Initial, Place, Program, Slot};

/// Every lane takes part.
pub const FULL: u32 = u32::MAX;

/// A register of 32 bits a lane.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Words(pub [u32; 32]);

/// A register of 64 bits a lane.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Doubles(pub [u64; 32]);

/// What registers hold before anything is written to them: conspicuous, not zero.
const UNDEFINED: u32 = 0xcdcd_cdcd;

/// The registers of a warp.
#[derive(Default)]
pub struct Registers {
    /// 32 bits a lane; narrower values have zeros above.
    pub words: Vec<Words>,
    /// 64 bits a lane.
    pub doubles: Vec<Doubles>,
    /// A bit a lane.
    pub predicates: Vec<u32>,
}

/// What special registers hold in one warp.
pub struct Specials<'a> {
    /// The parameter block.
    pub parameters: &'a [u8],
    /// Where dynamic shared memory begins.
    pub dynamic_shared: u32,
    /// The value of a register in a lane.
    pub special: &'a dyn Fn(Special, u32) -> u64,
}

impl Registers {
    /// Makes room and fills everything for a warp that begins.
    pub fn begin(&mut self, program: &Program, specials: &Specials<'_>) {
        let wide = u64::from(UNDEFINED) << 32 | u64::from(UNDEFINED);
        self.words.clear();
        self.words.resize(program.words as usize, Words([UNDEFINED; 32]));
        self.doubles.clear();
        self.doubles.resize(program.doubles as usize, Doubles([wide; 32]));
        self.predicates.clear();
        self.predicates.resize(program.predicates as usize, 0);
        for &(place, initial) in &program.initial {
            match initial {
                Initial::Bits(bits) => self.fill_uniform(place, bits),
                Initial::Special(special) => self.fill(place, |lane| (specials.special)(special, lane)),
                Initial::DynamicShared(offset) => {
                    let address = u64::from(specials.dynamic_shared).wrapping_add_signed(offset);
                    self.fill_uniform(place, address);
                }
                Initial::Parameter { offset, bytes, extend } => {
                    let mut value = [0; 8];
                    let bytes = bytes as usize;
                    value[..bytes].copy_from_slice(&specials.parameters[offset as usize..offset as usize + bytes]);
                    let value = extended(u64::from_le_bytes(value), 8 * bytes as u32, extend);
                    self.fill_uniform(place, value);
                }
            }
        }
    }

    fn fill_uniform(&mut self, place: Place, value: u64) {
        match place {
            Place::Word(slot) => self.words[slot as usize].0 = [value as u32; 32],
            Place::Double(slot) => self.doubles[slot as usize].0 = [value; 32],
            Place::Quad(slot) => {
                self.doubles[slot as usize].0 = [value; 32];
                self.doubles[slot as usize + 1].0 = [0; 32];
            }
            Place::Predicate(slot) => self.predicates[slot as usize] = if value & 1 == 1 { FULL } else { 0 },
        }
    }

    fn fill(&mut self, place: Place, value: impl Fn(u32) -> u64) {
        for lane in 0..32 {
            self.set(place, lane as usize, value(lane));
        }
    }

    /// A lane's value, zero-extended; of 128 bits the low half.
    #[inline]
    pub fn get(&self, place: Place, lane: usize) -> u64 {
        match place {
            Place::Word(slot) => u64::from(self.words[slot as usize].0[lane]),
            Place::Double(slot) | Place::Quad(slot) => self.doubles[slot as usize].0[lane],
            Place::Predicate(slot) => u64::from(self.predicates[slot as usize] >> lane & 1),
        }
    }

    /// Sets a lane; of 128 bits the low half, the high one becomes zero.
    #[inline]
    pub fn set(&mut self, place: Place, lane: usize, value: u64) {
        match place {
            Place::Word(slot) => self.words[slot as usize].0[lane] = value as u32,
            Place::Double(slot) => self.doubles[slot as usize].0[lane] = value,
            Place::Quad(slot) => {
                self.doubles[slot as usize].0[lane] = value;
                self.doubles[slot as usize + 1].0[lane] = 0;
            }
            Place::Predicate(slot) => {
                let register = &mut self.predicates[slot as usize];
                *register = *register & !(1 << lane) | ((value & 1) as u32) << lane;
            }
        }
    }

    /// A word register.
    pub fn word(&self, slot: Slot) -> &[u32; 32] {
        &self.words[slot as usize].0
    }
}

/// Sign-extends a value of some bits to more; to 0 bits: as it is.
pub fn extended(value: u64, from: u32, to: u32) -> u64 {
    if to == 0 || from >= 64 {
        return value;
    }
    let wide = ((value << (64 - from)) as i64 >> (64 - from)) as u64;
    if to >= 64 { wide } else { wide & ((1 << to) - 1) }
}

/// The lanes of a mask, ascending.
pub fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane as usize)
    })
}
