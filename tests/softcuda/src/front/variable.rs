//! Declarations of variables and their initialisers.

use super::Result;
use super::cursor::Cursor;
use super::lexer::Kind;
use super::literal::{self, Literal};
use super::types::{space_named, type_name, type_named};
use crate::ir::{Relocation, RelocationTarget, Space, Type, Variable};

/// The largest alignment that is accepted.
const MAX_ALIGN: u64 = 1 << 16;
/// The largest variable that is accepted.
const MAX_SIZE: u64 = 1 << 40;

/// The largest initialiser that is accepted.
const MAX_INIT: u64 = 1 << 28;

/// The value of an integer literal.
pub(super) fn integer(cursor: &mut Cursor<'_>) -> Result<i64> {
    match number(cursor)?.as_integer() {
        Some(value) => Ok(value),
        None => cursor.fail("a float literal where an integer is expected"),
    }
}

/// A literal with its sign.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Literal> {
    let negative = cursor.eat("-");
    let token = cursor.peek();
    if token.kind == Kind::Word && token.text == "WARP_SZ" {
        cursor.next();
        return Ok(Literal::Integer { magnitude: 32, negative });
    }
    if token.kind != Kind::Number {
        return cursor.expected("a number");
    }
    let literal = literal::read(token.text).map_err(|message| cursor.error(token.line, message))?;
    cursor.next();
    Ok(if negative { literal.negated() } else { literal })
}

/// `.align 8`, if it stands there.
pub(super) fn align(cursor: &mut Cursor<'_>) -> Result<Option<u32>> {
    if !cursor.eat_dot("align") {
        return Ok(None);
    }
    let line = cursor.peek().line;
    let align = integer(cursor)? as u64;
    if !align.is_power_of_two() || align > MAX_ALIGN {
        return Err(cursor.error(line, format!("an alignment of {align}: not a power of two up to {MAX_ALIGN}")));
    }
    Ok(Some(align as u32))
}

/// A type that memory can have.
pub(super) fn memory_type(cursor: &mut Cursor<'_>) -> Result<Type> {
    let ty = cursor.peek_dot().and_then(type_named).filter(|&ty| ty != Type::Pred && ty != Type::Tf32);
    match ty {
        Some(ty) => {
            cursor.next();
            Ok(ty)
        }
        None => cursor.expected("a type"),
    }
}

/// `[4][8]`: the sizes; 0 for `[]`, which only the first may be.
pub(super) fn dimensions(cursor: &mut Cursor<'_>) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    while cursor.eat("[") {
        if cursor.peek().is("]") && sizes.is_empty() {
            sizes.push(0);
        } else {
            let line = cursor.peek().line;
            let size = integer(cursor)?;
            if size <= 0 || sizes.len() == 8 {
                return Err(cursor.error(line, "an array with a dimension that is not positive, or too many"));
            }
            sizes.push(size as u64);
        }
        cursor.expect("]")?;
    }
    Ok(sizes)
}

/// Reads declarations after their state space, up to the `;`. `resolve` finds the variables and functions that
/// initialisers name.
pub(super) fn declarations<'a>(
    cursor: &mut Cursor<'a>,
    space: Space,
    is_extern: bool,
    resolve: &dyn Fn(&str) -> Option<RelocationTarget>,
) -> Result<Vec<(&'a str, Variable)>> {
    let said = align(cursor)?;
    let lanes = [("v2", 2), ("v4", 4)].into_iter().find(|(name, _)| cursor.eat_dot(name)).map(|(_, lanes)| lanes);
    let element = memory_type(cursor)?;
    let natural = element.bytes() * lanes.unwrap_or(1) as u32;
    let mut variables = Vec::new();
    loop {
        let line = cursor.peek().line;
        let name = cursor.word("a name")?;
        let mut sizes = dimensions(cursor)?;
        let open = sizes.first() == Some(&0);
        sizes.extend(lanes);
        let mut filler = Filler { init: Vec::new(), relocations: Vec::new(), element, resolve };
        if cursor.eat("=") {
            if !matches!(space, Space::Global | Space::Const) || is_extern {
                return Err(cursor.error(line, "an initialiser: only `.global` and `.const` variables have one"));
            }
            let count = filler.fill(cursor, &sizes, 0)?;
            if open {
                sizes[0] = count;
            }
        }
        let dynamic = is_extern && space == Space::Shared;
        if sizes.first() == Some(&0) && !dynamic {
            return Err(cursor.error(line, format!("`{name}[]` has no size")));
        }
        if is_extern && !(dynamic && open) {
            return Err(cursor.error(line, format!("`{name}` is defined in another module: linking is not supported")));
        }
        let size = sizes.iter().try_fold(u64::from(element.bytes()), |size, &count| size.checked_mul(count));
        let Some(size) = size.filter(|&size| size <= MAX_SIZE) else {
            return Err(cursor.error(line, format!("`{name}` is too large")));
        };
        variables.push((
            name,
            Variable {
                name: name.to_owned(),
                space,
                align: said.unwrap_or(natural),
                element,
                size,
                dynamic,
                init: filler.init,
                relocations: filler.relocations,
                line,
            },
        ));
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(";")?;
    Ok(variables)
}

/// Collects the bytes of an initialiser.
struct Filler<'f> {
    init: Vec<u8>,
    relocations: Vec<Relocation>,
    element: Type,
    resolve: &'f dyn Fn(&str) -> Option<RelocationTarget>,
}

impl Filler<'_> {
    /// Fills an array of these dimensions from element `at` on; gives how many values of the first it has.
    fn fill(&mut self, cursor: &mut Cursor<'_>, sizes: &[u64], at: u64) -> Result<u64> {
        let Some((&size, inner)) = sizes.split_first() else {
            self.value(cursor, at)?;
            return Ok(1);
        };
        let stride = inner.iter().try_fold(1u64, |stride, &size| stride.checked_mul(size));
        let Some(stride) = stride.filter(|&stride| stride <= MAX_SIZE) else {
            return cursor.fail("an array that is too large");
        };
        cursor.expect("{")?;
        let mut count = 0;
        while !cursor.peek().is("}") {
            if size != 0 && count == size {
                return cursor.fail(format!("more values than the {size} elements"));
            }
            self.fill(cursor, inner, at.saturating_add(count.saturating_mul(stride)))?;
            count += 1;
            if !cursor.eat(",") {
                break;
            }
        }
        cursor.expect("}")?;
        Ok(count)
    }

    fn value(&mut self, cursor: &mut Cursor<'_>, at: u64) -> Result<()> {
        let bytes = u64::from(self.element.bytes());
        let line = cursor.peek().line;
        let offset = at.saturating_mul(bytes);
        if offset > MAX_INIT {
            return cursor.fail("an initialiser that is too large");
        }
        let is_symbol = cursor.peek().kind == Kind::Word && cursor.peek().text != "WARP_SZ";
        let value = if is_symbol {
            self.symbol(cursor, offset)?;
            0
        } else {
            let bits = number(cursor)?.bits(self.element);
            bits.map_err(|message| cursor.error(line, message))?
        };
        self.init.resize(offset as usize, 0);
        self.init.extend(&value.to_le_bytes()[..bytes as usize]);
        Ok(())
    }

    /// `name`, `name+4` or `generic(name)+4`.
    fn symbol(&mut self, cursor: &mut Cursor<'_>, offset: u64) -> Result<()> {
        let line = cursor.peek().line;
        if self.element.bytes() != 8 || self.element.is_float() {
            let name = type_name(self.element);
            return cursor.fail(format!("an address in an element of type `.{name}`, which does not hold one"));
        }
        let mut name = cursor.word("a name")?;
        let generic = name == "generic" && cursor.eat("(");
        if generic {
            name = cursor.word("a name")?;
            cursor.expect(")")?;
        }
        let Some(target) = (self.resolve)(name) else {
            return Err(cursor.error(line, format!("undeclared name `{name}`")));
        };
        let addend = if cursor.eat("+") || cursor.peek().is("-") { integer(cursor)? } else { 0 };
        self.relocations.push(Relocation { offset, target, generic, addend });
        Ok(())
    }
}

/// The state space of a declaration, if the next token begins one.
pub(super) fn space(cursor: &Cursor<'_>) -> Option<Space> {
    cursor.peek_dot().filter(|&name| name != "shared::cta").and_then(space_named)
}
