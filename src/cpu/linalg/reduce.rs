//! Numbers of matrices. Twin: `src/cuda/linalg/reduce.rs`.

use rayon::prelude::*;

use super::memory::{slice, slice_mut};
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Operand, ReduceBackend, Reduction};
use crate::memory::{MatRef, ViewMut};

/// The reductions of a plan on the CPU.
pub(crate) struct CpuReduce<T> {
    list: Vec<Reduction>,
    /// Two of each greatest eigenvalue.
    vectors: Vec<[Vec<T>; 2]>,
}

impl<T: Real> CpuReduce<T> {
    pub(crate) fn new(list: &[Reduction]) -> Self {
        let vectors = |reduction: &Reduction| match *reduction {
            Reduction::LargestEigenvalue { order, .. } => [vec![T::zeroed(); order], vec![T::zeroed(); order]],
            _ => [Vec::new(), Vec::new()],
        };
        Self { list: list.to_vec(), vectors: list.iter().map(vectors).collect() }
    }
}

fn rows<'a, T: Real>(matrix: &'a MatRef<'_, T>) -> impl Iterator<Item = &'a [T]> {
    let elements = slice(&matrix.view);
    (0..matrix.rows()).map(|i| &elements[i * matrix.stride()..][..matrix.columns()])
}

/// `Σ a_ij·b_ij` of rows.
pub(super) fn inner<'a, T: Real>(left: impl Iterator<Item = &'a [T]>, right: impl Iterator<Item = &'a [T]>) -> f64 {
    let of_rows = |(x, y): (&[T], &[T])| x.iter().zip(y).map(|(x, y)| x.to_f64() * y.to_f64()).sum::<f64>();
    left.zip(right).map(of_rows).sum()
}

/// Element j of the first vector of a power iteration; twin of the function in `kernels/linalg/reduce.cu`.
fn first_vector(j: usize) -> f64 {
    let z = (j as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    if z >> 63 == 1 { -1.0 } else { 1.0 }
}

/// An estimate of the greatest magnitude among the eigenvalues of the symmetric matrix that has these rows.
pub(super) fn largest_eigenvalue<'a, T: Real, Rows: Iterator<Item = &'a [T]>>(
    rows: impl Fn() -> Rows,
    steps: u32,
    vectors: &mut [Vec<T>; 2],
) -> f64 {
    let [v, w] = vectors;
    v.iter_mut().enumerate().for_each(|(j, x)| *x = T::from_f64(first_vector(j)));
    let mut norm = (v.len() as f64).sqrt();
    for _ in 0..steps {
        let scale = T::from_f64(if norm > 0.0 { 1.0 / norm } else { 0.0 });
        v.iter_mut().for_each(|x| *x *= scale);
        for (to, row) in w.iter_mut().zip(rows()) {
            *to = row.iter().zip(&*v).fold(T::from_f64(0.0), |sum, (a, x)| a.fma(*x, sum));
        }
        norm = w.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
        std::mem::swap(v, w);
    }
    norm
}

impl<T: Real> ReduceBackend<T> for CpuReduce<T> {
    fn reduce(&mut self, operands: &[Operand<'_, T>], results: &mut ViewMut<'_, f64>) -> Result<()> {
        let tasks = self.list.par_iter().zip(&mut self.vectors).zip(operands).zip(slice_mut(results)).with_max_len(1);
        tasks.for_each(|(((reduction, vectors), operand), result)| {
            let mut matrices = operand.matrices();
            let first = matrices.next().expect("an operand");
            *result = match reduction {
                Reduction::Trace { .. } => rows(first).enumerate().map(|(i, row)| row[i].to_f64()).sum(),
                Reduction::Norm { .. } => inner(rows(first), rows(first)).sqrt(),
                Reduction::Inner { .. } => inner(rows(first), rows(matrices.next().expect("a second operand"))),
                Reduction::LargestEigenvalue { steps, .. } => largest_eigenvalue(|| rows(first), *steps, vectors),
            };
        });
        Ok(())
    }
}
