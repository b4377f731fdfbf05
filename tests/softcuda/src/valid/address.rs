//! Addresses: their space, alignment and, of parameters, bounds.

use super::{Check, Checker};
use crate::ir::{Address, Operand, Space, Symbol};

/// What is known of a variable.
struct Place<'a> {
    name: &'a str,
    space: Space,
    align: u64,
    size: u64,
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Generic => "generic",
        Space::Global => "global",
        Space::Shared => "shared",
        Space::Local => "local",
        Space::Const => "const",
        Space::Param => "param",
    }
}

/// Whether an address of the space has 32 bits or 64, as the register that holds it.
fn is_short(space: Space) -> bool {
    matches!(space, Space::Shared | Space::Local | Space::Const | Space::Param)
}

impl<'m> Checker<'m> {
    fn place(&self, symbol: Symbol) -> Place<'m> {
        let variable = match symbol {
            Symbol::Module(index) => &self.module.variables[index as usize],
            Symbol::Function(index) => &self.function.variables[index as usize],
            Symbol::Parameter(index) | Symbol::Result(index) => {
                let list = match symbol {
                    Symbol::Parameter(_) => &self.function.parameters,
                    _ => &self.function.results,
                };
                let parameter = &list[index as usize];
                let (align, size) = (u64::from(parameter.align), u64::from(parameter.size));
                return Place { name: &parameter.name, space: Space::Param, align, size };
            }
        };
        let (align, size) = (u64::from(variable.align), variable.size);
        Place { name: &variable.name, space: variable.space, align, size }
    }

    /// An address of a space at which `bytes` are read or written.
    pub(super) fn address(&self, space: Space, address: &Address, bytes: u32) -> Check {
        let offset = i128::from(address.offset);
        let bytes = i128::from(bytes);
        match address.base {
            Operand::Reg(register) => self.pointer(register, is_short(space)),
            Operand::Bits(_) if space != Space::Local => {
                Err(format!("a number for an address in `.{}`: only `.local` has them", space_name(space)))
            }
            Operand::Bits(base) => {
                let at = i128::from(base) + offset;
                if at % bytes == 0 { Ok(()) } else { Err(misaligned(&at.to_string(), bytes)) }
            }
            Operand::Address(symbol, more) => {
                let place = self.place(symbol);
                if space != place.space && !(space == Space::Generic && place.space == Space::Global) {
                    let (is, wanted) = (space_name(place.space), space_name(space));
                    return Err(format!("`{}` is in `.{is}`, and the access is `.{wanted}`", place.name));
                }
                let at = offset + i128::from(more);
                let known = bytes.min(i128::from(place.align));
                if at % known != 0 {
                    return Err(misaligned(&format!("{}+{at}", place.name), bytes));
                }
                if place.space == Space::Param && (at < 0 || at + bytes > i128::from(place.size)) {
                    return Err(format!("bytes {at} to {} of `{}`, which has {}", at + bytes, place.name, place.size));
                }
                Ok(())
            }
            Operand::Special(_) | Operand::Function(_) => Err("an address that is no register or variable".into()),
        }
    }

    /// An address that is written: not the function's own parameter.
    pub(super) fn written(&self, address: &Address) -> Check {
        match address.base {
            Operand::Address(symbol @ Symbol::Parameter(_), _) => {
                Err(format!("`{}` is a parameter and cannot be written", self.place(symbol).name))
            }
            _ => Ok(()),
        }
    }

    /// A variable whose address is taken into a register of `bits`; `None`: of any space.
    pub(super) fn taken(&self, symbol: Symbol, space: Option<Space>, bits: u32) -> Check {
        let place = self.place(symbol);
        let name = place.name;
        if space.is_some_and(|space| space != place.space) {
            let wanted = space.map_or("", space_name);
            return Err(format!("`{name}` is in `.{}`, not in `.{wanted}`", space_name(place.space)));
        }
        if place.space == Space::Param && !matches!(symbol, Symbol::Parameter(_)) {
            return Err(format!("the address of `{name}`, a parameter of a call or a result"));
        }
        match bits {
            64 => Ok(()),
            32 if is_short(place.space) => Ok(()),
            _ => Err(format!("the address of `{name}` in {bits} bits")),
        }
    }
}

fn misaligned(what: &str, bytes: i128) -> String {
    format!("`{what}` is not a multiple of the {bytes} bytes accessed")
}
