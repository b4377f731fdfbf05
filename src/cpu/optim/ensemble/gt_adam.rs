//! Agents: each mixes trackers and parameters with its neighbours.

use bytemuck::Zeroable;

use super::{BLOCK, Chunk, Column, Loops, load, store};
use crate::element::{Element, Real};
use crate::ensemble::Method;
use crate::ensemble::gt_adam::{self, GtAdam, Scalars, State};
use crate::rules::Record;

impl Loops for GtAdam {
    #[inline(always)]
    fn update<P: Element, G: Element<Real = P::Real>>(
        scalars: &Scalars<P::Real>,
        weights: &[P::Real],
        chunk: Chunk<'_, P, G>,
    ) {
        const STATES: usize = GtAdam::STATES.len();
        let Chunk { mut parameters, gradients, mut states, length, .. } = chunk;
        let agents = parameters.len();
        let mut before = vec![[[P::Real::zeroed(); BLOCK]; 2]; agents];
        for at in (0..length).step_by(BLOCK) {
            for (agent, before) in before.iter_mut().enumerate() {
                *before = [load(parameters[agent], at), load(states[agent * STATES], at)];
            }
            for agent in 0..agents {
                let [mut x, tracker] = mixture(&weights[agent * agents..(agent + 1) * agents], &before);
                let own = &mut states[agent * STATES..(agent + 1) * STATES];
                let mut columns = State::from_fn(|k| load(own[k], at));
                let g = gradients[agent].map_or([P::Real::zeroed(); BLOCK], |gradient| load(gradient, at));
                for i in 0..BLOCK {
                    let mut state = State::gather(&columns, i);
                    x[i] = gt_adam::update(scalars, x[i], tracker[i], g[i], gradients[agent].is_some(), &mut state);
                    state.scatter(&mut columns, i);
                }
                store(parameters[agent], at, &x);
                for (k, array) in own.iter_mut().enumerate() {
                    store(array, at, columns.nth(k));
                }
            }
        }
    }
}

/// The sums of all agents' parameters and of their trackers, in the order of the agents.
#[inline(always)]
fn mixture<T: Real>(weights: &[T], before: &[[Column<T>; 2]]) -> [Column<T>; 2] {
    let mut sums = [[T::zeroed(); BLOCK]; 2];
    for (weight, before) in weights.iter().zip(before) {
        for (sum, before) in sums.iter_mut().zip(before) {
            for i in 0..BLOCK {
                sum[i] = gt_adam::mixed(sum[i], *weight, before[i]);
            }
        }
    }
    sums
}
