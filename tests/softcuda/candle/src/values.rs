//! Inputs: edges of a type, then numbers near one.

use crate::device::Number;

/// Both zeros, subnormals, the least and the greatest, infinities, a NaN, ties.
pub fn edges<T: Number>() -> Vec<T> {
    let greatest = match T::DTYPE {
        candle_core::DType::F16 => 65504.0,
        candle_core::DType::F64 => f64::MAX,
        candle_core::DType::BF16 => 3.389_531_389_251_535_5e38,
        _ => f32::MAX.into(),
    };
    let magnitudes = [
        0.0,
        T::LEAST * 0.375,
        T::LEAST * (1.0 - T::EPSILON),
        T::LEAST,
        0.5,
        1.0,
        1.0 + T::EPSILON,
        1.5,
        2.5,
        7.75,
        greatest,
        f64::INFINITY,
        f64::NAN,
    ];
    magnitudes.into_iter().flat_map(|value| [T::from_f64(value), T::from_f64(-value)]).collect()
}

/// A generator (splitmix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *seed;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Numbers from -8 to 8, none of them zero.
pub fn ordinary<T: Number>(count: usize, mut seed: u64) -> Vec<T> {
    let value = |bits: u64| ((bits >> 11) as f64 + 0.5) * (16.0 / (1_u64 << 53) as f64) - 8.0;
    (0..count).map(|_| T::from_f64(value(random(&mut seed)))).collect()
}

/// Edges, then ordinary numbers.
pub fn floats<T: Number>(count: usize) -> Vec<T> {
    let edges = edges();
    let ordinary = ordinary(count, count as u64);
    edges.into_iter().chain(ordinary).take(count).collect()
}

/// Every pair of edges, then ordinary numbers.
pub fn pairs<T: Number>(count: usize) -> [Vec<T>; 2] {
    let edges = edges::<T>();
    let both = edges.iter().flat_map(|&a| edges.iter().map(move |&b| (a, b)));
    let ordinary = ordinary(count, 1).into_iter().zip(ordinary(count, 2));
    let (a, b): (Vec<T>, Vec<T>) = both.chain(ordinary).take(count).unzip();
    [a, b]
}

/// Integers below a bound.
pub fn below(count: usize, bound: u64, mut seed: u64) -> Vec<u64> {
    (0..count).map(|_| random(&mut seed) % bound).collect()
}

/// Integers of 32 bits or fewer: few, middling and large.
pub fn integers(count: usize, mut seed: u64) -> Vec<u64> {
    (0..count)
        .map(|_| {
            let bits = random(&mut seed) & 0xffff_ffff;
            bits >> (random(&mut seed) % 32)
        })
        .collect()
}
