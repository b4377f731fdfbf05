//! Vectors that are added to a model. Twin: `kernels/es/directions.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::backend::{CHUNK, Slot};
use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::es::{DIRECTIONS, DirectionsBackend, check_directed};
use crate::memory::{View, ViewMut};

/// Elements that are summed together.
const BATCH: usize = 64;

/// Tensors in ordinary memory.
pub(crate) struct CpuDirections {
    cpu: Cpu,
    slots: Vec<Slot>,
}

impl CpuDirections {
    pub(crate) fn new(cpu: Cpu, slots: Vec<Slot>) -> Self {
        Self { cpu, slots }
    }
}

impl<Q: Element> DirectionsBackend<Q> for CpuDirections {
    fn add(&mut self, coefficients: &[f64], directions: &[View<'_, Q::Real>], to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        let tensors = self.slots.len();
        let mut to: Vec<&mut [Q]> = to.iter_mut().map(host_mut).collect();
        let mut bound = vec![[0; DIRECTIONS + 1]; tensors];
        for (tensor, row) in bound.iter_mut().enumerate() {
            for (j, address) in row[..coefficients.len()].iter_mut().enumerate() {
                *address = host(&directions[j * tensors + tensor]).as_ptr().addr() as u64;
            }
            row[DIRECTIONS] = to[tensor].as_ptr().addr() as u64;
        }
        check_directed::<Q>(&self.slots, &bound)?;
        let coefficients: Vec<Q::Real> = coefficients.iter().map(|c| Q::Real::from_f64(*c)).collect();
        for (tensor, to) in to.iter_mut().enumerate() {
            let of = |j: usize| host(&directions[j * tensors + tensor]);
            let of_tensor: Vec<&[Q::Real]> = (0..coefficients.len()).map(of).collect();
            to.par_chunks_mut(CHUNK as usize).enumerate().for_each(|(chunk, to)| {
                let first = chunk * CHUNK as usize;
                self.cpu.run(Loop { coefficients: &coefficients, directions: &of_tensor, first, to });
            });
        }
        Ok(())
    }
}

/// The loop over a part of a tensor, from its element `first` on.
struct Loop<'a, Q: Element> {
    coefficients: &'a [Q::Real],
    directions: &'a [&'a [Q::Real]],
    first: usize,
    to: &'a mut [Q],
}

impl<Q: Element> WithSimd for Loop<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { coefficients, directions, mut first, to } = self;
        for to in to.chunks_mut(BATCH) {
            let mut x = [Q::Real::from_f64(0.0); BATCH];
            x.iter_mut().zip(&*to).for_each(|(x, to)| *x = to.load());
            for (c, direction) in coefficients.iter().zip(directions) {
                let direction = &direction[first..first + to.len()];
                x.iter_mut().zip(direction).for_each(|(x, v)| *x = c.fma(*v, *x));
            }
            first += to.len();
            to.iter_mut().zip(x).for_each(|(to, x)| *to = Q::store(x));
        }
    }
}
