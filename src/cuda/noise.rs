//! Noise of a range of elements: one launch. Twin: `src/cpu/noise.rs`.

use cudarc::driver::PushKernelArg;

use super::address::written;
use super::{THREADS, blocks_of_threads, launch_of, modules};
use crate::backend::CHUNK;
use crate::device::Cuda;
use crate::error::{ErrorKind, Result};
use crate::memory::ViewMut;
use crate::rng::{Address, BLOCK};

/// Fills `out` with the normals of the elements from `first` on; the caller has checked device and range.
pub(crate) fn normals(cuda: &Cuda, seed: u64, address: &Address, first: u64, mut out: ViewMut<'_, f32>) -> Result<()> {
    const KERNEL: &str = "noise_normals";
    let count = out.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let module = modules::load(cuda, "noise", &[CHUNK as u32, THREADS])?;
    let kernel = modules::function(cuda, &module, KERNEL)?;
    let mut guards = Vec::new();
    let out = written(cuda, &mut out, &mut guards);
    let alignment = size_of::<f32>() as u64;
    if out % alignment != 0 {
        return Err(ErrorKind::Misaligned { what: "the noise".to_owned(), address: out, alignment }.into());
    }
    let blocks = (first % BLOCK + count).div_ceil(CHUNK) as u32;
    let [field1, field2, field3] = address.fields();
    let mut launch = cuda.stream().launch_builder(&kernel);
    launch.arg(&out).arg(&first).arg(&count).arg(&seed).arg(&field1).arg(&field2).arg(&field3);
    // SAFETY: the contract of `noise_normals` in src/cuda/mod.rs. The view is borrowed mutably until the launch is enqueued
    // and holds `count` elements of the device; its alignment was checked; the caller has checked that first + count is at
    // most 2^40, so that the blocks are at most 2^26 + 1.
    let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
    cuda.explain(launched.map(drop), || launch_of(KERNEL, blocks))
}
