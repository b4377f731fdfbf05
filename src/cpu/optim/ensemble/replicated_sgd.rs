//! Replicas: each pulled to the mean of all.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{BLOCK, Chunk, Column, Loops, first, first_mut, load, store};
use crate::backend::{CHUNK, check_mean};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::ensemble::replicated_sgd::{self, ReplicatedSgd, Scalars};
use crate::error::Result;
use crate::memory::{View, ViewMut};

impl Loops for ReplicatedSgd {
    #[inline(always)]
    fn update<P: Element, G: Element<Real = P::Real>>(
        scalars: &Scalars<P::Real>,
        _: &[P::Real],
        chunk: Chunk<'_, P, G>,
    ) {
        let Chunk { mut parameters, gradients, length, .. } = chunk;
        for at in (0..length).step_by(BLOCK) {
            let mean = mean_of(parameters.iter().map(|x| load(x, at)));
            for (parameter, gradient) in parameters.iter_mut().zip(&gradients) {
                let Some(gradient) = gradient else { continue };
                let (mut x, g) = (load(parameter, at), load(gradient, at));
                for i in 0..BLOCK {
                    x[i] = replicated_sgd::update(scalars, x[i], mean[i], g[i]);
                }
                store(parameter, at, &x);
            }
        }
    }
}

/// The mean of a block of each replica; the sum is taken in their order.
#[inline(always)]
fn mean_of<T: Real>(replicas: impl ExactSizeIterator<Item = Column<T>>) -> Column<T> {
    let count = T::from_f64(replicas.len() as f64);
    let mut mean = [T::zeroed(); BLOCK];
    for x in replicas {
        for i in 0..BLOCK {
            mean[i] += x[i];
        }
    }
    mean.map(|sum| replicated_sgd::mean(sum, count))
}

/// A chunk of a tensor's replicas and of its mean.
struct Mean<'a, P> {
    replicas: Vec<&'a [P]>,
    mean: &'a mut [P],
}

impl<P: Element> WithSimd for Mean<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for at in (0..self.mean.len()).step_by(BLOCK) {
            store(self.mean, at, &mean_of(self.replicas.iter().map(|x| load(x, at))));
        }
    }
}

/// Writes the mean of each tensor's `copies` replicas; the caller has checked counts, lengths and devices.
///
/// Errors: means that overlap something.
pub(crate) fn mean<P: Element>(
    cpu: Cpu,
    copies: usize,
    parameters: &[View<'_, P>],
    means: &mut [ViewMut<'_, P>],
) -> Result<()> {
    let spans: Vec<_> = parameters.iter().map(|view| host(view)).map(|x| (x.as_ptr().addr() as u64, x.len())).collect();
    let written = means.iter_mut().map(|view| host_mut(view)).map(|x| (x.as_ptr().addr() as u64, x.len()));
    check_mean::<P>(&written.collect::<Vec<_>>(), &spans)?;

    let tensors = means.len();
    let mut chunks = Vec::new();
    for (tensor, mean) in means.iter_mut().enumerate() {
        let mut mean = host_mut(mean);
        let mut replicas: Vec<&[P]> = (0..copies).map(|copy| host(&parameters[copy * tensors + tensor])).collect();
        while !mean.is_empty() {
            let count = mean.len().min(CHUNK as usize);
            let replicas = replicas.iter_mut().map(|x| first(x, count)).collect();
            chunks.push(Mean { replicas, mean: first_mut(&mut mean, count) });
        }
    }
    chunks.into_par_iter().for_each(|chunk| cpu.run(chunk));
    Ok(())
}
