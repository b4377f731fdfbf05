//! Linear algebra on ragged lists of matrices, on every device.

mod accuracy;
#[path = "../common/mod.rs"]
mod common;
mod eigenbasis;
mod eigenlayers;
mod eigh;
mod kfac;
mod matrices;
mod products;
mod solve;
mod spd;
