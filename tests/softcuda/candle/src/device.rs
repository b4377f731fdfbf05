//! Kernels of candle-kernels on softcuda, with tensors of candle as arguments.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Shape, Tensor, WithDType};
use half::{bf16, f16};
use softcuda::machine::{Launch, LoadedModule, Machine, Options, Profile};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// A number as the device holds it.
pub trait Number: WithDType {
    /// Its bytes, padded with zeros.
    fn word(self) -> [u8; 8];
    /// The number of these bytes.
    fn from_word(word: [u8; 8]) -> Self;
    /// The distance from 1 to the next number; of integers 1.
    const EPSILON: f64;
    /// The least normal number; of integers 1.
    const LEAST: f64;
}

macro_rules! number {
    ($($type:ty: $epsilon:expr, $least:expr;)+) => {$(
        impl Number for $type {
            fn word(self) -> [u8; 8] {
                let mut word = [0; 8];
                word[..size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
                word
            }

            fn from_word(word: [u8; 8]) -> Self {
                Self::from_le_bytes(word[..size_of::<Self>()].try_into().unwrap())
            }

            const EPSILON: f64 = $epsilon;
            const LEAST: f64 = $least;
        }
    )+};
}

number! {
    u8: 1.0, 1.0;
    u32: 1.0, 1.0;
    i64: 1.0, 1.0;
    f16: 1.0 / 1024.0, 6.103_515_625e-5;
    bf16: 1.0 / 128.0, f32::MIN_POSITIVE as f64;
    f32: f32::EPSILON as f64, f32::MIN_POSITIVE as f64;
    f64: f64::EPSILON, f64::MIN_POSITIVE;
}

fn bytes<T: Number>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.word()[..size_of::<T>()].to_vec()).collect()
}

/// The elements of a tensor in their logical order.
pub fn elements<T: Number>(tensor: &Tensor) -> Outcome<Vec<T>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// A tensor on both sides: candle's, and a copy of its whole storage on the device.
pub struct Operand {
    pub tensor: Tensor,
    storage: u64,
}

impl Operand {
    /// The same storage seen through another layout.
    pub fn view(&self, change: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>) -> Outcome<Self> {
        Ok(Self { tensor: change(&self.tensor)?, storage: self.storage })
    }

    /// Where the first element stands.
    pub fn address(&self) -> u64 {
        let size = self.tensor.dtype().size_in_bytes();
        self.storage + (self.tensor.layout().start_offset() * size) as u64
    }

    pub fn count(&self) -> u64 {
        self.tensor.elem_count() as u64
    }
}

/// An argument of a kernel.
pub struct Argument([u8; 8]);

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self(value.to_le_bytes())
    }
}

impl From<&Operand> for Argument {
    fn from(operand: &Operand) -> Self {
        operand.address().into()
    }
}

/// A number as an argument.
pub fn number<T: Number>(value: T) -> Argument {
    Argument(value.word())
}

/// A device with the kernels.
pub struct Kernels {
    machine: Machine,
    modules: HashMap<&'static str, Arc<LoadedModule>>,
}

impl Kernels {
    /// Loads files of PTX, each of which must be accepted.
    pub fn load(directory: &Path, files: &[&'static str]) -> Outcome<Self> {
        let machine = Machine::new(Profile::a100(), Options::default());
        let mut modules = HashMap::new();
        for &file in files {
            let path = directory.join(file).with_extension("ptx");
            let ptx = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            modules.insert(file, machine.load(&ptx).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        Ok(Self { machine, modules })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.modules.values().map(|module| module.kernels().count()).sum()
    }

    fn put(&self, bytes: &[u8]) -> Outcome<u64> {
        let address = self.machine.memory().allocate(bytes.len().max(1) as u64).ok_or("out of memory")?;
        self.machine.memory().write(address, bytes).map_err(|error| format!("{error:?}"))?;
        Ok(address)
    }

    /// A contiguous tensor on both sides.
    pub fn operand<T: Number>(&self, values: &[T], shape: impl Into<Shape>) -> Outcome<Operand> {
        let tensor = Tensor::from_slice(values, shape, &Device::Cpu)?;
        Ok(Operand { tensor, storage: self.put(&bytes(values))? })
    }

    /// The shape and, of each operand, the strides; as candle passes them.
    pub fn layout(&self, operands: &[&Operand]) -> Outcome<u64> {
        let strides = operands.iter().flat_map(|operand| operand.tensor.stride());
        let words = operands[0].tensor.dims().iter().chain(strides);
        self.words(&words.map(|&word| word as u64).collect::<Vec<_>>())
    }

    /// Numbers for a kernel to read.
    pub fn words(&self, words: &[u64]) -> Outcome<u64> {
        self.put(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Room for results, with nothing in it.
    pub fn room<T: Number>(&self, count: usize) -> Outcome<u64> {
        Ok(self.machine.memory().allocate((count * size_of::<T>()) as u64).ok_or("out of memory")?)
    }

    /// What stands in memory.
    pub fn values<T: Number>(&self, address: u64, count: usize) -> Outcome<Vec<T>> {
        let mut bytes = vec![0; count * size_of::<T>()];
        self.machine.memory().read(address, &mut bytes).map_err(|error| format!("{error:?}"))?;
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            T::from_word(word)
        };
        Ok(bytes.chunks_exact(size_of::<T>()).map(word).collect())
    }

    /// Launches a kernel of a file.
    pub fn launch(&self, file: &str, kernel: &str, grid: u32, block: [u32; 3], arguments: &[Argument]) -> Outcome<()> {
        let module = &self.modules[file];
        let info = module.kernel(kernel).ok_or_else(|| format!("{file} has no kernel {kernel}"))?;
        if info.parameters.len() != arguments.len() {
            return Err(format!("{kernel} has {} parameters", info.parameters.len()).into());
        }
        let mut parameters = vec![0; info.parameter_bytes as usize];
        for (Argument(word), &(offset, size)) in arguments.iter().zip(&info.parameters) {
            parameters[offset as usize..][..size as usize].copy_from_slice(&word[..size as usize]);
        }
        let launch = Launch {
            kernel,
            grid: [grid, 1, 1],
            block,
            shared: 0,
            parameters: &parameters,
            cooperative: false,
            shared_optin: None,
        };
        self.machine.launch(module, &launch).map_err(|fault| fault.to_string())?;
        Ok(())
    }
}
