//! Shuffles, votes and barriers: fibers on this machine, lanes in softcuda.

use softcuda::machine::Options;

use crate::compiled::library;
use crate::device::{Device, Host, Soft};
use crate::values::{Random, Type};

const PTX: &str = include_str!("barriers.ptx");
const BLOCKS: usize = 64;
const COUNT: usize = 256 * BLOCKS;

#[test]
fn barriers() {
    let Some(library) = library() else { return };
    let (mut elements, mut nans) = (0, 0);
    for kernel in ["reduce", "scan", "smooth"] {
        for seed in 0..4 {
            let mut random = Random(seed);
            // Edges would make a NaN of every block, so only every other block has them.
            let input: Vec<u8> = (0..COUNT)
                .flat_map(|index| match index / 256 % 2 {
                    0 => (random.next() as u32 as f32 / 4e9 - 0.5).to_le_bytes(),
                    _ => (Type::F32.element(&mut random) as u32).to_le_bytes(),
                })
                .collect();
            let options = Options { threads: 2, seed, one_lane: seed == 3, ..Options::default() };
            let (soft, host) = (Soft::new(PTX, options), Host::new(library));
            let run = |device: &dyn Device, name: &str| {
                let (to, from) = (device.put(&[0; 4 * COUNT]), device.put(&input));
                device.launch(name, BLOCKS as u32, &[to, from]);
                device.get(to, 4 * COUNT)
            };
            let (soft, host) = (run(&soft, kernel), run(&host, &format!("run_{kernel}")));
            for (index, (soft, host)) in soft.chunks(4).zip(host.chunks(4)).enumerate() {
                let (soft, host) = (Type::F32.bits(soft), Type::F32.bits(host));
                // Where floats are computed, one NaN is another.
                let both = kernel != "scan" && Type::F32.is_nan(soft) && Type::F32.is_nan(host);
                assert!(soft == host || both, "{kernel}, seed {seed}, {index}: softcuda {soft:#x}, host {host:#x}");
                nans += usize::from(both);
            }
            elements += COUNT;
        }
    }
    println!("barriers: 3 kernels, 12 launches, {elements} elements, {} bytes, {nans} NaNs", 4 * elements);
}
