//! The files against NVIDIA's assembler, where there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::file::{self, File};

/// The assembler beside the compiler that `NVCC` names, or the one of the toolchain in the build folder.
fn ptxas() -> Option<PathBuf> {
    let beside = std::env::var_os("NVCC").map(|nvcc| Path::new(&nvcc).with_file_name("ptxas"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = root.join("target/cuda-toolchain/cuda/bin/ptxas");
    beside.into_iter().chain([fetched]).find(|path| path.is_file())
}

fn refusal(ptxas: &Path, file: &File) -> Option<String> {
    let target = file.ptx.lines().find_map(|line| line.strip_prefix(".target ")).expect("a target");
    let run =
        Command::new(ptxas).arg(format!("-arch={target}")).args(["-O0", "-o", "/dev/null"]).arg(&file.path).output();
    let output = run.unwrap_or_else(|error| panic!("{}: {error}", ptxas.display()));
    (!output.status.success()).then(|| format!("{}: {}", file.opcode, String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_file_is_accepted_by_ptxas() {
    let Some(ptxas) = ptxas() else {
        println!("skipped: no ptxas beside $NVCC or in target/cuda-toolchain");
        return;
    };
    let refused: Vec<String> = file::all().iter().filter_map(|file| refusal(&ptxas, file)).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
