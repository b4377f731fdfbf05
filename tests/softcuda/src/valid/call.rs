//! Calls against the heads of functions.

use super::{Check, Checker};
use crate::ir::{CallArgument, FunctionId, Operand, Parameter, Symbol};

/// Functions without a body that the driver has itself: name, bytes of the parameters, bytes of the results.
const EXTERNAL: &[(&str, &[u32], &[u32])] = &[("vprintf", &[8, 8], &[4]), ("__assertfail", &[8, 8, 4, 8, 8], &[])];

impl Checker<'_> {
    /// A call of a function.
    pub(super) fn call(&self, function: FunctionId, results: &[CallArgument], arguments: &[CallArgument]) -> Check {
        let callee = &self.module.functions[function.0 as usize];
        let name = &callee.name;
        if callee.is_kernel {
            return Err(format!("`{name}` is a kernel and cannot be called"));
        }
        if callee.is_external {
            let Some((_, parameters, results)) = EXTERNAL.iter().find(|(known, ..)| known == name) else {
                return Err(format!("`{name}` is not defined"));
            };
            let sizes = |list: &[Parameter]| list.iter().map(|one| one.size).collect::<Vec<_>>();
            if sizes(&callee.parameters) != *parameters || sizes(&callee.results) != *results {
                return Err(format!("`{name}` is declared with parameters that it does not have"));
            }
        }
        self.passed(name, "arguments", arguments, &callee.parameters)?;
        self.passed(name, "results", results, &callee.results)?;
        let written = |result: &CallArgument| !matches!(result, CallArgument::Value(value) if !is_register(value));
        if results.iter().all(written) { Ok(()) } else { Err("a result that is no register or variable".into()) }
    }

    fn passed(&self, name: &str, what: &str, given: &[CallArgument], wanted: &[Parameter]) -> Check {
        if given.len() != wanted.len() {
            return Err(format!("{} {what} of `{name}`, which has {}", given.len(), wanted.len()));
        }
        for (given, wanted) in given.iter().zip(wanted) {
            match *given {
                CallArgument::Variable(Symbol::Function(index)) => {
                    let variable = &self.function.variables[index as usize];
                    if variable.size != u64::from(wanted.size) {
                        let (size, other) = (variable.size, wanted.size);
                        return Err(format!("`{}` has {size} bytes and `{}` {other}", variable.name, wanted.name));
                    }
                }
                CallArgument::Variable(_) => return Err("an argument that is no variable of the function".into()),
                CallArgument::Value(_) if wanted.size != wanted.element.bytes() => {
                    return Err(format!("a value for `{}`, which has {} bytes", wanted.name, wanted.size));
                }
                CallArgument::Value(value) => self.value(value, wanted.element)?,
            }
        }
        Ok(())
    }
}

fn is_register(value: &Operand) -> bool {
    matches!(value, Operand::Reg(_))
}
