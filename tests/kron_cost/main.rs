//! What linear algebra costs, counted exactly by the software driver; graphs of it; the same bits on every schedule and device.

#![cfg(all(feature = "cuda", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod eigen;
mod eigenbasis;
#[path = "../kron/eigenlayers.rs"]
mod eigenlayers;
mod factors;
mod inverses;
#[path = "../kron/matrices.rs"]
mod matrices;
mod polynomials;
mod products;

use gradus::Device;
use softcuda::count::Counters;

fn device() -> Device {
    Device::cuda(0).unwrap()
}

/// Instructions of all threads.
fn executed(counters: &Counters) -> u64 {
    let of = counters.thread_instructions;
    let numbers = of.integer + of.f32 + of.f64 + of.f16 + of.convert + of.special + of.moves + of.compare;
    numbers + of.control + of.global + of.shared + of.local + of.constant + of.atomic + of.warp + of.barrier + of.matrix
}
