//! f32 and f64 arithmetic against `rustc_apfloat`, every rounding.

use rustc_apfloat::ieee::{Double, Quad, Single};
use rustc_apfloat::{Float, FloatConvert, Round};
use softcuda::exec::float::*;
use softcuda::ir::Rounding;

use crate::values::{ROUNDINGS, Random, edges};

const RANDOM: usize = 1_000_000;

macro_rules! arithmetic {
    ($module:ident, $float:ty, $bits:ty, $oracle:ty, $exponent:expr, $fraction:expr, $nan:expr,
     $add:ident, $sub:ident, $mul:ident, $fma:ident, $div:ident, $sqrt:ident, $rcp:ident) => {
        mod $module {
            use super::*;

            fn value(bits: u64) -> $float {
                <$float>::from_bits(bits as $bits)
            }

            fn check(name: &str, operands: &[u64], rounding: Rounding, result: $float, expected: $oracle) {
                let expected = if expected.is_nan() { $nan } else { expected.to_bits() as $bits };
                assert_eq!(result.to_bits(), expected, "{name} {operands:x?} {rounding:?}: {result:e}");
            }

            fn binary(
                name: &str,
                run: impl Fn($float, $float, Rounding) -> $float,
                expect: impl Fn($oracle, $oracle, Round) -> $oracle,
                seed: u64,
            ) {
                let edges = edges($exponent, $fraction);
                let mut random = Random(seed);
                let one = |a: u64, b: u64| {
                    for (rounding, round) in ROUNDINGS {
                        let expected = expect(<$oracle>::from_bits(a.into()), <$oracle>::from_bits(b.into()), round);
                        check(name, &[a, b], rounding, run(value(a), value(b), rounding), expected);
                    }
                };
                for &a in &edges {
                    edges.iter().for_each(|&b| one(a, b));
                }
                for _ in 0..RANDOM {
                    one(random.float($exponent, $fraction, &edges), random.float($exponent, $fraction, &edges));
                }
            }

            #[test]
            fn add() {
                binary("add", $add, |a, b, round| a.add_r(b, round).value, 1);
            }

            #[test]
            fn sub() {
                binary("sub", $sub, |a, b, round| a.sub_r(b, round).value, 2);
            }

            #[test]
            fn mul() {
                binary("mul", $mul, |a, b, round| a.mul_r(b, round).value, 3);
            }

            #[test]
            fn div() {
                binary("div", $div, |a, b, round| a.div_r(b, round).value, 4);
            }

            #[test]
            fn rcp() {
                let one = <$oracle>::from_bits((1.0 as $float).to_bits().into());
                binary("rcp", |a, _, rounding| $rcp(a, rounding), |a, _, round| one.div_r(a, round).value, 5);
            }

            #[test]
            fn fma() {
                let edges = edges($exponent, $fraction);
                let mut random = Random(6);
                let one = |a: u64, b: u64, c: u64| {
                    for (rounding, round) in ROUNDINGS {
                        let [x, y, z] = [a, b, c].map(|bits| <$oracle>::from_bits(bits.into()));
                        let result = $fma(value(a), value(b), value(c), rounding);
                        check("fma", &[a, b, c], rounding, result, x.mul_add_r(y, z, round).value);
                    }
                };
                for &a in &edges {
                    for &b in &edges {
                        edges.iter().for_each(|&c| one(a, b, c));
                    }
                }
                for index in 0..RANDOM {
                    let [a, b, c] = [(); 3].map(|()| random.float($exponent, $fraction, &edges));
                    // A third of them cancel: c is minus the product, or a neighbour of it.
                    let product = -(value(a) * value(b));
                    let near = u64::from(product.to_bits()).wrapping_add(random.below(3)).wrapping_sub(1);
                    one(a, b, if index % 3 == 0 { near & u64::from(<$bits>::MAX) } else { c });
                }
            }

            /// r is the root rounded down if r² ≤ a < next(r)², both squares exact in 113 bits.
            #[test]
            fn sqrt() {
                let edges = edges($exponent, $fraction);
                let mut random = Random(7);
                let quad = |value: $float| -> Quad {
                    let mut lossy = false;
                    <$oracle>::from_bits(value.to_bits().into()).convert(&mut lossy).value
                };
                let square = |value: $float| quad(value).mul_r(quad(value), Round::NearestTiesToEven).value;
                let one = |bits: u64| {
                    let a = value(bits);
                    if a.is_nan() || a <= 0.0 || a.is_infinite() {
                        for (rounding, _) in ROUNDINGS {
                            let expected = if a.is_nan() || a < 0.0 { $nan } else { a.to_bits() };
                            assert_eq!($sqrt(a, rounding).to_bits(), expected, "sqrt {bits:x} {rounding:?}");
                        }
                        return;
                    }
                    let down = $sqrt(a, Rounding::Rm);
                    assert!(square(down) <= quad(a) && quad(a) < square(down.next_up()), "sqrt {bits:x} down {down:e}");
                    assert_eq!($sqrt(a, Rounding::Rz), down);
                    let exact = square(down) == quad(a);
                    assert_eq!($sqrt(a, Rounding::Rp), if exact { down } else { down.next_up() }, "sqrt {bits:x} up");
                    assert_eq!($sqrt(a, Rounding::Rn), a.sqrt());
                };
                edges.iter().for_each(|&bits| one(bits));
                for _ in 0..RANDOM {
                    let bits = random.float($exponent, $fraction, &edges);
                    one(bits);
                    // Squares, exact or nearly so.
                    let root = value(bits & !((1 << ($fraction / 2 + 1)) - 1));
                    let square = u64::from((root * root).to_bits());
                    [square, square ^ 1].into_iter().for_each(one);
                }
            }
        }
    };
}

arithmetic!(
    single,
    f32,
    u32,
    Single,
    8,
    23,
    0x7fff_ffff,
    f32_add,
    f32_sub,
    f32_mul,
    f32_fma,
    f32_div,
    f32_sqrt,
    f32_rcp
);
arithmetic!(
    double,
    f64,
    u64,
    Double,
    11,
    52,
    0x7fff_ffff_ffff_ffff,
    f64_add,
    f64_sub,
    f64_mul,
    f64_fma,
    f64_div,
    f64_sqrt,
    f64_rcp
);

/// Unpinned is nearest even.
#[test]
fn unpinned() {
    let mut random = Random(8);
    let edges = edges(8, 23);
    for _ in 0..10_000 {
        let [a, b, c] = [(); 3].map(|()| f32::from_bits(random.float(8, 23, &edges) as u32));
        let (unpinned, nearest) = (Rounding::Unpinned, Rounding::Rn);
        assert_eq!(f32_add(a, b, unpinned).to_bits(), f32_add(a, b, nearest).to_bits());
        assert_eq!(f32_fma(a, b, c, unpinned).to_bits(), f32_fma(a, b, c, nearest).to_bits());
        assert_eq!(f64_mul(a.into(), b.into(), unpinned).to_bits(), f64_mul(a.into(), b.into(), nearest).to_bits());
    }
}

#[test]
fn flush_and_saturate() {
    assert_eq!(ftz32(f32::from_bits(0x807f_ffff)).to_bits(), 0x8000_0000);
    assert_eq!(ftz32(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
    assert_eq!(ftz32(f32::from_bits(1)).to_bits(), 0);
    for (value, expected) in
        [(f32::NAN, 0.0), (-0.0, 0.0), (-1.0, 0.0), (1e-45, 1e-45), (0.5, 0.5), (1.0, 1.0), (1.5, 1.0)]
    {
        assert_eq!(sat32(value).to_bits(), f32::to_bits(expected));
        assert_eq!(sat64(value.into()).to_bits(), f64::from(expected).to_bits());
    }
    assert_eq!((sat32(f32::INFINITY), sat32(f32::NEG_INFINITY).to_bits()), (1.0, 0));
    assert_eq!(canonical32(-f32::NAN).to_bits(), 0x7fff_ffff);
    assert_eq!(canonical64(-f64::NAN).to_bits(), 0x7fff_ffff_ffff_ffff);
}

/// An order of all bits but NaN: as signed magnitudes.
fn rank(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if bits < 0 { !bits ^ i64::MIN } else { bits }
}

#[test]
fn minimum_and_maximum() {
    let values: Vec<f32> = edges(8, 23).into_iter().map(|bits| f32::from_bits(bits as u32)).collect();
    for &a in &values {
        for &b in &values {
            for nan in [false, true] {
                let ordered = rank(a.into()) <= rank(b.into());
                let (low, high) = match (a.is_nan(), b.is_nan()) {
                    (false, false) => {
                        if ordered {
                            (a, b)
                        } else {
                            (b, a)
                        }
                    }
                    (true, true) => (canonical32(a), canonical32(a)),
                    _ if nan => (canonical32(f32::NAN), canonical32(f32::NAN)),
                    (true, false) => (b, b),
                    (false, true) => (a, a),
                };
                assert_eq!(min32(a, b, nan).to_bits(), low.to_bits(), "min {a:e} {b:e}");
                assert_eq!(max32(a, b, nan).to_bits(), high.to_bits(), "max {a:e} {b:e}");
                let wide = |value: f32| canonical64(value.into()).to_bits();
                assert_eq!(min64(a.into(), b.into(), nan).to_bits(), wide(low));
                assert_eq!(max64(a.into(), b.into(), nan).to_bits(), wide(high));
            }
        }
    }
}
