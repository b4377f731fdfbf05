//! Members of search distributions. Twin: `sample` in `kernels/es/search.cuh`.

use pulp::{Simd, WithSimd};

use crate::backend::{CHUNK, Slot};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::{SampleBackend, Term, check_sampled};
use crate::fmath::{fma, select};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Draws, Normals, key};

/// Tensors in ordinary memory.
pub(crate) struct CpuSample {
    cpu: Cpu,
    slots: Vec<Slot>,
}

impl CpuSample {
    pub(crate) fn new(cpu: Cpu, slots: Vec<Slot>) -> Self {
        Self { cpu, slots }
    }
}

impl<Q: Element> SampleBackend<Q> for CpuSample {
    fn sample(
        &mut self,
        term: &Term,
        means: &[View<'_, Q::Real>],
        deviations: &[View<'_, Q::Real>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let of = |views: &[View<'_, Q::Real>]| {
            views.iter().map(|view| host(view).as_ptr().addr() as u64).collect::<Vec<_>>()
        };
        let (mean_addresses, deviation_addresses) = (of(means), of(deviations));
        let to: Vec<&mut [Q]> = to.iter_mut().map(host_mut).collect();
        let bound: Vec<[u64; 3]> = to
            .iter()
            .zip(mean_addresses.iter().zip(&deviation_addresses))
            .map(|(to, (mean, deviation))| [*mean, *deviation, to.as_ptr().addr() as u64])
            .collect();
        check_sampled::<Q>(&self.slots, &bound)?;
        let tensors = self.slots.iter().zip(means.iter().zip(deviations)).zip(to);
        for ((slot, (mean, deviation)), to) in tensors {
            let all = Loop::<Q> {
                key: key(term.seed),
                address: term.address(slot.id)?,
                coefficient: Q::Real::from_f64(term.coefficient),
                element: slot.first,
                mean: host(mean),
                deviation: host(deviation),
                to,
            };
            all.run_parts(self.cpu);
        }
        Ok(())
    }
}

/// The loop over a part of a tensor, its elements counted from `element` of the whole tensor on.
struct Loop<'a, Q: Element> {
    key: [u32; 2],
    address: Address,
    coefficient: Q::Real,
    element: u64,
    mean: &'a [Q::Real],
    deviation: &'a [Q::Real],
    to: &'a mut [Q],
}

impl<Q: Element> Loop<'_, Q> {
    /// Splits the first `count` elements off.
    #[inline(always)]
    fn split_off(&mut self, count: usize) -> Self {
        let element = self.element;
        self.element += count as u64;
        Self {
            element,
            mean: self.mean.split_off(..count).unwrap_or_default(),
            deviation: self.deviation.split_off(..count).unwrap_or_default(),
            to: self.to.split_off_mut(..count).unwrap_or_default(),
            ..*self
        }
    }

    /// Chunk by chunk, in parallel; a chunk is done before other threads have heard of it.
    fn run_parts(mut self, cpu: Cpu) {
        let chunks = self.to.len().div_ceil(CHUNK as usize);
        if chunks <= 1 {
            return cpu.run(self);
        }
        let first = self.split_off(chunks / 2 * CHUNK as usize);
        rayon::join(|| first.run_parts(cpu), || self.run_parts(cpu));
    }
}

impl<Q: Element> WithSimd for Loop<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let zero = Q::Real::from_f64(0.0);
        while !self.to.is_empty() {
            // Up to the next multiple of a batch: from there on, batches begin with a counter.
            let count = (BATCH - (self.element % BATCH as u64) as usize).min(self.to.len());
            let Self { key, address, coefficient, element, mean, deviation, to } = self.split_off(count);
            let numbers = Normals::numbers(key, &address, element).map(|x| Q::Real::from_f64(f64::from(x)));
            for (((to, m), s), number) in to.iter_mut().zip(mean).zip(deviation).zip(numbers) {
                *to = Q::store(select(coefficient == zero, *m, fma(*s, coefficient * number, *m)));
            }
        }
    }
}
