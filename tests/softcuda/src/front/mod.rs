//! PTX text to [`ir`](crate::ir).
//!
//! A [lexer] cuts the text into words, the [module parser](module) reads directives, the [body parser](body) statements
//! and scopes, and [`instruction`] turns one instruction into an [`Operation`](crate::ir::Operation). What is not in the
//! [table of opcodes](crate::opcodes) is refused with its line; nothing is skipped but debugging information, pragmas and
//! the hints that the table's documentation names.

mod body;
mod cursor;
mod instruction;
mod lexer;
mod literal;
mod module;
mod names;
mod operand;
mod signature;
mod types;
mod variable;

pub use types::{special_name, special_type, type_name};

use crate::ir::Module;

/// Why a module is refused: the line, its text, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}: {text}")]
#[allow(missing_docs)]
pub struct LoadError {
    pub line: u32,
    pub text: String,
    pub message: String,
}

/// Parses a module. Registers, types and control flow are checked by [`valid::check`](crate::valid::check).
pub fn parse(ptx: &str) -> Result<Module, LoadError> {
    let mut module = Module { lines: ptx.lines().map(str::to_owned).collect(), ..Module::default() };
    let tokens = lexer::tokens(ptx)?;
    module::parse(cursor::Cursor::new(ptx, tokens), &mut module)?;
    Ok(module)
}

type Result<T, E = LoadError> = std::result::Result<T, E>;
