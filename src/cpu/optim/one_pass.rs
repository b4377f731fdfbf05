//! The update of one chunk: load, rule, store. Twin: `kernels/optim/one_pass.cuh`.

use bytemuck::Zeroable;
use pulp::{Simd, WithSimd};

use crate::element::{Element, Real};
use crate::rules::{MAX_STATES, Record, Rule};

/// Elements that are loaded, updated and stored together: their columns stay in registers or the first cache, and
/// being local they are known not to overlap.
const BLOCK: usize = 64;

/// One chunk, or a few, of one tensor, with the scalars of its step.
pub(super) struct OnePass<'a, R: Rule, P: Element, G: Element> {
    /// Factor of the gradient.
    pub(super) gradient_scale: P::Real,
    pub(super) scalars: &'a R::Scalars<P::Real>,
    pub(super) parameter: &'a mut [P],
    pub(super) gradient: &'a [G],
    /// The arrays of the rule's `State`, in order; the rest are empty.
    pub(super) states: [&'a mut [P::Real]; MAX_STATES],
}

/// The state of a block: a column of each field.
type Columns<R, T> = <<R as Rule>::State<T> as Record<T>>::Of<[T; BLOCK]>;

impl<R: Rule, P: Element, G: Element<Real = P::Real>> WithSimd for OnePass<'_, R, P, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { gradient_scale, scalars, parameter, gradient, mut states } = self;
        let (parameters, parameter_tail) = parameter.as_chunks_mut();
        let (gradients, gradient_tail) = gradient.as_chunks();

        for (p, g) in parameters.iter_mut().zip(gradients) {
            let mut state = states.each_mut().map(|state| state.split_off_mut(..BLOCK).unwrap_or_default());
            block::<R, P, G>(gradient_scale, scalars, p, g, &mut state);
        }
        let count = parameter_tail.len();
        if count > 0 {
            let mut p = padded(parameter_tail);
            let g = padded(gradient_tail);
            let mut columns = [[P::Real::zeroed(); BLOCK]; MAX_STATES];
            let arrays = R::State::<P::Real>::NAMES.len();
            for (column, state) in columns.iter_mut().zip(&states).take(arrays) {
                column[..count].copy_from_slice(state);
            }
            block::<R, P, G>(gradient_scale, scalars, &mut p, &g, &mut columns.each_mut().map(|c| c.as_mut_slice()));
            parameter_tail.copy_from_slice(&p[..count]);
            for (state, column) in states.iter_mut().zip(&columns).take(arrays) {
                state.copy_from_slice(&column[..count]);
            }
        }
    }
}

/// Elements behind the last whole block, zeros behind them.
fn padded<E: Element>(tail: &[E]) -> [E; BLOCK] {
    let mut block = [E::zeroed(); BLOCK];
    block[..tail.len()].copy_from_slice(tail);
    block
}

/// Updates one block.
#[inline(always)]
fn block<R: Rule, P: Element, G: Element<Real = P::Real>>(
    gradient_scale: P::Real,
    scalars: &R::Scalars<P::Real>,
    p: &mut [P; BLOCK],
    g: &[G; BLOCK],
    states: &mut [&mut [P::Real]; MAX_STATES],
) {
    let mut columns = Columns::<R, P::Real>::from_fn(|k| {
        let mut column = [P::Real::from_f64(0.0); BLOCK];
        column.copy_from_slice(&states[k][..BLOCK]);
        column
    });
    for i in 0..BLOCK {
        let mut state = R::State::gather(&columns, i);
        p[i] = P::store(R::update(scalars, p[i].load(), gradient_scale * g[i].load(), &mut state));
        state.scatter(&mut columns, i);
    }
    for (k, state) in states.iter_mut().enumerate().take(R::State::<P::Real>::NAMES.len()) {
        state.copy_from_slice(columns.nth(k));
    }
}
