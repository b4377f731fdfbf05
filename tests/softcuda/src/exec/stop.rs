//! Why a kernel stopped, before its name and text are known.

use crate::check::{AccessError, Fault, FaultKind};
use crate::machine::Launch;

/// A fault in the making.
#[derive(Clone, Debug)]
pub struct Stop {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where, in the PTX.
    pub line: u32,
    /// The block.
    pub block: [u32; 3],
    /// Linear index of the thread in the block.
    pub thread: u32,
}

impl Stop {
    /// Adds what a person needs.
    pub fn into_fault(self, launch: &Launch<'_>, lines: &[String]) -> Fault {
        let text = |line: u32| {
            let line = (line as usize).checked_sub(1).and_then(|line| lines.get(line));
            line.map(|line| line.trim().to_owned()).unwrap_or_default()
        };
        let other_text = match &self.kind {
            FaultKind::Access(AccessError { other: Some(other), .. }) => Some(text(other.line)),
            _ => None,
        };
        let [x, y, _] = launch.block;
        Fault {
            kernel: launch.kernel.to_owned(),
            kind: self.kind,
            line: self.line,
            text: text(self.line),
            block: self.block,
            thread: [self.thread % x, self.thread / x % y, self.thread / x / y],
            other_text,
        }
    }
}
