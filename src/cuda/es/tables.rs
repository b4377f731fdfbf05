//! The tables of launches that go through noise and memory together.

use cudarc::driver::CudaSlice;

use crate::backend::Slot;
use crate::cuda::chunks::{chunks_of, count_chunks};
use crate::cuda::transfer::{not_capturing, uploaded};
use crate::device::Cuda;
use crate::element::Scalar;
use crate::error::Result;

/// Elements of a pack, and the flag of a row whose arrays and noise have packs of so many that begin together.
const PACKED: [(u64, u64); 2] = [(4, 1), (8, 2)];

/// The tables of the last call, for `N` arrays of a tensor. They hold until an address changes.
pub(super) struct Tables<const N: usize> {
    pub(super) bound: Vec<[u64; N]>,
    pub(super) tensors: CudaSlice<u64>,
    pub(super) chunks: CudaSlice<u64>,
    pub(super) chunk_count: usize,
}

impl<const N: usize> Tables<N> {
    /// Of these addresses, where `sizes` are the bytes of an array's element: the last array is of `Q`, and chunks are cut by its
    /// memory. Errors: the stream is being captured.
    pub(super) fn new<Q: Scalar>(cuda: &Cuda, slots: &[Slot], bound: Vec<[u64; N]>, sizes: [usize; N]) -> Result<Self> {
        not_capturing(cuda, "the addresses of tensors have changed")?;
        let (mut tensors, mut chunks) = (Vec::new(), Vec::new());
        for (position, (slot, addresses)) in slots.iter().zip(&bound).enumerate() {
            let places = || addresses.iter().zip(sizes).map(|(address, size)| address / size as u64);
            let together = |pack: u64| places().all(|place| place % pack == slot.first % pack);
            let flags: u64 = PACKED.iter().filter(|(pack, _)| together(*pack)).map(|(_, flag)| flag).sum();
            tensors.extend(addresses.iter().copied().chain([slot.first, slot.id | flags << 32]));
            chunks.extend(chunks_of::<Q>(position, slot.length, addresses[N - 1]).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        let (tensors, chunks) = (uploaded(cuda, &tensors)?, uploaded(cuda, &chunks)?);
        Ok(Self { bound, tensors, chunks, chunk_count })
    }
}
