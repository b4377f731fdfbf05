//! A PTX module as plain data.
//!
//! A module has variables and functions; a function has registers, its own variables, and a body: a list of
//! [`Instruction`]s with labels that point into it. Names are gone but for messages: registers, variables, parameters,
//! functions and labels are handles. Every instruction keeps its line, so that a message can quote the text.

mod operation;

pub use operation::*;

/// A register of a function: an index into [`Function::registers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

/// A variable of the module ([`Module::variables`]) or of a function ([`Function::variables`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symbol {
    /// `.global`, `.const` or `.shared` at module scope.
    Module(u32),
    /// `.shared`, `.local` or `.param` declared in the function; the function's own parameters and results are not here.
    Function(u32),
    /// A parameter of the function.
    Parameter(u32),
    /// A result of the (non-entry) function.
    Result(u32),
}

/// A function: an index into [`Module::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId(pub u32);

/// A label: an index into [`Function::labels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(pub u32);

/// A type of PTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
}

impl Type {
    /// Bits of a value; 1 for a predicate.
    pub fn bits(self) -> u32 {
        use Type::*;
        match self {
            Pred => 1,
            B8 | U8 | S8 => 8,
            B16 | U16 | S16 | F16 | Bf16 => 16,
            B32 | U32 | S32 | F16x2 | Bf16x2 | Tf32 | F32 => 32,
            B64 | U64 | S64 | F64 => 64,
            B128 => 128,
        }
    }

    /// Bytes of a value in memory; 1 for a predicate, which has none.
    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }

    /// Whether values are signed integers.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether values are floating-point numbers (or pairs of them).
    pub fn is_float(self) -> bool {
        use Type::*;
        matches!(self, F16 | F16x2 | Bf16 | Bf16x2 | Tf32 | F32 | F64)
    }
}

/// A state space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Space {
    Generic,
    Global,
    Shared,
    Local,
    Const,
    Param,
}

/// A PTX module.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Module {
    /// Of `.version`.
    pub version: (u32, u32),
    /// Of `.target sm_80`: 80.
    pub target: u32,
    pub variables: Vec<Variable>,
    pub functions: Vec<Function>,
    /// The text, a line each; line numbers in this crate count from 1.
    pub lines: Vec<String>,
}

impl Module {
    /// The text of a line, without blanks around it.
    pub fn line(&self, line: u32) -> &str {
        self.lines.get(line as usize - 1).map(|line| line.trim()).unwrap_or_default()
    }
}

/// Memory with a name.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    /// Bytes; a power of two.
    pub align: u32,
    pub element: Type,
    /// Bytes; 0 for `.extern .shared x[]`, whose size is given at launch.
    pub size: u64,
    /// `.extern .shared x[]`.
    pub dynamic: bool,
    /// The first bytes; zeros follow. Empty: for `.global` and `.const` all zeros, for other spaces undefined.
    pub init: Vec<u8>,
    /// Addresses in the initialiser: at a byte offset, the (generic, if said) address of a symbol plus an addend, 8 bytes.
    pub relocations: Vec<Relocation>,
    pub line: u32,
}

/// An address in an initialiser.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Relocation {
    pub offset: u64,
    pub target: RelocationTarget,
    pub generic: bool,
    pub addend: i64,
}

/// What an address in an initialiser is of.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum RelocationTarget {
    Variable(u32),
    Function(FunctionId),
}

/// A function or kernel.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Function {
    pub name: String,
    /// `.entry`.
    pub is_kernel: bool,
    /// Declared, not defined (`.extern .func`): vprintf, __assertfail.
    pub is_external: bool,
    pub parameters: Vec<Parameter>,
    pub results: Vec<Parameter>,
    pub registers: Vec<Register>,
    pub variables: Vec<Variable>,
    pub body: Vec<Instruction>,
    pub labels: Vec<LabelTarget>,
    /// Tables of `.branchtargets`, each a list of labels; named by `brx.idx`.
    pub branch_targets: Vec<Vec<Label>>,
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
    pub line: u32,
}

/// A parameter or result. Offsets follow each other, each rounded up to the alignment.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Parameter {
    pub name: String,
    pub element: Type,
    pub align: u32,
    /// Bytes.
    pub size: u32,
    /// Bytes from the start of the parameter block.
    pub offset: u32,
}

/// A register: its name, for messages, and type.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Register {
    pub name: String,
    pub ty: Type,
}

/// Where a label stands.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct LabelTarget {
    pub name: String,
    /// An index into [`Function::body`]; its length for a label at the end.
    pub index: u32,
}

/// One instruction.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Instruction {
    /// Where it begins, from 1.
    pub line: u32,
    pub guard: Option<Guard>,
    pub operation: Operation,
}

/// `@p` or `@!p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Guard {
    pub predicate: Reg,
    pub negated: bool,
}
