//! Memory and kernels: softcuda's, and this machine's own.

use std::cell::RefCell;
use std::slice;
use std::sync::Arc;

use softcuda::machine::{Launch, LoadedModule, Machine, Options, Profile};

use crate::compiled::Library;

/// Threads a block.
const BLOCK: u32 = 256;

/// Where kernels run.
pub trait Device {
    /// Puts bytes into memory, at a multiple of 256.
    fn put(&self, bytes: &[u8]) -> u64;
    fn get(&self, address: u64, count: usize) -> Vec<u8>;
    fn launch(&self, kernel: &str, blocks: u32, parameters: &[u64]);
    /// The twelve words of `<rule>_layout`.
    fn layout(&self, rule: &str) -> [u32; 12];
}

/// PTX in softcuda.
pub struct Soft {
    machine: Machine,
    module: Arc<LoadedModule>,
}

impl Soft {
    pub fn new(ptx: &str, options: Options) -> Self {
        let machine = Machine::new(Profile::small(), options);
        let module = machine.load(ptx).unwrap_or_else(|error| panic!("{error}"));
        Self { machine, module }
    }
}

impl Device for Soft {
    fn put(&self, bytes: &[u8]) -> u64 {
        let address = self.machine.memory().allocate(bytes.len().max(1) as u64).unwrap();
        self.machine.memory().write(address, bytes).unwrap();
        assert_eq!(address % 256, 0);
        address
    }

    fn get(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.machine.memory().read(address, &mut bytes).unwrap();
        bytes
    }

    fn launch(&self, kernel: &str, blocks: u32, parameters: &[u64]) {
        let parameters: Vec<u8> = parameters.iter().flat_map(|value| value.to_le_bytes()).collect();
        let launch = Launch {
            kernel,
            grid: [blocks, 1, 1],
            block: [BLOCK, 1, 1],
            shared: 0,
            parameters: &parameters,
            cooperative: false,
            shared_optin: None,
        };
        self.machine.launch(&self.module, &launch).unwrap_or_else(|fault| panic!("{fault:?}"));
    }

    fn layout(&self, rule: &str) -> [u32; 12] {
        let (address, size) = self.module.global(&format!("{rule}_layout")).unwrap();
        assert_eq!(size, 48);
        let bytes = self.get(address, 48);
        std::array::from_fn(|i| u32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap()))
    }
}

#[derive(Clone)]
#[repr(align(256))]
struct Line([u8; 256]);

/// C++ on this machine.
pub struct Host {
    library: &'static Library,
    memory: RefCell<Vec<Vec<Line>>>,
}

impl Host {
    pub fn new(library: &'static Library) -> Self {
        Self { library, memory: RefCell::default() }
    }
}

impl Device for Host {
    fn put(&self, bytes: &[u8]) -> u64 {
        let mut lines = vec![Line([0; 256]); bytes.len().div_ceil(256).max(1)];
        for (line, bytes) in lines.iter_mut().zip(bytes.chunks(256)) {
            line.0[..bytes.len()].copy_from_slice(bytes);
        }
        let address = lines.as_mut_ptr().expose_provenance();
        self.memory.borrow_mut().push(lines);
        address as u64
    }

    fn get(&self, address: u64, count: usize) -> Vec<u8> {
        // SAFETY: callers ask for what they put, and `memory` keeps it.
        unsafe { slice::from_raw_parts(std::ptr::with_exposed_provenance(address as usize), count) }.to_vec()
    }

    fn launch(&self, kernel: &str, blocks: u32, parameters: &[u64]) {
        // SAFETY: kernels.cc gives every kernel this type.
        let run: extern "C" fn(u32, *const u64) = unsafe { self.library.function(kernel) };
        run(blocks, parameters.as_ptr());
    }

    fn layout(&self, rule: &str) -> [u32; 12] {
        // SAFETY: kernels.cc gives it this type.
        let read: extern "C" fn(&mut [u32; 12]) = unsafe { self.library.function(&format!("{rule}_layout")) };
        let mut words = [0; 12];
        read(&mut words);
        words
    }
}
