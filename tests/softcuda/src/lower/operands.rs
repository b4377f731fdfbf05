//! Operands to slots.

use super::{Frame, Initial, Instance, Lowerer, Op, Place, Result, Slot, Unary};
use crate::ir::{Address, Function, Operand, PredicateOperand, Reg, Space, Special, Symbol};

impl Lowerer<'_> {
    /// A new register for values of so many bits.
    pub(super) fn scratch(&mut self, bits: u32) -> Place {
        let program = &mut self.program;
        let take = |count: &mut u32, n: u32| {
            *count += n;
            *count - n
        };
        match bits {
            1 => Place::Predicate(take(&mut program.predicates, 1)),
            128 => Place::Quad(take(&mut program.doubles, 2)),
            64 => Place::Double(take(&mut program.doubles, 1)),
            _ => Place::Word(take(&mut program.words, 1)),
        }
    }

    pub(super) fn scratch_word(&mut self) -> Slot {
        self.program.words += 1;
        self.program.words - 1
    }

    pub(super) fn scratch_double(&mut self) -> Slot {
        self.program.doubles += 1;
        self.program.doubles - 1
    }

    pub(super) fn scratch_predicate(&mut self) -> Slot {
        self.program.predicates += 1;
        self.program.predicates - 1
    }

    /// Gives a function's registers slots and its variables places, once.
    pub(super) fn make_frame(&mut self, index: usize, function: &Function) {
        if self.frames.contains_key(&index) {
            return;
        }
        let registers = function.registers.iter().map(|register| self.scratch(register.ty.bits())).collect();
        let variables = function.variables.iter().map(|variable| match variable.space {
            Space::Shared if variable.dynamic => {
                self.dynamic_align = self.dynamic_align.max(variable.align);
                0
            }
            Space::Shared => allocate(&mut self.program.static_shared, variable.size as u32, variable.align),
            _ => allocate(&mut self.program.local, variable.size as u32, variable.align),
        });
        let variables = variables.collect();
        let carry = self.scratch_predicate();
        self.frames.insert(index, Frame { registers, variables, carry });
    }

    /// A cell of local memory.
    pub(super) fn local_cell(&mut self, size: u32, align: u32) -> u32 {
        allocate(&mut self.program.local, size, align)
    }

    /// A register that holds a value from the start: one of 1, 32, 64 or 128 bits.
    pub(super) fn constant(&mut self, bits: u32, initial: Initial) -> Place {
        let bits = match bits {
            1 | 64 | 128 => bits,
            _ => 32,
        };
        if let Some(&place) = self.constants.get(&(bits, initial)) {
            return place;
        }
        let place = self.scratch(bits);
        self.program.initial.push((place, initial));
        self.constants.insert((bits, initial), place);
        place
    }

    pub(super) fn constant_word(&mut self, value: u32) -> Slot {
        match self.constant(32, Initial::Bits(u64::from(value))) {
            Place::Word(slot) => slot,
            _ => unreachable!("a constant of 32 bits is a word"),
        }
    }

    pub(super) fn constant_double(&mut self, value: u64) -> Slot {
        match self.constant(64, Initial::Bits(value)) {
            Place::Double(slot) => slot,
            _ => unreachable!("a constant of 64 bits is a double"),
        }
    }

    pub(super) fn register(&self, register: Reg) -> Place {
        self.frame().registers[register.0 as usize]
    }

    /// A value's register; what is no register becomes one of so many bits.
    pub(super) fn place(&mut self, operand: &Operand, bits: u32) -> Result<Place> {
        let initial = match *operand {
            Operand::Reg(register) => return Ok(self.register(register)),
            Operand::Bits(value) if bits < 64 => Initial::Bits(value & ((1 << bits) - 1)),
            Operand::Bits(value) => Initial::Bits(value),
            Operand::Special(special @ (Special::Clock | Special::Clock64 | Special::GlobalTimer)) => {
                return self.live_special(special, bits);
            }
            Operand::Special(special) => Initial::Special(special),
            Operand::Address(symbol, offset) => self.address_of(symbol, offset)?,
            Operand::Function(_) => return self.refuse("the address of a function"),
        };
        Ok(self.constant(bits, initial))
    }

    /// Registers that change while a kernel runs are read before each use.
    fn live_special(&mut self, special: Special, bits: u32) -> Result<Place> {
        let d = self.scratch_double();
        self.emit(match special {
            Special::GlobalTimer => Op::GlobalTimer(d),
            _ => Op::Clock(d),
        });
        if bits == 64 {
            return Ok(Place::Double(d));
        }
        let word = self.scratch_word();
        self.emit(Op::Truncate(Unary { d: word, a: d }));
        Ok(Place::Word(word))
    }

    pub(super) fn word(&mut self, operand: &Operand) -> Result<Slot> {
        self.narrow(operand, 32)
    }

    /// A word that holds so many bits.
    pub(super) fn narrow(&mut self, operand: &Operand, bits: u32) -> Result<Slot> {
        match self.place(operand, bits)? {
            Place::Word(slot) => Ok(slot),
            _ => self.refuse("an operand that is not of 32 bits"),
        }
    }

    pub(super) fn double(&mut self, operand: &Operand) -> Result<Slot> {
        match self.place(operand, 64)? {
            Place::Double(slot) => Ok(slot),
            _ => self.refuse("an operand that is not of 64 bits"),
        }
    }

    pub(super) fn word_register(&self, register: Reg) -> Result<Slot> {
        match self.register(register) {
            Place::Word(slot) => Ok(slot),
            _ => self.refuse("a register that is not of 32 bits"),
        }
    }

    pub(super) fn double_register(&self, register: Reg) -> Result<Slot> {
        match self.register(register) {
            Place::Double(slot) => Ok(slot),
            _ => self.refuse("a register that is not of 64 bits"),
        }
    }

    pub(super) fn predicate_register(&self, register: Reg) -> Result<Slot> {
        match self.register(register) {
            Place::Predicate(slot) => Ok(slot),
            _ => self.refuse("a register that is no predicate"),
        }
    }

    pub(super) fn predicate(&mut self, operand: &Operand) -> Result<Slot> {
        let operand = match *operand {
            Operand::Bits(bits) => Operand::Bits(u64::from(bits != 0)),
            other => other,
        };
        match self.place(&operand, 1)? {
            Place::Predicate(slot) => Ok(slot),
            _ => self.refuse("an operand that is no predicate"),
        }
    }

    /// A predicate, inverted into a new register if it is negated.
    pub(super) fn predicate_operand(&mut self, operand: &PredicateOperand) -> Result<Slot> {
        let a = self.predicate(&operand.value)?;
        if !operand.negated {
            return Ok(a);
        }
        let d = self.scratch_predicate();
        let class = std::mem::replace(&mut self.class, super::Class::Uncounted);
        self.emit(Op::Not(Unary { d, a }));
        self.class = class;
        Ok(d)
    }

    /// The address of a symbol in its own space.
    pub(super) fn address_of(&mut self, symbol: Symbol, offset: i64) -> Result<Initial> {
        let at = |base: u64| Initial::Bits(base.wrapping_add_signed(offset));
        let module = self.module;
        let Instance { function, ref parameters, ref results, .. } = *self.instance();
        Ok(match symbol {
            Symbol::Parameter(index) => at(u64::from(parameters[index as usize])),
            Symbol::Result(index) => at(u64::from(results[index as usize])),
            Symbol::Function(index) => {
                if module.functions[function].variables[index as usize].dynamic {
                    return Ok(Initial::DynamicShared(offset));
                }
                at(u64::from(self.frame().variables[index as usize]))
            }
            Symbol::Module(index) => {
                let variable = &module.variables[index as usize];
                match variable.space {
                    Space::Shared if variable.dynamic => {
                        self.dynamic_align = self.dynamic_align.max(variable.align);
                        return Ok(Initial::DynamicShared(offset));
                    }
                    Space::Shared => {
                        let (size, align) = (variable.size as u32, variable.align);
                        let total = &mut self.program.static_shared;
                        let base = *self.shared.entry(index).or_insert_with(|| allocate(total, size, align));
                        at(u64::from(base))
                    }
                    _ => at(self.addresses[index as usize]),
                }
            }
        })
    }

    /// The double that an address starts from, and what to add.
    pub(super) fn address(&mut self, address: &Address) -> Result<(Slot, u64)> {
        if let Operand::Address(symbol, offset) = address.base {
            let initial = self.address_of(symbol, offset.wrapping_add(address.offset))?;
            return match self.constant(64, initial) {
                Place::Double(slot) => Ok((slot, 0)),
                _ => self.refuse("an address that is not of 64 bits"),
            };
        }
        match self.place(&address.base, 64)? {
            Place::Double(slot) => Ok((slot, address.offset as u64)),
            Place::Word(a) => {
                let d = self.scratch_double();
                let class = std::mem::replace(&mut self.class, super::Class::Uncounted);
                self.emit(Op::Widen(Unary { d, a }));
                self.class = class;
                Ok((d, address.offset as u64))
            }
            _ => self.refuse("an address that is not of 32 or 64 bits"),
        }
    }

    /// Bits of the register that a place stands for.
    pub(super) fn register_bits(&self, register: Reg) -> u32 {
        self.module.functions[self.instance().function].registers[register.0 as usize].ty.bits()
    }
}

fn allocate(total: &mut u32, size: u32, align: u32) -> u32 {
    let base = total.next_multiple_of(align.max(1));
    *total = base + size;
    base
}
