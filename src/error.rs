//! One opaque [`Error`], and [`ErrorKind`], which says what was given, what was expected and where.

use std::fmt;

/// What every fallible call of gradus returns.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of gradus: one line of text and an [`ErrorKind`] behind it.
///
/// A wrong call is an `Error`; a panic is a broken promise of gradus itself.
#[derive(Clone, PartialEq)]
pub struct Error(Box<ErrorKind>);

impl Error {
    /// What went wrong, with the values concerned.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    pub(crate) fn setting(rule: &'static str, message: String) -> Self {
        ErrorKind::Settings { rule, message }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

/// The kinds of [`Error`]. New ones may be added.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each field is named by the message above it
pub enum ErrorKind {
    /// A setting of a rule lies outside its range, or is not finite.
    #[error("{rule}: {setting} = {value} is outside {range}")]
    OutOfRange { rule: &'static str, setting: &'static str, value: f64, range: String },

    /// Settings of a rule contradict each other.
    #[error("{rule}: {message}")]
    Settings { rule: &'static str, message: String },

    /// No rule has this name.
    #[error("no rule is named '{name}'; known: {}", known.join(", "))]
    UnknownRule { name: String, known: Vec<&'static str> },

    /// A group's rule is not that of the optimizer it was given to.
    #[error("a group of the rule {given} was given to an optimizer of the rule {expected}")]
    OtherRule { given: &'static str, expected: &'static str },

    /// A rule has no such setting.
    #[error("{rule} has no setting '{key}'; known: {}", known.join(", "))]
    UnknownSetting { rule: &'static str, key: String, known: Vec<&'static str> },

    /// A setting was given a value of another kind.
    #[error("{rule}: {key} = {value} is not {expected}")]
    SettingType { rule: &'static str, key: &'static str, value: String, expected: &'static str },

    /// The lists of a step do not match the tensors.
    #[error("the number of {what} is {given} but that of tensors is {expected}")]
    Count { what: &'static str, given: usize, expected: usize },

    /// The lists of a step do not match the copies of an ensemble's tensors.
    #[error("the number of {what} is {given} but there are {} of {}", count(*copies as u64, copy), count(*tensors as u64, "tensor"))]
    Copies { what: &'static str, given: usize, copy: &'static str, copies: usize, tensors: usize },

    /// An ensemble of no copies.
    #[error("an ensemble has one {copy} at least, not none")]
    NoCopies { copy: &'static str },

    /// The weights by which agents mix are no doubly stochastic matrix.
    #[error("mixing matrix: {message}")]
    Mixing { message: String },

    /// Two things that belong together differ in length.
    #[error("{what} has {} but {other} has {expected}", count(*given, "element"))]
    Length { what: String, given: u64, other: String, expected: u64 },

    /// Memory is no matrix of these rows and columns.
    #[error("a matrix of {rows}×{columns}: {message}")]
    Matrix { rows: usize, columns: usize, message: String },

    /// A list of matrices does not fit what it is used with.
    #[error("{what}: {message}")]
    Matrices { what: String, message: String },

    /// Memory lies on another device than the one it is used with.
    #[error("{what} is on {given} but {other} is on {expected}")]
    WrongDevice { what: String, given: String, other: String, expected: String },

    /// Two arrays of a step share memory, and one of them is written.
    #[error("{first} ({first_start:#x} to {first_end:#x}) overlaps {second} ({second_start:#x} to {second_end:#x})")]
    Overlap { first: String, first_start: u64, first_end: u64, second: String, second_start: u64, second_end: u64 },

    /// An array does not begin at a multiple of its element's size.
    #[error("{what} stands at {address:#x}, which is no multiple of its element's {alignment} bytes")]
    Misaligned { what: String, address: u64, alignment: u64 },

    /// Elements of a tensor were added twice.
    #[error(
        "tensor {id}, elements {start} to {end}, is listed twice: as tensor {id}, elements {other_start} to {other_end}, at position {position}"
    )]
    Listed { id: u64, start: u64, end: u64, other_start: u64, other_end: u64, position: usize },

    /// A tensor reaches beyond what u64 counts, or has more elements than memory has addresses.
    #[error("tensor {id}: {} from element {first} on are more than can be counted", count(*length, "element"))]
    TooLong { id: u64, first: u64, length: u64 },

    /// Ordinary memory does not suffice.
    #[error("there is no memory for {length} elements of {element} bytes")]
    OutOfMemory { length: u64, element: u64 },

    /// A position beyond the end of a list of the optimizer.
    #[error("there is no {what} {given}: the optimizer has {count}")]
    NoSuch { what: &'static str, given: usize, count: usize },

    /// An average was asked for of a tensor whose group keeps none.
    #[error("tensor {position} has no average: its group {group} keeps none")]
    NoAverage { position: usize, group: usize },

    /// A step was given arrays that its rule makes no use of.
    #[error("{rule} takes neither a second gradient nor noise, but was given {}", count(*given as u64, "array"))]
    NoExtra { rule: &'static str, given: usize },

    /// A saved state does not fit the optimizer.
    #[error("saved state: {message}")]
    State { message: String },

    /// A sum of noises cannot be added.
    #[error("{what}: {message}")]
    Noise { what: String, message: String },

    /// A log of updates is not whole, or not what was written.
    #[error("log: {message}; the first {} ({bytes} bytes) are good", count(*updates as u64, "update"))]
    Log { message: String, updates: usize, bytes: usize },

    /// A part of a noise address is greater than its field holds.
    #[error("{field} {given} does not fit into the {bits} bits that a noise address has for it")]
    NoiseAddress { field: &'static str, given: u64, bits: u32 },

    /// This processor does not have the instruction set.
    #[error("{level} is not available on this processor; available: {}", available.join(", "))]
    NoInstructionSet { level: &'static str, available: Vec<&'static str> },

    /// No CUDA device can be used, and why.
    #[error("CUDA device {ordinal}: {reason}")]
    NoCuda { ordinal: usize, reason: String },

    /// The CUDA driver refused an operation.
    #[error("{operation} on CUDA device {ordinal}: {code}")]
    Cuda { operation: String, ordinal: usize, code: String },

    /// A step inside a graph capture would have to upload tables, which a replay could not repeat.
    #[error(
        "the tables on CUDA device {ordinal} are stale during graph capture: {reason}; make one call with the same memory before the capture"
    )]
    StaleCapture { ordinal: usize, reason: &'static str },
}

/// A number of things, in words.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{ending}")
}
