//! Modules and launches in few words.

use std::sync::Arc;

use softcuda::check::{AccessErrorKind, Fault, FaultKind};
use softcuda::count::Counters;
use softcuda::machine::{Launch, LoadedModule, Machine, Options, Profile};

/// A machine with one module.
pub struct Bench {
    pub machine: Machine,
    pub module: Arc<LoadedModule>,
}

impl Bench {
    pub fn new(ptx: &str, options: Options) -> Self {
        let machine = Machine::new(Profile::small(), options);
        let module = machine.load(ptx).unwrap_or_else(|error| panic!("{error}"));
        Self { machine, module }
    }

    /// Puts values into device memory.
    pub fn put(&self, bytes: &[u8]) -> u64 {
        let address = self.machine.memory().allocate(bytes.len().max(1) as u64).unwrap();
        self.machine.memory().write(address, bytes).unwrap();
        address
    }

    /// So many words of zeros.
    pub fn zeros(&self, words: usize) -> u64 {
        self.put(&vec![0; 4 * words])
    }

    pub fn bytes(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.machine.memory().read(address, &mut bytes).unwrap();
        bytes
    }

    pub fn words(&self, address: u64, count: usize) -> Vec<u32> {
        words(&self.bytes(address, 4 * count))
    }

    pub fn launch(&self, kernel: &str, grid: u32, block: u32, parameters: &[u64]) -> Result<Counters, Fault> {
        let parameters: Vec<u8> = parameters.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.launch_with(Launch {
            kernel,
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            shared: 0,
            parameters: &parameters,
            cooperative: false,
            shared_optin: None,
        })
    }

    pub fn launch_with(&self, launch: Launch<'_>) -> Result<Counters, Fault> {
        self.machine.launch(&self.module, &launch).map(|report| report.counters)
    }
}

pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|chunk| u32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// A kernel `k(out, in)` in a module, with declarations of 8 registers each: %p %r %f %rd, and what `declare` adds.
pub fn kernel(declare: &str, body: &str) -> String {
    format!(
        ".version 7.8\n.target sm_80\n.address_size 64\n{declare}\n\
         .visible .entry k(.param .u64 out, .param .u64 in)\n{{\n\
         .reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<32>;\n.reg .f32 %f<16>;\n.reg .b64 %rd<32>;\n\
         ld.param.u64 %rd30, [out];\nld.param.u64 %rd31, [in];\n\
         mov.u32 %r31, %tid.x;\n\
         mul.wide.u32 %rd29, %r31, 4;\nadd.s64 %rd28, %rd30, %rd29;\nadd.s64 %rd27, %rd31, %rd29;\n\
         {body}\n}}\n"
    )
}

/// Ways to run that must not change what a race-free kernel gives.
pub fn schedules() -> Vec<Options> {
    let base = Options { threads: 1, instruction_limit: 1 << 22, quantum: 1000, ..Options::default() };
    let mut all = vec![base.clone(), Options { one_lane: true, ..base.clone() }];
    for seed in 1..=4 {
        all.push(Options { seed, ..base.clone() });
        all.push(Options { seed, one_lane: true, quantum: 50, ..base.clone() });
    }
    all.push(Options { quantum: 1, ..base });
    all
}

/// Runs `k` with `in` in every schedule; `count` words of `out`, which are the same in all.
pub fn outputs(ptx: &str, block: u32, input: &[u32], count: usize) -> Vec<u32> {
    let input: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut first: Option<Vec<u32>> = None;
    for options in schedules() {
        let bench = Bench::new(ptx, options.clone());
        let (out, input) = (bench.zeros(count), bench.put(&input));
        bench.launch("k", 1, block, &[out, input]).unwrap_or_else(|fault| panic!("{options:?}: {fault:?}"));
        let found = bench.words(out, count);
        match &first {
            None => first = Some(found),
            Some(first) => assert_eq!(*first, found, "{options:?}"),
        }
    }
    first.unwrap()
}

/// Runs `k`, which must fail, in every schedule; the fault of the first.
pub fn fault(ptx: &str, block: u32) -> Fault {
    let mut first = None;
    for options in schedules() {
        let bench = Bench::new(ptx, options.clone());
        let out = bench.zeros(1024);
        let fault = bench.launch("k", 1, block, &[out, out]).expect_err("a fault");
        let same = |first: &Fault| std::mem::discriminant(&first.kind) == std::mem::discriminant(&fault.kind);
        assert!(first.as_ref().is_none_or(same), "{options:?}: {fault:?}");
        first.get_or_insert(fault);
    }
    first.unwrap()
}

/// A fault's barrier and numbers.
pub fn barrier_of(fault: &Fault) -> Option<(u32, u32, u32)> {
    match fault.kind {
        FaultKind::DivergentBarrier { barrier, arrived, expected } => Some((barrier, arrived, expected)),
        _ => None,
    }
}

/// Why an access of `k` is refused.
pub fn access_error(ptx: &str, block: u32) -> AccessErrorKind {
    match fault(ptx, block).kind {
        FaultKind::Access(error) => error.kind,
        other => panic!("{other:?}"),
    }
}
