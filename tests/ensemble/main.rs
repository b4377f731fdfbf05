//! Steps of several copies: the formulas, the same bits on every device, saved states, errors, and what a step costs.

#[path = "../common/mod.rs"]
mod common;

mod cost;
mod devices;
mod errors;
mod formulas;
mod saved;
mod subject;
mod walkers;
