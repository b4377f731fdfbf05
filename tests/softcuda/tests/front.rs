//! PTX text to a module, and its checks.

#[path = "front/errors.rs"]
mod errors;
#[path = "shipped/files.rs"]
mod files;
#[path = "front/forms.rs"]
mod forms;
#[path = "front/fuzz.rs"]
mod fuzz;
#[path = "front/grammar.rs"]
mod grammar;
#[path = "front/instructions.rs"]
mod instructions;
#[path = "front/shipped.rs"]
mod shipped;
#[path = "front/support.rs"]
mod support;
