//! What a driver did since it was last reset.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::count::Counters;

/// What a driver did since it was last reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The sum over all kernels.
    pub counters: Counters,
    /// By kernel.
    pub kernels: BTreeMap<String, Counters>,
    /// Every kernel that ran, in the order in which they ran.
    pub launches: Vec<LaunchRecord>,
    /// What was copied and filled.
    pub copies: Copies,
    /// Device memory.
    pub allocations: Allocations,
    /// Times that a call waited for the device: the synchronize functions, synchronous copies between host and device,
    /// and copies to pageable host memory, which return only when they are done.
    pub host_synchronisations: u64,
    /// Launches of graphs; their kernels are in `launches`.
    pub graph_launches: u64,
    /// Calls of the driver API by name.
    pub calls: BTreeMap<String, u64>,
}

/// A kernel that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// Its name.
    pub kernel: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// As a node of a graph.
    pub from_graph: bool,
}

/// What was copied and filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Copies {
    pub host_to_device: Moved,
    pub device_to_host: Moved,
    pub device_to_device: Moved,
    pub fills: Moved,
}

/// A number of operations, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Moved {
    pub count: u64,
    pub bytes: u64,
}

impl Moved {
    /// One more.
    pub fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// Device memory that the API allocated; variables of modules are not here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    /// Allocations made.
    pub made: Moved,
    /// Allocations freed, by a call or with their context.
    pub freed: Moved,
    /// The most bytes that were allocated at a time.
    pub peak_bytes: u64,
    /// Freed with their context, by no call of their own.
    pub leaked: Moved,
    /// Address and bytes of every allocation there is.
    pub live: Vec<(u64, u64)>,
}
