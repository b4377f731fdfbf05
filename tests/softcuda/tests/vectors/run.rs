//! Runs the kernels and compares their words.

use softcuda::machine::{Accumulation, Approximation, Launch, LoadedModule, Machine, Options, Profile};

use crate::expect::Expected;
use crate::file::{self, File, Kernel};

/// Ways to run that must not change what is expected: schedules, directions of errors, ways to add up in `mma`.
fn ways() -> Vec<(&'static str, Options, Accumulation)> {
    let hardware = Profile::h100().accumulation;
    let base = Options { threads: 1, instruction_limit: 1 << 22, quantum: 1000, ..Options::default() };
    let with = |approximation| Options { approximation, ..base.clone() };
    vec![
        ("as it is", with(Approximation::Nearest), hardware),
        ("one lane at a time", Options { one_lane: true, ..base.clone() }, hardware),
        ("in another order", Options { seed: 7, quantum: 3, ..base.clone() }, Profile::a100().accumulation),
        ("with errors up", with(Approximation::PlusError), Accumulation::Exact),
        ("with errors down", Options { one_lane: true, seed: 3, ..with(Approximation::MinusError) }, hardware),
    ]
}

fn bytes(words: &[u64], bits: u32) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes().into_iter().take(bits as usize / 8)).collect()
}

/// What a launch left in the second buffer, or what was said of its failure.
fn launch(machine: &Machine, module: &LoadedModule, kernel: &Kernel) -> Result<Vec<u64>, String> {
    let memory = machine.memory();
    let put = |bytes: &[u8]| {
        let address = memory.allocate(bytes.len().max(1) as u64).expect("room for a buffer");
        memory.write(address, bytes).expect("a buffer of that size");
        address
    };
    let size = kernel.bits as usize / 8;
    let mut found = vec![0xcc; size * kernel.expected.len()];
    let start = bytes(&kernel.start, kernel.bits);
    found[..start.len()].copy_from_slice(&start);
    let (given, results) = (put(&bytes(&kernel.given, kernel.bits)), put(&found));
    let parameters = [given.to_le_bytes(), results.to_le_bytes()].concat();
    let launch = Launch {
        kernel: &kernel.name,
        grid: [kernel.grid, 1, 1],
        block: [kernel.block, 1, 1],
        shared: 0,
        parameters: &parameters,
        cooperative: kernel.cooperative,
        shared_optin: None,
    };
    let run = machine.launch(module, &launch);
    memory.read(results, &mut found).expect("a buffer of that size");
    run.map_err(|fault| fault.to_string())?;
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Ok(found.chunks_exact(size).map(word).collect())
}

/// What is wrong with a kernel's results, in a line.
fn compare(kernel: &Kernel, outcome: Result<Vec<u64>, String>) -> Option<String> {
    let found = match (&kernel.fault, outcome) {
        (Some(fault), Err(said)) => return (!said.contains(fault.as_str())).then_some(format!("{said}, not {fault}")),
        (Some(fault), Ok(_)) => return Some(format!("it ended well, without {fault}")),
        (None, Err(said)) => return Some(said),
        (None, Ok(found)) => found,
    };
    let mut wrong = kernel.expected.iter().zip(&found).enumerate().filter(|(_, (e, f))| !e.admits(**f, kernel.bits));
    let (at, (expected, found)) = wrong.next()?;
    let more = wrong.count();
    let rows = (kernel.block * kernel.grid) as usize;
    let (width, inputs) = (kernel.expected.len() / rows, kernel.given.len() / rows);
    // Where every thread has a row of operands and of results.
    let place = match (width, inputs) {
        (0, _) => String::new(),
        (width, inputs) => {
            let row = at / width;
            format!(" (thread {row}, result {}, of {:x?})", at % width, &kernel.given[row * inputs..][..inputs])
        }
    };
    Some(format!("word {at}{place} is {found:#x}, not {expected}; {more} more differ"))
}

/// Runs one file in every way: what is wrong, and how many words were compared.
fn check(file: &File) -> (Vec<String>, usize) {
    let (mut wrong, mut words) = (Vec::new(), 0);
    for (way, options, accumulation) in ways() {
        let machine = Machine::new(Profile { accumulation, ..Profile::h100() }, options);
        let module = match machine.load(&file.ptx) {
            Ok(module) => module,
            Err(error) => return (vec![format!("{}: {error}", file.opcode)], words),
        };
        for kernel in &file.kernels {
            words += kernel.expected.iter().filter(|&&expected| expected != Expected::Any).count();
            if let Some(what) = compare(kernel, launch(&machine, &module, kernel)) {
                wrong.push(format!("{} {way}: {what}", kernel.name));
            }
        }
    }
    (wrong, words)
}

#[test]
fn every_file_gives_what_its_comments_say() {
    let files = file::all();
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(files.len().div_ceil(2))
            .map(|part| scope.spawn(|| part.iter().map(check).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker that ends")).collect()
    });
    let kernels: usize = files.iter().map(|file| file.kernels.len()).sum();
    let words: usize = results.iter().map(|(_, words)| words).sum();
    println!("{} files, {kernels} kernels, {words} words compared", files.len());
    let wrong: Vec<String> = results.into_iter().flat_map(|(wrong, _)| wrong).collect();
    assert!(wrong.is_empty(), "{} kernels in one way or another:\n{}", wrong.len(), wrong.join("\n"));
}
