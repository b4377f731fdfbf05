//! Mutants of a kernel's text, each with one change in one line.

use std::fmt;

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A `bar.sync` is gone.
    Barrier,
    /// A `bar.warp.sync` is gone.
    WarpBarrier,
    /// A `cp.async.wait_group` is gone.
    CopyWait,
    /// A `cp.async.commit_group` is gone.
    CopyCommit,
    /// An address is one access further.
    Address,
    /// A conditional branch is gone.
    Guard,
    /// A member mask lacks lane 31.
    Mask,
    /// An atomic is a load, an addition and a store.
    Atomic,
    /// A buffer is freed before the launch.
    Freed,
    /// A buffer is never written.
    Unwritten,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Barrier => "no barrier",
            Self::WarpBarrier => "no warp barrier",
            Self::CopyWait => "no wait for copies",
            Self::CopyCommit => "no commit of copies",
            Self::Address => "address + 1",
            Self::Guard => "no branch",
            Self::Mask => "mask without lane 31",
            Self::Atomic => "no atomic",
            Self::Freed => "buffer freed",
            Self::Unwritten => "buffer unwritten",
        })
    }
}

impl Change {
    /// Whether a run may give a wrong result without a fault: an address that still lies in its buffer, and a loop that
    /// ends early, are a program's own affair.
    pub fn may_be_silent(self) -> bool {
        matches!(self, Self::Address | Self::Guard)
    }
}

/// A text with one change.
pub struct Mutant {
    pub change: Change,
    /// The changed line, from 1.
    pub line: u32,
    /// The line as it was, with a space between operands and no other one.
    pub was: String,
    pub ptx: String,
}

/// Every mutant of a kernel in a text.
pub fn of(ptx: &str, kernel: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = ptx.lines().collect();
    let head = format!(".visible .entry {kernel}(");
    let first = lines.iter().position(|line| *line == head).expect("the kernel is in the text");
    let end = first + lines[first..].iter().position(|line| *line == "}").expect("a kernel ends");
    let mut mutants = Vec::new();
    for index in first..end {
        for (change, line) in changes(lines[index]) {
            let mut changed = lines.clone();
            changed[index] = &line;
            let was =
                lines[index].split_whitespace().collect::<Vec<_>>().join(" ").replace(", ", ",").replace(',', ", ");
            mutants.push(Mutant { change, line: index as u32 + 1, was, ptx: changed.join("\n") });
        }
    }
    mutants
}

fn changes(line: &str) -> Vec<(Change, String)> {
    let text = line.trim();
    let gone = |change| vec![(change, String::new())];
    let operation = text.split_whitespace().next().unwrap_or("");
    match operation {
        "bar.sync" => gone(Change::Barrier),
        "bar.warp.sync" => [gone(Change::WarpBarrier), vec![(Change::Mask, line.replace("-1", "0x7fffffff"))]].concat(),
        "cp.async.wait_group" => gone(Change::CopyWait),
        "cp.async.commit_group;" => gone(Change::CopyCommit),
        _ if operation.starts_with('@') && text.contains("bra") => gone(Change::Guard),
        _ if operation.starts_with("shfl.sync") || operation.starts_with("vote.sync") => {
            let (rest, _) = line.rsplit_once(',').expect("a mask is the last operand");
            vec![(Change::Mask, format!("{rest}, 0x7fffffff;"))]
        }
        _ if text.contains('[') && (operation.contains(".global") || operation.contains(".shared.")) => {
            let mut changes = further(line, width(text, operation));
            if operation.starts_with("atom.") {
                changes.push((Change::Atomic, plain(text, operation)));
            }
            changes
        }
        _ => Vec::new(),
    }
}

/// Bytes of an access.
fn width(text: &str, operation: &str) -> usize {
    if operation.starts_with("cp.async") {
        return 16;
    }
    let bits: usize = operation.rsplit('.').next().unwrap_or("")[1..].parse().unwrap_or_else(|_| panic!("{text}"));
    let elements = if text.contains('{') { text.split(['{', '}']).nth(1).unwrap().split(',').count() } else { 1 };
    bits / 8 * elements
}

/// The line with each of its addresses so many bytes further.
fn further(line: &str, bytes: usize) -> Vec<(Change, String)> {
    let ends = line.match_indices(']').map(|(at, _)| at);
    let moved = ends.filter(|&end| line[..end].contains('[')).map(|end| {
        let start = line[..end].rfind('[').unwrap() + 1;
        let (base, offset) = line[start..end].split_once('+').unwrap_or((&line[start..end], "0"));
        let offset = offset.parse::<i64>().expect("a number") + bytes as i64;
        (Change::Address, format!("{}{base}+{offset}{}", &line[..start], &line[end..]))
    });
    moved.collect()
}

/// An addition of `atom` that is none: `atom.space.add.type d, [a], b;`.
fn plain(text: &str, operation: &str) -> String {
    let (space, kind) = operation["atom.".len()..].split_once(".add.").expect("an addition");
    let operands = text[operation.len()..].trim().trim_end_matches(';');
    let [result, address, value] = operands.split(',').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{text}") };
    format!(
        "{{ .reg .b32 %planted; ld.{space}.{kind} {result}, {address}; \
         add.{kind} %planted, {result}, {value}; st.{space}.{kind} {address}, %planted; }}"
    )
}
