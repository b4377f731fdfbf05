use super::{FunctionId, Label, Reg, Space, Symbol, Type};

/// A value an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Operand {
    Reg(Reg),
    /// The bits of an immediate, already of the instruction's type (a float literal as that type's bits, a negative
    /// integer in two's complement of 64 bits).
    Bits(u64),
    Special(Special),
    /// The address of a variable in its own space, plus an offset.
    Address(Symbol, i64),
    /// The address of a function.
    Function(FunctionId),
}

/// A predicate that is read, perhaps negated.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct PredicateOperand {
    pub value: Operand,
    pub negated: bool,
}

/// Where memory is read or written: `[base + offset]`. The base is a register, an immediate, or a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Address {
    pub base: Operand,
    pub offset: i64,
}

/// A special register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Special {
    /// `%tid.x`, `.y`, `.z`: 0, 1, 2.
    Tid(u8),
    Ntid(u8),
    Ctaid(u8),
    Nctaid(u8),
    LaneId,
    WarpId,
    NWarpId,
    SmId,
    NSmId,
    GridId,
    LaneMaskEq,
    LaneMaskLe,
    LaneMaskLt,
    LaneMaskGe,
    LaneMaskGt,
    Clock,
    Clock64,
    GlobalTimer,
    /// `%envreg0` to `%envreg31`.
    Env(u8),
    DynamicSharedSize,
    TotalSharedSize,
    WarpSize,
}

/// How a float result is rounded or approximated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Rounding {
    /// Not written: nearest even here, but ptxas may fuse it.
    Unpinned,
    Rn,
    Rz,
    Rm,
    Rp,
    /// `.rna`: nearest, ties away from zero (cvt to tf32).
    Rna,
    Approx,
    Full,
    /// To an integral value: `.rni .rzi .rmi .rpi`.
    Rni,
    Rzi,
    Rmi,
    Rpi,
}

/// How float arithmetic is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct FloatMode {
    pub rounding: Rounding,
    /// Subnormal inputs and results become zeros of their sign.
    pub ftz: bool,
    /// The result is clamped to [0, 1]; NaN becomes 0.
    pub sat: bool,
    /// The result is clamped to be at least 0; NaN becomes canonical.
    pub relu: bool,
    /// `.NaN` of min and max: a NaN operand gives NaN.
    pub nan: bool,
}

/// Which half of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Half {
    Low,
    High,
    /// The whole product, twice as wide as the operands.
    Wide,
}

/// Operations of two values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum IntBinary {
    Add,
    Sub,
    Div,
    Rem,
    Min,
    Max,
    And,
    Or,
    Xor,
    /// The amount is u32; shifts of the width and more give 0 (or the sign).
    Shl,
    Shr,
    /// Signed add or sub that saturates (`add.sat.s32`).
    AddSat,
    SubSat,
}

/// Operations of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum IntUnary {
    Abs,
    Neg,
    Not,
    Cnot,
    /// These four give u32.
    Popc,
    Clz,
    Bfind,
    BfindShift,
    Brev,
}

/// Operations of two floats (also of pairs of halves).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FloatBinary {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    /// copysign.f32 d, a, b: the magnitude of b with the sign of a.
    Copysign,
}

/// Operations of one float (also of pairs of halves).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FloatUnary {
    Abs,
    Neg,
    Sqrt,
    Rcp,
    Rsqrt,
    Sin,
    Cos,
    Ex2,
    Lg2,
    Tanh,
}

/// A comparison. The `u` forms of floats hold for NaN operands too; `Lo Ls Hi Hs` are unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Lo,
    Ls,
    Hi,
    Hs,
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    /// Both are numbers.
    Num,
    /// One is NaN.
    Nan,
}

/// How a comparison is combined with a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Combine {
    And,
    Or,
    Xor,
}

/// What testp asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum TestProperty {
    Finite,
    Infinite,
    Number,
    NotANumber,
    Normal,
    Subnormal,
}

/// Which lane a shuffle reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Shuffle {
    Up,
    Down,
    Bfly,
    Idx,
}

/// What a vote asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Vote {
    All,
    Any,
    Uni,
    /// Gives a b32 mask; the others a predicate.
    Ballot,
}

/// What a warp- or block-wide reduction, or an atomic, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AtomicOp {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exch,
    /// `atom.cas d, [a], compare, value`.
    Cas,
    Inc,
    Dec,
}

/// What barrier.red and bar.red give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BarrierReduction {
    /// u32.
    Popc,
    /// Predicates.
    And,
    Or,
}

/// The order a memory operation asks for. Execution is sequentially consistent; it is kept for messages and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Ordering {
    Weak,
    Volatile,
    Relaxed,
    Acquire,
    Release,
    AcqRel,
}

/// Shapes and types of mma.sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct MmaShape {
    pub m: u32,
    pub n: u32,
    pub k: u32,
    /// Type of A and B: F16, Bf16 or Tf32.
    pub input: Type,
    /// Type of C and D: F32 or F16.
    pub accumulator: Type,
}

/// What an instruction does. Destinations come first, as in PTX; `ty` is the type written in the instruction.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
#[rustfmt::skip] // an operation a line
pub enum Operation {
    // Moves.
    Mov { ty: Type, dst: Reg, src: Operand },
    /// `mov.b64 d, {a, b}`: parts of equal width, the first the lowest.
    Pack { ty: Type, dst: Reg, parts: Vec<Operand> },
    /// `mov.b64 {a, b}, s`; `None` for `_`.
    Unpack { ty: Type, parts: Vec<Option<Reg>>, src: Operand },
    /// `dst` has 1, 2, 4 (or 8) entries; `None` for `_`. `nc`, cache hints and prefetch sizes are dropped.
    Load { space: Space, ordering: Ordering, ty: Type, dst: Vec<Option<Reg>>, address: Address },
    Store { space: Space, ordering: Ordering, ty: Type, src: Vec<Operand>, address: Address },
    /// `cvta.space`: from an address of the space to a generic one; `cvta.to.space`: back.
    Cvta { to_space: bool, space: Space, ty: Type, dst: Reg, src: Operand },
    IsSpace { space: Space, dst: Reg, src: Operand },
    Prefetch { space: Space, address: Address },

    // Integers.
    IntUnary { op: IntUnary, ty: Type, dst: Reg, a: Operand },
    IntBinary { op: IntBinary, ty: Type, dst: Reg, a: Operand, b: Operand },
    Mul { half: Half, ty: Type, dst: Reg, a: Operand, b: Operand },
    /// `mad.lo.s32`, `.hi`, `.wide`; `sat` of `mad.hi.sat.s32`.
    Mad { half: Half, sat: bool, ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand },
    /// `mul24`, `mad24` (low half only): 24-bit operands.
    Mul24 { ty: Type, high: bool, dst: Reg, a: Operand, b: Operand, c: Option<Operand> },
    /// `add.cc addc sub.cc subc`: `subtract`, reads the carry, writes the carry.
    Carry { subtract: bool, reads: bool, writes: bool, ty: Type, dst: Reg, a: Operand, b: Operand },
    /// `mad.cc madc`.
    MadCarry { half: Half, reads: bool, writes: bool, ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand },
    Sad { ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand },
    /// Extracts `c` bits from position `b` of `a`.
    Bfe { ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand },
    /// Inserts `d` bits of `a` at position `c` into `b`.
    Bfi { ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand, d: Operand },
    /// `mode`: None for the default, else f4e b4e rc8 ecl ecr rc16 as 0 to 5.
    Prmt { mode: Option<u8>, dst: Reg, a: Operand, b: Operand, c: Operand },
    Lop3 { dst: Reg, a: Operand, b: Operand, c: Operand, table: u8 },
    /// Funnel shift of b:a; `wrap` takes the amount modulo 32, else it is clamped to 32.
    Shf { left: bool, wrap: bool, dst: Reg, a: Operand, b: Operand, c: Operand },
    /// `dp4a`: `a_signed`, `b_signed`.
    Dp4a { a_signed: bool, b_signed: bool, dst: Reg, a: Operand, b: Operand, c: Operand },

    // Floats.
    FloatUnary { op: FloatUnary, mode: FloatMode, ty: Type, dst: Reg, a: Operand },
    FloatBinary { op: FloatBinary, mode: FloatMode, ty: Type, dst: Reg, a: Operand, b: Operand },
    Fma { mode: FloatMode, ty: Type, dst: Reg, a: Operand, b: Operand, c: Operand },
    TestP { property: TestProperty, ty: Type, dst: Reg, a: Operand },

    // Comparisons and selections.
    /// `dst` and `dst_not` (`p|q`); combined with `with` if given: dst = cmp op c, dst_not = !cmp op c.
    Setp {
        compare: Compare,
        combine: Option<(Combine, PredicateOperand)>,
        ftz: bool,
        ty: Type,
        dst: Option<Reg>,
        dst_not: Option<Reg>,
        a: Operand,
        b: Operand,
    },
    /// `dst_ty` u32 or s32 (all ones), or f32 (1.0); or `ty`, if that is of halves: 1.0, of pairs each half.
    Set {
        compare: Compare,
        combine: Option<(Combine, PredicateOperand)>,
        ftz: bool,
        dst_ty: Type,
        ty: Type,
        dst: Reg,
        a: Operand,
        b: Operand,
    },
    Selp { ty: Type, dst: Reg, a: Operand, b: Operand, condition: Operand },
    /// a if c ≥ 0 else b; `condition_ty` s32 or f32.
    Slct { ty: Type, condition_ty: Type, ftz: bool, dst: Reg, a: Operand, b: Operand, condition: Operand },
    /// Logic on predicates: and or xor not mov.
    PredicateBinary { op: Combine, dst: Reg, a: Operand, b: Operand },
    PredicateNot { dst: Reg, a: Operand },

    // Conversions.
    Cvt { mode: FloatMode, to: Type, from: Type, dst: Reg, a: Operand },
    /// `cvt.rn.bf16x2.f32 d, a, b`: a becomes the high half.
    CvtPair { mode: FloatMode, to: Type, dst: Reg, a: Operand, b: Operand },

    // Control.
    Bra { target: Label, uniform: bool },
    /// `brx.idx index, table`: the position in [`super::Function::branch_targets`].
    Brx { index: Operand, table: u32 },
    /// Parameters and results are `.param` variables of the function ([`Symbol::Function`]), or registers or immediates.
    Call { function: FunctionId, results: Vec<CallArgument>, arguments: Vec<CallArgument> },
    Ret,
    Exit,
    Trap,
    Nop,

    // Warps.
    Shfl { mode: Shuffle, dst: Reg, valid: Option<Reg>, a: Operand, b: Operand, c: Operand, mask: Operand },
    Vote { mode: Vote, dst: Reg, predicate: PredicateOperand, mask: Operand },
    /// `match.any.sync.b32 d, a, mask`; `match.all` also gives a predicate.
    Match { all: bool, ty: Type, dst: Reg, valid: Option<Reg>, a: Operand, mask: Operand },
    Redux { op: AtomicOp, ty: Type, dst: Reg, a: Operand, mask: Operand },
    ActiveMask { dst: Reg },
    BarWarp { mask: Operand },

    // Blocks.
    /// `bar.sync barrier.sync`: barrier 0 to 15; threads `None`: all of the block. `aligned`: bar, barrier.aligned.
    Bar { aligned: bool, barrier: Operand, threads: Option<Operand> },
    BarArrive { aligned: bool, barrier: Operand, threads: Operand },
    BarRed {
        aligned: bool,
        op: BarrierReduction,
        dst: Reg,
        barrier: Operand,
        threads: Option<Operand>,
        predicate: PredicateOperand,
    },
    /// `membar`, `fence`.
    Fence,

    // Atomics.
    /// `dst` is `None` for red.
    Atomic {
        op: AtomicOp,
        space: Space,
        ordering: Ordering,
        ty: Type,
        dst: Option<Reg>,
        address: Address,
        b: Operand,
        c: Option<Operand>,
        noftz: bool,
    },

    // Asynchronous copies from global to shared memory.
    /// `bytes` 4, 8 or 16; `source_bytes` fewer are read and the rest is zero.
    CpAsync { bytes: u32, dst: Address, src: Address, source_bytes: Option<Operand> },
    CpAsyncCommit,
    /// All but the newest `pending` groups; `None`: every copy, committed or not.
    CpAsyncWait { pending: Option<u32> },

    // Matrices.
    /// `ldmatrix.sync.aligned.m8n8.x1|x2|x4[.trans].shared.b16`.
    LdMatrix { transposed: bool, dst: Vec<Reg>, address: Address },
    Mma { shape: MmaShape, d: Vec<Reg>, a: Vec<Operand>, b: Vec<Operand>, c: Vec<Operand> },

    /// nanosleep: nothing, but another warp may run.
    Yield,
}

/// A parameter or result of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum CallArgument {
    /// A `.param` variable of the calling function.
    Variable(Symbol),
    Value(Operand),
}
