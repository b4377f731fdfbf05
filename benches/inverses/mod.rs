//! Damped inverses of equal blocks, and what they are measured against: the same matrices inverted by other means.
//!
//! * `gradus`: [`SpdInverse::invert`](gradus::linalg::SpdInverse::invert), with the views made anew each time.
//! * `faer`: its factorisation and inversion in memory held from run to run, blocks side by side or all threads on the only one.
//! * `naive`: the algorithm of textbooks, in plain loops on one thread.

mod faer;
mod gradus;
mod naive;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

pub use {self::faer::faer, self::gradus::gradus, naive::naive};

/// What is added to the diagonals.
pub const DAMPING: f32 = 0.1;

/// Blocks of equal orders.
#[derive(Clone, Copy)]
pub struct Shape {
    pub blocks: usize,
    pub order: usize,
}

impl Shape {
    /// As K-FAC meets them: the last is too large for a thread alone.
    pub const ALL: [Self; 4] = [
        Self { blocks: 64, order: 128 },
        Self { blocks: 64, order: 256 },
        Self { blocks: 8, order: 1024 },
        Self { blocks: 1, order: 2048 },
    ];

    /// Symmetric matrices with eigenvalues about 1, all different.
    pub fn matrices(self) -> Vec<Vec<f32>> {
        let mut numbers = Pcg32::seed_from_u64(1);
        let scale = 0.5 / (self.order as f32).sqrt();
        let mut matrix = || {
            let mut matrix = vec![0.0; self.order * self.order];
            for i in 0..self.order {
                for j in 0..i {
                    let x = scale * numbers.random_range(-1.0..1.0);
                    matrix[i * self.order + j] = x;
                    matrix[j * self.order + i] = x;
                }
                matrix[i * self.order + i] = 1.0;
            }
            matrix
        };
        (0..self.blocks).map(|_| matrix()).collect()
    }

    /// Matrices as long, to be written.
    pub fn room(self) -> Vec<Vec<f32>> {
        vec![vec![0.0; self.order * self.order]; self.blocks]
    }
}
