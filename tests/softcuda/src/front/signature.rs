//! Heads of functions: names, parameters and launch bounds.

use super::cursor::Cursor;
use super::lexer::Kind;
use super::types::space_named;
use super::variable::{align, dimensions, integer, memory_type};
use super::{Result, names::Name, names::Scope};
use crate::ir::{Function, Parameter, Symbol};

/// The largest block of parameters that is accepted.
const MAX_PARAMETERS: u64 = 32_764;

/// Reads a head from behind `.entry` or `.func` up to the `{` or `;`, and the scope that its parameters open.
pub(super) fn head<'a>(cursor: &mut Cursor<'a>, is_kernel: bool) -> Result<(&'a str, Function, Scope<'a>)> {
    let mut scope = Scope::default();
    let line = cursor.peek().line;
    cursor.eat_dot("noreturn");
    let results = if cursor.peek().is("(") {
        if is_kernel {
            return cursor.fail("a kernel has no results");
        }
        parameters(cursor, &mut scope, Symbol::Result)?
    } else {
        Vec::new()
    };
    let name = cursor.word("the name of a function")?;
    let parameters =
        if cursor.peek().is("(") { parameters(cursor, &mut scope, Symbol::Parameter)? } else { Vec::new() };
    let mut function = Function {
        name: name.to_owned(),
        is_kernel,
        is_external: true,
        parameters,
        results,
        registers: Vec::new(),
        variables: Vec::new(),
        body: Vec::new(),
        labels: Vec::new(),
        branch_targets: Vec::new(),
        max_threads: None,
        required_threads: None,
        line,
    };
    bounds(cursor, &mut function)?;
    Ok((name, function, scope))
}

fn parameters<'a>(
    cursor: &mut Cursor<'a>,
    scope: &mut Scope<'a>,
    symbol: impl Fn(u32) -> Symbol,
) -> Result<Vec<Parameter>> {
    let mut list: Vec<Parameter> = Vec::new();
    let mut end = 0u64;
    cursor.expect("(")?;
    while !cursor.peek().is(")") {
        let line = cursor.peek().line;
        if cursor.peek_dot() == Some("reg") {
            return cursor.fail("parameters in registers are not supported");
        }
        if !cursor.eat_dot("param") {
            return cursor.expected("`.param`");
        }
        let said = align(cursor)?;
        let element = memory_type(cursor)?;
        if cursor.eat_dot("ptr") {
            if cursor.peek_dot().and_then(space_named).is_some() {
                cursor.next();
            }
            align(cursor)?;
        }
        let name = cursor.word("the name of a parameter")?;
        let sizes = dimensions(cursor)?;
        if sizes.contains(&0) {
            return Err(cursor.error(line, format!("the parameter `{name}` has no size")));
        }
        let align = said.unwrap_or(element.bytes());
        let size = sizes.iter().try_fold(u64::from(element.bytes()), |size, &count| size.checked_mul(count));
        let offset = end.next_multiple_of(u64::from(align));
        end = offset.saturating_add(size.unwrap_or(u64::MAX));
        if end > MAX_PARAMETERS {
            return Err(cursor.error(line, format!("parameters of more than {MAX_PARAMETERS} bytes")));
        }
        if name != "_" && !scope.declare(name, Name::Variable(symbol(list.len() as u32))) {
            return Err(cursor.error(line, format!("`{name}` is declared twice")));
        }
        list.push(Parameter {
            name: name.to_owned(),
            element,
            align,
            size: (end - offset) as u32,
            offset: offset as u32,
        });
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(")")?;
    Ok(list)
}

/// Launch bounds and the like, between the parameters and the body.
fn bounds(cursor: &mut Cursor<'_>, function: &mut Function) -> Result<()> {
    while let Some(directive) = cursor.peek_dot() {
        if !function.is_kernel && !matches!(directive, "noreturn" | "pragma") {
            return cursor.fail(format!("unknown directive `.{directive}` of a function"));
        }
        match directive {
            "noreturn" => {
                cursor.next();
            }
            "maxntid" => function.max_threads = Some(threads(cursor)?),
            "reqntid" => function.required_threads = Some(threads(cursor)?),
            "minnctapersm" | "maxnctapersm" | "maxnreg" => {
                cursor.next();
                integer(cursor)?;
            }
            "pragma" => cursor.skip_statement()?,
            _ => return cursor.fail(format!("unknown directive `.{directive}` of a kernel")),
        }
    }
    Ok(())
}

fn threads(cursor: &mut Cursor<'_>) -> Result<[u32; 3]> {
    let mut threads = [1; 3];
    cursor.next();
    for (axis, count) in threads.iter_mut().enumerate() {
        if axis > 0 && !cursor.eat(",") {
            break;
        }
        let line = cursor.peek().line;
        *count = match u32::try_from(integer(cursor)?) {
            Ok(value) if value > 0 => value,
            _ => return Err(cursor.error(line, "a count of threads that is not positive")),
        };
    }
    Ok(threads)
}

/// Whether two heads of one name agree.
pub(super) fn agree(a: &Function, b: &Function) -> bool {
    let shape = |list: &[Parameter]| list.iter().map(|one| (one.align, one.size)).collect::<Vec<_>>();
    a.is_kernel == b.is_kernel && shape(&a.parameters) == shape(&b.parameters) && shape(&a.results) == shape(&b.results)
}

/// Whether a body follows.
pub(super) fn has_body(cursor: &mut Cursor<'_>) -> Result<bool> {
    if cursor.peek().is("{") {
        return Ok(true);
    }
    if cursor.peek().kind == Kind::Mark && cursor.eat(";") { Ok(false) } else { cursor.expected("`{` or `;`") }
}
