//! Kernels with what they are given and what they must leave.

use half::bf16;
use softcuda::check::Fault;
use softcuda::machine::{Launch, Machine, Options, Profile};

pub const KERNELS: &str = include_str!("kernels.ptx");
pub const ADAMW: &str =
    concat!(include_str!("../../../../kernels/ptx/library.ptx"), include_str!("../../../../kernels/ptx/adamw.ptx"));

/// A device buffer.
pub struct Buffer {
    pub name: &'static str,
    pub bytes: usize,
    /// What it holds before; `None`: nothing was ever written.
    pub before: Option<Vec<u8>>,
    /// What it holds after, if that is not what it held before.
    pub after: Option<Vec<u8>>,
    /// Addresses in it: offset, buffer, bytes into that buffer.
    pub pointers: Vec<(usize, usize, u64)>,
}

impl Buffer {
    fn input(name: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, bytes: bytes.len(), before: Some(bytes), after: None, pointers: Vec::new() }
    }

    fn output(name: &'static str, after: Vec<u8>) -> Self {
        Self { name, bytes: after.len(), before: None, after: Some(after), pointers: Vec::new() }
    }

    fn both(name: &'static str, before: Vec<u8>, after: Vec<u8>) -> Self {
        Self { name, bytes: after.len(), before: Some(before), after: Some(after), pointers: Vec::new() }
    }
}

/// A kernel's parameter.
pub enum Parameter {
    Buffer(usize),
    Word(u32),
}
use Parameter::{Buffer as At, Word};

/// What is done to a buffer before the launch.
#[derive(Clone, Copy, PartialEq)]
pub enum Sabotage {
    None,
    /// This buffer is freed.
    Free(usize),
    /// This buffer is never written.
    Unwritten(usize),
}

/// A kernel in a text, its launch and its buffers.
pub struct Case {
    pub kernel: &'static str,
    pub ptx: &'static str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub buffers: Vec<Buffer>,
    pub parameters: Vec<Parameter>,
}

impl Case {
    /// Runs a text in place of the case's own; whether all buffers hold what they must.
    pub fn run(&self, ptx: &str, options: Options, sabotage: Sabotage) -> Result<bool, Fault> {
        let machine = Machine::new(Profile::small(), options);
        let memory = machine.memory();
        let module = machine.load(ptx).unwrap_or_else(|error| panic!("{}: {error}", self.kernel));
        let at: Vec<u64> = self.buffers.iter().map(|buffer| memory.allocate(buffer.bytes as u64).unwrap()).collect();
        for (index, buffer) in self.buffers.iter().enumerate() {
            if let (Some(bytes), true) = (&buffer.before, sabotage != Sabotage::Unwritten(index)) {
                let mut bytes = bytes.clone();
                for &(offset, target, into) in &buffer.pointers {
                    bytes[offset..offset + 8].copy_from_slice(&(at[target] + into).to_le_bytes());
                }
                memory.write(at[index], &bytes).unwrap();
            }
        }
        if let Sabotage::Free(index) = sabotage {
            memory.free(at[index]).unwrap();
        }
        let mut parameters = Vec::new();
        for parameter in &self.parameters {
            match *parameter {
                At(index) => parameters.extend(at[index].to_le_bytes()),
                Word(word) => parameters.extend(word.to_le_bytes()),
            }
        }
        let (kernel, grid, block) = (self.kernel, self.grid, self.block);
        let parameters = &parameters;
        machine.launch(
            &module,
            &Launch { kernel, grid, block, shared: 0, parameters, cooperative: false, shared_optin: None },
        )?;
        Ok(self.buffers.iter().zip(&at).all(|(buffer, &at)| {
            let Some(after) = &buffer.after else { return true };
            let mut found = vec![0; after.len()];
            memory.read(at, &mut found).unwrap();
            found == *after
        }))
    }
}

fn bytes(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Words of which no two neighbours are alike.
fn noise(count: usize, salt: u32) -> Vec<u32> {
    let mix = |x: u32| (x ^ x >> 15).wrapping_mul(0x2c1b_3c6d);
    (0..count as u32).map(|index| mix(mix(index.wrapping_mul(0x9e37_79b9) ^ salt)) >> 3).collect()
}

/// As many floats, from -1 to 1.
fn floats(count: usize, salt: u32) -> Vec<f32> {
    noise(count, salt).iter().map(|&word| word as f32 / (1 << 28) as f32 - 1.0).collect()
}

/// Every launch; those of one kernel follow each other.
pub fn all() -> Vec<Case> {
    vec![
        reduce(),
        transpose(),
        pipeline(),
        warp(),
        saxpy(),
        histogram(1000),
        histogram(300),
        exchange(),
        reload(),
        own(),
        adamw(),
    ]
}

fn reduce() -> Case {
    let input = noise(701, 1);
    let sums = input.chunks(256).map(|chunk| chunk.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)));
    Case {
        kernel: "reduce",
        ptx: KERNELS,
        grid: [3, 1, 1],
        block: [256, 1, 1],
        buffers: vec![Buffer::output("out", bytes(sums)), Buffer::input("in", bytes(input.iter().copied()))],
        parameters: vec![At(0), At(1), Word(701)],
    }
}

fn transpose() -> Case {
    let (rows, columns) = (83, 45);
    let input = noise(rows * columns, 2);
    let turned = (0..rows * columns).map(|index| input[index % rows * columns + index / rows]);
    Case {
        kernel: "transpose",
        ptx: KERNELS,
        grid: [2, 2, 1],
        block: [32, 8, 1],
        buffers: vec![Buffer::output("out", bytes(turned)), Buffer::input("in", bytes(input.iter().copied()))],
        parameters: vec![At(0), At(1), Word(rows as u32), Word(columns as u32)],
    }
}

fn pipeline() -> Case {
    let tiles = 5;
    let input = noise(2 * tiles * 512, 3);
    let turned = input.chunks(512).flat_map(|tile| tile.chunks(4).rev().flatten().copied());
    Case {
        kernel: "pipeline",
        ptx: KERNELS,
        grid: [2, 1, 1],
        block: [128, 1, 1],
        buffers: vec![Buffer::output("out", bytes(turned)), Buffer::input("in", bytes(input.iter().copied()))],
        parameters: vec![At(0), At(1), Word(tiles as u32)],
    }
}

fn warp() -> Case {
    let input = noise(128, 4);
    let results = input.chunks(32).flat_map(|warp| {
        let sum = warp.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word));
        let most = *warp.iter().max().unwrap();
        let odd = (0..32).fold(0, |odd, lane| odd | (warp[lane] & 1) << lane);
        (0..32).flat_map(move |lane| [warp[31 - lane], sum, most, odd])
    });
    Case {
        kernel: "warp",
        ptx: KERNELS,
        grid: [2, 1, 1],
        block: [64, 1, 1],
        buffers: vec![Buffer::output("out", bytes(results)), Buffer::input("in", bytes(input.iter().copied()))],
        parameters: vec![At(0), At(1)],
    }
}

fn saxpy() -> Case {
    let (count, a) = (301, 1.7_f32);
    let (x, y) = (floats(count, 5), floats(count, 6));
    let words = |values: &[f32]| bytes(values.iter().map(|value| value.to_bits()));
    let after: Vec<f32> = x.iter().zip(&y).map(|(x, y)| a.mul_add(*x, *y)).collect();
    Case {
        kernel: "saxpy",
        ptx: KERNELS,
        grid: [3, 1, 1],
        block: [128, 1, 1],
        buffers: vec![Buffer::both("y", words(&y), words(&after)), Buffer::input("x", words(&x))],
        parameters: vec![At(0), At(1), Word(a.to_bits()), Word(count as u32)],
    }
}

fn histogram(count: usize) -> Case {
    let input = noise(count, 7);
    let mut bins: Vec<u32> = (0..64).collect();
    let before = bytes(bins.iter().copied());
    input.iter().for_each(|word| bins[(word & 63) as usize] += 1);
    Case {
        kernel: "histogram",
        ptx: KERNELS,
        grid: [3, 1, 1],
        block: [128, 1, 1],
        buffers: vec![Buffer::both("bins", before, bytes(bins)), Buffer::input("in", bytes(input))],
        parameters: vec![At(0), At(1), Word(count as u32)],
    }
}

/// Words handed on within a block, through a scratch buffer that was in use.
fn exchange() -> Case {
    let input = noise(256, 12);
    Case {
        kernel: "exchange",
        ptx: KERNELS,
        grid: [2, 1, 1],
        block: [128, 1, 1],
        buffers: vec![
            Buffer::output("out", bytes(input.iter().map(|word| word + 2))),
            Buffer::input("scratch", bytes(noise(256, 13))),
            Buffer::input("in", bytes(input.iter().copied())),
        ],
        parameters: vec![At(0), At(1), At(2)],
    }
}

fn reload() -> Case {
    let input = noise(256, 14);
    let turned = (0..256).map(|index| input[index / 128 * 128 + 127 - index % 128] + 127 - index as u32 % 128);
    Case {
        kernel: "reload",
        ptx: KERNELS,
        grid: [2, 1, 1],
        block: [128, 1, 1],
        buffers: vec![Buffer::output("out", bytes(turned)), Buffer::input("in", bytes(input.iter().copied()))],
        parameters: vec![At(0), At(1)],
    }
}

fn own() -> Case {
    let input = noise(128, 15);
    Case {
        kernel: "own",
        ptx: KERNELS,
        grid: [2, 1, 1],
        block: [64, 1, 1],
        buffers: vec![
            Buffer::output("out", bytes(input.iter().copied())),
            Buffer::input("in", bytes(input.iter().copied())),
        ],
        parameters: vec![At(0), At(1)],
    }
}

/// The project's own on three tensors: one that takes no part, one whose arrays are out of phase, and one in phase that
/// begins in the middle of its allocations and is cut into two chunks.
fn adamw() -> Case {
    const CUT: usize = 4093;
    const LENGTHS: [usize; 2] = [700, CUT + 2048 + 1027];
    let skips = [[1, 2, 3, 0], [3; 4]];
    // The gradient's scale, l2, keep, 1-β₁, 1-β₂, 1/√(1-β₂ᵗ), ε, lr/(1-β₁ᵗ); zeros for what may surround the rule stand behind
    // the first.
    let scalars = [0.5_f32, 0.01, 0.999, 0.1, 0.001, 1.25, 1e-8, 1e-3];
    let row = [&scalars[..1], &[0.0; 5], &scalars[1..]].concat();
    let mut chunks = Vec::new();
    for (tensor, start, end) in [(0, 0, 512), (1, 0, LENGTHS[0]), (2, 0, CUT), (2, CUT, LENGTHS[1])] {
        chunks.extend(bytes([tensor, (end - start) as u32]));
        chunks.extend((start as u64).to_le_bytes());
    }
    let mut tensors = tensor(512, 0);
    let mut pointers = Vec::new();
    let mut arrays = Vec::new();
    for (index, (&length, skips)) in LENGTHS.iter().zip(skips).enumerate() {
        tensors.extend(tensor(length, [1, 3][index]));
        for (array, (offset, width)) in [(0, 2), (8, 2), (80, 4), (88, 4)].into_iter().enumerate() {
            pointers.push((96 * (index + 1) + offset, 3 + 4 * index + array, (width * skips[array]) as u64));
        }
        arrays.extend(moments(length, skips, scalars, 20 * index as u32));
    }
    let scalars = bytes([&row; 3].into_iter().flatten().map(|scalar| scalar.to_bits()));
    let mut buffers = vec![
        Buffer::input("chunks", chunks),
        Buffer { pointers, ..Buffer::input("tensors", tensors) },
        Buffer::input("scalars", scalars),
    ];
    buffers.extend(arrays);
    let steps = |own: u64| [own, 1, 1, 1].map(u64::to_le_bytes).concat();
    let counters = buffers.len();
    buffers.push(Buffer::both("steps", steps(0), steps(1)));
    Case {
        kernel: "adamw_bf16_bf16",
        ptx: ADAMW,
        grid: [4, 1, 1],
        block: [256, 1, 1],
        buffers,
        // AdamW reads nothing of the groups: any address will do.
        parameters: vec![At(0), At(1), At(2), At(counters), At(2)],
    }
}

/// An entry of the table of tensors: parameter, gradient, nothing beside it, length, first element, id, group and flags,
/// nothing around the rule, m, v.
fn tensor(length: usize, flags: u32) -> Vec<u8> {
    let mut tensor = [0, 0, 0, length as u64, 0, 0].map(u64::to_le_bytes).concat();
    tensor.extend(bytes([0, flags]));
    tensor.extend([0; 8 * 5]);
    tensor
}

/// Parameter, gradient, m and v of a tensor before and after, each behind some elements of nothing.
fn moments(length: usize, skips: [usize; 4], scalars: [f32; 8], salt: u32) -> [Buffer; 4] {
    let [scale, l2, keep, one_beta1, one_beta2, inverse_root, eps, step] = scalars;
    let narrow = |values: Vec<f32>| values.into_iter().map(bf16::from_f32).collect::<Vec<_>>();
    let (p, g) = (narrow(floats(length, salt + 8)), narrow(floats(length, salt + 9)));
    let (m, mut v) = (floats(length, salt + 10), floats(length, salt + 11));
    v.iter_mut().for_each(|value| *value *= *value);
    let (mut p2, mut m2, mut v2) = (p.clone(), m.clone(), v.clone());
    for index in 0..length {
        let before = p[index].to_f32();
        let d = l2.mul_add(before, scale * g[index].to_f32());
        m2[index] = one_beta1.mul_add(d - m[index], m[index]);
        v2[index] = one_beta2.mul_add(d * d - v[index], v[index]);
        let denominator = v2[index].sqrt().mul_add(inverse_root, eps);
        p2[index] = bf16::from_f32((-step).mul_add(m2[index] / denominator, before * keep));
    }
    let halves = |values: &[bf16], skip: usize| -> Vec<u8> {
        std::iter::repeat_n(&bf16::ZERO, skip).chain(values).flat_map(|value| value.to_le_bytes()).collect()
    };
    let words = |values: &[f32], skip: usize| -> Vec<u8> {
        std::iter::repeat_n(&0.0, skip).chain(values).flat_map(|value| value.to_le_bytes()).collect()
    };
    [
        Buffer::both("parameter", halves(&p, skips[0]), halves(&p2, skips[0])),
        Buffer::input("gradient", halves(&g, skips[1])),
        Buffer::both("m", words(&m, skips[2]), words(&m2, skips[2])),
        Buffer::both("v", words(&v, skips[3]), words(&v2, skips[3])),
    ]
}
