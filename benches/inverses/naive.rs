use std::hint::black_box;

use super::{DAMPING, Shape};

pub fn naive(shape: Shape) -> impl FnMut() + Send {
    let (matrices, mut inverses) = (shape.matrices(), shape.room());
    let mut factor = vec![0.0; shape.order * shape.order];
    let mut invert = move || {
        for (matrix, inverse) in matrices.iter().zip(black_box(&mut inverses)) {
            invert_one(matrix, &mut factor, inverse, shape.order);
        }
    };
    invert();
    invert
}

/// Cholesky–Banachiewicz row by row, then for every column of the inverse a forward and a backward substitution.
fn invert_one(matrix: &[f32], l: &mut [f32], inverse: &mut [f32], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let mut sum = matrix[i * n + j] + if i == j { DAMPING } else { 0.0 };
            for k in 0..j {
                sum -= l[i * n + k] * l[j * n + k];
            }
            l[i * n + j] = if i == j { sum.sqrt() } else { sum / l[j * n + j] };
        }
    }
    for column in 0..n {
        // The inverse is symmetric: its column is written as a row.
        let x = &mut inverse[column * n..][..n];
        for i in 0..n {
            let mut sum = if i == column { 1.0 } else { 0.0 };
            for k in 0..i {
                sum -= l[i * n + k] * x[k];
            }
            x[i] = sum / l[i * n + i];
        }
        for i in (0..n).rev() {
            let mut sum = x[i];
            for k in i + 1..n {
                sum -= l[k * n + i] * x[k];
            }
            x[i] = sum / l[i * n + i];
        }
    }
}
