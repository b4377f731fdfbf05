//! The elementary functions on softcuda beside their twins, bit for bit.

use bytemuck::{Pod, cast_slice};
use softcuda::{Argument, launch};

use super::{THREADS, modules};
use crate::element::Real;
use crate::fmath;
use crate::rng::philox4x32;

/// A function of two arguments; most ignore the second.
type Function<T> = (&'static str, fn(T, T) -> T);

fn functions<T: Real>() -> [Function<T>; 10] {
    [
        ("exp", |x, _| fmath::exp(x)),
        ("ln", |x, _| fmath::ln(x)),
        ("log2", |x, _| fmath::log2(x)),
        ("pow", fmath::pow),
        ("tanh", |x, _| fmath::tanh(x)),
        ("sinpi", |x, _| fmath::sincospi(x).sin),
        ("cospi", |x, _| fmath::sincospi(x).cos),
        ("max", fmath::max),
        ("min", fmath::min),
        ("sign", |x, _| fmath::sign(x)),
    ]
}

/// Pairs of special values, of numbers of every size, and of numbers at which the functions change.
fn pairs<T: Real>(of_bits: impl Fn(u64) -> T) -> (Vec<T>, Vec<T>) {
    const SPECIAL: [f64; 22] = [
        0.0,
        1.0,
        2.0,
        3.0,
        0.5,
        1.5,
        0.25,
        0.999,
        1e-3,
        1e-30,
        1e-40,
        1e-310,
        5e-324,
        20.0,
        88.8,
        103.9,
        709.8,
        745.2,
        1e6,
        3e38,
        1e300,
        f64::INFINITY,
    ];
    let special: Vec<T> = SPECIAL.iter().flat_map(|&x| [x, -x]).chain([f64::NAN]).map(T::from_f64).collect();
    let both = special.iter().flat_map(|&x| special.iter().map(move |&y| (x, y)));
    let any = (0..40_000_u32).flat_map(|i| {
        let [a, b, c, d] = philox4x32([i, 0, 0, 0], [0, 0]).map(u64::from);
        let small = |word: u64| T::from_f64((word as f64 / 4294967296.0 - 0.5) * 64.0);
        [(of_bits(a << 32 | b), of_bits(c << 32 | d)), (small(a), small(b)), (of_bits(a << 32 | c), small(d))]
    });
    both.chain(any).unzip()
}

fn compare<T: Real + Pod>(of_bits: impl Fn(u64) -> T) {
    let (xs, ys) = pairs(of_bits);
    for (name, function) in functions::<T>() {
        let mut found = vec![T::from_f64(0.5); xs.len()];
        let kernel = format!("fmath_{name}_{}", T::DTYPE);
        let mut out = cast_slice::<T, u8>(&found).to_vec();
        let arguments = &mut [
            Argument::Read(cast_slice(&xs)),
            Argument::Read(cast_slice(&ys)),
            Argument::Written(&mut out),
            Argument::U64(xs.len() as u64),
        ];
        let blocks = (xs.len() as u32).div_ceil(THREADS);
        launch(modules::text("fmath"), &kernel, [blocks, 1, 1], [THREADS, 1, 1], arguments)
            .unwrap_or_else(|error| panic!("{error}"));
        bytemuck::cast_slice_mut::<T, u8>(&mut found).copy_from_slice(&out);
        for ((x, y), found) in xs.iter().zip(&ys).zip(found) {
            let expected = function(*x, *y);
            let same = found.bits() == expected.bits();
            assert!(same, "{kernel}({x:?}, {y:?}) is {found:?} and not {expected:?}");
        }
    }
}

#[test]
fn functions_of_f32_are_twins() {
    compare(|bits| f32::from_bits(bits as u32));
}

#[test]
fn functions_of_f64_are_twins() {
    compare(f64::from_bits);
}
