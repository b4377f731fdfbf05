//! Operands.

use super::Result;
use super::body::Body;
use super::lexer::Kind;
use super::names::{Global, Name};
use super::types::{special_named, special_vector};
use super::variable;
use crate::ir::{Address, Operand, PredicateOperand, Reg, Symbol, Type};

impl<'a> Body<'_, 'a> {
    /// Reads the comma between two operands.
    pub fn comma(&mut self) -> Result<()> {
        self.cursor.expect(",")
    }

    /// Reads a register.
    pub fn register(&mut self) -> Result<Reg> {
        let line = self.cursor.peek().line;
        let name = self.cursor.word("a register")?;
        match self.find(name) {
            Some(Name::Register(register)) => Ok(register),
            Some(_) => Err(self.cursor.error(line, format!("`{name}` is not a register"))),
            None if special_named(name).is_some() || special_vector(name).is_some() => {
                Err(self.cursor.error(line, format!("`{name}` cannot be written")))
            }
            None => Err(self.cursor.error(line, format!("undeclared register `{name}`"))),
        }
    }

    /// Reads a register, or `_` for none.
    pub fn sink(&mut self) -> Result<Option<Reg>> {
        if self.cursor.peek().text == "_" && self.find("_").is_none() {
            self.cursor.next();
            return Ok(None);
        }
        self.register().map(Some)
    }

    /// Reads a register and the comma behind it: a destination.
    pub fn destination(&mut self) -> Result<Reg> {
        let register = self.register()?;
        self.comma()?;
        Ok(register)
    }

    /// Reads the value of a comma and an operand.
    pub fn next_operand(&mut self, ty: Type) -> Result<Operand> {
        self.comma()?;
        self.operand(ty)
    }

    /// Reads an operand; `ty` says what the bits of a literal are.
    pub fn operand(&mut self, ty: Type) -> Result<Operand> {
        let token = self.cursor.peek();
        if token.kind == Kind::Number || token.is("-") || token.text == "WARP_SZ" {
            let literal = variable::number(self.cursor)?;
            let bits = literal.bits(ty).map_err(|message| self.cursor.error(token.line, message))?;
            return Ok(Operand::Bits(bits));
        }
        let name = self.cursor.word("an operand")?;
        match self.find(name) {
            Some(Name::Register(register)) => return Ok(Operand::Reg(register)),
            Some(Name::Variable(symbol)) => return self.symbol(symbol),
            Some(_) => return Err(self.cursor.error(token.line, format!("`{name}` is not a value"))),
            None => {}
        }
        match self.find_global(name) {
            Some(Global::Variable(index)) => return self.symbol(Symbol::Module(index)),
            Some(Global::Function(id)) => return Ok(Operand::Function(id)),
            None => {}
        }
        if let Some(special) = special_named(name) {
            return Ok(Operand::Special(special));
        }
        if let Some(vector) = special_vector(name) {
            let axes = ["x", "y", "z"];
            let Some(axis) = self.cursor.peek_dot().and_then(|dot| axes.iter().position(|&axis| axis == dot)) else {
                return self.cursor.expected("`.x`, `.y` or `.z`");
            };
            self.cursor.next();
            return Ok(Operand::Special(vector(axis as u8)));
        }
        let kind = if name.starts_with('%') { "register" } else { "name" };
        Err(self.cursor.error(token.line, format!("undeclared {kind} `{name}`")))
    }

    fn symbol(&mut self, symbol: Symbol) -> Result<Operand> {
        Ok(Operand::Address(symbol, self.offset()?))
    }

    /// Reads `+4`, `+-4` or `-4`, if one stands there.
    fn offset(&mut self) -> Result<i64> {
        if self.cursor.eat("+") || self.cursor.peek().is("-") { variable::integer(self.cursor) } else { Ok(0) }
    }

    /// Reads a predicate, perhaps negated.
    pub fn predicate(&mut self) -> Result<PredicateOperand> {
        let negated = self.cursor.eat("!");
        Ok(PredicateOperand { value: self.operand(Type::Pred)?, negated })
    }

    /// Reads `[base + offset]`.
    pub fn address(&mut self) -> Result<Address> {
        self.cursor.expect("[")?;
        let (base, mut offset) = match self.operand(Type::U64)? {
            Operand::Address(symbol, offset) => (Operand::Address(symbol, 0), offset),
            base => (base, 0),
        };
        if offset == 0 {
            offset = self.offset()?;
        }
        self.cursor.expect("]")?;
        Ok(Address { base, offset })
    }

    /// Reads `{a, b}` or one.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if !self.cursor.eat("{") {
            return Ok(vec![item(self)?]);
        }
        let mut items = vec![item(self)?];
        while self.cursor.eat(",") {
            items.push(item(self)?);
        }
        self.cursor.expect("}")?;
        Ok(items)
    }

    /// Reads a list of a given length.
    pub fn exactly<T>(&mut self, count: usize, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let line = self.cursor.peek().line;
        let items = self.list(item)?;
        if items.len() != count {
            let found = items.len();
            return Err(self.cursor.error(line, format!("{found} values where {count} are expected")));
        }
        Ok(items)
    }

    /// Reads `p` or `p|q`, where `_` is none.
    pub fn pair(&mut self) -> Result<(Option<Reg>, Option<Reg>)> {
        let first = self.sink()?;
        let second = if self.cursor.eat("|") { self.sink()? } else { None };
        Ok((first, second))
    }
}
