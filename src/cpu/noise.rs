//! Noise of a range of elements. Twin: `kernels/es/noise.cu`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::address::host_mut;
use crate::backend::CHUNK;
use crate::device::Cpu;
use crate::memory::ViewMut;
use crate::rng::{Address, BLOCK, Draws, Normals};

/// Fills `out` with the normals of the elements from `first` on; the caller has checked device and range.
pub(crate) fn normals(cpu: Cpu, key: [u32; 2], address: &Address, first: u64, mut out: ViewMut<'_, f32>) {
    host_mut(&mut out).par_chunks_mut(CHUNK as usize).enumerate().for_each(|(chunk, out)| {
        cpu.run(Fill { key, address, first: first + chunk as u64 * CHUNK, out });
    });
}

/// A chunk of normals.
struct Fill<'a> {
    key: [u32; 2],
    address: &'a Address,
    first: u64,
    out: &'a mut [f32],
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { key, address, first, mut out } = self;
        let mut block = first / BLOCK;
        let mut skip = (first % BLOCK) as usize;
        while !out.is_empty() {
            let normals = Normals::batch(key, address, block * BLOCK);
            let count = out.len().min(normals.len() - skip);
            let (filled, rest) = out.split_at_mut(count);
            filled.copy_from_slice(&normals[skip..skip + count]);
            out = rest;
            block += normals.len() as u64 / BLOCK;
            skip = 0;
        }
    }
}
