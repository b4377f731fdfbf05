//! A kernel ready to run: every operand is a slot of a warp's registers.

use super::details::*;
use crate::ir::{Combine, Compare, Rounding, Special};

/// An index into one of a warp's three banks of registers.
pub type Slot = u32;

/// A register of a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// 32 bits a lane; narrower values have zeros above.
    Word(Slot),
    /// 64 bits a lane.
    Double(Slot),
    /// 128 bits a lane: this double is the low half, the next the high half.
    Quad(Slot),
    /// A bit a lane.
    Predicate(Slot),
}

/// Destination and sources.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Unary {
    pub d: Slot,
    pub a: Slot,
}

/// Destination and sources.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Binary {
    pub d: Slot,
    pub a: Slot,
    pub b: Slot,
}

/// Destination and sources.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Ternary {
    pub d: Slot,
    pub a: Slot,
    pub b: Slot,
    pub c: Slot,
}

/// What a step does. Operations of words, doubles and nearest-even floats that kernels use most have arms of their own;
/// the rest of arithmetic is [`Op::Scalar`].
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Op {
    Move32(Unary),
    Move64(Unary),
    MovePredicate(Unary),
    /// u32 to u64.
    Widen(Unary),
    /// s32 to s64.
    WidenSigned(Unary),
    /// 64 bits to the low 32.
    Truncate(Unary),
    /// The low 16 bits.
    Truncate16(Unary),
    /// Low word, high word.
    Pack64(Binary),
    /// The double `a`'s low word to `d`, the high one to `b`.
    Unpack64(Binary),
    Pack(Box<Parts>),
    Unpack(Box<Parts>),
    /// `c` is a predicate.
    Select32(Ternary),
    Select64(Ternary),

    Add32(Binary),
    Sub32(Binary),
    Mul32(Binary),
    MulHighU32(Binary),
    And32(Binary),
    Or32(Binary),
    Xor32(Binary),
    Shl32(Binary),
    ShrU32(Binary),
    ShrS32(Binary),
    MinU32(Binary),
    MinS32(Binary),
    MaxU32(Binary),
    MaxS32(Binary),
    Mad32(Ternary),
    /// u32 × u32 to u64.
    MulWideU32(Binary),
    MulWideS32(Binary),
    MadWideU32(Ternary),
    MadWideS32(Ternary),
    Lop3(Box<(Ternary, u8)>),

    Add64(Binary),
    Sub64(Binary),
    Mul64(Binary),
    Mad64(Ternary),
    And64(Binary),
    Or64(Binary),
    Xor64(Binary),
    /// The amount is a word.
    Shl64(Binary),
    ShrU64(Binary),
    ShrS64(Binary),

    AddF32(Binary),
    SubF32(Binary),
    MulF32(Binary),
    DivF32(Binary),
    MinF32(Binary),
    MaxF32(Binary),
    FmaF32(Ternary),
    SqrtF32(Unary),
    RcpF32(Unary),
    NegF32(Unary),
    AbsF32(Unary),

    AddF64(Binary),
    SubF64(Binary),
    MulF64(Binary),
    DivF64(Binary),
    FmaF64(Ternary),
    SqrtF64(Unary),
    RcpF64(Unary),
    NegF64(Unary),

    /// To an integral float, by one of the four integral roundings.
    IntegralF32(Rounding, Unary),
    /// By one of the four integral roundings; clamps, NaN becomes 0.
    S32FromF32(Rounding, Unary),
    U32FromF32(Rounding, Unary),
    F32FromU32(Unary),
    F32FromS32(Unary),
    F32FromF64(Unary),
    F64FromF32(Unary),
    F32FromBf16(Unary),
    Bf16FromF32(Unary),
    F32FromF16(Unary),
    F16FromF32(Unary),

    SetpU32(Compare, Binary),
    SetpS32(Compare, Binary),
    SetpU64(Compare, Binary),
    SetpS64(Compare, Binary),
    SetpF32(Compare, Binary),
    SetpF64(Compare, Binary),
    Logic(Combine, Binary),
    Not(Unary),

    /// Arithmetic, lane by lane.
    Scalar(Box<Scalar>),
    Carry(Box<Carry>),

    Load(Box<Access>),
    Store(Box<Access>),
    Atomic(Box<Atomic>),
    CopyAsync(Box<CopyAsync>),
    CopyCommit,
    /// All but the newest groups; `None`: every copy.
    CopyWait(Option<u32>),
    LoadMatrix(Box<LoadMatrix>),
    Mma(Box<Mma>),

    Branch(u32),
    BranchIndexed(Box<(Slot, Vec<u32>)>),
    Exit,
    Trap,
    Nop,
    Yield,
    /// A call of a function that the driver provides.
    External(Box<External>),
    /// Into a double.
    Clock(Slot),
    GlobalTimer(Slot),

    Shuffle(Box<ShuffleStep>),
    Vote(Box<VoteStep>),
    Match(Box<MatchStep>),
    Redux(Box<ReduxStep>),
    ActiveMask(Slot),
    WarpBarrier(Slot),
    Barrier(Box<BarrierStep>),
}

/// How a step is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Class {
    /// Part of an instruction that is counted already.
    Uncounted,
    Integer,
    F32,
    FusedF32,
    F64,
    FusedF64,
    F16,
    Convert,
    /// Division, roots and approximations.
    Special,
    Moves,
    Compare,
    Control,
    Global,
    Shared,
    Local,
    Constant,
    Atomic,
    Warp,
    Barrier,
    Matrix,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = Class::Matrix as usize + 1;
}

/// One decoded instruction.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Step {
    pub op: Op,
    /// The predicate that lanes need, inverted by `negated` (all ones or zeros).
    pub guard: Slot,
    pub negated: u32,
    pub line: u32,
    pub class: Class,
}

/// What a register holds before a kernel begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Initial {
    Bits(u64),
    Special(Special),
    /// The address of dynamic shared memory, plus an offset.
    DynamicShared(i64),
    /// So many bytes of the parameter block, sign-extended to so many bits (0: zero-extended).
    Parameter {
        offset: u32,
        bytes: u32,
        extend: u32,
    },
}

/// A kernel.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Program {
    pub steps: Vec<Step>,
    pub words: u32,
    pub doubles: u32,
    pub predicates: u32,
    pub initial: Vec<(Place, Initial)>,
    /// Bytes of local memory a thread.
    pub local: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Where dynamic shared memory begins.
    pub dynamic_shared: u32,
}
