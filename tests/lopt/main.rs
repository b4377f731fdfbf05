//! Learned optimizers: the published formulas, the same bits on every device; what is refused; files.

#[path = "../common/mod.rs"]
mod common;

mod bits;
mod errors;
mod formulas;
mod model;
mod network;
mod reference;
mod saved;
