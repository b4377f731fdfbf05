//! A learned optimizer on the CPU. Twin: `kernels/lopt`.

mod elements;
mod moments;
mod perceptron;
mod squares;
mod walk;

use rayon::prelude::*;

use elements::{Apply, Part, STATISTICS, Tables, statistics};
use perceptron::Layers;

use crate::cpu::address::{host, host_mut};
use crate::device::Cpu;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::lopt::arithmetic::{FEATURES, INPUTS, Scalars, normaliser, times};
use crate::lopt::shape::{CHUNK, Shape};
use crate::lopt::{LoptBackend, Network, check_memory};
use crate::memory::{View, ViewMut, zeros};

/// Tensors in ordinary memory.
pub(crate) struct CpuLopt<T> {
    cpu: Cpu,
    scalars: Scalars<T>,
    layers: Layers<T>,
    tensors: Vec<Tensor<T>>,
    steps: u64,
}

/// What is kept of a tensor.
struct Tensor<T> {
    shape: Shape,
    /// Three momenta, the squared gradient, and where it is not factored three more of its averages.
    moments: Vec<Vec<T>>,
    /// Of each row and column, an array each: three averages, three of their inverse roots, three factors.
    rows: Vec<T>,
    columns: Vec<T>,
    /// Partial sums of squared gradients over X and over Y.
    partials: [Vec<T>; 2],
}

impl<T: Real> CpuLopt<T> {
    pub(crate) fn new(cpu: Cpu, shapes: &[Shape], scalars: Scalars<T>, network: &Network) -> Result<Self> {
        let tensors = shapes.iter().map(Tensor::new).collect::<Result<_>>()?;
        Ok(Self { cpu, scalars, layers: Layers::new(network), tensors, steps: 0 })
    }
}

impl<T: Real> Tensor<T> {
    fn new(shape: &Shape) -> Result<Self> {
        let arrays = if shape.factored.is_some() { 4 } else { 7 };
        let moments = (0..arrays).map(|_| zeros(shape.length as usize)).collect::<Result<_>>()?;
        let mut tensor =
            Self { shape: *shape, moments, rows: Vec::new(), columns: Vec::new(), partials: [Vec::new(), Vec::new()] };
        if let Some(factored) = &shape.factored {
            let [row, column] = [factored.largest, factored.largest.other()].map(|axis| factored.over(axis));
            tensor.rows = zeros(9 * row.sums() as usize)?;
            tensor.columns = zeros(9 * column.sums() as usize)?;
            for (partials, span) in tensor.partials.iter_mut().zip(factored.spans()) {
                *partials = zeros((span.segments() * span.sums()) as usize)?;
            }
        }
        Ok(tensor)
    }

    fn reset(&mut self) {
        let arrays = self.moments.iter_mut().chain([&mut self.rows, &mut self.columns]);
        arrays.for_each(|array| array.fill(T::from_f64(0.0)));
    }

    fn step<P: Element<Real = T>>(
        &mut self,
        cpu: Cpu,
        scalars: &Scalars<T>,
        layers: &Layers<T>,
        step: u64,
        p: &mut [P],
        g: &[P],
    ) {
        if p.is_empty() {
            return;
        }
        let of_tables = self.shape.factored.map(|factored| {
            for (partials, span) in self.partials.iter_mut().zip(factored.spans()) {
                squares::sum(cpu, span, g, partials);
            }
            moments::update(&factored, scalars, &self.partials, &mut self.rows, &mut self.columns)
        });
        let tables = self.shape.factored.map(|factored| Tables { factored, rows: &self.rows, columns: &self.columns });
        let sums = statistics(cpu, &Part { scalars, tables, start: 0 }, p, g, &self.moments);
        let inputs = inputs(&sums, self.shape.length, of_tables, step);

        let folded = layers.fold(&inputs);
        let mut all = Apply {
            part: Part { scalars, tables, start: 0 },
            folded: &folded,
            p,
            g,
            moments: self.moments.iter_mut().map(Vec::as_mut_slice).collect(),
        };
        let mut chunks = Vec::with_capacity(self.shape.chunks() as usize);
        while !all.p.is_empty() {
            chunks.push(all.split_off((CHUNK as usize).min(all.p.len())));
        }
        if chunks.len() == 1 {
            chunks.into_iter().for_each(|chunk| cpu.run(chunk));
        } else {
            chunks.into_par_iter().for_each(|chunk| cpu.run(chunk));
        }
    }
}

/// What the features of an element are multiplied by, and the features of time: of the sums of a tensor's squares, and the means of
/// the squares in its tables.
fn inputs<T: Real>(sums: &[f64; STATISTICS], length: u64, of_tables: Option<[f64; 12]>, step: u64) -> [T; INPUTS] {
    let mut inputs = [T::from_f64(0.0); INPUTS];
    let of_elements = |statistic: usize| normaliser(sums[statistic], length as f64);
    for feature in 0..FEATURES {
        inputs[feature] = match (feature, &of_tables) {
            (0..13, _) => of_elements(feature),
            (25.., _) => of_elements(feature - 12),
            (_, Some(means)) => normaliser(means[feature - 13], 1.0),
            // Averages of vectors are told twice.
            (13..19, None) => of_elements(16 + (feature - 13) % 3),
            (_, None) => of_elements(19 + (feature - 19) % 3),
        };
    }
    inputs[FEATURES..].copy_from_slice(&times(step));
    inputs
}

impl<P: Element> LoptBackend<P> for CpuLopt<P::Real> {
    fn set(&mut self, scalars: Scalars<P::Real>, network: &Network) -> Result<()> {
        (self.scalars, self.layers) = (scalars, Layers::new(network));
        Ok(())
    }

    fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[View<'_, P>]) -> Result<()> {
        let parameters: Vec<&mut [P]> = parameters.iter_mut().map(host_mut).collect();
        let gradients: Vec<&[P]> = gradients.iter().map(host).collect();
        let shapes: Vec<Shape> = self.tensors.iter().map(|tensor| tensor.shape).collect();
        let address = |(p, g): (&&mut [P], &&[P])| [p.as_ptr().addr() as u64, g.as_ptr().addr() as u64];
        check_memory::<P>(&shapes, &parameters.iter().zip(&gradients).map(address).collect::<Vec<_>>())?;

        let Self { cpu, scalars, layers, steps, tensors } = self;
        let (cpu, step) = (*cpu, *steps);
        // Few elements are done before other threads have heard of them.
        let is_small = shapes.iter().map(|shape| shape.length).sum::<u64>() <= CHUNK;
        let all = tensors.par_iter_mut().zip(parameters).zip(gradients);
        let all = all.with_min_len(if is_small { shapes.len() } else { 1 });
        all.for_each(|((tensor, p), g)| tensor.step(cpu, scalars, layers, step, p, g));
        *steps += 1;
        Ok(())
    }

    fn steps(&self) -> Result<u64> {
        Ok(self.steps)
    }

    fn set_steps(&mut self, steps: u64) -> Result<()> {
        self.steps = steps;
        Ok(())
    }

    fn read(&self, position: usize) -> Result<Vec<Vec<P::Real>>> {
        let Tensor { moments, rows, columns, .. } = &self.tensors[position];
        let kept = |table: &'_ [P::Real]| {
            table.chunks_exact(table.len().max(9) / 9).take(3).map(<[_]>::to_vec).collect::<Vec<_>>()
        };
        Ok(moments.iter().cloned().chain(kept(rows)).chain(kept(columns)).collect())
    }

    fn write(&mut self, position: usize, arrays: &[Vec<P::Real>]) -> Result<()> {
        let Tensor { moments, rows, columns, .. } = &mut self.tensors[position];
        let (row, column) = (rows.len().max(9) / 9, columns.len().max(9) / 9);
        let tables = rows.chunks_exact_mut(row).take(3).chain(columns.chunks_exact_mut(column).take(3));
        let all = moments.iter_mut().map(Vec::as_mut_slice).chain(tables);
        all.zip(arrays).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.steps = 0;
        self.tensors.iter_mut().for_each(Tensor::reset);
        Ok(())
    }
}
