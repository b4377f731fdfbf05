//! Faults in words.

use std::fmt;

use super::{AccessError, AccessErrorKind, Fault, FaultKind, Place, Toucher};
use crate::ir::Module;

impl Fault {
    /// A fault at a place in a module: of one lane of the warp, else of its first thread. `size`: threads of a block.
    pub fn new(
        module: &Module,
        kernel: &str,
        size: [u32; 3],
        place: &Place,
        lane: Option<u32>,
        kind: FaultKind,
    ) -> Self {
        let text = |line: u32| if line == 0 { String::new() } else { module.line(line).to_owned() };
        let other_text = match &kind {
            FaultKind::Access(AccessError { other: Some(other), .. }) => Some(text(other.line)),
            _ => None,
        };
        Self {
            kernel: kernel.to_owned(),
            kind,
            line: place.line,
            text: text(place.line),
            block: place.block,
            thread: thread(place.warp * 32 + lane.unwrap_or(0), size),
            other_text,
        }
    }

    /// An access that was refused.
    pub fn of_access(module: &Module, kernel: &str, size: [u32; 3], place: &Place, error: AccessError) -> Self {
        let lane = error.lane;
        Self::new(module, kernel, size, place, lane, FaultKind::Access(error))
    }

    /// All of it, as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and integers in structs are JSON")
    }
}

/// The indices of a thread in a block of a size.
fn thread(linear: u32, [x, y, _]: [u32; 3]) -> [u32; 3] {
    let (x, y) = (x.max(1), y.max(1));
    [linear % x, linear / x % y, linear / x / y]
}

impl fmt::Display for AccessErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfBounds => "out of bounds",
            Self::UseAfterFree => "use after free",
            Self::Misaligned => "misaligned",
            Self::Uninitialised => "uninitialised",
            Self::SharedRace => "a race in shared memory",
            Self::CopyInFlight => "shared memory with a copy in flight",
            Self::GlobalRace => "a race in global memory",
            Self::NotAnAllocation => "not an allocation",
        })
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        match self.bytes {
            0 => write!(f, "address {:#x}", self.address)?,
            1 => write!(f, "1 byte at {:#x}", self.address)?,
            bytes => write!(f, "{bytes} bytes at {:#x}", self.address)?,
        }
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        if let Some(other) = &self.other {
            write!(f, "; {other}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Toucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.wrote { "wrote" } else { "read" };
        let [x, y, z] = self.block;
        write!(f, "thread {} of block ({x}, {y}, {z}) {verb} it at line {}", self.thread, self.line)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(error) => error.fmt(f),
            Self::DivergentBarrier { barrier, arrived, expected } => {
                write!(
                    f,
                    "barrier {barrier} is never passed: {arrived} of {expected} threads arrive, and none can go on"
                )
            }
            Self::UnsatisfiedMask { mask, arrived } => {
                write!(f, "the mask names lanes {mask:#010x}, but lanes {arrived:#010x} arrive, and none can go on")
            }
            Self::ShuffleSource { lane, source } => {
                write!(f, "lane {lane} reads from lane {source}, which takes no part")
            }
            Self::CopiesPending { groups: 1 } => f.write_str("a thread ends with 1 group of copies not waited for"),
            Self::CopiesPending { groups } => {
                write!(f, "a thread ends with {groups} groups of copies not waited for")
            }
            Self::Trap => f.write_str("trap"),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::TooLong { instructions } => write!(f, "the kernel does not end within {instructions} instructions"),
            Self::Launch { code, message } => write!(f, "the launch is refused (error {code}): {message}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kernel, self.kind)?;
        if let Some(text) = self.other_text.as_ref().filter(|text| !text.is_empty()) {
            write!(f, " `{text}`")?;
        }
        if self.line != 0 {
            write!(f, "; at line {}", self.line)?;
            if !self.text.is_empty() {
                write!(f, " `{}`", self.text)?;
            }
            let ([x, y, z], [i, j, k]) = (self.block, self.thread);
            write!(f, ", block ({x}, {y}, {z}), thread ({i}, {j}, {k})")?;
        }
        Ok(())
    }
}

impl std::error::Error for AccessError {}
impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn module() -> Module {
        let lines = ["", "  ld.shared.f32 %f1, [%r1];", "st.shared.f32 [%r2], %f2;"];
        Module { lines: lines.map(str::to_owned).to_vec(), ..Module::default() }
    }

    #[test]
    fn a_race_names_both_accesses() {
        let place = Place { line: 2, block: [7, 1, 0], warp: 2 };
        let error = AccessError {
            kind: AccessErrorKind::SharedRace,
            address: 0x40,
            bytes: 4,
            lane: Some(5),
            other: Some(Toucher { line: 3, block: [7, 1, 0], thread: 33, wrote: true }),
            detail: "no barrier of the block between".to_owned(),
        };
        let fault = Fault::of_access(&module(), "norm", [16, 4, 2], &place, error);
        assert_eq!(fault.thread, [5, 0, 1]);
        let expected = "norm: a race in shared memory: 4 bytes at 0x40 (no barrier of the block between); thread 33 of \
            block (7, 1, 0) wrote it at line 3 `st.shared.f32 [%r2], %f2;`; at line 2 `ld.shared.f32 %f1, [%r1];`, \
            block (7, 1, 0), thread (5, 0, 1)";
        assert_eq!(fault.to_string(), expected);
        assert!(fault.to_json().contains("\"kind\": \"SharedRace\""));
    }

    #[test]
    fn other_faults_in_words() {
        let place = Place { line: 0, block: [0; 3], warp: 0 };
        let kind = FaultKind::Launch { code: 720, message: "too many blocks".to_owned() };
        let fault = Fault::new(&module(), "step", [1; 3], &place, None, kind);
        assert_eq!(fault.to_string(), "step: the launch is refused (error 720): too many blocks");
        let place = Place { line: 2, ..place };
        let kind = FaultKind::DivergentBarrier { barrier: 0, arrived: 32, expected: 64 };
        let fault = Fault::new(&module(), "step", [64, 1, 1], &place, Some(3), kind);
        let expected = "step: barrier 0 is never passed: 32 of 64 threads arrive, and none can go on; at line 2 \
            `ld.shared.f32 %f1, [%r1];`, block (0, 0, 0), thread (3, 0, 0)";
        assert_eq!(fault.to_string(), expected);
    }
}
