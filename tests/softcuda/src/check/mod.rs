//! What is found wrong in a running kernel, as plain data.

mod message;

/// Where in a kernel something happens.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Place {
    /// A line of the PTX, from 1.
    pub line: u32,
    pub block: [u32; 3],
    /// The warp in its block; lane i is thread 32·warp + i.
    pub warp: u32,
}

/// A thread that touched memory, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Toucher {
    pub line: u32,
    pub block: [u32; 3],
    /// Linear index in the block.
    pub thread: u32,
    pub wrote: bool,
}

/// An access that is refused, before the kernel's name and text are known.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct AccessError {
    pub kind: AccessErrorKind,
    pub address: u64,
    pub bytes: u32,
    /// The lane, where a warp did it.
    pub lane: Option<u32>,
    /// The other access of a race.
    pub other: Option<Toucher>,
    /// What lies nearest: "24 bytes behind an allocation of 4096 bytes at 0x...", "freed".
    pub detail: String,
}

/// Why an access is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub enum AccessErrorKind {
    OutOfBounds,
    UseAfterFree,
    Misaligned,
    Uninitialised,
    /// Two threads of a block, shared memory, no barrier between.
    SharedRace,
    /// Two blocks, or two threads of a block with no barrier between, global memory, not both strong.
    GlobalRace,
    /// The destination of a `cp.async` in shared memory, before the copy's thread waited for it.
    CopyInFlight,
    NotAnAllocation,
}

/// Why a kernel stopped.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub enum FaultKind {
    Access(AccessError),
    /// Not all threads of a block reach a barrier, and none can go on.
    DivergentBarrier {
        barrier: u32,
        arrived: u32,
        expected: u32,
    },
    /// Named lanes of a `.sync` instruction never arrive, or a lane executes it that the mask does not name.
    UnsatisfiedMask {
        mask: u32,
        arrived: u32,
    },
    /// A shuffle reads a lane that does not take part.
    ShuffleSource {
        lane: u32,
        source: u32,
    },
    /// A thread that ends with copies not waited for. Shared memory touched before the wait is an `Access`.
    CopiesPending {
        groups: u32,
    },
    Trap,
    DivisionByZero,
    /// The kernel does not end.
    TooLong {
        instructions: u64,
    },
    /// What a launch asks for is refused: sizes, shared memory, parameters, cooperative grids.
    Launch {
        code: u32,
        message: String,
    },
}

/// A kernel that stopped, told with everything a person needs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Fault {
    pub kernel: String,
    pub kind: FaultKind,
    pub line: u32,
    /// The text of the line.
    pub text: String,
    pub block: [u32; 3],
    /// Indices of the thread in its block.
    pub thread: [u32; 3],
    /// The text of the other access' line in a race.
    pub other_text: Option<String>,
}
