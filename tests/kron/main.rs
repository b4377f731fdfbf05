//! Linear algebra on ragged lists of matrices, on every device.

mod accuracy;
#[path = "../common/mod.rs"]
mod common;
mod matrices;
mod solve;
mod spd;
