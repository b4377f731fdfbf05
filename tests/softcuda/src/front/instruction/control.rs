//! Branches and calls.

use super::Modifiers;
use crate::front::Result;
use crate::front::body::Body;
use crate::front::lexer::Kind;
use crate::front::names::{Global, Name};
use crate::ir::{CallArgument, FunctionId, Operation, Parameter, Space, Symbol, Type};

pub(super) fn bra(body: &mut Body<'_, '_>, modifiers: &Modifiers<'_>) -> Result<Operation> {
    Ok(Operation::Bra { target: body.label_name()?, uniform: modifiers.has("uni") })
}

pub(super) fn brx(body: &mut Body<'_, '_>) -> Result<Operation> {
    let index = body.operand(Type::U32)?;
    body.comma()?;
    let line = body.cursor.peek().line;
    let name = body.cursor.word("a `.branchtargets` table")?;
    match body.find(name) {
        Some(Name::Table(table)) => Ok(Operation::Brx { index, table }),
        _ => Err(body.cursor.error(line, format!("`{name}` is no `.branchtargets` table"))),
    }
}

pub(super) fn call(body: &mut Body<'_, '_>) -> Result<Operation> {
    let mut results = Vec::new();
    if body.cursor.peek().is("(") {
        // The results are read before the function is known: they are variables or registers, never literals.
        results = arguments(body, &[])?;
        body.comma()?;
    }
    let function = callee(body)?;
    let parameters = body.functions[function.0 as usize].parameters.clone();
    let arguments = if body.cursor.eat(",") { arguments(body, &parameters)? } else { Vec::new() };
    if body.cursor.eat(",") {
        return body.cursor.fail("a prototype behind a direct call");
    }
    Ok(Operation::Call { function, results, arguments })
}

fn callee(body: &mut Body<'_, '_>) -> Result<FunctionId> {
    let line = body.cursor.peek().line;
    let name = body.cursor.word("the name of a function")?;
    match body.find(name) {
        Some(Name::Register(_)) => return Err(body.cursor.error(line, "indirect calls are not supported")),
        Some(_) => return Err(body.cursor.error(line, format!("`{name}` is not a function"))),
        None => {}
    }
    match body.find_global(name) {
        Some(Global::Function(id)) => Ok(id),
        Some(Global::Variable(_)) => Err(body.cursor.error(line, format!("`{name}` is not a function"))),
        None => Err(body.cursor.error(line, format!("undeclared function `{name}`"))),
    }
}

/// Reads `(a, b)`; the parameters give the types of literals.
fn arguments(body: &mut Body<'_, '_>, parameters: &[Parameter]) -> Result<Vec<CallArgument>> {
    let mut list = Vec::new();
    body.cursor.expect("(")?;
    while !body.cursor.peek().is(")") {
        let token = body.cursor.peek();
        let variable = if token.kind == Kind::Word { parameter_variable(body, token.text) } else { None };
        list.push(match variable {
            Some(symbol) => {
                body.cursor.next();
                CallArgument::Variable(symbol)
            }
            None => {
                let ty = parameters.get(list.len()).map_or(Type::B32, |parameter| parameter.element);
                CallArgument::Value(body.operand(ty)?)
            }
        });
        if !body.cursor.eat(",") {
            break;
        }
    }
    body.cursor.expect(")")?;
    Ok(list)
}

fn parameter_variable<'a>(body: &mut Body<'_, 'a>, name: &'a str) -> Option<Symbol> {
    let Some(Name::Variable(symbol)) = body.find(name) else { return None };
    let Symbol::Function(index) = symbol else { return None };
    (body.function.variables[index as usize].space == Space::Param).then_some(symbol)
}
