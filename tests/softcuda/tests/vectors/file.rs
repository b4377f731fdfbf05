//! The files and what their comments say. `ptx/expected/writing.py` describes the lines.

use std::fs;
use std::path::{Path, PathBuf};

use crate::expect::{Expected, number};

/// A file of the folder.
pub struct File {
    /// The opcode: the file's name.
    pub opcode: String,
    pub path: PathBuf,
    pub ptx: String,
    pub kernels: Vec<Kernel>,
}

/// A kernel with its operands and results.
#[derive(Default)]
pub struct Kernel {
    pub name: String,
    pub block: u32,
    pub grid: u32,
    pub cooperative: bool,
    /// Of a word: 32 or 64.
    pub bits: u32,
    /// What lies in the first buffer.
    pub given: Vec<u64>,
    /// What lies in the second buffer before, if that matters.
    pub start: Vec<u64>,
    /// What lies in the second buffer after.
    pub expected: Vec<Expected>,
    /// A part of what is said when the launch fails, as it must.
    pub fault: Option<String>,
}

/// Every file, by name.
pub fn all() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ptx");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ptx"));
    paths.sort();
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> File {
    let ptx = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let opcode = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let kernels = kernels(&ptx).unwrap_or_else(|line| panic!("{}: not understood: {line}", path.display()));
    let entries = ptx.matches(".entry ").count();
    assert_eq!(kernels.len(), entries, "{}: kernels without a comment, or the reverse", path.display());
    File { opcode, path, ptx, kernels }
}

fn kernels(ptx: &str) -> Result<Vec<Kernel>, &str> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for line in ptx.lines() {
        let Some(comment) = line.strip_prefix("// ") else { continue };
        let mut words = comment.split_whitespace();
        match (words.next(), kernels.last_mut()) {
            (Some("kernel"), _) => kernels.push(head(words).ok_or(line)?),
            (Some("in" | "out" | "start"), Some(kernel)) => values(kernel, comment).ok_or(line)?,
            (Some("fault"), Some(kernel)) => kernel.fault = comment.strip_prefix("fault ").map(str::to_owned),
            (_, None) => {}
            (_, Some(_)) => return Err(line),
        }
    }
    Ok(kernels)
}

fn head<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Kernel> {
    let mut kernel = Kernel { name: words.next()?.to_owned(), grid: 1, bits: 32, ..Kernel::default() };
    while let Some(word) = words.next() {
        match word {
            "block" => kernel.block = words.next()?.parse().ok()?,
            "grid" => kernel.grid = words.next()?.parse().ok()?,
            "bits" => kernel.bits = words.next()?.parse().ok()?,
            "cooperative" => kernel.cooperative = true,
            _ => return None,
        }
    }
    (kernel.block > 0 && matches!(kernel.bits, 32 | 64)).then_some(kernel)
}

/// Words after `in`, `out` and `start` go to the buffers of these names.
fn values(kernel: &mut Kernel, comment: &str) -> Option<()> {
    let mut buffer = "";
    for word in comment.split_whitespace() {
        match (word, buffer) {
            ("in" | "out" | "start", _) => buffer = word,
            (_, "in") => kernel.given.push(number(word)?),
            (_, "start") => kernel.start.push(number(word)?),
            _ => kernel.expected.push(Expected::parse(word)?),
        }
    }
    Some(())
}
