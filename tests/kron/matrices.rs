//! Positive-definite matrices with a known spectrum, and what is computed with them in f64. Programs use a part of it.

#![allow(dead_code)]

use gradus::element::Real;

use crate::common::data::Numbers;

/// A square matrix, row after row.
#[derive(Clone, Debug)]
pub struct Square {
    pub order: usize,
    pub at: Vec<f64>,
}

impl Square {
    pub fn zeros(order: usize) -> Self {
        Self { order, at: vec![0.0; order * order] }
    }

    /// Eigenvalues from 1 to `1 / condition`, evenly on a logarithmic scale, in a random basis.
    pub fn with_condition(order: usize, condition: f64, numbers: &mut Numbers) -> Self {
        let mut own = Self::zeros(order);
        for i in 0..order {
            let share = if order == 1 { 0.0 } else { i as f64 / (order - 1) as f64 };
            own.at[i * order + i] = condition.powf(-share);
        }
        // Reflections from both sides.
        for _ in 0..4.min(order) {
            let v: Vec<f64> = (0..order).map(|_| numbers.normal()).collect();
            let square: f64 = v.iter().map(|x| x * x).sum();
            own.reflect(&v, 2.0 / square);
        }
        for i in 0..order {
            for j in 0..i {
                own.at[j * order + i] = own.at[i * order + j];
            }
        }
        own
    }

    /// `H·A·H` for `H = 1 - scale·v·vᵀ`.
    fn reflect(&mut self, v: &[f64], scale: f64) {
        let order = self.order;
        for row in self.at.chunks_exact_mut(order) {
            let along: f64 = row.iter().zip(v).map(|(x, v)| x * v).sum();
            row.iter_mut().zip(v).for_each(|(x, v)| *x -= scale * along * v);
        }
        let mut along = vec![0.0; order];
        for (row, v) in self.at.chunks_exact(order).zip(v) {
            along.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * x);
        }
        for (row, v) in self.at.chunks_exact_mut(order).zip(v) {
            row.iter_mut().zip(&along).for_each(|(x, along)| *x -= scale * v * along);
        }
    }

    /// The matrix rounded to a type, and what it then is.
    pub fn rounded<T: Real>(&self) -> (Vec<T>, Self) {
        let rounded: Vec<T> = self.at.iter().map(|x| T::from_f64(*x)).collect();
        let at = rounded.iter().map(|x| x.to_f64()).collect();
        (rounded, Self { order: self.order, at })
    }

    pub fn damped(&self, damping: f64) -> Self {
        let mut own = self.clone();
        for i in 0..self.order {
            own.at[i * self.order + i] += damping;
        }
        own
    }

    /// The factor of Cholesky, by the textbook. `None` where a pivot is not positive.
    pub fn cholesky(&self) -> Option<Self> {
        let order = self.order;
        let mut l = Self::zeros(order);
        for i in 0..order {
            for j in 0..=i {
                let (row_i, row_j) = (&l.at[i * order..][..j], &l.at[j * order..][..j]);
                let sum: f64 = row_i.iter().zip(row_j).map(|(x, y)| x * y).sum();
                let rest = self.at[i * order + j] - sum;
                l.at[i * order + j] = if i == j {
                    if rest <= 0.0 || rest.is_nan() {
                        return None;
                    }
                    rest.sqrt()
                } else {
                    rest / l.at[j * order + j]
                };
            }
        }
        Some(l)
    }

    /// The inverse by solving for every column.
    pub fn inverse(&self) -> Self {
        let order = self.order;
        let l = self.cholesky().expect("a positive-definite matrix");
        // V = L⁻¹ by rows.
        let mut v = Self::zeros(order);
        for i in 0..order {
            let diagonal = l.at[i * order + i];
            let (done, rest) = v.at.split_at_mut(i * order);
            let row = &mut rest[..order];
            for k in 0..i {
                let factor = l.at[i * order + k];
                row[..=k].iter_mut().zip(&done[k * order..]).for_each(|(x, v)| *x -= factor * v);
            }
            row[..i].iter_mut().for_each(|x| *x /= diagonal);
            row[i] = 1.0 / diagonal;
        }
        let mut inverse = Self::zeros(order);
        for row in v.at.chunks_exact(order) {
            for (i, factor) in row.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
                inverse.at[i * order..][..order].iter_mut().zip(row).for_each(|(x, v)| *x += factor * v);
            }
        }
        inverse
    }

    /// The greatest sum of a column's magnitudes; NaN where there is one.
    pub fn norm_1(&self) -> f64 {
        let mut sums = vec![0.0; self.order];
        for row in self.at.chunks_exact(self.order) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.abs());
        }
        // Alone, `f64::max` would leave a NaN out.
        if sums.iter().any(|sum| sum.is_nan()) { f64::NAN } else { sums.into_iter().fold(0.0, f64::max) }
    }

    pub fn norm(&self) -> f64 {
        self.at.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    pub fn times(&self, other: &Self) -> Self {
        let order = self.order;
        let mut product = Self::zeros(order);
        for (to, row) in product.at.chunks_exact_mut(order).zip(self.at.chunks_exact(order)) {
            for (factor, from) in row.iter().zip(other.at.chunks_exact(order)) {
                to.iter_mut().zip(from).for_each(|(x, y)| *x += factor * y);
            }
        }
        product
    }

    pub fn minus(&self, other: &Self) -> Self {
        let at = self.at.iter().zip(&other.at).map(|(x, y)| x - y).collect();
        Self { order: self.order, at }
    }

    /// LAPACK's residual of an inverse, `‖1 - A·X‖₁ / (n·‖A‖₁·‖X‖₁·ε)` (TESTING/LIN/dpot03).
    pub fn inverse_residual(&self, inverse: &Self, epsilon: f64) -> f64 {
        let identity = Self::zeros(self.order).damped(1.0);
        let rest = identity.minus(&self.times(inverse)).norm_1();
        rest / (self.order as f64 * self.norm_1() * inverse.norm_1() * epsilon)
    }
}

/// The elements of the lower half, row after row.
pub fn packed<T: Copy>(elements: &[T], order: usize) -> Vec<T> {
    (0..order).flat_map(|i| elements[i * order..][..=i].iter().copied()).collect()
}
