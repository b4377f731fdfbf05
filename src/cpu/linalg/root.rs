//! Inverse roots. Twin: `src/cuda/linalg/root.rs`.

use faer::MatRef as FaerRef;
use rayon::prelude::*;

use super::memory::slice_mut;
use super::poly::symmetric;
use super::reduce::{inner, largest_eigenvalue};
use super::source::Source;
use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{RootBackend, RootBlock, RootReport, RootSettings, RootStatus, Symmetric, goes_on};
use crate::memory::MatMut;

/// The blocks of a plan on the CPU.
pub(crate) struct CpuRoot<T> {
    cpu: Cpu,
    settings: RootSettings,
    all: Vec<Scratch<T>>,
    reports: Vec<RootReport>,
}

/// A block, and the memory for it.
struct Scratch<T> {
    block: RootBlock,
    /// X before a step and after it.
    roots: [Vec<T>; 2],
    /// M.
    power: Vec<T>,
    /// Powers of T; M before it becomes the next.
    products: [Vec<T>; 2],
    vectors: [Vec<T>; 2],
}

impl<T: Real> CpuRoot<T> {
    pub(crate) fn new(cpu: Cpu, blocks: &[RootBlock], settings: RootSettings) -> Self {
        let scratch = |block: &RootBlock| {
            let zeros = |elements: usize| vec![T::zeroed(); elements];
            let square = || zeros(block.order * block.order);
            let vector = || zeros(if block.relative_damping > 0.0 { block.order } else { 0 });
            Scratch {
                block: *block,
                roots: [square(), square()],
                power: square(),
                products: [square(), square()],
                vectors: [vector(), vector()],
            }
        };
        let status = RootStatus::Found { error: 0.0 };
        let untried = RootReport { status, damping: 0.0, largest_eigenvalue: 0.0, steps: 0 };
        Self { cpu, settings, all: blocks.iter().map(scratch).collect(), reports: vec![untried; blocks.len()] }
    }
}

impl<T: Real> Scratch<T> {
    /// Leaves the root in the first of `roots`, where it is found.
    fn compute(&mut self, cpu: Cpu, settings: &RootSettings, source: &Source<'_, T>) -> RootReport {
        let RootBlock { order, root, damping, relative_damping } = self.block;
        self.copy(cpu, source);
        let rows = || self.power.chunks_exact(order);
        let norm = inner(rows(), rows()).sqrt();
        let largest = match relative_damping {
            0.0 => 0.0,
            _ => largest_eigenvalue(rows, settings.power_steps, &mut self.vectors),
        };
        let damping = if relative_damping == 0.0 { damping } else { relative_damping.mul_add(largest, damping) };
        let mut report = RootReport {
            status: RootStatus::NotConverged { error: f64::NAN },
            damping,
            largest_eigenvalue: largest,
            steps: 0,
        };
        let bound = settings.asymmetry * source.mean_diagonal().abs();
        if let Some(fault) = source.checked(cpu, bound) {
            report.status = RootStatus::Faulty(fault);
            return report;
        }
        self.begin(damping, norm);
        let (mut before, mut error) = (f64::INFINITY, f64::INFINITY);
        while report.steps < settings.steps {
            if report.steps > 0 {
                let p = f64::from(root);
                let [x, next] = &mut self.roots;
                symmetric(
                    cpu,
                    next,
                    order,
                    [faer(x, order), faer(&self.power, order)],
                    [-1.0 / p, 1.0 + 1.0 / p, 0.0],
                    x,
                );
                self.roots.swap(0, 1);
            }
            before = error;
            error = self.advance(cpu);
            report.steps += 1;
            if !goes_on(before, error, settings.tolerance) {
                break;
            }
        }
        // The step before was the better one.
        if report.steps > 1 && (error.is_nan() || error >= before) {
            self.roots.swap(0, 1);
            error = before;
        }
        report.status = match error <= settings.acceptance {
            true => RootStatus::Found { error },
            false => RootStatus::NotConverged { error },
        };
        report
    }

    /// Both halves of A, in place of M.
    fn copy(&mut self, cpu: Cpu, source: &Source<'_, T>) {
        let order = self.block.order;
        source.copy_damped(0.0, &mut self.power);
        cpu.run(MirrorUpper { elements: &mut self.power, order, stride: order });
    }

    /// M₀ in place of A, and X₁, the first step of X₀ = z^{1/p}·1.
    fn begin(&mut self, damping: f64, norm: f64) {
        let RootBlock { order, root, .. } = self.block;
        let p = f64::from(root);
        let norm = damping.mul_add((order as f64).sqrt(), norm);
        let z = if norm == 0.0 { 0.0 } else { (1.0 + p) / (2.0 * norm) };
        let x0 = (0..root.ilog2()).fold(z, |x, _| x.sqrt());
        let pairs = self.power.iter_mut().zip(&mut self.roots[0]);
        for (place, (m, x)) in pairs.enumerate() {
            let is_diagonal = place % (order + 1) == 0;
            *m = T::from_f64(z * (m.to_f64() + if is_diagonal { damping } else { 0.0 }));
            *x = T::from_f64(x0 * (if is_diagonal { 1.0 + 1.0 / p } else { 0.0 } - m.to_f64() / p));
        }
    }

    /// M ← T^p·M; returns `max |M - 1|`.
    fn advance(&mut self, cpu: Cpu) -> f64 {
        let RootBlock { order, root, .. } = self.block;
        let p = f64::from(root);
        let [power, other] = &mut self.products;
        let m = faer(&self.power, order);
        let error = if root == 1 {
            symmetric(cpu, power, order, [m, m], [-1.0, 2.0, 0.0], &self.power)
        } else {
            let one = 1.0 + 1.0 / p;
            symmetric(cpu, power, order, [m, m], [1.0 / (p * p), -2.0 * one / p, one * one], &self.power);
            for _ in 1..root.ilog2() {
                let of_power = faer(power, order);
                symmetric(cpu, other, order, [of_power; 2], [1.0, 0.0, 0.0], &[]);
                std::mem::swap(power, other);
            }
            symmetric(cpu, other, order, [faer(power, order), m], [1.0, 0.0, 0.0], &[])
        };
        std::mem::swap(&mut self.power, if root == 1 { power } else { other });
        error.to_f64()
    }
}

fn faer<T: Real>(elements: &[T], order: usize) -> FaerRef<'_, T> {
    FaerRef::from_column_major_slice(elements, order, order)
}

impl<T: Real> RootBackend<T> for CpuRoot<T> {
    fn compute(&mut self, sources: &[Symmetric<'_, T>], roots: &mut [MatMut<'_, T>]) -> Result<()> {
        let Self { cpu, settings, all, reports } = self;
        let tasks = all.par_iter_mut().zip(sources).zip(roots).zip(reports).with_max_len(1);
        tasks.for_each(|(((scratch, source), root), report)| {
            *report = scratch.compute(*cpu, settings, &Source::new(source));
            if report.is_found() {
                let stride = root.stride();
                let to = slice_mut(&mut root.view);
                for (i, row) in scratch.roots[0].chunks_exact(scratch.block.order).enumerate() {
                    to[i * stride..][..row.len()].copy_from_slice(row);
                }
            }
        });
        Ok(())
    }

    fn reports(&self) -> Result<Vec<RootReport>> {
        Ok(self.reports.clone())
    }
}
