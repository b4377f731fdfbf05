//! A walker around its anchor.

use bytemuck::Zeroable;

use super::{BLOCK, Chunk, Loops, load, store};
use crate::element::{Element, Real};
use crate::ensemble::entropy_sgd::{self, EntropySgd, Scalars, State};
use crate::rules::Record;

impl Loops for EntropySgd {
    #[inline(always)]
    fn update<P: Element, G: Element<Real = P::Real>>(
        scalars: &Scalars<P::Real>,
        _: &[P::Real],
        chunk: Chunk<'_, P, G>,
    ) {
        let Chunk { mut parameters, gradients, extras, mut noise, mut states, length } = chunk;
        let (parameter, gradient, extra) = (&mut parameters[0], gradients[0], extras.first().copied().flatten());
        let zeros = [P::Real::zeroed(); BLOCK];
        let walks = scalars.walks != P::Real::zeroed() && gradient.is_some();
        for at in (0..length).step_by(BLOCK) {
            let mut p = load(parameter, at);
            let g = gradient.map_or(zeros, |gradient| load(gradient, at));
            let mut numbers = zeros;
            if let Some(extra) = extra {
                numbers = load(extra, at);
            } else if let Some(noise) = noise.filter(|_| walks) {
                numbers = noise.block().map(|number| P::Real::from_f64(f64::from(number)));
            }
            noise = noise.map(|noise| noise.behind(BLOCK));
            // Without momentum its arrays are not there.
            let mut columns = State::from_fn(|k| states.get(k).map_or(zeros, |array| load(array, at)));
            for i in 0..BLOCK {
                let mut state = State::gather(&columns, i);
                p[i] = entropy_sgd::update(scalars, p[i], g[i], gradient.is_some(), numbers[i], &mut state);
                state.scatter(&mut columns, i);
            }
            store(parameter, at, &p);
            for (k, array) in states.iter_mut().enumerate() {
                store(array, at, columns.nth(k));
            }
        }
    }
}
