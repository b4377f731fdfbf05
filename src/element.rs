//! Storage types ([`Element`]) and the types arithmetic is done in ([`Real`]): they part at the load and meet at the store. What memory
//! of a device may hold besides is integers ([`Scalar`]).

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

use bytemuck::Pod;
use half::{bf16, f16};

use crate::fmath::Elementary;

/// The name of a storage type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Dtype {
    F64,
    F32,
    Bf16,
    F16,
}

impl Dtype {
    /// The name that kernels and state files use: `f64`, `f32`, `bf16`, `f16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    use cfg_traits::DeviceElement;

    /// Closes [`Scalar`](super::Scalar) to other crates and carries what a backend needs of an element.
    pub trait Sealed: DeviceElement {}

    /// What the linear algebra of the CPU needs of an arithmetic type.
    pub trait Dense: faer::traits::RealField {}

    #[cfg(feature = "cuda")]
    mod cfg_traits {
        use cudarc::driver::{DeviceRepr, ValidAsZeroBits};

        pub trait DeviceElement: DeviceRepr + ValidAsZeroBits {}
        impl<T: DeviceRepr + ValidAsZeroBits> DeviceElement for T {}
    }

    #[cfg(not(feature = "cuda"))]
    mod cfg_traits {
        pub trait DeviceElement {}
        impl<T> DeviceElement for T {}
    }
}

/// A type that memory of a device may hold: an [`Element`], or i8, i16 or i32, weights of a [lattice](crate::es::Lattice).
pub trait Scalar: Pod + PartialEq + fmt::Debug + Send + Sync + sealed::Sealed {
    /// The type's name, as in Rust.
    const NAME: &'static str;
}

macro_rules! integers {
    ($($type:ident),*) => {
        $(
            impl sealed::Sealed for $type {}

            impl Scalar for $type {
                const NAME: &'static str = stringify!($type);
            }
        )*
    };
}

integers!(i8, i16, i32);

/// A type that parameters, gradients and states are stored in: f32, bf16, f16 or f64.
pub trait Element: Scalar {
    /// The type arithmetic is done in: f64 for f64, f32 for all others.
    type Real: Real;

    /// The type's name.
    const DTYPE: Dtype;

    /// The value, exactly.
    fn load(self) -> Self::Real;

    /// The nearest value of the storage type, ties to even; beyond its range an infinity.
    fn store(value: Self::Real) -> Self;
}

/// A type that arithmetic is done in: f32 or f64.
///
/// Every operation is rounded once, to nearest, ties to even.
pub trait Real:
    Element<Real = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + PartialOrd
    + Elementary
    + sealed::Dense
{
    /// The unsigned integer of the same size.
    type Word: Copy;

    /// The distance from 1 to the next greater value.
    const EPSILON: f64;

    /// `self · factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;

    /// The square root; NaN below zero.
    fn sqrt(self) -> Self;

    /// The value rounded to this type.
    fn from_f64(value: f64) -> Self;

    /// The value, exactly.
    fn to_f64(self) -> f64;

    /// The value without its sign.
    fn abs(self) -> Self;

    /// The greater of the two; the number where one is a NaN, and +0 above -0.
    fn maximum_number(self, other: Self) -> Self;

    /// The bits of the value.
    fn to_word(self) -> Self::Word;

    /// The value with these bits.
    fn from_word(word: Self::Word) -> Self;

    /// The bits as an integer, for comparisons in which a NaN equals any NaN and -0 differs from 0.
    fn bits(self) -> u64;
}

macro_rules! real {
    ($type:ident, $word:ident, $dtype:ident) => {
        impl sealed::Sealed for $type {}
        impl sealed::Dense for $type {}

        impl Scalar for $type {
            const NAME: &'static str = Dtype::$dtype.name();
        }

        impl Element for $type {
            type Real = $type;
            const DTYPE: Dtype = Dtype::$dtype;

            #[inline(always)]
            fn load(self) -> $type {
                self
            }

            #[inline(always)]
            fn store(value: $type) -> Self {
                value
            }
        }

        impl Real for $type {
            type Word = $word;
            const EPSILON: f64 = $type::EPSILON as f64;

            #[inline(always)]
            fn fma(self, factor: Self, addend: Self) -> Self {
                self.mul_add(factor, addend)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn maximum_number(self, other: Self) -> Self {
                let greater = if self > other { self } else { other };
                // Of two zeros, -0 is the one whose sign bit is set.
                let zero = Self::from_bits(self.to_bits() & other.to_bits());
                let equal = if self == other { zero } else { greater };
                if other.is_nan() { self } else { equal }
            }

            #[inline(always)]
            fn to_word(self) -> $word {
                self.to_bits()
            }

            #[inline(always)]
            fn from_word(word: $word) -> Self {
                Self::from_bits(word)
            }

            fn bits(self) -> u64 {
                if self.is_nan() { u64::MAX } else { self.to_bits() as u64 }
            }
        }
    };
}

real!(f32, u32, F32);
real!(f64, u64, F64);

// The conversions below do what `half` does, written without branches and without a run-time look at the processor for
// each element, so that the loops that call them vectorise.

impl sealed::Sealed for bf16 {}

impl Scalar for bf16 {
    const NAME: &'static str = Dtype::Bf16.name();
}

impl Element for bf16 {
    type Real = f32;
    const DTYPE: Dtype = Dtype::Bf16;

    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn store(value: f32) -> Self {
        let bits = value.to_bits();
        // Half of the last kept place, less one, plus the last kept bit: a tie carries only into an odd value.
        let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
        let nan = ((bits >> 16) as u16) | 0x0040;
        Self::from_bits(if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded })
    }
}

impl sealed::Sealed for f16 {}

impl Scalar for f16 {
    const NAME: &'static str = Dtype::F16.name();
}

impl Element for f16 {
    type Real = f32;
    const DTYPE: Dtype = Dtype::F16;

    #[inline(always)]
    fn load(self) -> f32 {
        let bits = u32::from(self.to_bits());
        let magnitude = (bits & 0x7fff) << 13;
        // The exponent's bias from 15 to 127, and, of infinities and NaNs, to its greatest value.
        let rebias = if magnitude >= 0x0f80_0000 { (255 - 31) << 23 } else { (127 - 15) << 23 };
        let normal = magnitude.wrapping_add(rebias);
        // A subnormal is what its bits add to the smallest normal: no operand is subnormal, which processors are slow at.
        let smallest = (127 - 14) << 23;
        let subnormal = (f32::from_bits(magnitude | smallest) - f32::from_bits(smallest)).to_bits();
        let value = if magnitude < 0x0080_0000 { subnormal } else { normal };
        f32::from_bits(value | ((bits & 0x8000) << 16))
    }

    #[inline(always)]
    fn store(value: f32) -> Self {
        let bits = value.to_bits();
        let magnitude = bits & 0x7fff_ffff;
        // Below 2^-14 adding 1/2 leaves the multiples of 2^-24, f16's smallest subnormal, in the low bits, rounded to even.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
        let normal = magnitude.wrapping_add(0x0fff + ((magnitude >> 13) & 1)).wrapping_sub((127 - 15) << 23) >> 13;
        let rounded = if magnitude < 0x3880_0000 { subnormal } else { normal };
        // The bits of an infinity are the greatest a number has: what is beyond becomes one.
        let value = if magnitude > 0x7f80_0000 { 0x7e00 } else { rounded.min(0x7c00) };
        Self::from_bits((value | ((bits >> 16) & 0x8000)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn every_half_loads_as_the_half_crate_loads_it() {
        for bits in 0..=u16::MAX {
            assert_eq!(bf16::from_bits(bits).load().bits(), bf16::from_bits(bits).to_f32().bits(), "bf16 {bits:#06x}");
            assert_eq!(f16::from_bits(bits).load().bits(), f16::from_bits(bits).to_f32().bits(), "f16 {bits:#06x}");
        }
    }

    #[test]
    fn every_f32_stores_as_the_half_crate_stores_it() {
        (0..=u16::MAX).into_par_iter().for_each(|high| {
            for low in 0..=u16::MAX {
                let value = f32::from_bits(u32::from(high) << 16 | u32::from(low));
                let (ours, theirs) = (bf16::store(value), bf16::from_f32_const(value));
                assert!(
                    ours == theirs || ours.is_nan() && theirs.is_nan(),
                    "bf16 of {value:e}: {ours:?}, not {theirs:?}"
                );
                let (ours, theirs) = (f16::store(value), f16::from_f32_const(value));
                assert!(
                    ours == theirs || ours.is_nan() && theirs.is_nan(),
                    "f16 of {value:e}: {ours:?}, not {theirs:?}"
                );
            }
        });
    }
}
