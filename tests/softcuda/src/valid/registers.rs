//! Registers and other values against the types of instructions.

use super::{Check, Checker};
use crate::front::{special_name, special_type, type_name};
use crate::ir::{Operand, PredicateOperand, Reg, Special, Type};

/// What values of a type are.
#[derive(PartialEq)]
enum Class {
    Predicate,
    Bits,
    Integer,
    Float,
}

fn class(ty: Type) -> Class {
    use Type::*;
    match ty {
        Pred => Class::Predicate,
        B8 | B16 | B32 | B64 | B128 => Class::Bits,
        U8 | U16 | U32 | U64 | S8 | S16 | S32 | S64 => Class::Integer,
        F16 | F16x2 | Bf16 | Bf16x2 | Tf32 | F32 | F64 => Class::Float,
    }
}

/// Whether a register goes with an instruction of a type.
fn fits(register: Type, ty: Type) -> bool {
    let (left, right) = (class(register), class(ty));
    let bits = |class: &Class| *class == Class::Bits;
    if left == Class::Predicate || right == Class::Predicate {
        return left == right;
    }
    register.bits() == ty.bits()
        && match (&left, &right) {
            _ if bits(&left) || bits(&right) => true,
            (Class::Float, Class::Float) => register == ty,
            _ => left == right,
        }
}

/// Whether a register goes with a load, store or conversion of a type.
fn fits_wider(register: Type, ty: Type) -> bool {
    let whole = |ty| matches!(class(ty), Class::Bits | Class::Integer);
    fits(register, ty) || (register.bits() > ty.bits() && whole(register) && whole(ty))
}

impl Checker<'_> {
    fn type_of(&self, register: Reg) -> Type {
        self.function.registers[register.0 as usize].ty
    }

    fn mismatch(&self, register: Reg, ty: Type) -> String {
        let known = &self.function.registers[register.0 as usize];
        format!("`{}` is `.{}` where `.{}` is expected", known.name, type_name(known.ty), type_name(ty))
    }

    /// A register of a type.
    pub(super) fn register(&self, register: Reg, ty: Type) -> Check {
        if fits(self.type_of(register), ty) { Ok(()) } else { Err(self.mismatch(register, ty)) }
    }

    /// A register of a type, or an integer one that is wider.
    pub(super) fn wider_register(&self, register: Reg, ty: Type) -> Check {
        if fits_wider(self.type_of(register), ty) { Ok(()) } else { Err(self.mismatch(register, ty)) }
    }

    /// A register that holds an address: of 64 bits, or of 32 where `short` says so.
    pub(super) fn pointer(&self, register: Reg, short: bool) -> Check {
        if short && fits(self.type_of(register), Type::U32) { Ok(()) } else { self.register(register, Type::U64) }
    }

    /// A value of a type.
    pub(super) fn value(&self, operand: Operand, ty: Type) -> Check {
        match operand {
            Operand::Reg(register) => self.register(register, ty),
            _ => other_value(operand),
        }
    }

    /// A value of a type, perhaps in a wider register.
    pub(super) fn wider_value(&self, operand: Operand, ty: Type) -> Check {
        match operand {
            Operand::Reg(register) => self.wider_register(register, ty),
            _ => other_value(operand),
        }
    }

    /// A value of a type, or a special register: an operand of `mov` and `cvt`.
    pub(super) fn special_value(&self, operand: Operand, ty: Type) -> Check {
        let Operand::Special(special) = operand else { return self.wider_value(operand, ty) };
        let known = special_type(special);
        // The grid's number was of 32 bits before it was of 64.
        if fits(known, ty) || (special == Special::GridId && fits(Type::U32, ty)) {
            return Ok(());
        }
        let (name, known) = (special_name(special), type_name(known));
        Err(format!("`{name}` is `.{known}` where `.{}` is expected", type_name(ty)))
    }

    /// Registers of one width.
    pub(super) fn alike(&self, registers: impl Iterator<Item = Reg>) -> Check {
        let mut widths = registers.map(|register| self.type_of(register).bits());
        let first = widths.next();
        if widths.all(|width| Some(width) == first) {
            Ok(())
        } else {
            Err("a vector of registers of many widths".into())
        }
    }

    /// Values of one type.
    pub(super) fn values(&self, operands: &[Operand], ty: Type) -> Check {
        operands.iter().try_for_each(|&operand| self.value(operand, ty))
    }

    /// A predicate.
    pub(super) fn predicate(&self, operand: PredicateOperand) -> Check {
        self.value(operand.value, Type::Pred)
    }
}

fn other_value(operand: Operand) -> Check {
    match operand {
        Operand::Reg(_) | Operand::Bits(_) => Ok(()),
        Operand::Special(special) => Err(format!("`{}`: only `mov` and `cvt` read it", special_name(special))),
        Operand::Address(..) | Operand::Function(_) => Err("an address where a value is expected".into()),
    }
}
