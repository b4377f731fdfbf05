//! The update of one chunk: load, rule, store. Twin: `kernels/optim/one_pass.cuh`.

use std::marker::PhantomData;

use bytemuck::Zeroable;
use pulp::{Simd, WithSimd};

use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::rng::{Address, BATCH, Draws, Normals};
use crate::rules::form::MAX_SCALARS;
use crate::rules::{Extra, Gradient, MAX_STATES, Record, Rule};
use crate::step::{self, SLOW, averaged, pulled_back, synchronised};

/// Elements that are loaded, updated and stored together: their columns stay in registers or the first cache, and
/// being local they are known not to overlap.
const BLOCK: usize = 64;

/// The arrays of a tensor that a step may write beside the parameter: the rule's states, then those of [`step::ARRAYS`].
pub(super) const MAX_ARRAYS: usize = MAX_STATES + step::ARRAYS.len();

/// One chunk, or a few, of one tensor, with the scalars of its step.
pub(super) struct OnePass<'a, P: Element, G: Element> {
    pub(super) scalars: &'a Scalars<P::Real>,
    pub(super) parameter: &'a mut [P],
    pub(super) gradient: &'a [G],
    /// The rule's second gradient or noise, if the step is given one.
    pub(super) extra: Option<&'a [G]>,
    /// What a rule that takes noise draws where it is given none.
    pub(super) noise: Option<Noise>,
    /// Those that the tensor has; the others are empty.
    pub(super) arrays: [&'a mut [P::Real]; MAX_ARRAYS],
}

/// What a step of a tensor computes its elements with.
pub(super) struct Scalars<T: Real> {
    pub(super) around: step::Scalars<T>,
    /// The rule's, and zeros behind them.
    pub(super) rule: [T; MAX_SCALARS],
    pub(super) is_stateless: bool,
}

/// The numbers of a tensor's elements from one on, as functions of their addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub(super) key: [u32; 2],
    pub(super) address: Address,
    /// The first element, counted from that of the unsharded tensor.
    pub(super) element: u64,
}

impl Noise {
    /// The noise of the elements that are `count` further.
    pub(super) fn behind(self, count: usize) -> Self {
        Self { element: self.element + count as u64, ..self }
    }

    /// The numbers of the first [`BLOCK`] elements.
    #[inline(always)]
    pub(super) fn block(&self) -> [f32; BLOCK] {
        const { assert!(BLOCK == BATCH) };
        Normals::numbers(self.key, &self.address, self.element)
    }
}

/// The state of a block: a column of each field.
type Columns<R, T> = <<R as Rule>::State<T> as Record<T>>::Of<[T; BLOCK]>;

/// Updates chunks of parameters by a rule.
pub(super) fn update<R: Rule, P: Element, G: Element<Real = P::Real>>(cpu: Cpu, mut last: OnePass<'_, P, G>) {
    let whole = last.split_off(last.parameter.len() / BLOCK * BLOCK);
    blocks::<R, P, G>(cpu, whole);

    // A last block that is not whole is copied to one that is, and goes through the same loop.
    let count = last.parameter.len();
    if count == 0 {
        return;
    }
    let (mut p, g, extra) = (padded(&*last.parameter), padded(last.gradient), last.extra.map(padded));
    let mut columns = [[P::Real::zeroed(); BLOCK]; MAX_ARRAYS];
    let mut arrays = columns.each_mut().map(|column| column.as_mut_slice());
    for (column, array) in arrays.iter_mut().zip(&last.arrays) {
        column[..array.len()].copy_from_slice(array);
        if array.is_empty() {
            *column = &mut [];
        }
    }
    let extra = extra.as_ref().map(|extra| extra.as_slice());
    blocks::<R, P, G>(cpu, OnePass { parameter: &mut p, gradient: &g, extra, arrays, ..last });
    last.parameter.copy_from_slice(&p[..count]);
    for (array, column) in last.arrays.iter_mut().zip(&columns) {
        array.copy_from_slice(&column[..array.len()]);
    }
}

/// Updates whole blocks. Not inlined: its loops are long, and are needed once.
#[inline(never)]
fn blocks<R: Rule, P: Element, G: Element<Real = P::Real>>(cpu: Cpu, pass: OnePass<'_, P, G>) {
    cpu.run(Loop::<R, P, G> { pass, rule: PhantomData });
}

/// The loop over blocks of elements, compiled for each instruction set.
struct Loop<'a, R, P: Element, G: Element> {
    pass: OnePass<'a, P, G>,
    rule: PhantomData<R>,
}

impl<R: Rule, P: Element, G: Element<Real = P::Real>> WithSimd for Loop<'_, R, P, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let OnePass { scalars, parameter, gradient, mut extra, mut noise, mut arrays } = self.pass;
        let work = Work::<R, P::Real> {
            around: &scalars.around,
            rule: R::Scalars::from_fn(|k| scalars.rule[k]),
            is_stateless: scalars.is_stateless,
        };
        for (p, g) in parameter.as_chunks_mut().0.iter_mut().zip(gradient.as_chunks().0) {
            let mut arrays = arrays.each_mut().map(|array| array.split_off_mut(..BLOCK).unwrap_or_default());
            let extra = extra.as_mut().and_then(|extra| extra.split_off(..BLOCK));
            work.block::<P, G>(p, g, extra.and_then(|extra| extra.as_array()), noise, &mut arrays);
            noise = noise.map(|noise| noise.behind(BLOCK));
        }
    }
}

/// Elements behind the last whole block, zeros behind them.
fn padded<E: Element>(tail: &[E]) -> [E; BLOCK] {
    let mut block = [E::zeroed(); BLOCK];
    block[..tail.len()].copy_from_slice(tail);
    block
}

/// Loads an array, where there is one.
#[inline(always)]
fn load<T: Real, G: Element<Real = T>>(to: &mut [T; BLOCK], from: Option<&[G; BLOCK]>, f: impl Fn(T) -> T) {
    for (to, from) in to.iter_mut().zip(from.into_iter().flatten()) {
        *to = f(from.load());
    }
}

/// What blocks are updated with.
struct Work<'a, R: Rule, T: Real> {
    around: &'a step::Scalars<T>,
    rule: R::Scalars<T>,
    is_stateless: bool,
}

impl<R: Rule, T: Real> Work<'_, R, T> {
    /// Updates one block.
    #[inline(always)]
    fn block<P: Element<Real = T>, G: Element<Real = T>>(
        &self,
        p: &mut [P; BLOCK],
        g: &[G; BLOCK],
        extra: Option<&[G; BLOCK]>,
        noise: Option<Noise>,
        arrays: &mut [&mut [T]; MAX_ARRAYS],
    ) {
        let zero = T::from_f64(0.0);
        if self.around.slow_begins != zero {
            for (slow, p) in arrays[MAX_STATES + SLOW].iter_mut().zip(&*p) {
                *slow = p.load();
            }
        }

        let mut columns = Columns::<R, T>::from_fn(|k| {
            let mut column = [zero; BLOCK];
            if !self.is_stateless {
                column.copy_from_slice(&arrays[k][..BLOCK]);
            }
            column
        });
        let mut extras = [zero; BLOCK];
        let scale = self.around.gradient_scale;
        match <R::Gradient<T> as Gradient<T>>::EXTRA {
            Extra::None => {}
            Extra::Second => load(&mut extras, extra, |second| scale * second),
            Extra::Noise => match noise {
                Some(noise) => extras = noise.block().map(|number| T::from_f64(f64::from(number))),
                None => load(&mut extras, extra, |noise| noise),
            },
        }
        for i in 0..BLOCK {
            let mut state = R::State::gather(&columns, i);
            let g = R::Gradient::new(scale * g[i].load(), extras[i], extra.is_some());
            p[i] = P::store(R::update(&self.rule, p[i].load(), g, &mut state));
            state.scatter(&mut columns, i);
        }
        if !self.is_stateless {
            for (k, array) in arrays.iter_mut().enumerate().take(R::State::<T>::NAMES.len()) {
                array.copy_from_slice(columns.nth(k));
            }
        }
        self.around_block(p, arrays);
    }

    /// What follows the rule: Lookahead, then the average.
    #[inline(always)]
    fn around_block<P: Element<Real = T>>(&self, p: &mut [P; BLOCK], arrays: &mut [&mut [T]; MAX_ARRAYS]) {
        let (zero, s) = (T::from_f64(0.0), &self.around);
        let (states, around) = arrays.split_at_mut(MAX_STATES);
        let [average, slow, before] = around else { unreachable!("three arrays stand behind the states") };
        if s.slow_share != zero {
            for (slow, p) in slow.iter_mut().zip(&mut *p) {
                *slow = synchronised(s, *slow, p.load());
                *p = P::store(*slow);
            }
            if let Some(momentum) = R::MOMENTUM.filter(|_| s.momentum_kept != T::from_f64(1.0) && !self.is_stateless) {
                let momentum = &mut states[momentum];
                if before.is_empty() {
                    momentum.fill(zero);
                }
                for (momentum, before) in momentum.iter_mut().zip(before.iter_mut()) {
                    *momentum = pulled_back(s, *before, *momentum);
                    *before = *momentum;
                }
            }
        }
        if s.average != zero {
            for (average, p) in average.iter_mut().zip(&*p) {
                *average = averaged(s, *average, p.load());
            }
        }
    }
}
