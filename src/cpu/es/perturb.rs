//! Parameters plus a sum of noises. Twin: `kernels/es/perturb.cu`.

use bytemuck::cast;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::{CHUNK, Slot, Span, check_spans};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Dtype, Element, Real};
use crate::error::Result;
use crate::es::{PerturbBackend, Rounding, Term};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Distribution, Draws, Normals, Purpose, Signs, Uniforms, key, philox4x32};

/// Tensors in ordinary memory.
pub(crate) struct CpuPerturb {
    cpu: Cpu,
    distribution: Distribution,
    slots: Vec<Slot>,
}

impl CpuPerturb {
    pub(crate) fn new(cpu: Cpu, distribution: Distribution, slots: Vec<Slot>) -> Self {
        Self { cpu, distribution, slots }
    }
}

impl<P: Element<Real = Q::Real>, Q: Element> PerturbBackend<P, Q> for CpuPerturb {
    fn perturb(
        &mut self,
        terms: &[Term],
        rounding: Rounding,
        from: Option<&[View<'_, P>]>,
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let mut spans = Vec::with_capacity(2 * to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let name = if from.is_some() { "target" } else { "parameter" };
            let to = host_mut(to);
            spans.push(Span::written::<Q>(name, position, to.as_ptr().addr() as u64, to.len() as u64));
        }
        for (position, from) in from.iter().flat_map(|from| from.iter()).map(host).enumerate() {
            spans.push(Span::read::<P>("parameter", position, from.as_ptr().addr() as u64, from.len() as u64));
        }
        check_spans(spans)?;

        let (cpu, distribution) = (self.cpu, self.distribution);
        let elements: u64 = self.slots.iter().map(|slot| slot.length).sum();
        let is_small = elements.saturating_mul(terms.len().max(1) as u64) <= CHUNK;
        let one = |(position, (slot, to)): (usize, (&Slot, &mut ViewMut<'_, Q>))| {
            // What is refused here was refused before.
            let noises = terms.iter().map(|term| Noise::new(term, slot.id)).collect::<Result<Vec<_>>>()?;
            let dice = Dice::new(rounding, slot.id)?;
            let from = from.map(|from| host(&from[position]));
            let one = |(chunk, to): (usize, &mut [Q])| {
                let start = chunk * CHUNK as usize;
                let from = from.map(|from| &from[start..start + to.len()]);
                let sum = Sum { noises: &noises, dice, element: slot.first + start as u64, from, to };
                match distribution {
                    Distribution::Normal => cpu.run(Loop::<Normals, P, Q>(sum, Normals)),
                    Distribution::Rademacher => cpu.run(Loop::<Signs, P, Q>(sum, Signs)),
                    Distribution::Uniform => cpu.run(Loop::<Uniforms, P, Q>(sum, Uniforms)),
                }
            };
            match host_mut(to) {
                to if is_small => to.chunks_mut(CHUNK as usize).enumerate().for_each(one),
                to => to.par_chunks_mut(CHUNK as usize).enumerate().for_each(one),
            }
            Ok(())
        };
        // Few elements are done before other threads have heard of them.
        if is_small {
            self.slots.iter().zip(to).enumerate().try_for_each(one)
        } else {
            self.slots.par_iter().zip(to.par_iter_mut()).enumerate().try_for_each(one)
        }
    }
}

/// A term's noise in a tensor.
struct Noise<T> {
    key: [u32; 2],
    address: Address,
    coefficient: T,
}

impl<T: Real> Noise<T> {
    fn new(term: &Term, id: u64) -> Result<Self> {
        let coefficient = T::from_f64(term.coefficient);
        Ok(Self { key: key(term.seed), address: term.address(id)?, coefficient })
    }
}

/// The random bits by which a tensor's elements are rounded, if they are.
#[derive(Clone, Copy)]
struct Dice(Option<([u32; 2], Address)>);

impl Dice {
    fn new(rounding: Rounding, id: u64) -> Result<Self> {
        Ok(Self(match rounding {
            Rounding::Nearest => None,
            Rounding::Stochastic { seed, step } => {
                Some((key(seed), Address::new(Purpose::PARAMETER_ROUNDING, step, id, 0)?))
            }
        }))
    }

    /// The 16 bits of an element: half a word, eight elements a counter.
    #[inline(always)]
    fn of(key: [u32; 2], address: &Address, element: u64) -> u32 {
        let words = philox4x32(address.counter_of_block(element / 8), key);
        words[(element / 2 % 4) as usize] >> (16 * (element % 2)) & 0xffff
    }
}

/// A chunk, its elements counted from `element` of the whole tensor on.
struct Sum<'a, P: Element, Q: Element> {
    noises: &'a [Noise<Q::Real>],
    dice: Dice,
    element: u64,
    /// `to` itself where there is none.
    from: Option<&'a [P]>,
    to: &'a mut [Q],
}

/// The loop over a chunk, compiled for each instruction set and distribution.
struct Loop<'a, D, P: Element, Q: Element>(Sum<'a, P, Q>, D);

impl<D: Draws, P: Element<Real = Q::Real>, Q: Element> WithSimd for Loop<'_, D, P, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Sum { noises, dice, element, from, to } = self.0;
        let mut start = 0;
        while start < to.len() {
            // Up to the next multiple of a batch: from there on, batches begin with a counter.
            let here = element + start as u64;
            let count = (BATCH - (here % BATCH as u64) as usize).min(to.len() - start);
            let to = &mut to[start..start + count];
            let from = from.map(|from| &from[start..start + count]);
            if count == BATCH {
                block::<D, P, Q>(noises, dice, here, from, to);
            } else {
                let mut padded = [Q::zeroed(); BATCH];
                padded[..count].copy_from_slice(to);
                let mut read = [P::zeroed(); BATCH];
                let from = from.map(|from| {
                    read[..count].copy_from_slice(from);
                    read.as_slice()
                });
                block::<D, P, Q>(noises, dice, here, from, &mut padded);
                to.copy_from_slice(&padded[..count]);
            }
            start += count;
        }
    }
}

/// The elements of one batch, as many as that, the first of them `element` of the whole tensor.
#[inline(always)]
fn block<D: Draws, P: Element<Real = Q::Real>, Q: Element>(
    noises: &[Noise<Q::Real>],
    dice: Dice,
    element: u64,
    from: Option<&[P]>,
    to: &mut [Q],
) {
    let mut x = [Q::Real::from_f64(0.0); BATCH];
    match from {
        Some(from) => x.iter_mut().zip(from).for_each(|(x, from)| *x = from.load()),
        // Then `P` is `Q`.
        None => x.iter_mut().zip(&*to).for_each(|(x, to)| *x = to.load()),
    }
    for noise in noises {
        let numbers = D::numbers(noise.key, &noise.address, element);
        for i in 0..BATCH {
            x[i] = noise.coefficient.fma(Q::Real::from_f64(f64::from(numbers[i])), x[i]);
        }
    }
    match dice.0 {
        Some((key, address)) if Q::DTYPE == Dtype::Bf16 => {
            for (i, (to, x)) in to.iter_mut().zip(x).enumerate() {
                *to = by_chance(x, Dice::of(key, &address, element + i as u64));
            }
        }
        _ => to.iter_mut().zip(x).for_each(|(to, x)| *to = Q::store(x)),
    }
}

/// Up or down as 16 random bits say; `Q` is bf16.
#[inline(always)]
fn by_chance<Q: Element>(x: Q::Real, random: u32) -> Q {
    let bits = (x.to_f64() as f32).to_bits();
    let is_finite = bits & 0x7f80_0000 != 0x7f80_0000;
    if is_finite { cast(((bits + random) >> 16) as u16) } else { Q::store(x) }
}
