//! What must hold before a module runs.
//!
//! [`check`] takes a module of [`front::parse`](crate::front::parse) and refuses registers of the wrong type, addresses
//! that no variable has, branches into nowhere, calls that do not fit their function, and numbers out of range. After it
//! execution needs no such checks. The rules for registers are those of PTX: a `.bN` on either side goes with every type
//! of N bits, signed goes with unsigned, floats only with their own type; loads, stores and conversions of integers may
//! use a wider register.

mod address;
mod arithmetic;
mod call;
mod operation;
mod registers;

use crate::front::LoadError;
use crate::ir::{FloatBinary, Function, Module, Operation, Rounding, Space, Type, Variable};

/// Versions of PTX: a major one and its last minor one.
const VERSIONS: &[(u32, u32)] = &[(3, 2), (4, 3), (5, 0), (6, 5), (7, 8), (8, 9), (9, 2)];
/// Targets: the numbers behind `sm_`.
const TARGETS: &[u32] =
    &[30, 32, 35, 37, 50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 88, 89, 90, 100, 101, 103, 110, 120, 121];
/// Bytes of one variable of a space, where hardware has less than the address space.
const LIMITS: &[(Space, u64, &str)] = &[
    (Space::Shared, 227 << 10, "shared"),
    (Space::Local, 512 << 10, "local"),
    (Space::Const, 64 << 10, "const"),
    (Space::Param, 32_764, "param"),
];

/// Checks a module; the first thing that is wrong is the error.
pub fn check(module: &Module) -> Result<(), LoadError> {
    let first = |directive: &str| {
        let line = module.lines.iter().position(|line| line.trim_start().starts_with(directive));
        line.map_or(1, |line| line as u32 + 1)
    };
    let (major, minor) = module.version;
    if !VERSIONS.iter().any(|&(known, last)| known == major && minor <= last) {
        return Err(error(module, first(".version"), format!("unknown version {major}.{minor}")));
    }
    if !TARGETS.contains(&module.target) {
        return Err(error(module, first(".target"), format!("unknown target sm_{}", module.target)));
    }
    variables(module, &module.variables)?;
    for function in &module.functions {
        variables(module, &function.variables)?;
        body(module, function)?;
    }
    Ok(())
}

/// The lines, with their text, of f32 and f64 additions, subtractions and multiplications without a rounding mode:
/// ptxas may fuse these, and then a device gives other bits than this crate.
pub fn unpinned(module: &Module) -> Vec<(u32, String)> {
    let instructions = module.functions.iter().flat_map(|function| &function.body);
    let fusible = instructions.filter(|instruction| match &instruction.operation {
        Operation::FloatBinary { op: FloatBinary::Add | FloatBinary::Sub | FloatBinary::Mul, mode, ty, .. } => {
            mode.rounding == Rounding::Unpinned && matches!(ty, Type::F32 | Type::F64)
        }
        _ => false,
    });
    fusible.map(|instruction| (instruction.line, module.line(instruction.line).to_owned())).collect()
}

fn error(module: &Module, line: u32, message: String) -> LoadError {
    LoadError { line, text: module.line(line).to_owned(), message }
}

fn variables(module: &Module, variables: &[Variable]) -> Result<(), LoadError> {
    for variable in variables {
        let limit = LIMITS.iter().find(|(space, ..)| *space == variable.space);
        if let Some(&(_, limit, name)) = limit
            && variable.size > limit
        {
            let message =
                format!("`{}` has {} bytes: a `.{name}` variable has at most {limit}", variable.name, variable.size);
            return Err(error(module, variable.line, message));
        }
    }
    Ok(())
}

fn body(module: &Module, function: &Function) -> Result<(), LoadError> {
    if function.is_kernel && function.is_external {
        return Err(error(module, function.line, format!("the kernel `{}` has no body", function.name)));
    }
    for instruction in &function.body {
        let checker = Checker { module, function };
        let guard = instruction.guard.map_or(Ok(()), |guard| checker.register(guard.predicate, Type::Pred));
        guard
            .and_then(|()| checker.operation(&instruction.operation))
            .map_err(|message| error(module, instruction.line, message))?;
    }
    Ok(())
}

/// What is wrong with an instruction.
type Check = Result<(), String>;

/// A function whose instructions are checked.
struct Checker<'m> {
    module: &'m Module,
    function: &'m Function,
}
