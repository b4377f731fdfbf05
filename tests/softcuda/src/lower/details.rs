//! What steps hold that is more than a few slots.

use super::{Place, Slot};
use crate::ir::{
    AtomicOp, BarrierReduction, Combine, Compare, FloatBinary, FloatMode, FloatUnary, Half, IntBinary, IntUnary,
    MmaShape, Shuffle, TestProperty, Type, Vote,
};

/// Parts of a wider register.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Parts {
    pub whole: Place,
    pub part_bits: u32,
    pub parts: Vec<Option<Place>>,
}

/// Arithmetic on up to four sources, lane by lane.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Scalar {
    pub op: ScalarOp,
    pub d: Place,
    pub sources: [Option<Place>; 4],
}

/// What [`Scalar`] computes. Values are bits, zero-extended to 64.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ScalarOp {
    IntUnary {
        op: IntUnary,
        ty: Type,
    },
    IntBinary {
        op: IntBinary,
        ty: Type,
    },
    Mul {
        half: Half,
        ty: Type,
    },
    Mad {
        half: Half,
        sat: bool,
        ty: Type,
    },
    Mul24 {
        ty: Type,
        high: bool,
        add: bool,
    },
    Sad {
        ty: Type,
    },
    Bfe {
        ty: Type,
    },
    Bfi {
        ty: Type,
    },
    Prmt {
        mode: Option<u8>,
    },
    Shf {
        left: bool,
        wrap: bool,
    },
    Dp4a {
        a_signed: bool,
        b_signed: bool,
    },
    FloatUnary {
        op: FloatUnary,
        mode: FloatMode,
        ty: Type,
    },
    FloatBinary {
        op: FloatBinary,
        mode: FloatMode,
        ty: Type,
    },
    Fma {
        mode: FloatMode,
        ty: Type,
    },
    TestP {
        property: TestProperty,
        ty: Type,
    },
    /// 0 or 1.
    Compare {
        compare: Compare,
        ftz: bool,
        ty: Type,
    },
    /// A third source, if `combine`, is a predicate.
    Set {
        compare: Compare,
        combine: Option<Combine>,
        ftz: bool,
        dst_ty: Type,
        ty: Type,
    },
    Slct {
        condition_ty: Type,
        ftz: bool,
    },
    /// The result is extended to the register's bits.
    Convert {
        mode: FloatMode,
        to: Type,
        from: Type,
        register_bits: u32,
    },
    ConvertPair {
        mode: FloatMode,
        to: Type,
    },
    /// Whether `first ≤ a ≤ last`.
    Within {
        first: u64,
        last: u64,
    },
}

/// Addition and multiplication with a carry; `carry` is a predicate.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Carry {
    pub subtract: bool,
    /// Multiplies `a` and `b` before adding `c`.
    pub multiply: Option<Half>,
    pub reads: bool,
    pub writes: bool,
    pub bits: u32,
    pub signed: bool,
    pub d: Place,
    pub a: Place,
    pub b: Place,
    pub c: Option<Place>,
    pub carry: Slot,
}

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Window {
    Generic,
    Global,
    Shared,
    Local,
    /// The kernel's parameter block; read only.
    Parameter,
}

/// A register that is loaded or stored.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Part {
    pub place: Place,
    /// Sign-extends to that many bits after a load; 0: zero-extends.
    pub extend: u32,
}

/// A load or store of a vector.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Access {
    pub window: Window,
    /// A double.
    pub base: Slot,
    pub offset: u64,
    /// Bytes of an element.
    pub element: u32,
    /// `None`: not kept.
    pub parts: Vec<Option<Part>>,
    /// Of `.const`: not counted as traffic of global memory.
    pub constant: bool,
    /// Volatile, relaxed, acquire or release.
    pub strong: bool,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Atomic {
    pub op: AtomicOp,
    pub window: Window,
    pub ty: Type,
    pub base: Slot,
    pub offset: u64,
    pub d: Option<Place>,
    pub b: Place,
    pub c: Option<Place>,
}

/// Bases are doubles.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CopyAsync {
    pub bytes: u32,
    pub to: (Slot, u64),
    pub from: (Slot, u64),
    /// A word.
    pub source_bytes: Option<Slot>,
}

/// Destinations are words.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct LoadMatrix {
    pub transposed: bool,
    pub d: Vec<Slot>,
    pub base: Slot,
    pub offset: u64,
}

/// Fragments are words.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Mma {
    pub shape: MmaShape,
    pub d: Vec<Slot>,
    pub a: Vec<Slot>,
    pub b: Vec<Slot>,
    pub c: Vec<Slot>,
}

/// A function that the driver provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Provided {
    Vprintf,
    AssertFail,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct External {
    pub function: Provided,
    /// Where arguments and the result stand in local memory.
    pub arguments: Vec<u32>,
    pub result: Option<u32>,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ShuffleStep {
    pub mode: Shuffle,
    pub d: Slot,
    pub valid: Option<Slot>,
    pub a: Slot,
    pub b: Slot,
    pub c: Slot,
    pub mask: Slot,
}

/// `d` is a word for a ballot, else a predicate.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct VoteStep {
    pub mode: Vote,
    pub d: Slot,
    pub predicate: Slot,
    pub mask: Slot,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct MatchStep {
    pub all: bool,
    pub d: Slot,
    pub valid: Option<Slot>,
    pub a: Place,
    pub mask: Slot,
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ReduxStep {
    pub op: AtomicOp,
    pub signed: bool,
    pub d: Slot,
    pub a: Slot,
    pub mask: Slot,
}

/// What a barrier makes of a thread that arrives.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum BarrierKind {
    Wait,
    Arrive,
    /// The destination is a word for a count, else a predicate; then the predicate that is reduced.
    Reduce(BarrierReduction, Slot, Slot),
}

#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct BarrierStep {
    pub kind: BarrierKind,
    pub barrier: Slot,
    pub threads: Option<Slot>,
}
