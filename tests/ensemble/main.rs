//! Steps of several copies: the formulas, the same bits on every device, saved states, errors.

#[path = "../common/mod.rs"]
mod common;

mod devices;
mod errors;
mod formulas;
mod saved;
mod subject;
mod walkers;
