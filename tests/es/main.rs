//! Evolution strategies: the noise that is added, to the bit, on every device; what is refused.

#[path = "../common/mod.rs"]
mod common;

mod drift;
mod errors;
mod estimate;
mod expected;
mod hadamard;
mod lattice;
mod log;
mod model;
mod pairs;
mod perturb;
mod population;
mod rounding;
mod shape;
mod unroll;
