//! The elementary functions: errors in units of the last place, special values, known answers, and the twins in CUDA.
#![allow(clippy::approx_constant, clippy::excessive_precision, reason = "constants are written to the last bit")]

mod accuracy;
mod double;
mod double_double;
mod single;
