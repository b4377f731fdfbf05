//! f32 against the same function in f64, which is 2^29 times finer.

use crate::accuracy::{BLOCK, Errors, Function, full, hash, worst};

/// `f` is a constant, so that each function has its own loop.
#[derive(Clone, Copy)]
struct Single<const FUNCTION: usize>;

impl<const FUNCTION: usize> Single<FUNCTION> {
    const FUNCTION: Function = Function::ALL[FUNCTION];
}

/// The distance of a result from the value it stands for, in places of the latter.
#[inline(always)]
fn distance(found: f32, expected: f64) -> f64 {
    let exponent = ((expected.to_bits() >> 52) & 0x7ff).max(1023 - 126);
    let place = f64::from_bits((exponent - 23) << 52);
    // Where overflow sets in, an infinity stands for 2^128.
    let limit = 3.402823669209385e38;
    let bounded = if expected.abs() > limit { limit.copysign(expected) } else { expected };
    let value = if found.is_infinite() { limit.copysign(f64::from(found)) } else { f64::from(found) };
    let error = (value - bounded).abs() / place;
    let sign = expected != 0.0 || expected.to_bits() >> 63 == u64::from(found.to_bits() >> 31);
    let same = if found.is_nan() == expected.is_nan() && sign { 0.0 } else { f64::INFINITY };
    if expected.is_nan() { same } else { error + same }
}

impl<const FUNCTION: usize> Errors for Single<FUNCTION> {
    type Real = f32;

    #[inline(always)]
    fn arguments(self, position: u64) -> (f32, f32) {
        let bits = if FUNCTION == Function::Pow as usize { hash(position) } else { position };
        (f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32))
    }

    #[inline(always)]
    fn error(self, x: f32, y: f32) -> f64 {
        let function = Self::FUNCTION;
        distance(function.of(x, y), function.of(f64::from(x), f64::from(y)))
    }
}

/// Every argument, or with debug assertions, which make it slow, one in 61; of `pow` as many pairs.
fn check<const FUNCTION: usize>(bound: f64) {
    let stride = if full() || !cfg!(debug_assertions) { 1 } else { 61 };
    let worst = worst(Single::<FUNCTION>, (1 << 32) / stride / BLOCK as u64 * BLOCK as u64, stride);
    println!("{} f32: {worst:?}", Function::ALL[FUNCTION].name());
    assert!(worst.ulp <= bound, "{} of f32: {worst:?}; the bound is {bound}", Function::ALL[FUNCTION].name());
}

#[test]
fn exp() {
    check::<{ Function::Exp as usize }>(1.01);
}

#[test]
fn ln() {
    check::<{ Function::Ln as usize }>(0.52);
}

#[test]
fn log2() {
    check::<{ Function::Log2 as usize }>(0.53);
}

#[test]
fn pow() {
    check::<{ Function::Pow as usize }>(2.5);
}

#[test]
fn tanh() {
    check::<{ Function::Tanh as usize }>(0.95);
}

#[test]
fn sinpi() {
    check::<{ Function::Sinpi as usize }>(0.97);
}

#[test]
fn cospi() {
    check::<{ Function::Cospi as usize }>(0.89);
}
