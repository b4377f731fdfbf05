//! f64 against sums of two doubles.

use std::sync::LazyLock;

use crate::accuracy::{Errors, Function, full, hash, worst};
use crate::double_double::{Dd, LOG2_E, Reference};

static REFERENCE: LazyLock<Reference> = LazyLock::new(Reference::new);

/// `f` is a constant, so that each function has its own loop.
#[derive(Clone, Copy)]
struct Double<const FUNCTION: usize>;

impl<const FUNCTION: usize> Double<FUNCTION> {
    const FUNCTION: Function = Function::ALL[FUNCTION];
}

/// A number between -1 and 1 of the low bits.
fn unit(bits: u64) -> f64 {
    (bits as i64) as f64 / 9223372036854775808.0
}

/// The distance of a result from a value of two doubles, in places of the latter.
fn distance(found: f64, expected: Dd) -> f64 {
    let exponent = ((expected.high.to_bits() >> 52) & 0x7ff).max(53);
    let place = f64::from_bits((exponent - 52) << 52);
    ((found - expected.high) - expected.low).abs() / place
}

impl<const FUNCTION: usize> Errors for Double<FUNCTION> {
    type Real = f64;

    fn arguments(self, position: u64) -> (f64, f64) {
        let (bits, more) = (hash(position), hash(!position));
        // Of every size: a positive normal number.
        let any = f64::from_bits((bits % (0x7fe << 52)) + (1 << 52));
        let near_one = 1.0 + 0.5 * unit(bits);
        let usual = if more & 1 == 0 { any } else { near_one };
        match Self::FUNCTION {
            Function::Exp => (if more & 1 == 0 { 708.0 * unit(bits) } else { unit(bits) }, 0.0),
            Function::Ln | Function::Log2 => (usual, 0.0),
            Function::Pow => (usual, unit(hash(more)) * 1021.0 / usual.log2()),
            Function::Tanh => (if more & 1 == 0 { 20.0 * unit(bits) } else { unit(bits) }, 0.0),
            Function::Sinpi | Function::Cospi => (0.5 * unit(bits), 0.0),
        }
    }

    fn error(self, x: f64, y: f64) -> f64 {
        let found = Self::FUNCTION.of(x, y);
        // Powers of two are taken off on both sides, exactly.
        let scaled = |power: Dd, k: f64| {
            let half = 2.0_f64.powi(-(k / 2.0) as i32);
            distance(found * half * 2.0_f64.powi(-(k as i32)) / half, power)
        };
        match Self::FUNCTION {
            Function::Exp => {
                let (power, k) = REFERENCE.exp(Dd::new(x));
                scaled(power, k)
            }
            Function::Ln => distance(found, REFERENCE.ln(x)),
            Function::Log2 => distance(found, REFERENCE.ln(x) * LOG2_E),
            Function::Pow => {
                let (power, k) = REFERENCE.exp(Dd::new(y) * REFERENCE.ln(x));
                scaled(power, k)
            }
            Function::Tanh => {
                let tanh = REFERENCE.tanh(x.abs());
                distance(found.abs(), tanh)
                    + if found.is_sign_negative() == x.is_sign_negative() { 0.0 } else { f64::INFINITY }
            }
            Function::Sinpi => distance(found, REFERENCE.sincospi(x).0),
            Function::Cospi => distance(found, REFERENCE.sincospi(x).1),
        }
    }
}

/// 2²¹ points in every run, 2³⁰ where everything is asked for.
fn check<const FUNCTION: usize>(bound: f64) {
    let count = if full() { 1 << 30 } else { 1 << 21 };
    let worst = worst(Double::<FUNCTION>, count, 1);
    println!("{} f64: {worst:?}", Function::ALL[FUNCTION].name());
    assert!(worst.ulp <= bound, "{} of f64: {worst:?}; the bound is {bound}", Function::ALL[FUNCTION].name());
}

#[test]
fn exp() {
    check::<{ Function::Exp as usize }>(1.1);
}

#[test]
fn ln() {
    check::<{ Function::Ln as usize }>(0.7);
}

#[test]
fn log2() {
    check::<{ Function::Log2 as usize }>(0.75);
}

#[test]
fn pow() {
    check::<{ Function::Pow as usize }>(1.3);
}

#[test]
fn tanh() {
    check::<{ Function::Tanh as usize }>(1.6);
}

#[test]
fn sinpi() {
    check::<{ Function::Sinpi as usize }>(1.1);
}

#[test]
fn cospi() {
    check::<{ Function::Cospi as usize }>(1.1);
}
