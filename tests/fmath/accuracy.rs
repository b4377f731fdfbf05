//! The largest error of a function over many arguments.

use std::env;
use std::fmt::Debug;

use gradus::element::Real;
use gradus::fmath;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A function of one argument or two; others ignore the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Exp,
    Ln,
    Log2,
    Pow,
    Tanh,
    Sinpi,
    Cospi,
}

impl Function {
    pub const ALL: [Self; 7] = [Self::Exp, Self::Ln, Self::Log2, Self::Pow, Self::Tanh, Self::Sinpi, Self::Cospi];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Ln => "ln",
            Self::Log2 => "log2",
            Self::Pow => "pow",
            Self::Tanh => "tanh",
            Self::Sinpi => "sinpi",
            Self::Cospi => "cospi",
        }
    }

    #[inline(always)]
    pub fn of<T: Real>(self, x: T, y: T) -> T {
        match self {
            Self::Exp => fmath::exp(x),
            Self::Ln => fmath::ln(x),
            Self::Log2 => fmath::log2(x),
            Self::Pow => fmath::pow(x, y),
            Self::Tanh => fmath::tanh(x),
            Self::Sinpi => fmath::sincospi(x).sin,
            Self::Cospi => fmath::sincospi(x).cos,
        }
    }
}

/// Whether everything is run that CI has no time for.
pub fn full() -> bool {
    env::var_os("GRADUS_FULL").is_some()
}

/// Arguments at a time.
pub const BLOCK: usize = 1024;

/// An error in units of the last place, and where it is.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the place is for messages")]
pub struct Worst<T> {
    pub ulp: f64,
    pub x: T,
    pub y: T,
}

/// Values of a function beside references.
pub trait Errors: Copy + Send + Sync {
    type Real: Real;

    /// The arguments of a position.
    fn arguments(self, position: u64) -> (Self::Real, Self::Real);

    /// The error at an argument: infinite where the result is of another kind than it must be.
    fn error(self, x: Self::Real, y: Self::Real) -> f64;
}

/// The worst among the positions of a block.
struct Block<E: Errors> {
    errors: E,
    positions: [u64; BLOCK],
}

impl<E: Errors> WithSimd for Block<E> {
    type Output = Worst<E::Real>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Worst<E::Real> {
        let mut errors = [0.0; BLOCK];
        for (error, &position) in errors.iter_mut().zip(&self.positions) {
            let (x, y) = self.errors.arguments(position);
            *error = self.errors.error(x, y);
        }
        let worst = (0..BLOCK).fold(0, |worst, i| if errors[i] > errors[worst] { i } else { worst });
        let (x, y) = self.errors.arguments(self.positions[worst]);
        Worst { ulp: errors[worst], x, y }
    }
}

/// The worst of `count` positions, a multiple of the block, `stride` apart.
pub fn worst<E: Errors>(errors: E, count: u64, stride: u64) -> Worst<E::Real> {
    let arch = Arch::new();
    let blocks = count / BLOCK as u64;
    let block = |block: u64| {
        let positions = std::array::from_fn(|i| (block * BLOCK as u64 + i as u64).wrapping_mul(stride));
        arch.dispatch(Block { errors, positions })
    };
    (0..blocks).into_par_iter().map(block).reduce_with(|a, b| if b.ulp > a.ulp { b } else { a }).expect("a block")
}

/// Bits that look random.
#[inline(always)]
pub fn hash(position: u64) -> u64 {
    let mut z = position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
