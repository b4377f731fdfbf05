//! AdamW of every storage type against a plain loop, bit for bit; and how fast it runs.

use half::{bf16, f16};
use softcuda::count::Counters;
use softcuda::machine::Options;

use crate::support::Bench;

const PTX: &str =
    concat!(include_str!("../../../../kernels/ptx/library.ptx"), include_str!("../../../../kernels/ptx/adamw.ptx"));
const CHUNK: u64 = 16_384;
const HYPER: [f64; 6] = [1e-3, 0.9, 0.999, 1e-8, 0.01, 1.0];
const GRADIENT_SCALE: f64 = 0.5;
/// Numbers of a group that surround the rule's, the gradient's scale first; zeros ask for nothing.
const AROUND: usize = 17;
/// Scalars of a tensor, with those around the rule.
const SCALARS: usize = 6 + 7;

/// A stored element as the arithmetic sees it.
trait Element: Copy {
    fn to_bytes(self) -> Vec<u8>;
}

macro_rules! element {
    ($($ty:ty),+) => {
        $(impl Element for $ty {
            fn to_bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        })+
    };
}
element!(f32, f64, bf16, f16);

fn bytes<T: Element>(values: &[T]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_bytes()).collect()
}

fn powi(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// l2, keep, 1-β₁, 1-β₂, 1/√(1-β₂ᵗ), ε, lr/(1-β₁ᵗ).
fn tick(t: u64) -> [f64; 7] {
    let [lr, beta1, beta2, eps, decay, _] = HYPER;
    let (bias1, bias2) = (1.0 - powi(beta1, t), 1.0 - powi(beta2, t));
    [0.0, 1.0 - lr * decay, 1.0 - beta1, 1.0 - beta2, 1.0 / bias2.sqrt(), eps, lr / bias1]
}

macro_rules! update {
    ($name:ident, $real:ty) => {
        fn $name(s: [f64; 7], p: $real, g: $real, m: &mut $real, v: &mut $real) -> $real {
            let [l2, keep, one_beta1, one_beta2, inverse_root, eps, step] = s.map(|value| value as $real);
            let d = l2.mul_add(p, g);
            *m = one_beta1.mul_add(d - *m, *m);
            *v = one_beta2.mul_add(d * d - *v, *v);
            let denominator = v.sqrt().mul_add(inverse_root, eps);
            let result = (-step).mul_add(*m / denominator, p * keep);
            // A GPU's NaN is one.
            for value in [&mut *m, &mut *v] {
                if value.is_nan() {
                    *value = <$real>::from_bits(!0 >> 1);
                }
            }
            result
        }
    };
}
update!(update32, f32);
update!(update64, f64);

/// Values that are neither all normal nor all alike.
fn noise(index: usize, salt: u64) -> f64 {
    let mut z = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 27;
    let unit = (z >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
    match z % 97 {
        0 => 0.0,
        1 => unit * 1e-40,
        2 => unit * 1e30,
        _ => unit,
    }
}

/// What a run needs and leaves on the device.
struct Arrays {
    bench: Bench,
    chunks: u64,
    blocks: u32,
    tensors: u64,
    groups: u64,
    steps: u64,
    carries: u64,
    scalars: u64,
    arrays: [u64; 4],
}

impl Arrays {
    fn new(options: Options, length: usize, skip: usize, arrays: [&[u8]; 4], widths: [usize; 4]) -> Self {
        let bench = Bench::new(PTX, options);
        // A tensor that begins in the middle of an allocation is out of phase with an aligned one.
        let arrays: [u64; 4] = std::array::from_fn(|index| {
            let offset = skip * widths[index];
            let mut padded = vec![0; offset];
            padded.extend_from_slice(arrays[index]);
            bench.put(&padded) + offset as u64
        });
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < length as u64 {
            let end = (start + CHUNK - if start == 0 { skip as u64 } else { 0 }).min(length as u64);
            chunks.extend([0_u32.to_le_bytes(), ((end - start) as u32).to_le_bytes()].concat());
            chunks.extend(start.to_le_bytes());
            start = end;
        }
        let [parameter, gradient, m, v] = arrays;
        // Nothing beside the gradient, the first element 0 of tensor 0, group 0 with a gradient and arrays in phase, nothing
        // around the rule, its states.
        let words = [parameter, gradient, 0, length as u64, 0, 0, 3 << 32, 0, 0, 0, m, v];
        let tensor: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        let mut around = [0.0; AROUND];
        around[0] = GRADIENT_SCALE;
        let group: Vec<u8> = around.into_iter().chain(HYPER).flat_map(f64::to_le_bytes).collect();
        Self {
            blocks: (chunks.len() / 16) as u32,
            chunks: bench.put(&chunks),
            tensors: bench.put(&tensor),
            groups: bench.put(&group),
            steps: bench.put(&[0; 16]),
            carries: bench.put(&[0; 16]),
            scalars: bench.put(&[0; 8 * SCALARS]),
            arrays,
            bench,
        }
    }

    fn step(&self, real: &str, update: &str) -> Counters {
        let tick = [self.tensors, 1, self.groups, self.steps, self.carries, self.scalars];
        let ticked = self.bench.launch(&format!("adamw_tick_{real}"), 1, 256, &tick);
        ticked.unwrap_or_else(|fault| panic!("{fault:?}"));
        let update = format!("adamw_{update}");
        let arguments = [self.chunks, self.tensors, self.groups, self.steps, self.scalars];
        let updated = self.bench.launch(&update, self.blocks, 256, &arguments);
        updated.unwrap_or_else(|fault| panic!("{fault:?}"))
    }
}

macro_rules! compare {
    ($test:ident, $parameter:ty, $gradient:ty, $real:ty, $real_name:literal, $update_name:literal, $update:ident) => {
        #[test]
        fn $test() {
            let length = 20_011;
            let of = |salt| (0..length).map(move |index| noise(index, salt));
            for (skip, options) in [
                (0, Options { threads: 2, ..Options::default() }),
                (3, Options { threads: 1, seed: 5, ..Options::default() }),
                (1, Options { threads: 2, one_lane: true, ..Options::default() }),
            ] {
                let narrow_p = |value: f64| <$parameter>::from_value(value);
                let narrow_g = |value: f64| <$gradient>::from_value(value);
                let mut p: Vec<$parameter> = of(1).map(narrow_p).collect();
                let mut m: Vec<$real> = of(2).map(|value| value as $real).collect();
                let mut v: Vec<$real> = of(3).map(|value| (value * value) as $real).collect();
                let g: Vec<$gradient> = of(4).map(narrow_g).collect();
                let real = size_of::<$real>();
                let widths = [size_of::<$parameter>(), size_of::<$gradient>(), real, real];
                let device =
                    Arrays::new(options, length, skip, [&bytes(&p), &bytes(&g), &bytes(&m), &bytes(&v)], widths);
                for step in 1..=2 {
                    device.step($real_name, $update_name);
                    for index in 0..length {
                        let scaled = GRADIENT_SCALE as $real * <$real>::from(g[index]);
                        let updated =
                            $update(tick(step), <$real>::from(p[index]), scaled, &mut m[index], &mut v[index]);
                        p[index] = <$parameter>::from_real(updated);
                    }
                }
                let check = |name: &str, address: u64, expected: Vec<u8>, width: usize| {
                    let found = device.bench.bytes(address, expected.len());
                    let wrong = (0..length).find(|&i| found[i * width..][..width] != expected[i * width..][..width]);
                    assert_eq!(wrong, None, "{name} differs, skip {skip}");
                };
                check("parameter", device.arrays[0], bytes(&p), widths[0]);
                check("m", device.arrays[2], bytes(&m), widths[2]);
                check("v", device.arrays[3], bytes(&v), widths[3]);
            }
        }
    };
}

/// Rounds to a stored type.
trait Stored {
    fn from_value(value: f64) -> Self;
}
impl Stored for f32 {
    fn from_value(value: f64) -> Self {
        value as f32
    }
}
impl Stored for f64 {
    fn from_value(value: f64) -> Self {
        value
    }
}
impl Stored for bf16 {
    fn from_value(value: f64) -> Self {
        bf16::from_f32(value as f32)
    }
}
impl Stored for f16 {
    fn from_value(value: f64) -> Self {
        f16::from_f32((value as f32).clamp(-60_000.0, 60_000.0))
    }
}

/// Rounds what was computed to a stored type.
trait FromReal<R> {
    fn from_real(value: R) -> Self;
}
impl FromReal<f32> for f32 {
    fn from_real(value: f32) -> Self {
        if value.is_nan() { f32::from_bits(!0 >> 1) } else { value }
    }
}
impl FromReal<f64> for f64 {
    fn from_real(value: f64) -> Self {
        if value.is_nan() { f64::from_bits(!0 >> 1) } else { value }
    }
}
impl FromReal<f32> for bf16 {
    fn from_real(value: f32) -> Self {
        if value.is_nan() { bf16::from_bits(0x7fff) } else { bf16::from_f32(value) }
    }
}
impl FromReal<f32> for f16 {
    fn from_real(value: f32) -> Self {
        if value.is_nan() { f16::from_bits(0x7fff) } else { f16::from_f32(value) }
    }
}

compare!(f32_f32, f32, f32, f32, "f32", "f32_f32", update32);
compare!(f32_bf16, f32, bf16, f32, "f32", "f32_bf16", update32);
compare!(f32_f16, f32, f16, f32, "f32", "f32_f16", update32);
compare!(bf16_bf16, bf16, bf16, f32, "f32", "bf16_bf16", update32);
compare!(bf16_f32, bf16, f32, f32, "f32", "bf16_f32", update32);
compare!(f16_f16, f16, f16, f32, "f32", "f16_f16", update32);
compare!(f64_f64, f64, f64, f64, "f64", "f64_f64", update64);

/// Told with `--nocapture`. Only the count of instructions is demanded: speed is the machine's.
#[test]
fn speed() {
    let length = 1 << 20;
    let array =
        |salt| (0..length).flat_map(|index| (noise(index, salt) as f32).abs().to_le_bytes()).collect::<Vec<_>>();
    let arrays = [array(1), array(4), array(2), array(3)];
    let devices = [true, false].map(|check_initialised| {
        let options = Options { threads: 1, check_initialised, ..Options::default() };
        Arrays::new(options, length, 0, arrays.each_ref().map(|array| &array[..]), [4; 4])
    });
    let mut best = [f64::INFINITY; 2];
    let mut instructions = 0;
    // The first turn warms up.
    for turn in 0..21 {
        for (device, best) in devices.iter().zip(&mut best) {
            let begin = std::time::Instant::now();
            let counters = device.step("f32", "f32_f32");
            if turn > 0 {
                *best = best.min(begin.elapsed().as_secs_f64());
            }
            instructions = total(&counters);
        }
    }
    let [checked, unchecked] = best;
    let rate = instructions as f64 / checked;
    assert!((15..18).contains(&(instructions >> 20)), "{instructions}");
    println!("{instructions} instructions of threads in {:.1} ms: {:.2} G/s", 1e3 * checked, rate / 1e9);
    println!("{:.2} of the time without a check of uninitialised reads", checked / unchecked);
}

fn total(counters: &Counters) -> u64 {
    let c = counters.thread_instructions;
    c.integer
        + c.f32
        + c.f64
        + c.f16
        + c.convert
        + c.special
        + c.moves
        + c.compare
        + c.control
        + c.global
        + c.shared
        + c.local
        + c.constant
        + c.atomic
        + c.warp
        + c.barrier
        + c.matrix
}
