//! The update by a gradient that is drawn, part by part. Twin: `kernels/optim/drawn.cuh`.

use super::one_pass::OnePass;
use super::step::{CHUNKS_OF_A_TASK, Update};
use crate::backend::CHUNK;
use crate::cpu::es::DrawnSum;
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::rng::BATCH;

/// Elements that are drawn before they are updated: a few KiB, which stay in the first cache.
const PART: usize = 1024;

/// Chunks of one tensor, and the sum whose elements from one on are their gradient.
pub(super) struct Drawn<'a, P: Element> {
    pub(super) pass: OnePass<'a, P, P::Real>,
    pub(super) sum: &'a DrawnSum<P::Real>,
    pub(super) element: u64,
}

impl<P: Element> Drawn<'_, P> {
    /// Updates the chunks, in parallel where there are many.
    pub(super) fn run(mut self, cpu: Cpu, update: Update<P, P::Real>) {
        let chunks = self.pass.parameter.len().div_ceil(CHUNK as usize);
        if chunks > CHUNKS_OF_A_TASK {
            let first = self.split_off(chunks / 2 * CHUNK as usize);
            rayon::join(|| first.run(cpu, update), || self.run(cpu, update));
            return;
        }
        while !self.pass.parameter.is_empty() {
            // From the second part on, batches of numbers begin with a counter.
            let count = (PART - (self.element % BATCH as u64) as usize).min(self.pass.parameter.len());
            let Self { pass, sum, element } = self.split_off(count);
            let mut gradient = [P::Real::from_f64(0.0); PART];
            sum.write(cpu, element, &mut gradient[..count]);
            update(cpu, OnePass { gradient: &gradient[..count], ..pass });
        }
    }

    /// Splits the first `count` elements off.
    fn split_off(&mut self, count: usize) -> Self {
        let element = self.element;
        self.element += count as u64;
        Self { pass: self.pass.split_off(count), sum: self.sum, element }
    }
}
