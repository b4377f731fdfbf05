//! Noise of a range of elements: one launch. Twin: `src/cpu/noise.rs`.

use std::sync::Arc;

use cudarc::driver::{CudaModule, PushKernelArg};

use super::address::written;
use super::es::FEW;
use super::{THREADS, blocks_of_threads, launch_of, modules};
use crate::backend::CHUNK;
use crate::device::Cuda;
use crate::error::{ErrorKind, Result};
use crate::memory::ViewMut;
use crate::rng::{Address, BLOCK};

/// The kernels of `kernels/es/noise.cu`, those of lattices among them.
pub(super) fn module(cuda: &Cuda) -> Result<Arc<CudaModule>> {
    modules::load(cuda, "noise", &[CHUNK as u32, THREADS, FEW as u32])
}

/// Fills `out` with the normals of the elements from `first` on; the caller has checked device and range.
pub(crate) fn normals(cuda: &Cuda, seed: u64, address: &Address, first: u64, mut out: ViewMut<'_, f32>) -> Result<()> {
    const KERNEL: &str = "noise_normals";
    let count = out.len() as u64;
    if count == 0 {
        return Ok(());
    }
    let module = module(cuda)?;
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

/// The kernels alone, and those that only the tests launch.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use softcuda::{Argument, launch};

    use super::*;
    use crate::rng::{Purpose, key, normal, philox4x32};

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn run(kernel: &str, count: usize, arguments: &mut [Argument<'_>]) {
        let blocks = count.div_ceil(CHUNK as usize) as u32;
        launch(modules::text("noise"), kernel, [blocks, 1, 1], [THREADS, 1, 1], arguments)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The first and the last word of each row of the table, some between, their complements, and any.
    fn telling_words() -> Vec<u32> {
        let mut any = (0..).flat_map(|i| philox4x32([i, 0, 0, 0], [0, 0]));
        let mut words = vec![0, 1];
        for octave in 0..32 {
            for segment in 0..16_u64 {
                let place = u64::from(any.next().unwrap() >> 5);
                let word = |place| ((1 << 31) + (segment << 27) + place) >> octave >> 1;
                words.extend([word(0), word((1 << 27) - 1), word(place)].map(|word| word as u32));
            }
        }
        let complements: Vec<u32> = words.iter().map(|word| !word).collect();
        words.into_iter().chain(complements).chain(any.take(3 * CHUNK as usize)).collect()
    }

    #[test]
    fn every_row_of_the_table_gives_the_same_bits() {
        let words = telling_words();
        let mut found = vec![0; 4 * words.len()];
        let count = Argument::U64(words.len() as u64);
        let arguments = &mut [Argument::Read(&bytes(&words)), Argument::Written(&mut found), count];
        run("noise_normals_of_words", words.len(), arguments);
        for (word, found) in words.iter().zip(found.as_chunks().0) {
            let (found, expected) = (f32::from_le_bytes(*found), normal(*word));
            assert_eq!(found.to_bits(), expected.to_bits(), "{word:#010x}: {found}, not {expected}");
        }
    }

    #[test]
    fn raw_words_are_the_generators() {
        let (seed, first, count) = (0xfedc_ba98_7654_3210, (1 << 34) - 5, CHUNK as usize + 9);
        let address = Address::new(Purpose::STATE_ROUNDING, 17, 0x8000_0001, 0x8_0001).unwrap();
        let word = |element: u64| philox4x32(address.counter(element).unwrap(), key(seed))[(element % BLOCK) as usize];
        let expected: Vec<u32> = (first..).take(count).map(word).collect();
        let [field1, field2, field3] = address.fields();
        let mut found = vec![0; 4 * count];
        let arguments = &mut [
            Argument::Written(&mut found),
            Argument::U64(first),
            Argument::U64(count as u64),
            Argument::U64(seed),
            Argument::U32(field1),
            Argument::U32(field2),
            Argument::U32(field3),
        ];
        run("noise_words", count, arguments);
        assert!(found == bytes(&expected), "the words differ");
    }
}
