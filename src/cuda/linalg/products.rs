//! Tiles of matrices that are products, in f32: `kernels/linalg/product.cuh`.

use cudarc::driver::{CudaSlice, DriverError, LaunchConfig};

use super::tables::word;
use crate::cuda::transfer::uploaded;
use crate::cuda::{blocks_of, launch_of_threads};
use crate::device::Cuda;
use crate::error::{ErrorKind, Result};

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

/// Tiles or strips of matrices, a thread block each.
pub(super) struct Items {
    pub(super) words: CudaSlice<u64>,
    count: u32,
    threads: u32,
}

impl Items {
    pub(super) fn new(cuda: &Cuda, words: impl Iterator<Item = [u64; 2]>, threads: u32) -> Result<Self> {
        let words: Vec<[u64; 2]> = words.collect();
        Ok(Self { count: words.len() as u32, words: uploaded(cuda, words.as_flattened())?, threads })
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A block an item.
    pub(super) fn grid(&self) -> LaunchConfig {
        blocks_of(self.count, self.threads)
    }

    /// What became of such a launch.
    pub(super) fn explain<T>(
        &self,
        cuda: &Cuda,
        launched: std::result::Result<T, DriverError>,
        kernel: &str,
    ) -> Result<()> {
        cuda.explain(launched, || launch_of_threads(kernel, self.count, self.threads)).map(drop)
    }
}
