//! Linear algebra on ragged lists of matrices, on every device.

mod accuracy;
mod basis;
#[path = "../common/mod.rs"]
mod common;
mod eigenbasis;
mod eigenlayers;
mod eigh;
mod kfac;
mod matrices;
mod polar;
mod products;
mod reduce;
mod root;
mod solve;
mod spd;
mod warm;
