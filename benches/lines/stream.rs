use std::marker::PhantomData;

use bytemuck::Zeroable;
use gradus::element::Element;
use gradus::rules::{Record, Rule};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Arrays, Shape};

/// Elements of a task: as many as in gradus's own.
const CHUNK: usize = 16384;

/// Elements that are read from every array before any is written.
const BLOCK: usize = 64;

/// Adds the gradient to the parameter and to every state, with the tasks, the threads and the instruction set of a step.
pub fn stream<R: Rule, P: Element, G: Element<Real = P::Real>>(shape: Shape) -> impl FnMut() {
    let mut tensors = Arrays::<P, G>::of::<R>(shape);
    let arch = Arch::new();
    let mut stream = move || {
        let chunks: Vec<_> = tensors.iter_mut().flat_map(Chunk::<R, P, G>::split).collect();
        chunks.into_par_iter().for_each(|chunk| arch.dispatch(chunk));
    };
    stream();
    stream
}

struct Chunk<'a, R, P: Element, G: Element> {
    parameter: &'a mut [P],
    gradient: &'a [G],
    states: Vec<&'a mut [P::Real]>,
    rule: PhantomData<R>,
}

impl<'a, R, P: Element, G: Element> Chunk<'a, R, P, G> {
    fn split(tensor: &'a mut Arrays<P, G>) -> impl Iterator<Item = Self> {
        let mut states: Vec<_> = tensor.states.iter_mut().map(|state| state.chunks_mut(CHUNK)).collect();
        let arrays = tensor.parameter.chunks_mut(CHUNK).zip(tensor.gradient.chunks(CHUNK));
        arrays.map(move |(parameter, gradient)| Self {
            parameter,
            gradient,
            states: states.iter_mut().filter_map(Iterator::next).collect(),
            rule: PhantomData,
        })
    }
}

/// A column of a block for each state: a count that the compiler knows.
type Columns<R, T> = <<R as Rule>::State<T> as Record<T>>::Of<[T; BLOCK]>;

impl<R: Rule, P: Element, G: Element<Real = P::Real>> WithSimd for Chunk<'_, R, P, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (parameters, parameter_tail) = self.parameter.as_chunks_mut::<BLOCK>();
        let (gradients, gradient_tail) = self.gradient.as_chunks::<BLOCK>();
        let mut states: Vec<_> = self.states.into_iter().map(<[_]>::as_chunks_mut::<BLOCK>).collect();

        for (block, (parameter, gradient)) in parameters.iter_mut().zip(gradients).enumerate() {
            let parameter_sum = sum(parameter, gradient);
            let state_sums = Columns::<R, P::Real>::from_fn(|k| sum(&states[k].0[block], gradient));
            *parameter = parameter_sum;
            for (k, (state, _)) in states.iter_mut().enumerate() {
                state[block] = *state_sums.nth(k);
            }
        }
        add(parameter_tail, gradient_tail);
        for (_, tail) in states {
            add(tail, gradient_tail);
        }
    }
}

#[inline(always)]
fn sum<E: Element, G: Element<Real = E::Real>>(elements: &[E; BLOCK], gradient: &[G; BLOCK]) -> [E; BLOCK] {
    let mut sum = [Zeroable::zeroed(); BLOCK];
    for i in 0..BLOCK {
        sum[i] = E::store(elements[i].load() + gradient[i].load());
    }
    sum
}

#[inline(always)]
fn add<E: Element, G: Element<Real = E::Real>>(to: &mut [E], from: &[G]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = E::store(to.load() + from.load());
    }
}
