//! The chunks of tensors, as tables that the kernels read. Twin of `Chunk` in `kernels/core/chunk.cuh`.

use crate::backend::{CHUNK_PHASE, chunks};
use crate::element::Scalar;

/// Elements between a multiple of [`CHUNK_PHASE`] elements and an address.
pub(super) fn phase<T: Scalar>(address: u64) -> u64 {
    address / size_of::<T>() as u64 % CHUNK_PHASE
}

/// The rows in the chunk table of `length` elements at an address.
pub(super) fn chunks_of<P: Scalar>(tensor: usize, length: u64, address: u64) -> impl Iterator<Item = [u64; 2]> {
    chunks(length, phase::<P>(address)).map(move |chunk| [tensor as u64 | (chunk.end - chunk.start) << 32, chunk.start])
}

/// The rows of a chunk table, at least one: a launch has a block, and a chunk of no elements names no tensor.
pub(super) fn count_chunks(table: &mut Vec<u64>) -> usize {
    table.resize(table.len().max(2), 0);
    table.len() / 2
}
