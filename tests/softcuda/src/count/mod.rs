//! Exact counts of what a launch executed.

mod banks;

use std::ops::AddAssign;

pub(crate) use banks::shared_traffic;

/// Counts of a launch, or of several added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Counters {
    pub launches: u64,
    pub blocks: u64,
    pub warps: u64,
    /// Instructions executed by warps, by class.
    pub warp_instructions: Classes,
    /// The same, each times its active lanes.
    pub thread_instructions: Classes,
    pub global_read: Traffic,
    pub global_written: Traffic,
    pub shared: SharedTraffic,
    /// Branches at which lanes of a warp parted.
    pub divergent_branches: u64,
    /// Barriers passed by a block, and those that a warp reached in parts.
    pub block_barriers: u64,
    pub divergent_barriers: u64,
    pub warp_barriers: u64,
    /// Atomics, each lane counted. They are not in the traffic.
    pub global_atomics: u64,
    pub shared_atomics: u64,
}

/// Instructions by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Classes {
    pub integer: u64,
    pub f32: u64,
    pub f64: u64,
    pub f16: u64,
    pub convert: u64,
    pub special: u64,
    pub moves: u64,
    pub compare: u64,
    pub control: u64,
    pub global: u64,
    pub shared: u64,
    pub local: u64,
    pub constant: u64,
    pub atomic: u64,
    pub warp: u64,
    pub barrier: u64,
    pub matrix: u64,
    /// Of all classes, the fused multiply-adds (f32 and f64).
    pub fused: u64,
}

/// Global memory moved one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Warp instructions.
    pub requests: u64,
    /// Bytes that lanes asked for.
    pub bytes: u64,
    /// Sectors of 32 bytes that the requests touched, each counted once a request. The hardware splits a request of 8
    /// bytes a lane into half warps and one of 16 into quarter warps; a sector that two parts touch is counted once here,
    /// since the first-level cache has it the second time. Adjacent lanes from a multiple of 32 on touch the ideal number.
    pub sectors: u64,
    /// The least sectors that could hold the distinct bytes of each request.
    pub ideal_sectors: u64,
}

/// Shared memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct SharedTraffic {
    pub requests: u64,
    /// Passes over the 32 banks of 4 bytes: lanes of up to 4 bytes go together, of 8 bytes in half warps, of 16 in quarter
    /// warps, and each part takes as many passes as the fullest bank has distinct words of it.
    pub wavefronts: u64,
    /// The fewest passes that such parts can take: one for each that has an active lane.
    pub ideal_wavefronts: u64,
}

impl Counters {
    /// All counts, as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("integers in structs are JSON")
    }
}

/// `+=` of every field; a field that is not named does not compile.
macro_rules! add_fields {
    ($name:ident: $($field:ident)*) => {
        impl AddAssign<&$name> for $name {
            fn add_assign(&mut self, $name { $($field),* }: &$name) {
                $(add(&mut self.$field, $field);)*
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self += &other;
            }
        }
    };
}

fn add<T: for<'a> AddAssign<&'a T>>(sum: &mut T, more: &T) {
    *sum += more;
}

add_fields!(Counters: launches blocks warps warp_instructions thread_instructions global_read global_written shared
    divergent_branches block_barriers divergent_barriers warp_barriers global_atomics shared_atomics);
add_fields!(Classes: integer f32 f64 f16 convert special moves compare control global shared local constant atomic warp
    barrier matrix fused);
add_fields!(Traffic: requests bytes sectors ideal_sectors);
add_fields!(SharedTraffic: requests wavefronts ideal_wavefronts);
