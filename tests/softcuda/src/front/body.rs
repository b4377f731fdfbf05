//! Bodies of functions: declarations, scopes, labels; instructions are read by [`instruction`].

use std::collections::HashMap;

use super::cursor::Cursor;
use super::lexer::Kind;
use super::names::{Global, Name, Scope};
use super::types::{type_name, type_named};
use super::{Result, instruction, variable};
use crate::ir::{Function, Guard, Instruction, Label, LabelTarget, Operation, Reg, Register, Space, Symbol, Type};

/// Braces in braces that are accepted.
const MAX_DEPTH: usize = 64;
/// Registers of a function that are accepted.
const MAX_REGISTERS: usize = 1 << 20;
/// The index of a label that is not reached yet.
const NOWHERE: u32 = u32::MAX;

/// A body that is being read.
pub(super) struct Body<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    pub function: Function,
    /// The functions of the module, whose heads calls need.
    pub functions: &'c [Function],
    globals: &'c HashMap<&'a str, Global>,
    scopes: Vec<Scope<'a>>,
}

/// Reads a body from its `{` to its `}`.
pub(super) fn parse<'a>(
    cursor: &mut Cursor<'a>,
    head: Function,
    scope: Scope<'a>,
    globals: &HashMap<&'a str, Global>,
    functions: &[Function],
) -> Result<Function> {
    let mut body = Body { cursor, function: head, functions, globals, scopes: vec![scope] };
    body.cursor.expect("{")?;
    body.declare_labels()?;
    loop {
        let line = body.cursor.peek().line;
        if body.cursor.eat("}") {
            body.scopes.pop();
            if body.scopes.is_empty() {
                body.finish(line);
                return Ok(body.function);
            }
        } else {
            body.statement()?;
        }
    }
}

impl<'a> Body<'_, 'a> {
    /// Declares the labels of the scope that begins here: branches may stand before them.
    fn declare_labels(&mut self) -> Result<()> {
        let mut depth = 0;
        for ahead in 0.. {
            let token = self.cursor.ahead(ahead);
            if token.is("{") {
                depth += 1;
            } else if token.is("}") {
                depth -= 1;
            }
            if depth < 0 || token.kind == Kind::End {
                break;
            }
            if depth > 0 || token.kind != Kind::Word || !self.cursor.ahead(ahead + 1).is(":") {
                continue;
            }
            let meaning = match self.cursor.ahead(ahead + 2).text {
                ".branchtargets" => {
                    self.function.branch_targets.push(Vec::new());
                    Name::Table(self.function.branch_targets.len() as u32 - 1)
                }
                ".callprototype" | ".calltargets" => Name::Prototype,
                _ => {
                    let target = LabelTarget { name: token.text.to_owned(), index: NOWHERE };
                    self.function.labels.push(target);
                    Name::Label(Label(self.function.labels.len() as u32 - 1))
                }
            };
            self.declare(token.text, meaning, token.line)?;
        }
        Ok(())
    }

    fn declare(&mut self, name: &'a str, meaning: Name, line: u32) -> Result<()> {
        if self.scopes.last_mut().is_some_and(|scope| scope.declare(name, meaning)) {
            return Ok(());
        }
        Err(self.cursor.error(line, format!("`{name}` is declared twice")))
    }

    /// What a name stands for here.
    pub fn find(&mut self, name: &'a str) -> Option<Name> {
        for scope in self.scopes.iter_mut().rev() {
            if let Some(meaning) = scope.get(name) {
                return Some(meaning);
            }
            if let Some(ty) = scope.in_range(name) {
                let register = Reg(self.function.registers.len() as u32);
                self.function.registers.push(Register { name: name.to_owned(), ty });
                scope.found(name, register);
                return Some(Name::Register(register));
            }
        }
        None
    }

    /// What a name of the module stands for.
    pub fn find_global(&self, name: &str) -> Option<Global> {
        self.globals.get(name).copied()
    }

    fn statement(&mut self) -> Result<()> {
        let token = self.cursor.peek();
        if self.cursor.eat("{") {
            if self.scopes.len() == MAX_DEPTH {
                return self.cursor.fail("too many nested braces");
            }
            self.scopes.push(Scope::default());
            return self.declare_labels();
        }
        if self.cursor.eat(";") {
            return Ok(());
        }
        if token.kind == Kind::Word && self.cursor.ahead(1).is(":") {
            return self.label(token.text);
        }
        match self.cursor.peek_dot() {
            Some("loc" | "file") => {
                self.cursor.skip_line(token.line);
                Ok(())
            }
            Some("pragma") => self.cursor.skip_statement(),
            Some("reg") => self.registers(),
            Some("local" | "shared" | "param") => self.variables(),
            Some(name) => self.cursor.fail(format!("unknown directive `.{name}` in a body")),
            None => self.instruction(),
        }
    }

    /// A label, or a table that has a label's form.
    fn label(&mut self, name: &'a str) -> Result<()> {
        let meaning = self.find(name);
        self.cursor.next();
        self.cursor.next();
        match meaning {
            Some(Name::Label(label)) => {
                self.function.labels[label.0 as usize].index = self.function.body.len() as u32;
                Ok(())
            }
            Some(Name::Table(table)) => {
                self.cursor.next();
                let mut targets = Vec::new();
                loop {
                    targets.push(self.label_name()?);
                    if !self.cursor.eat(",") {
                        break;
                    }
                }
                self.function.branch_targets[table as usize] = targets;
                self.cursor.expect(";")
            }
            _ => self.cursor.skip_statement(),
        }
    }

    /// Reads the name of a label.
    pub fn label_name(&mut self) -> Result<Label> {
        let line = self.cursor.peek().line;
        let name = self.cursor.word("a label")?;
        match self.find(name) {
            Some(Name::Label(label)) => Ok(label),
            Some(_) => Err(self.cursor.error(line, format!("`{name}` is not a label"))),
            None => Err(self.cursor.error(line, format!("undeclared label `{name}`"))),
        }
    }

    fn registers(&mut self) -> Result<()> {
        self.cursor.next();
        let line = self.cursor.peek().line;
        let ty = match self.cursor.peek_dot().and_then(type_named) {
            Some(ty) => ty,
            None => return self.cursor.expected("the type of registers"),
        };
        if ty.bits() == 8 || matches!(ty, Type::Bf16 | Type::Bf16x2 | Type::Tf32) {
            return self.cursor.fail(format!("registers of type `.{}`", type_name(ty)));
        }
        self.cursor.next();
        loop {
            let name = self.cursor.word("the name of a register")?;
            let declared = if self.cursor.eat("<") {
                let count = variable::integer(self.cursor)?;
                self.cursor.expect(">")?;
                let count = u32::try_from(count).unwrap_or(u32::MAX).min(MAX_REGISTERS as u32);
                self.scopes.last_mut().is_some_and(|scope| scope.declare_range(name, count, ty))
            } else {
                let register = Reg(self.function.registers.len() as u32);
                self.function.registers.push(Register { name: name.to_owned(), ty });
                self.scopes.last_mut().is_some_and(|scope| scope.declare(name, Name::Register(register)))
            };
            if !declared {
                return Err(self.cursor.error(line, format!("`{name}` is declared twice")));
            }
            if !self.cursor.eat(",") {
                break;
            }
        }
        self.cursor.expect(";")
    }

    fn variables(&mut self) -> Result<()> {
        let space = variable::space(self.cursor).unwrap_or(Space::Local);
        self.cursor.next();
        for (name, variable) in variable::declarations(self.cursor, space, false, &|_| None)? {
            let symbol = Symbol::Function(self.function.variables.len() as u32);
            let line = variable.line;
            self.function.variables.push(variable);
            self.declare(name, Name::Variable(symbol), line)?;
        }
        Ok(())
    }

    fn instruction(&mut self) -> Result<()> {
        let line = self.cursor.peek().line;
        let guard = if self.cursor.eat("@") {
            let negated = self.cursor.eat("!");
            Some(Guard { predicate: self.register()?, negated })
        } else {
            None
        };
        let operation = instruction::parse(self)?;
        if !self.cursor.peek().is(";") {
            return self.cursor.expected("`;`");
        }
        self.cursor.next();
        self.function.body.push(Instruction { line, guard, operation });
        Ok(())
    }

    /// Ends a body that can be left at its end with a `ret`.
    fn finish(&mut self, line: u32) {
        let length = self.function.body.len() as u32;
        let stops = self.function.body.last().is_some_and(|last| {
            let ends = matches!(
                last.operation,
                Operation::Bra { .. } | Operation::Brx { .. } | Operation::Ret | Operation::Exit | Operation::Trap
            );
            ends && last.guard.is_none()
        });
        if !stops || self.function.labels.iter().any(|label| label.index == length) {
            self.function.body.push(Instruction { line, guard: None, operation: Operation::Ret });
        }
    }
}
