//! How matrices are cut into the tiles of `kernels/linalg/tile.cuh`, in f32.

use super::tables::word;
use crate::error::{ErrorKind, Result};

/// Threads of a block that works on a tile.
pub(super) const TILE_THREADS: u32 = 64;

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 64;

/// Items of all tiles of a matrix.
pub(super) fn tiles(matrix: usize, rows: usize, columns: usize) -> impl Iterator<Item = [u64; 2]> {
    let down = 0..rows.div_ceil(TILE_ROWS);
    down.flat_map(move |i| (0..columns.div_ceil(TILE_ROWS)).map(move |j| [word(matrix, i), word(j, 0)]))
}

/// Items of the tiles on and below the diagonal.
pub(super) fn lower_tiles(matrix: usize, order: usize) -> impl Iterator<Item = [u64; 2]> {
    (0..order.div_ceil(TILE_ROWS)).flat_map(move |i| (0..=i).map(move |j| [word(matrix, i), word(j, 0)]))
}

/// The error of what only the CPU has.
pub(super) fn unsupported<T>(what: &str) -> Result<T> {
    Err(ErrorKind::Matrices { what: what.to_owned(), message: "on CUDA there are none".to_owned() }.into())
}
