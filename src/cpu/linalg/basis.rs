//! Refreshed eigenbases. Twin: `src/cuda/linalg/basis.rs`.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::prelude::default;
use faer::{Accum, Conj, MatMut as FaerMut, MatRef as FaerRef};
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
    /// By columns: Q, later the columns of A·Q in order and their QR factors; A·Q, later the new Q.
    basis: Vec<T>,
    product: Vec<T>,
    /// The Rayleigh quotients of the old columns.
    quotients: Vec<f64>,
    /// The block reflectors' factors \[block×order\], by columns.
    reflectors: Vec<T>,
    stack: MemBuffer,
    /// Which column of the basis before stands where.
    columns: Vec<u32>,
}

impl<T: Real> CpuBasis<T> {
    pub(crate) fn new(cpu: Cpu, orders: &[usize], tolerance: f64) -> Self {
        let scratch = |&order: &usize| {
            let square = || vec![T::zeroed(); order * order];
            let block = recommended_block_size::<T>(order, order);
            let factor = qr_in_place_scratch::<T>(order, order, block, parallelism(order), default());
            let stack = StackReq::any_of(&[factor, apply_scratch::<T>(order, block, order)]);
            Scratch {
                order,
                matrix: square(),
                basis: square(),
                product: square(),
                quotients: vec![0.0; order],
                reflectors: vec![T::zeroed(); block * order],
                stack: MemBuffer::new(stack),
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
        let Self { order, matrix, basis, product, quotients: found, reflectors, stack, columns } = self;
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
        let pairs = basis.chunks_exact(order).zip(product.chunks_exact(order));
        found.iter_mut().zip(pairs).for_each(|(to, pair)| *to = quotient(pair));
        if found.iter().any(|quotient| !quotient.is_finite()) {
            return EighStatus::NotConverged { off_diagonal: f64::NAN };
        }
        columns.iter_mut().zip(0..).for_each(|(column, k)| *column = k);
        columns.sort_unstable_by(|j, k| found[*k as usize].total_cmp(&found[*j as usize]).then(j.cmp(k)));
        for (to, column) in basis.chunks_exact_mut(order).zip(&*columns) {
            to.copy_from_slice(&product[*column as usize * order..][..order]);
        }
        quotients.iter_mut().zip(&*columns).for_each(|(to, column)| *to = T::from_f64(found[*column as usize]));
        let (par, stack, block) = (parallelism(order), MemStack::new(stack), reflectors.len() / order);
        let mut factors = FaerMut::from_column_major_slice_mut(&mut *basis, order, order);
        let mut reflectors = FaerMut::from_column_major_slice_mut(reflectors, block, order);
        qr_in_place(factors.as_mut(), reflectors.as_mut(), par, stack, default());
        product.fill(T::from_f64(0.0));
        product.iter_mut().step_by(order + 1).for_each(|x| *x = T::from_f64(1.0));
        let q = FaerMut::from_column_major_slice_mut(&mut *product, order, order);
        apply(factors.as_ref(), reflectors.as_ref(), Conj::No, q, par, stack);
        for j in 0..order {
            let sign = T::from_f64(if basis[j * order + j] < T::from_f64(0.0) { -1.0 } else { 1.0 });
            (0..order).for_each(|i| elements[i * stride + j] = sign * product[j * order + i]);
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
