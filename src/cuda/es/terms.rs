//! The terms of a sum, as kernels take them.

use cudarc::driver::DeviceRepr;

use crate::cuda::address::own;
use crate::cuda::transfer::{Table, not_capturing};
use crate::device::Cuda;
use crate::error::Result;

/// Terms that travel with a launch.
pub(super) const FEW: usize = 8;
/// The most words of a term: the seed, two words of the counter, and two numbers, which share a word if both have 32 bits.
pub(super) const TERM: usize = 4;

/// Terms as a parameter of a kernel, which takes [`FEW`] of its arithmetic type: the others are behind what it reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Few([u64; FEW * TERM]);

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Few {}

/// The terms of the last call that had many, on the device.
#[derive(Default)]
pub(super) struct Terms(Option<Table>);

impl Terms {
    /// The words of so many terms as those that travel with the launch, or else as the address where they lie.
    pub(super) fn bind(&mut self, cuda: &Cuda, words: Vec<u64>, count: usize) -> Result<(Few, u64)> {
        if count <= FEW {
            return Ok((Few(std::array::from_fn(|k| words.get(k).copied().unwrap_or(0))), 0));
        }
        let table = match &mut self.0 {
            Some(table) if table.memory.len() >= words.len() => table,
            many => {
                not_capturing(cuda, "there are more terms than before")?;
                many.insert(Table::new(cuda, words.len().next_power_of_two())?)
            }
        };
        table.hold(cuda, words, "the terms have changed")?;
        Ok((Few([0; FEW * TERM]), own(cuda, &table.memory)))
    }
}
