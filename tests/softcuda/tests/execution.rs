//! Kernels that run: the project's own against plain loops, and small ones for everything that lanes, warps and blocks
//! do together. Small kernels run one lane at a time too, and in several seeded orders, with the same results.

#![allow(clippy::result_large_err)]

#[path = "execution/adamw.rs"]
mod adamw;
#[path = "execution/arithmetic.rs"]
mod arithmetic;
#[path = "execution/barriers.rs"]
mod barriers;
#[path = "execution/calls.rs"]
mod calls;
#[path = "execution/divergence.rs"]
mod divergence;
#[path = "execution/grids.rs"]
mod grids;
#[path = "execution/launches.rs"]
mod launches;
#[path = "execution/spaces.rs"]
mod spaces;
#[path = "execution/support.rs"]
mod support;
#[path = "execution/transfers.rs"]
mod transfers;
#[path = "execution/warps.rs"]
mod warps;
