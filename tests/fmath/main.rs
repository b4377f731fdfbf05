//! The elementary functions: errors in units of the last place, special values, known answers, and the twins in CUDA.

mod accuracy;
mod double_double;
mod single;
