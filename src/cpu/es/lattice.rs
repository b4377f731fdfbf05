//! Integer weights plus sums of quantised noises, and votes of these. Twin: `kernels/es/lattice.cuh`.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::{CHUNK, Slot};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::error::Result;
use crate::es::{Kind, Lattice, LatticeBackend, LatticeTerm, Outcome, check_memory};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Distribution, Draws, Normals, Rows, Signs, Uniforms, key};

/// Tensors in ordinary memory.
pub(crate) struct CpuLattice {
    cpu: Cpu,
    distribution: Distribution,
    slots: Vec<Slot>,
}

impl CpuLattice {
    pub(crate) fn new(cpu: Cpu, distribution: Distribution, slots: Vec<Slot>) -> Self {
        Self { cpu, distribution, slots }
    }
}

impl<I: Lattice> LatticeBackend<I> for CpuLattice {
    fn step(
        &mut self,
        terms: &[LatticeTerm],
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()> {
        let from: Vec<Option<&[I]>> = match from {
            Some(from) => from.iter().map(|from| Some(host(from))).collect(),
            None => vec![None; to.len()],
        };
        let written: Vec<&mut [I]> = to.iter_mut().map(host_mut).collect();
        let addresses = from.iter().zip(&written).map(|(from, to)| {
            let to = to.as_ptr().addr() as u64;
            [from.map_or(to, |from| from.as_ptr().addr() as u64), to]
        });
        let kind = if from.iter().any(Option::is_some) { Kind::Parameters } else { Kind::Itself };
        check_memory::<I, I>(&self.slots, &addresses.collect::<Vec<_>>(), kind, 1)?;

        let (cpu, distribution) = (self.cpu, self.distribution);
        let elements: u64 = self.slots.iter().map(|slot| slot.length).sum();
        // Few elements are done before other threads have heard of them.
        let is_small = elements.saturating_mul(terms.len().max(1) as u64) <= CHUNK;
        let one = |((slot, to), from): ((&Slot, &mut [I]), Option<&[I]>)| {
            // What is refused here was refused before.
            let noises = terms.iter().map(|term| Noise::new(term, slot.id)).collect::<Result<Vec<_>>>()?;
            let part = |(chunk, to): (usize, &mut [I])| {
                let start = chunk * CHUNK as usize;
                if let Some(from) = from {
                    to.copy_from_slice(&from[start..start + to.len()]);
                }
                let element = slot.first + start as u64;
                Sum { noises: &noises, outcome, element, weights: to }.run(cpu, distribution);
            };
            if is_small {
                to.chunks_mut(CHUNK as usize).enumerate().for_each(part);
            } else {
                to.par_chunks_mut(CHUNK as usize).enumerate().for_each(part);
            }
            Ok(())
        };
        if is_small {
            self.slots.iter().zip(written).zip(from).try_for_each(one)
        } else {
            self.slots.par_iter().zip(written).zip(from).try_for_each(one)
        }
    }
}

/// A term's noise in a tensor.
struct Noise {
    key: [u32; 2],
    address: Address,
    scale: f32,
    multiplier: i32,
}

impl Noise {
    fn new(&LatticeTerm { multiplier, term }: &LatticeTerm, id: u64) -> Result<Self> {
        Ok(Self { key: key(term.seed), address: term.address(id)?, scale: term.coefficient as f32, multiplier })
    }
}

/// A part of a tensor, its elements counted from `element` of the whole tensor on.
struct Sum<'a, I> {
    noises: &'a [Noise],
    outcome: Outcome,
    element: u64,
    weights: &'a mut [I],
}

impl<I: Lattice> Sum<'_, I> {
    fn run(self, cpu: Cpu, distribution: Distribution) {
        match distribution {
            Distribution::Normal => cpu.run(Loop::<Normals, I>(self, PhantomData)),
            Distribution::Rademacher => cpu.run(Loop::<Signs, I>(self, PhantomData)),
            Distribution::Uniform => cpu.run(Loop::<Uniforms, I>(self, PhantomData)),
            Distribution::Hadamard => cpu.run(Loop::<Rows, I>(self, PhantomData)),
        }
    }
}

/// The loop over a part, compiled for each instruction set and distribution.
struct Loop<'a, D, I>(Sum<'a, I>, PhantomData<D>);

impl<D: Draws, I: Lattice> WithSimd for Loop<'_, D, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Sum { noises, outcome, mut element, mut weights } = self.0;
        while !weights.is_empty() {
            // Up to the next multiple of a batch: from there on, batches begin with a counter.
            let count = (BATCH - (element % BATCH as u64) as usize).min(weights.len());
            let part = weights.split_off_mut(..count).unwrap_or_default();
            block::<D, I>(noises, outcome, element, part);
            element += count as u64;
        }
    }
}

/// Elements of one batch at most.
#[inline(always)]
fn block<D: Draws, I: Lattice>(noises: &[Noise], outcome: Outcome, element: u64, weights: &mut [I]) {
    let mut z = [0_i32; BATCH];
    for noise in noises {
        let numbers = D::numbers(noise.key, &noise.address, element);
        for i in 0..BATCH {
            let nearest = (noise.scale * numbers[i]).round_ties_even() as i32;
            z[i] = z[i].wrapping_add(noise.multiplier.wrapping_mul(nearest.clamp(-I::MOST, I::MOST)));
        }
    }
    weights.iter_mut().zip(z).for_each(|(weight, z)| *weight = outcome.of(*weight, z));
}
