//! Products of symmetric matrices with a symmetric result, of which one half is computed.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut as FaerMut, MatRef as FaerRef, Par};

use super::square::MirrorUpper;
use crate::device::Cpu;
use crate::element::Real;

/// From this order on all threads work on one matrix. Nothing but the order decides: sums have another shape then.
pub(super) const WORTH_ALL_THREADS: usize = 1024;

pub(super) fn parallelism(order: usize) -> Par {
    if order >= WORTH_ALL_THREADS { Par::rayon(0) } else { Par::Seq }
}

/// `C = α·L·R + β·D + γ·1`, which must be symmetric, into both halves of `to` \[order×order\]; returns `max |C - 1|`.
pub(super) fn symmetric<T: Real>(
    cpu: Cpu,
    to: &mut [T],
    order: usize,
    [left, right]: [FaerRef<'_, T>; 2],
    [alpha, beta, gamma]: [f64; 3],
    addend: &[T],
) -> T {
    let columns = FaerMut::from_column_major_slice_mut(&mut *to, order, order);
    let whole = BlockStructure::Rectangular;
    let par = parallelism(order);
    matmul(
        columns,
        BlockStructure::TriangularLower,
        Accum::Replace,
        left,
        whole,
        right,
        whole,
        T::from_f64(alpha),
        par,
    );
    let [one, beta_t, gamma] = [1.0, beta, gamma].map(T::from_f64);
    let mut worst = T::from_f64(0.0);
    for j in 0..order {
        let column = &mut to[j * order..][..order];
        column[j] += gamma;
        if beta != 0.0 {
            column[j..].iter_mut().zip(&addend[j * order + j..]).for_each(|(x, y)| *x = beta_t.fma(*y, *x));
        }
        for (i, x) in column.iter().enumerate().skip(j) {
            let error = if i == j { (*x - one).abs() } else { x.abs() };
            // A NaN is kept.
            worst = if error > worst || error.to_f64().is_nan() { error } else { worst };
        }
    }
    cpu.run(MirrorUpper { elements: to, order, stride: order });
    worst
}
