//! A simulated device: loads modules and runs kernels.

mod load;
mod profile;

use std::sync::Arc;

use crate::check::{Fault, FaultKind};
use crate::count::Counters;
use crate::exec;
use crate::front::LoadError;
use crate::memory::DeviceMemory;

pub use load::{KernelInfo, LoadedModule};

/// What a device of a profile has: attributes that launches are checked against.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Profile {
    pub name: &'static str,
    /// Compute capability.
    pub capability: (u32, u32),
    pub multiprocessors: u32,
    /// Shared memory of a block without opting in, in bytes.
    pub shared_per_block: u32,
    /// Shared memory of a block that opted in.
    pub shared_per_block_optin: u32,
    pub shared_per_multiprocessor: u32,
    pub registers_per_multiprocessor: u32,
    pub threads_per_multiprocessor: u32,
    pub blocks_per_multiprocessor: u32,
    /// Bytes of device memory that can be allocated.
    pub memory: u64,
    /// How tensor cores accumulate.
    pub accumulation: Accumulation,
}

/// How tensor cores add up products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulation {
    /// Exact products and an exact sum, rounded once.
    Exact,
    /// In blocks of `block` products aligned to the largest exponent with `extra_bits` bits below, truncated.
    Hardware {
        /// Products a block of f16 or bf16; half as many of tf32.
        block: u32,
        /// Bits kept below the last place of the largest.
        extra_bits: u32,
    },
}

/// How a run is scheduled and checked.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Options {
    /// Order of blocks and warps; 0 is their natural order.
    pub seed: u64,
    /// Runs one lane at a time: the reference semantics.
    pub one_lane: bool,
    /// Host threads; 0: as many as the machine has.
    pub threads: usize,
    /// What approximate instructions give.
    pub approximation: Approximation,
    /// Uninitialised reads are faults.
    pub check_initialised: bool,
    /// Races in shared memory are faults.
    pub check_shared_races: bool,
    /// Races in global memory, between blocks and between threads of a block, are faults.
    pub check_global_races: bool,
    /// Float arithmetic that ptxas may fuse is refused at load.
    pub strict_float: bool,
    /// Instructions of one warp after which another warp, and another split of it, gets its turn.
    pub quantum: u32,
    /// Instructions of one warp after which a kernel counts as one that does not end.
    pub instruction_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            one_lane: false,
            threads: 0,
            approximation: Approximation::Nearest,
            check_initialised: true,
            check_shared_races: true,
            check_global_races: true,
            strict_float: false,
            quantum: 20_000,
            instruction_limit: 1 << 30,
        }
    }
}

/// What approximate instructions give: the rounded result, moved by the documented error or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Approximation {
    Nearest,
    PlusError,
    MinusError,
}

/// A kernel launch.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Launch<'a> {
    pub kernel: &'a str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The parameter block: every parameter at its offset.
    pub parameters: &'a [u8],
    /// All blocks run at the same time and may wait for each other.
    pub cooperative: bool,
    /// The dynamic shared memory this kernel opted in to; `None`: the profile's default limit holds.
    pub shared_optin: Option<u32>,
}

/// What a launch did.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Report {
    pub counters: Counters,
}

/// A device with its memory.
pub struct Machine {
    profile: Profile,
    options: Options,
    memory: Arc<DeviceMemory>,
}

impl Machine {
    /// A device without modules.
    pub fn new(profile: Profile, options: Options) -> Self {
        let memory = Arc::new(DeviceMemory::new(profile.memory));
        Self { profile, options, memory }
    }

    /// The device's memory.
    pub fn memory(&self) -> &Arc<DeviceMemory> {
        &self.memory
    }

    /// What the device has.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How runs are scheduled and checked.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Parses, validates and lowers a module, and puts its variables into memory.
    pub fn load(&self, ptx: &str) -> Result<Arc<LoadedModule>, LoadError> {
        load::load(&self.memory, self.options.strict_float, ptx).map(Arc::new)
    }

    /// Runs a kernel to its end.
    // A fault is large, and ends what a caller does.
    #[allow(clippy::result_large_err)]
    pub fn launch(&self, module: &LoadedModule, launch: &Launch<'_>) -> Result<Report, Fault> {
        let refuse = |code: u32, message: String| Fault {
            kernel: launch.kernel.to_owned(),
            kind: FaultKind::Launch { code, message },
            line: 0,
            text: String::new(),
            block: [0; 3],
            thread: [0; 3],
            other_text: None,
        };
        let Some((info, program)) = module.program(launch.kernel) else {
            return Err(refuse(500, format!("the module has no kernel {}", launch.kernel)));
        };
        self.profile.admit(info, launch).map_err(|(code, message)| refuse(code, message))?;
        let counters = exec::run(&self.memory, &self.profile, &self.options, program, launch)
            .map_err(|stop| stop.into_fault(launch, module.lines()))?;
        Ok(Report { counters })
    }
}
