//! Where memory lies and where arithmetic runs: [`Device`].

use std::fmt;

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

pub use cpu::{Cpu, SimdLevel};
#[cfg(feature = "cuda")]
pub use cuda::Cuda;

use crate::error::Result;

/// The CPU, or a stream of a CUDA device.
///
/// Both give the same bits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Device {
    /// Ordinary memory; the threads of the current rayon pool.
    Cpu(Cpu),
    /// Memory of a CUDA device; a stream of it.
    #[cfg(feature = "cuda")]
    Cuda(Cuda),
}

impl Device {
    /// The CPU with the widest instruction set it has.
    pub fn cpu() -> Self {
        Self::Cpu(Cpu::default())
    }

    /// The default stream of a CUDA device; [`Cuda::from_stream`] takes another one.
    ///
    /// Errors: [`NoCuda`](crate::ErrorKind::NoCuda), which says whether the driver is missing, is a toolkit's stub, is
    /// too old or has no such device, or whether gradus was built without its feature `cuda`.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        #[cfg(feature = "cuda")]
        return Ok(Self::Cuda(Cuda::new(ordinal)?));
        #[cfg(not(feature = "cuda"))]
        Err(crate::ErrorKind::NoCuda { ordinal, reason: "gradus was built without its feature 'cuda'".to_owned() }
            .into())
    }

    /// CUDA device 0 where a driver and a device answer, else the CPU. Never panics.
    pub fn best() -> Self {
        Self::cuda(0).unwrap_or_else(|_| Self::cpu())
    }

    /// Whether memory of the one can be used with the other: the same CUDA device, or both the CPU.
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    /// The place of the memory: what errors call it.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Cpu(_) => Place::Cpu,
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => Place::Cuda(cuda.ordinal()),
        }
    }
}

/// `cpu (AVX-512)`, `cuda:0 (NVIDIA H100 80GB HBM3)`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cpu) => write!(f, "cpu ({})", cpu.level()),
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => write!(f, "cuda:{} ({})", cuda.ordinal(), cuda.name()),
        }
    }
}

/// Where memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Cpu,
    #[cfg(feature = "cuda")]
    Cuda(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}
