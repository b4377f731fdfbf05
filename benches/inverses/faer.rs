use std::sync::Mutex;

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::{factor, inverse};
use faer::prelude::default;
use faer::{MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{DAMPING, Shape};

/// Elements a side of the tiles that the halves are mirrored by: so cut, faer's own cost is nearly all that remains.
const TILE: usize = 16;

/// The memory that a block is worked on in.
struct Scratch {
    factor: Vec<f32>,
    stack: MemBuffer,
}

impl Scratch {
    fn new(order: usize, par: Par) -> Self {
        let stack = StackReq::any_of(&[
            factor::cholesky_in_place_scratch::<f32>(order, par, default()),
            inverse::inverse_scratch::<f32>(order, par),
        ]);
        Self { factor: vec![0.0; order * order], stack: MemBuffer::new(stack) }
    }

    /// What gradus delivers, but neither the checks nor the report.
    fn invert(&mut self, matrix: &[f32], inverse: &mut [f32], order: usize, par: Par) {
        let Self { factor, stack } = self;
        factor.copy_from_slice(matrix);
        factor.iter_mut().step_by(order + 1).for_each(|x| *x += DAMPING);
        let square = MatMut::from_column_major_slice_mut(factor, order, order);
        factor::cholesky_in_place(square, default(), par, MemStack::new(stack), default()).expect("a positive block");
        let out = MatMut::from_column_major_slice_mut(inverse, order, order);
        inverse::inverse(out, MatRef::from_column_major_slice(factor, order, order), par, MemStack::new(stack));
        mirror(inverse, order);
    }
}

/// Writes what stands above the diagonal below it as well; the order is a multiple of the tile's.
fn mirror(elements: &mut [f32], order: usize) {
    for top in (0..order).step_by(TILE) {
        for left in (0..=top).step_by(TILE) {
            let mut tile = [[0.0; TILE]; TILE];
            for j in 0..TILE {
                let row = &elements[(left + j) * order + top..][..TILE];
                (0..TILE).for_each(|i| tile[i][j] = row[i]);
            }
            for i in 0..TILE {
                let length = if top == left { i } else { TILE };
                elements[(top + i) * order + left..][..length].copy_from_slice(&tile[i][..length]);
            }
        }
    }
}

pub fn faer(shape: Shape) -> impl FnMut() + Send {
    let Shape { blocks, order } = shape;
    let threads = rayon::current_num_threads();
    let (matrices, mut inverses) = (shape.matrices(), shape.room());
    let par = if blocks < threads { Par::rayon(threads) } else { Par::Seq };
    // One for each thread, so that it stays in that one's cache.
    let scratches: Vec<Mutex<Scratch>> =
        (0..blocks.min(threads)).map(|_| Mutex::new(Scratch::new(order, par))).collect();
    let mut invert = move || {
        let tasks = matrices.par_iter().zip(&mut inverses).with_max_len(1);
        tasks.for_each(|(matrix, inverse)| {
            let thread = rayon::current_thread_index().expect("a thread of the pool");
            let mut scratch = scratches[thread % scratches.len()].lock().expect("no panic before");
            scratch.invert(matrix, inverse, order, par);
        });
    };
    invert();
    invert
}
