//! Numbers to step with: the same on every machine, from a seed that the environment may set.

use std::env;

use gradus::element::{Element, Real};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// The seed of what is drawn at random: `GRADUS_SEED`, else always the same one.
pub fn seed() -> u64 {
    match env::var("GRADUS_SEED") {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("GRADUS_SEED={seed}: {error}")),
        Err(_) => 0x67_7261_6475_7300,
    }
}

/// Whether `GRADUS_FULL=1` asks for every combination, however long it takes.
pub fn full() -> bool {
    env::var("GRADUS_FULL").is_ok_and(|value| value == "1")
}

/// A stream of numbers that follows from its seed alone.
pub struct Numbers(Pcg64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// A position in a list of `count` things.
    pub fn below(&mut self, count: usize) -> usize {
        (self.0.next_u64() % count as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A number from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / f64::from(u32::MAX)
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).max(f64::MIN_POSITIVE).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A number of either sign between 2^-12 and 8, or, one time in sixteen, a zero of either sign.
    pub fn number(&mut self) -> f64 {
        let bits = self.0.next_u64();
        let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
        if bits >> 1 & 15 == 0 {
            return sign * 0.0;
        }
        let exponent = 1023 - 12 + (bits >> 5 & 15) % 15;
        sign * f64::from_bits(exponent << 52 | bits >> 12)
    }

    pub fn numbers<T: Element>(&mut self, count: usize) -> Vec<T> {
        (0..count).map(|_| element(self.number())).collect()
    }
}

/// A number as a storage type holds it.
pub fn element<T: Element>(value: f64) -> T {
    T::store(T::Real::from_f64(value))
}
