//! Sums of noises, added to parameters or alone. Twin: `kernels/es/sums.cuh`.

use bytemuck::cast;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::{CHUNK, Slot};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Dtype, Element, Real};
use crate::error::Result;
use crate::es::{Adapting, Beside, Estimate, Kind, Rounding, SumsBackend, Term, check_memory};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, BATCH, Distribution, Draws, Normals, Purpose, Rows, Signs, Uniforms, key, philox4x32};

/// Tensors in ordinary memory.
pub(crate) struct CpuSums {
    cpu: Cpu,
    distribution: Distribution,
    slots: Vec<Slot>,
}

impl CpuSums {
    pub(crate) fn new(cpu: Cpu, distribution: Distribution, slots: Vec<Slot>) -> Self {
        Self { cpu, distribution, slots }
    }
}

/// What stands beside the sum of a tensor or of a part of it: as [`Beside`].
enum Other<'a, P> {
    Itself,
    Parameters(&'a [P]),
    Nothing,
    Squares(&'a mut [P]),
    Deviations(Adapting, &'a mut [P]),
}

impl<'a, P> Other<'a, P> {
    fn address(&self) -> Option<u64> {
        match self {
            Self::Itself | Self::Nothing => None,
            Self::Parameters(from) => Some(from.as_ptr().addr() as u64),
            Self::Squares(to) | Self::Deviations(_, to) => Some(to.as_ptr().addr() as u64),
        }
    }

    /// Splits the first `count` elements off.
    fn split_off(&mut self, count: usize) -> Self {
        match self {
            Self::Itself => Self::Itself,
            Self::Parameters(from) => Self::Parameters(from.split_off(..count).unwrap_or_default()),
            Self::Nothing => Self::Nothing,
            Self::Squares(to) => Self::Squares(to.split_off_mut(..count).unwrap_or_default()),
            Self::Deviations(adapting, to) => {
                Self::Deviations(*adapting, to.split_off_mut(..count).unwrap_or_default())
            }
        }
    }
}

/// What stands beside each tensor.
fn others<'a, P: Element>(beside: Beside<'a, '_, P>, tensors: usize) -> Vec<Other<'a, P>> {
    match beside {
        Beside::Itself => (0..tensors).map(|_| Other::Itself).collect(),
        Beside::Parameters(from) => from.iter().map(|from| Other::Parameters(host(from))).collect(),
        Beside::Nothing => (0..tensors).map(|_| Other::Nothing).collect(),
        Beside::Squares(_, to) => to.iter_mut().map(|to| Other::Squares(host_mut(to))).collect(),
        Beside::Deviations(_, adapting, to) => {
            to.iter_mut().map(|to| Other::Deviations(adapting, host_mut(to))).collect()
        }
    }
}

impl<P: Element<Real = Q::Real>, Q: Element> SumsBackend<P, Q> for CpuSums {
    fn sum(
        &mut self,
        terms: &[Term],
        rounding: Rounding,
        beside: Beside<'_, '_, P>,
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let (kind, factors) = (beside.kind(), beside.factors());
        let others = others(beside, to.len());
        let written: Vec<&mut [Q]> = to.iter_mut().map(host_mut).collect();
        let addresses = written.iter().zip(&others).map(|(to, other)| {
            let to = to.as_ptr().addr() as u64;
            [other.address().unwrap_or(to), to]
        });
        check_memory::<P, Q>(&self.slots, &addresses.collect::<Vec<_>>(), kind, 1)?;

        let (cpu, distribution) = (self.cpu, self.distribution);
        let elements: u64 = self.slots.iter().map(|slot| slot.length).sum();
        // Few elements are done before other threads have heard of them.
        let is_small = elements.saturating_mul(terms.len().max(1) as u64) <= CHUNK;
        let one = |((slot, to), other): ((&Slot, &mut [Q]), Other<'_, P>)| {
            // What is refused here was refused before.
            let noise = |(k, term)| Noise::new(term, factors.get(k).copied(), slot.id);
            let noises = terms.iter().enumerate().map(noise).collect::<Result<Vec<_>>>()?;
            let dice = Dice::new(rounding, slot.id)?;
            let sum = Sum { noises: &noises, dice, element: slot.first, other, to };
            if is_small {
                sum.run(cpu, distribution)
            } else {
                sum.run_parts(cpu, distribution)
            }
            Ok(())
        };
        if is_small {
            self.slots.iter().zip(written).zip(others).try_for_each(one)
        } else {
            self.slots.par_iter().zip(written).zip(others).try_for_each(one)
        }
    }

    fn tile(
        &mut self,
        members: &[&[Term]],
        rounding: Rounding,
        from: &[View<'_, P>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()> {
        let from: Vec<&[P]> = from.iter().map(host).collect();
        let written: Vec<&mut [Q]> = to.iter_mut().map(host_mut).collect();
        let addresses =
            from.iter().zip(&written).map(|(from, to)| [from.as_ptr().addr() as u64, to.as_ptr().addr() as u64]);
        let rows = members.len() as u64;
        check_memory::<P, Q>(&self.slots, &addresses.collect::<Vec<_>>(), Kind::Population, rows)?;

        let (cpu, distribution) = (self.cpu, self.distribution);
        let rows_of = |((slot, from), to)| {
            let (slot, from, to): (&Slot, &[P], &mut [Q]) = (slot, from, to);
            let rows = to.chunks_exact_mut(from.len().max(1)).zip(members);
            rows.map(move |(to, terms)| (slot, from, to, *terms))
        };
        let rows: Vec<_> = self.slots.iter().zip(from).zip(written).flat_map(rows_of).collect();
        let work = |(_, from, _, terms): &(&Slot, &[P], &mut [Q], &[Term])| (from.len() * terms.len().max(1)) as u64;
        let is_small = rows.iter().map(work).sum::<u64>() <= CHUNK;
        let one = |(slot, from, to, terms): (&Slot, &[P], &mut [Q], &[Term])| {
            // What is refused here was refused before.
            let noises = terms.iter().map(|term| Noise::new(term, None, slot.id)).collect::<Result<Vec<_>>>()?;
            let dice = Dice::new(rounding, slot.id)?;
            let sum = Sum { noises: &noises, dice, element: slot.first, other: Other::Parameters(from), to };
            if is_small {
                sum.run(cpu, distribution)
            } else {
                sum.run_parts(cpu, distribution)
            }
            Ok(())
        };
        if is_small { rows.into_iter().try_for_each(one) } else { rows.into_par_iter().try_for_each(one) }
    }
}

/// A term's noise in a tensor.
struct Noise<T> {
    key: [u32; 2],
    address: Address,
    coefficient: T,
    /// That of the square.
    factor: T,
}

impl<T: Real> Noise<T> {
    fn new(term: &Term, factor: Option<f64>, id: u64) -> Result<Self> {
        let (coefficient, factor) = (T::from_f64(term.coefficient), T::from_f64(factor.unwrap_or(0.0)));
        Ok(Self { key: key(term.seed), address: term.address(id)?, coefficient, factor })
    }
}

/// A sum of noises in a tensor, which is drawn part by part where it is used.
pub(in crate::cpu) struct DrawnSum<T> {
    distribution: Distribution,
    noises: Vec<Noise<T>>,
}

impl<T: Real> DrawnSum<T> {
    /// Errors: as [`Term::address`].
    pub(in crate::cpu) fn new(estimate: Estimate<'_>, id: u64) -> Result<Self> {
        let noises = estimate.terms.iter().map(|term| Noise::new(term, None, id)).collect::<Result<_>>()?;
        Ok(Self { distribution: estimate.distribution, noises })
    }

    /// Writes the sums of the elements from one on.
    pub(in crate::cpu) fn write(&self, cpu: Cpu, element: u64, to: &mut [T]) {
        let Self { distribution, noises } = self;
        let sum: Sum<'_, T, T> = Sum { noises, dice: Dice(None), element, other: Other::Nothing, to };
        sum.run(cpu, *distribution);
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

/// A part of a tensor, its elements counted from `element` of the whole tensor on.
struct Sum<'a, P: Element, Q: Element> {
    noises: &'a [Noise<Q::Real>],
    dice: Dice,
    element: u64,
    other: Other<'a, P>,
    to: &'a mut [Q],
}

impl<P: Element<Real = Q::Real>, Q: Element> Sum<'_, P, Q> {
    /// Splits the first `count` elements off.
    fn split_off(&mut self, count: usize) -> Self {
        let element = self.element;
        self.element += count as u64;
        let to = self.to.split_off_mut(..count).unwrap_or_default();
        Self { noises: self.noises, dice: self.dice, element, other: self.other.split_off(count), to }
    }

    /// Chunk by chunk, in parallel.
    fn run_parts(mut self, cpu: Cpu, distribution: Distribution) {
        let chunks = self.to.len().div_ceil(CHUNK as usize);
        if chunks <= 1 {
            return self.run(cpu, distribution);
        }
        let first = self.split_off(chunks / 2 * CHUNK as usize);
        rayon::join(|| first.run_parts(cpu, distribution), || self.run_parts(cpu, distribution));
    }

    fn run(self, cpu: Cpu, distribution: Distribution) {
        match distribution {
            Distribution::Normal => cpu.run(Loop::<Normals, P, Q>(self, Normals)),
            Distribution::Rademacher => cpu.run(Loop::<Signs, P, Q>(self, Signs)),
            Distribution::Uniform => cpu.run(Loop::<Uniforms, P, Q>(self, Uniforms)),
            Distribution::Hadamard => cpu.run(Loop::<Rows, P, Q>(self, Rows)),
        }
    }
}

/// The loop over a part, compiled for each instruction set and distribution.
struct Loop<'a, D, P: Element, Q: Element>(Sum<'a, P, Q>, D);

impl<D: Draws, P: Element<Real = Q::Real>, Q: Element> WithSimd for Loop<'_, D, P, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut rest = self.0;
        while !rest.to.is_empty() {
            // Up to the next multiple of a batch: from there on, batches begin with a counter.
            let count = (BATCH - (rest.element % BATCH as u64) as usize).min(rest.to.len());
            block::<D, P, Q>(rest.split_off(count));
        }
    }
}

/// Elements of one batch at most.
#[inline(always)]
fn block<D: Draws, P: Element<Real = Q::Real>, Q: Element>(sum: Sum<'_, P, Q>) {
    let zeros = [Q::Real::from_f64(0.0); BATCH];
    let (mut x, mut squares) = (zeros, zeros);
    match &sum.other {
        Other::Parameters(from) => x.iter_mut().zip(*from).for_each(|(x, from)| *x = from.load()),
        Other::Itself => x.iter_mut().zip(&*sum.to).for_each(|(x, to)| *x = to.load()),
        Other::Nothing | Other::Squares(_) | Other::Deviations(..) => {}
    }
    for noise in sum.noises {
        let numbers = D::numbers(noise.key, &noise.address, sum.element).map(|x| Q::Real::from_f64(f64::from(x)));
        for i in 0..BATCH {
            x[i] = noise.coefficient.fma(numbers[i], x[i]);
        }
        if let Other::Squares(_) | Other::Deviations(..) = sum.other {
            for i in 0..BATCH {
                squares[i] = noise.factor.fma(numbers[i] * numbers[i], squares[i]);
            }
        }
    }
    match sum.other {
        Other::Squares(to) => to.iter_mut().zip(squares).for_each(|(to, x)| *to = P::store(x)),
        Other::Deviations(adapting, deviations) => {
            let elements = sum.to.iter_mut().zip(deviations);
            for ((mean, deviation), (sum, squares)) in elements.zip(x.into_iter().zip(squares)) {
                let (m, s) = adapting.adapted(mean.load(), deviation.load(), sum, squares);
                (*mean, *deviation) = (Q::store(m), P::store(s));
            }
            return;
        }
        _ => {}
    }
    match sum.dice.0 {
        Some((key, address)) if Q::DTYPE == Dtype::Bf16 => {
            for ((to, x), element) in sum.to.iter_mut().zip(x).zip(sum.element..) {
                *to = by_chance(x, Dice::of(key, &address, element));
            }
        }
        _ => sum.to.iter_mut().zip(x).for_each(|(to, x)| *to = Q::store(x)),
    }
}

/// Up or down as 16 random bits say; `Q` is bf16.
#[inline(always)]
fn by_chance<Q: Element>(x: Q::Real, random: u32) -> Q {
    let bits = (x.to_f64() as f32).to_bits();
    let is_finite = bits & 0x7f80_0000 != 0x7f80_0000;
    if is_finite { cast(((bits + random) >> 16) as u16) } else { Q::store(x) }
}
