//! The terms of a sum, as kernels take them.

use cudarc::driver::DeviceRepr;

use crate::cuda::address::own;
use crate::cuda::transfer::{Table, not_capturing};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::es::{Distribution, Term};

/// Terms that travel with a launch.
pub(in crate::cuda) const FEW: usize = 8;
/// The most words of a term: the seed, two words of the counter, and two numbers, which share a word if both have 32 bits.
pub(super) const TERM: usize = 4;

/// Terms as a parameter of a kernel, which takes [`FEW`] of its arithmetic type: the others are behind what it reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::cuda) struct Few([u64; FEW * TERM]);

impl Few {
    /// Where the terms are in memory.
    pub(super) const NONE: Self = Self([0; FEW * TERM]);
}

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Few {}

/// The terms of the last call that had many, on the device.
#[derive(Default)]
pub(in crate::cuda) struct Terms(Option<Table>);

impl Terms {
    /// The words of so many terms as those that travel with the launch, or else as the address where they lie.
    pub(in crate::cuda) fn bind(&mut self, cuda: &Cuda, words: Vec<u64>, count: usize) -> Result<(Few, u64)> {
        if count <= FEW {
            return Ok((Few(std::array::from_fn(|k| words.get(k).copied().unwrap_or(0))), 0));
        }
        Ok((Few::NONE, self.hold(cuda, words)?))
    }

    /// Where the words of terms lie on the device, and behind them the number of the first term of each member of a population,
    /// and that of all terms.
    pub(super) fn bind_members(&mut self, cuda: &Cuda, mut words: Vec<u64>, firsts: &[u32]) -> Result<[u64; 2]> {
        let bytes = 8 * words.len() as u64;
        words.extend(firsts.chunks(2).map(|two| u64::from(two[0]) | u64::from(two.get(1).copied().unwrap_or(0)) << 32));
        let terms = self.hold(cuda, words)?;
        Ok([terms, terms + bytes])
    }

    fn hold(&mut self, cuda: &Cuda, words: Vec<u64>) -> Result<u64> {
        let table = match &mut self.0 {
            Some(table) if table.memory.len() >= words.len() => table,
            many => {
                not_capturing(cuda, "there are more terms than before")?;
                many.insert(Table::new(cuda, words.len().next_power_of_two())?)
            }
        };
        table.hold(cuda, words, "the terms have changed")?;
        Ok(own(cuda, &table.memory))
    }
}

/// The words of terms: those of the noise, and the bits of the coefficient and of the square's, which share a word if both have 32.
pub(in crate::cuda) fn term_words<T: Real>(
    terms: &[Term],
    factors: &[f64],
    distribution: Distribution,
) -> Result<Vec<u64>> {
    let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
    for (position, term) in terms.iter().enumerate() {
        words.extend(noise_words(term, distribution)?);
        let numbers = [term.coefficient, factors.get(position).copied().unwrap_or(0.0)];
        match T::DTYPE {
            Dtype::F64 => words.extend(numbers.map(f64::to_bits)),
            _ => {
                let [low, high] = numbers.map(|number| u64::from((number as f32).to_bits()));
                words.push(low | high << 32);
            }
        }
    }
    Ok(words)
}

/// The seed of a term's noise, and words 1 and 3 of its counter of element 0, with the mark of the distribution.
pub(super) fn noise_words(term: &Term, distribution: Distribution) -> Result<[u64; 2]> {
    let [field, _, step] = term.address(0)?.fields();
    Ok([term.seed, u64::from(field | distribution.mark()) | u64::from(step) << 32])
}
