//! What names stand for.

use std::collections::HashMap;

use crate::ir::{FunctionId, Label, Reg, Symbol, Type};

/// A name of a function body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Register(Reg),
    Variable(Symbol),
    Label(Label),
    /// A `.branchtargets` table.
    Table(u32),
    /// A `.callprototype` or `.calltargets`: nothing uses it.
    Prototype,
}

/// A name of the module.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    Variable(u32),
    Function(FunctionId),
}

/// `.reg .b32 %r<12>`: the registers `%r0` to `%r11`.
#[derive(Clone, Copy, Debug)]
struct Range<'a> {
    prefix: &'a str,
    count: u32,
    ty: Type,
}

impl Range<'_> {
    fn holds(&self, name: &str) -> bool {
        let Some(digits) = name.strip_prefix(self.prefix) else { return false };
        let canonical = digits == "0" || !digits.starts_with('0');
        canonical
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.parse::<u32>().is_ok_and(|index| index < self.count)
    }
}

/// The names between two braces.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    names: HashMap<&'a str, Name>,
    ranges: Vec<Range<'a>>,
}

impl<'a> Scope<'a> {
    /// What a name stands for, if it is declared by itself.
    pub fn get(&self, name: &str) -> Option<Name> {
        self.names.get(name).copied()
    }

    /// The type of a register that only a range declares.
    pub fn in_range(&self, name: &str) -> Option<Type> {
        self.ranges.iter().find(|range| range.holds(name)).map(|range| range.ty)
    }

    /// Gives a name that a range declares its register.
    pub fn found(&mut self, name: &'a str, register: Reg) {
        self.names.insert(name, Name::Register(register));
    }

    /// Declares a name; whether it is new.
    pub fn declare(&mut self, name: &'a str, meaning: Name) -> bool {
        self.in_range(name).is_none() && self.names.insert(name, meaning).is_none()
    }

    /// Declares a range; whether it is new.
    pub fn declare_range(&mut self, prefix: &'a str, count: u32, ty: Type) -> bool {
        let range = Range { prefix, count, ty };
        let new =
            !self.ranges.iter().any(|other| other.prefix == prefix) && !self.names.keys().any(|name| range.holds(name));
        self.ranges.push(range);
        new
    }
}
