//! Members of search distributions. Twin: `sample` in `kernels/es/search.cuh`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

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
            let address = term.address(slot.id)?;
            let parts = to.par_chunks_mut(CHUNK as usize).enumerate();
            let parts =
                parts.zip(host(mean).par_chunks(CHUNK as usize)).zip(host(deviation).par_chunks(CHUNK as usize));
            parts.for_each(|(((chunk, to), mean), deviation)| {
                self.cpu.run(Loop::<Q> {
                    key: key(term.seed),
                    address,
                    coefficient: Q::Real::from_f64(term.coefficient),
                    element: slot.first + chunk as u64 * CHUNK,
                    mean,
                    deviation,
                    to,
                });
            });
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

impl<Q: Element> WithSimd for Loop<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { key, address, coefficient, mut element, mut mean, mut deviation, mut to } = self;
        let zero = Q::Real::from_f64(0.0);
        while !to.is_empty() {
            // Up to the next multiple of a batch: from there on, batches begin with a counter.
            let count = (BATCH - (element % BATCH as u64) as usize).min(to.len());
            let numbers = Normals::numbers(key, &address, element).map(|x| Q::Real::from_f64(f64::from(x)));
            let elements = to.split_off_mut(..count).unwrap_or_default().iter_mut();
            let means = mean.split_off(..count).unwrap_or_default();
            let deviations = deviation.split_off(..count).unwrap_or_default();
            for (((to, m), s), number) in elements.zip(means).zip(deviations).zip(numbers) {
                *to = Q::store(select(coefficient == zero, *m, fma(*s, coefficient * number, *m)));
            }
            element += count as u64;
        }
    }
}
