//! Kernels of candle-kernels on softcuda against candle-core's operations on the CPU, on the same inputs.
//!
//! Its argument is the directory with the compiled kernels. A line a kernel; an error where one differs. Where the two
//! are told apart by more than a rounding (candle's maximum of a NaN, say), inputs leave that out.

mod compare;
mod device;
mod elementwise;
mod moving;
mod reducing;
mod values;

use std::path::Path;
use std::process::ExitCode;

use device::{Kernels, Outcome};

/// Elements of most tensors: no multiple of a block, nor of a vector.
const COUNT: usize = 1003;
/// Threads a block, and blocks: fewer threads than elements.
const BLOCK: [u32; 3] = [96, 1, 1];
const GRID: u32 = 5;

/// The files, and how many kernels nvcc makes of them for sm_80.
const FILES: [&str; 7] = ["affine", "binary", "fill", "indexing", "reduce", "ternary", "unary"];
const KERNELS: usize = 425;

type Case = fn(&Kernels) -> Outcome<()>;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: candle-comparison DIRECTORY-WITH-PTX");
        return ExitCode::from(2);
    };
    let kernels = match Kernels::load(Path::new(&directory), &FILES) {
        Ok(kernels) => kernels,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{} kernels parsed and validated", kernels.count());
    let cases = [elementwise::CASES, moving::CASES, reducing::CASES].concat();
    let mut failed = 0;
    for case in &cases {
        if let Err(error) = case(&kernels) {
            eprintln!("error: {error}");
            failed += 1;
        }
    }
    println!("{} kernels compared with candle-core, {failed} differ", cases.len());
    if failed == 0 && kernels.count() == KERNELS { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
