//! Directives of a module.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::lexer::Kind;
use super::names::Global;
use super::{Result, body, signature, variable};
use crate::ir::{FunctionId, Module, RelocationTarget, Space};

/// Reads a whole module.
pub(super) fn parse(mut cursor: Cursor<'_>, module: &mut Module) -> Result<()> {
    let cursor = &mut cursor;
    version(cursor, module)?;
    target(cursor, module)?;
    if cursor.eat_dot("address_size") {
        let line = cursor.peek().line;
        if variable::integer(cursor)? != 64 {
            return Err(cursor.error(line, "an address size other than 64"));
        }
    }
    let mut names = HashMap::new();
    while cursor.peek().kind != Kind::End {
        directive(cursor, module, &mut names)?;
    }
    Ok(())
}

fn version(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<()> {
    if !cursor.eat_dot("version") {
        return cursor.expected("`.version`");
    }
    let numbers = cursor.peek().text.split_once('.');
    let parsed = numbers.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let Some(version) = parsed else { return cursor.expected("a version such as 7.8") };
    module.version = version;
    cursor.next();
    Ok(())
}

fn target(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<()> {
    if !cursor.eat_dot("target") {
        return cursor.expected("`.target`");
    }
    loop {
        let token = cursor.peek();
        let name = cursor.word("a target such as sm_80")?;
        let capability = name.strip_prefix("sm_").map(|name| name.trim_end_matches(['a', 'f']));
        match capability.and_then(|digits| digits.parse().ok()) {
            Some(number) if module.target == 0 => module.target = number,
            None if name == "debug" => {}
            _ => return Err(cursor.error(token.line, format!("unknown target `{name}`"))),
        }
        if !cursor.eat(",") {
            break;
        }
    }
    if module.target == 0 { cursor.fail("a target without sm_") } else { Ok(()) }
}

fn directive<'a>(cursor: &mut Cursor<'a>, module: &mut Module, names: &mut HashMap<&'a str, Global>) -> Result<()> {
    let token = cursor.peek();
    match cursor.peek_dot() {
        Some("file" | "loc") => {
            cursor.skip_line(token.line);
            return Ok(());
        }
        Some("section") => {
            cursor.next();
            cursor.next();
            return cursor.skip_block();
        }
        Some("pragma") => return cursor.skip_statement(),
        _ => {}
    }
    let mut is_extern = false;
    while let Some(linkage @ ("visible" | "weak" | "extern" | "common")) = cursor.peek_dot() {
        is_extern |= linkage == "extern";
        cursor.next();
    }
    match cursor.peek_dot() {
        Some("entry") => function(cursor, module, names, true, is_extern),
        Some("func") => function(cursor, module, names, false, is_extern),
        Some("global" | "const" | "shared") => variables(cursor, module, names, is_extern),
        Some(name) => cursor.fail(format!("unknown directive `.{name}`")),
        None => cursor.expected("a directive"),
    }
}

fn variables<'a>(
    cursor: &mut Cursor<'a>,
    module: &mut Module,
    names: &mut HashMap<&'a str, Global>,
    is_extern: bool,
) -> Result<()> {
    let space = variable::space(cursor).unwrap_or(Space::Global);
    cursor.next();
    let resolve = |name: &str| match names.get(name) {
        Some(&Global::Variable(index)) => Some(RelocationTarget::Variable(index)),
        Some(&Global::Function(id)) => Some(RelocationTarget::Function(id)),
        None => None,
    };
    for (name, variable) in variable::declarations(cursor, space, is_extern, &resolve)? {
        let index = module.variables.len() as u32;
        if names.insert(name, Global::Variable(index)).is_some() {
            return Err(cursor.error(variable.line, format!("`{name}` is declared twice")));
        }
        module.variables.push(variable);
    }
    Ok(())
}

fn function<'a>(
    cursor: &mut Cursor<'a>,
    module: &mut Module,
    names: &mut HashMap<&'a str, Global>,
    is_kernel: bool,
    is_extern: bool,
) -> Result<()> {
    cursor.next();
    let (name, head, scope) = signature::head(cursor, is_kernel)?;
    let line = head.line;
    let id = match names.get(name) {
        None => {
            let id = FunctionId(module.functions.len() as u32);
            names.insert(name, Global::Function(id));
            module.functions.push(head.clone());
            id
        }
        Some(&Global::Function(id)) => id,
        Some(Global::Variable(_)) => return Err(cursor.error(line, format!("`{name}` is declared twice"))),
    };
    let index = id.0 as usize;
    if !signature::agree(&module.functions[index], &head) {
        return Err(cursor.error(line, format!("`{name}` is declared with other parameters before")));
    }
    if !signature::has_body(cursor)? {
        return Ok(());
    }
    if !module.functions[index].is_external {
        return Err(cursor.error(line, format!("`{name}` is defined twice")));
    }
    if is_extern {
        return Err(cursor.error(line, format!("`{name}` is `.extern` and has a body")));
    }
    let mut function = body::parse(cursor, head, scope, names, &module.functions)?;
    function.is_external = false;
    module.functions[index] = function;
    Ok(())
}
