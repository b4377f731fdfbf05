//! The CPU as a device: which instruction set the loops run with.

use std::fmt;

use pulp::{Simd, WithSimd};

use crate::error::{ErrorKind, Result};

/// An instruction set that the CPU loops can run with. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SimdLevel {
    /// What every processor of the target has. Without a fused multiply-add in hardware this is slow.
    Baseline,
    /// NEON, with fused multiply-add.
    Neon,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL.
    Avx512,
}

impl SimdLevel {
    /// The levels this processor has, from the narrowest to the widest.
    pub fn available() -> Vec<Self> {
        [Self::Baseline, Self::Neon, Self::Avx2, Self::Avx512]
            .into_iter()
            .filter(|&level| Vectors::of(level).is_some())
            .collect()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Neon => "NEON",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Proof that the processor has an instruction set.
#[derive(Clone, Copy, Debug)]
enum Vectors {
    Baseline(pulp::Scalar),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx2(pulp::x86::V3),
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx512(pulp::x86::V4),
}

impl Vectors {
    fn of(level: SimdLevel) -> Option<Self> {
        match level {
            SimdLevel::Baseline => Some(Self::Baseline(pulp::Scalar)),
            #[cfg(target_arch = "aarch64")]
            SimdLevel::Neon => pulp::aarch64::Neon::try_new().map(Self::Neon),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            SimdLevel::Avx2 => pulp::x86::V3::try_new().map(Self::Avx2),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            SimdLevel::Avx512 => pulp::x86::V4::try_new().map(Self::Avx512),
            _ => None,
        }
    }
}

/// The CPU, with the instruction set its loops run with.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    level: SimdLevel,
    vectors: Vectors,
}

impl Cpu {
    /// The CPU with a certain instruction set.
    ///
    /// Errors: [`NoInstructionSet`](crate::ErrorKind::NoInstructionSet) where the processor lacks it.
    pub fn with_simd(level: SimdLevel) -> Result<Self> {
        let vectors = Vectors::of(level).ok_or_else(|| ErrorKind::NoInstructionSet {
            level: level.name(),
            available: SimdLevel::available().into_iter().map(SimdLevel::name).collect(),
        })?;
        Ok(Self { level, vectors })
    }

    /// The instruction set the loops run with.
    pub fn level(&self) -> SimdLevel {
        self.level
    }

    /// Runs a loop compiled for the instruction set.
    #[inline]
    pub(crate) fn run<Loop: WithSimd>(self, body: Loop) -> Loop::Output {
        match self.vectors {
            Vectors::Baseline(simd) => Simd::vectorize(simd, body),
            #[cfg(target_arch = "aarch64")]
            Vectors::Neon(simd) => Simd::vectorize(simd, body),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Vectors::Avx2(simd) => Simd::vectorize(simd, body),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Vectors::Avx512(simd) => Simd::vectorize(simd, body),
        }
    }
}

/// The widest instruction set of the processor.
impl Default for Cpu {
    fn default() -> Self {
        let widest = SimdLevel::available().into_iter().next_back().unwrap_or(SimdLevel::Baseline);
        Self::with_simd(widest).unwrap_or(Self { level: SimdLevel::Baseline, vectors: Vectors::Baseline(pulp::Scalar) })
    }
}

impl PartialEq for Cpu {
    fn eq(&self, other: &Self) -> bool {
        self.level == other.level
    }
}
