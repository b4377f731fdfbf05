//! Evolution strategies: the noise that is added, to the bit, on every device; what is refused.

#[path = "../common/mod.rs"]
mod common;

mod directions;
mod drift;
mod errors;
mod estimate;
mod expected;
mod guided;
mod hadamard;
mod lattice;
mod lattice_low_rank;
mod log;
mod low_rank;
mod model;
mod multiply;
mod pairs;
mod perturb;
mod population;
mod rounding;
mod search;
mod search_errors;
mod sep_cma;
mod shape;
mod unroll;
mod xnes;
