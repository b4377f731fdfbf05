//! Modules to parse.

use softcuda::front::{self, LoadError};
use softcuda::ir::{Function, Module, Operation};
use softcuda::valid;

/// The head that every module needs.
pub const HEAD: &str = ".version 8.6\n.target sm_90\n.address_size 64\n";

/// Parses and checks.
pub fn load(ptx: &str) -> Result<Module, LoadError> {
    let module = front::parse(ptx)?;
    valid::check(&module)?;
    Ok(module)
}

/// A module of one kernel with registers of every width, variables, and these lines in its body.
pub fn kernel(body: &str) -> String {
    format!(
        "{HEAD}.global .align 16 .b8 table[64];
.const .align 16 .b8 fixed[64];
.extern .shared .align 16 .b8 dynamic[];
.extern .func (.param .b32 result) vprintf (.param .b64 format, .param .b64 values);
.visible .entry kernel(.param .u64 out, .param .align 16 .b8 packed[64])
{{
.reg .pred %p<9>;
.reg .b16 %h<9>;
.reg .b32 %r<9>;
.reg .b64 %d<9>;
.reg .b128 %q<9>;
.reg .u16 %u<9>;
.reg .f32 %f<9>;
.reg .f64 %e<9>;
.shared .align 16 .b8 tile[256];
.local .align 16 .b8 stack[64];
{body}
}}
"
    )
}

/// The line of a body's first line in [`kernel`].
pub const FIRST: u32 = 20;

/// The kernel of a body, or why it is refused.
pub fn body(lines: &str) -> Result<Function, LoadError> {
    load(&kernel(lines)).map(|module| module.functions.into_iter().find(|one| one.is_kernel).unwrap())
}

/// What one instruction is.
pub fn operation(line: &str) -> Operation {
    let function = body(line).unwrap_or_else(|error| panic!("{error}"));
    function.body[0].operation.clone()
}

/// The message that one line gives, without its line and text.
pub fn message(line: &str) -> String {
    match body(line) {
        Ok(_) => panic!("accepted: {line}"),
        Err(error) => {
            assert_eq!(error.line, FIRST, "{error}");
            assert_eq!(error.text, line.trim().lines().next().unwrap_or_default().trim());
            error.message
        }
    }
}
