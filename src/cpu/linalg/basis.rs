//! Refreshed eigenbases. Twin: `src/cuda/linalg/basis.rs`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef};
use rayon::prelude::*;

use super::memory::slice_mut;
use super::poly::parallelism;
use super::source::Source;
use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{BasisBackend, EighReport, EighStatus, Symmetric};
use crate::memory::{MatMut, ViewMut};

/// The matrices of a plan on the CPU.
pub(crate) struct CpuBasis<T> {
    cpu: Cpu,
    tolerance: f64,
    all: Vec<Scratch<T>>,
    reports: Vec<EighReport>,
}

/// The memory for a matrix.
struct Scratch<T> {
    order: usize,
    matrix: Vec<T>,
    /// Q and A·Q, by columns.
    basis: Vec<T>,
    product: Vec<T>,
    /// Which column of the basis before stands where.
    columns: Vec<u32>,
}

impl<T: Real> CpuBasis<T> {
    pub(crate) fn new(cpu: Cpu, orders: &[usize], tolerance: f64) -> Self {
        let scratch = |&order: &usize| {
            let square = || vec![T::zeroed(); order * order];
            Scratch {
                order,
                matrix: square(),
                basis: square(),
                product: square(),
                columns: (0..order as u32).collect(),
            }
        };
        let untried = EighReport { status: EighStatus::Decomposed, sweeps: 0 };
        Self { cpu, tolerance, all: orders.iter().map(scratch).collect(), reports: vec![untried; orders.len()] }
    }
}

impl<T: Real> Scratch<T> {
    fn refresh(
        &mut self,
        cpu: Cpu,
        tolerance: f64,
        source: &Source<'_, T>,
        to: &mut MatMut<'_, T>,
        quotients: &mut [T],
    ) -> EighStatus {
        let bound = tolerance * source.mean_diagonal().abs();
        if let Some(fault) = source.checked(cpu, bound) {
            return EighStatus::Faulty(fault);
        }
        let Self { order, matrix, basis, product, columns } = self;
        let order = *order;
        source.copy_damped(0.0, matrix);
        cpu.run(MirrorUpper { elements: matrix, order, stride: order });
        let stride = to.stride();
        let elements = slice_mut(&mut to.view);
        for (i, row) in elements.chunks(stride).take(order).enumerate() {
            row[..order].iter().enumerate().for_each(|(j, x)| basis[j * order + i] = *x);
        }
        let of_product = FaerMut::from_column_major_slice_mut(&mut *product, order, order);
        matmul(
            of_product,
            Accum::Replace,
            faer(matrix, order),
            faer(basis, order),
            T::from_f64(1.0),
            parallelism(order),
        );
        let quotient = |(q, z): (&[T], &[T])| -> f64 { q.iter().zip(z).map(|(q, z)| q.to_f64() * z.to_f64()).sum() };
        let found: Vec<f64> = basis.chunks_exact(order).zip(product.chunks_exact(order)).map(quotient).collect();
        if found.iter().any(|quotient| !quotient.is_finite()) {
            return EighStatus::NotConverged { off_diagonal: f64::NAN };
        }
        columns.iter_mut().zip(0..).for_each(|(column, k)| *column = k);
        columns.sort_by(|j, k| found[*k as usize].total_cmp(&found[*j as usize]));
        for (to, column) in basis.chunks_exact_mut(order).zip(&*columns) {
            to.copy_from_slice(&product[*column as usize * order..][..order]);
        }
        quotients.iter_mut().zip(&*columns).for_each(|(to, column)| *to = T::from_f64(found[*column as usize]));
        let qr = faer(basis, order).qr();
        let (q, r) = (qr.compute_Q(), qr.R());
        for j in 0..order {
            let sign = T::from_f64(if r[(j, j)] < T::from_f64(0.0) { -1.0 } else { 1.0 });
            (0..order).for_each(|i| elements[i * stride + j] = sign * q[(i, j)]);
        }
        EighStatus::Decomposed
    }
}

fn faer<T: Real>(elements: &[T], order: usize) -> FaerRef<'_, T> {
    FaerRef::from_column_major_slice(elements, order, order)
}

impl<T: Real> BasisBackend<T> for CpuBasis<T> {
    fn refresh(
        &mut self,
        sources: &[Symmetric<'_, T>],
        bases: &mut [MatMut<'_, T>],
        quotients: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        let Self { cpu, tolerance, all, reports } = self;
        let tasks = all.par_iter_mut().zip(sources).zip(bases).zip(quotients).zip(reports).with_max_len(1);
        tasks.for_each(|((((scratch, source), to), quotients), report)| {
            report.status = scratch.refresh(*cpu, *tolerance, &Source::new(source), to, slice_mut(quotients));
        });
        Ok(())
    }

    fn reports(&self) -> Result<Vec<EighReport>> {
        Ok(self.reports.clone())
    }

    fn columns(&self) -> Result<Vec<Vec<u32>>> {
        Ok(self.all.iter().map(|scratch| scratch.columns.clone()).collect())
    }
}
