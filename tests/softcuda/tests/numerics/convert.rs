//! Conversions against Rust's `as`, `half` and `rustc_apfloat`.

use half::{bf16, f16};
use rustc_apfloat::ieee::{BFloat, Double, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round};
use softcuda::exec::convert::*;
use softcuda::ir::{FloatMode, Rounding, Type};

use crate::values::{ROUNDINGS, Random, edges, plain};

const INTEGERS: [Type; 8] = [Type::U8, Type::U16, Type::U32, Type::U64, Type::S8, Type::S16, Type::S32, Type::S64];
const FLOATS: [(Type, u32, u32); 4] = [(Type::F16, 5, 10), (Type::Bf16, 8, 7), (Type::F32, 8, 23), (Type::F64, 11, 52)];
const INTEGRAL: [(Rounding, Round); 4] = [
    (Rounding::Rni, Round::NearestTiesToEven),
    (Rounding::Rzi, Round::TowardZero),
    (Rounding::Rmi, Round::TowardNegative),
    (Rounding::Rpi, Round::TowardPositive),
];

fn mask(ty: Type) -> u64 {
    u64::MAX >> (64 - ty.bits())
}

fn as_integer(ty: Type, bits: u64) -> i128 {
    match ty {
        Type::U8 => (bits as u8).into(),
        Type::U16 => (bits as u16).into(),
        Type::U32 => (bits as u32).into(),
        Type::S8 => (bits as i8).into(),
        Type::S16 => (bits as i16).into(),
        Type::S32 => (bits as i32).into(),
        Type::S64 => (bits as i64).into(),
        _ => bits.into(),
    }
}

fn range(ty: Type) -> (i128, i128) {
    match ty {
        Type::U8 => (0, u8::MAX.into()),
        Type::U16 => (0, u16::MAX.into()),
        Type::U32 => (0, u32::MAX.into()),
        Type::S8 => (i8::MIN.into(), i8::MAX.into()),
        Type::S16 => (i16::MIN.into(), i16::MAX.into()),
        Type::S32 => (i32::MIN.into(), i32::MAX.into()),
        Type::S64 => (i64::MIN.into(), i64::MAX.into()),
        _ => (0, u64::MAX.into()),
    }
}

fn integers(seed: u64, count: usize) -> Vec<u64> {
    let mut values: Vec<u64> = (0..64)
        .flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1 << bit) + 1])
        .flat_map(|value| [value, value.wrapping_neg()])
        .collect();
    values.extend([0, u64::MAX, 0x0100_0001, 0x0100_0003, (1 << 53) + 1, (1 << 53) + 3, 65519, 65520, 65536]);
    let mut random = Random(seed);
    values.extend((0..count).map(|_| random.next() >> random.below(64)));
    values
}

#[test]
fn integer_to_integer() {
    for from in INTEGERS {
        for to in INTEGERS {
            for bits in integers(31, 1000) {
                let value = as_integer(from, bits);
                let wrapped = convert(to, from, plain(Rounding::Unpinned), bits);
                assert_eq!(wrapped, value as u64 & mask(to), "{to:?} {from:?} {bits:x}");
                let saturating = FloatMode { sat: true, ..plain(Rounding::Unpinned) };
                let (low, high) = range(to);
                let clamped = value.clamp(low, high) as u64 & mask(to);
                assert_eq!(convert(to, from, saturating, bits), clamped, "sat {to:?} {from:?} {bits:x}");
            }
        }
    }
    assert_eq!(convert(Type::B32, Type::B8, plain(Rounding::Unpinned), 0xff80), 0x80);
}

fn oracle_of_integer(to: Type, value: i128, round: Round) -> u64 {
    match to {
        Type::F16 => Half::from_i128_r(value, round).value.to_bits() as u64,
        Type::Bf16 => BFloat::from_i128_r(value, round).value.to_bits() as u64,
        Type::F32 => Single::from_i128_r(value, round).value.to_bits() as u64,
        _ => Double::from_i128_r(value, round).value.to_bits() as u64,
    }
}

#[test]
fn integer_to_float() {
    for from in INTEGERS {
        for (to, _, _) in FLOATS {
            for (rounding, round) in ROUNDINGS {
                for bits in integers(32, 1000) {
                    let value = as_integer(from, bits);
                    let result = convert(to, from, plain(rounding), bits);
                    assert_eq!(result, oracle_of_integer(to, value, round), "{to:?} {from:?} {rounding:?} {bits:x}");
                }
            }
        }
    }
    let sat = FloatMode { sat: true, ..plain(Rounding::Rn) };
    assert_eq!(convert(Type::F32, Type::S32, sat, 7) as u32, 1.0f32.to_bits());
    assert_eq!(convert(Type::F32, Type::S32, sat, -7i64 as u64) as u32, 0);
}

macro_rules! with_float {
    ($ty:expr, $bits:expr, $function:ident($($argument:expr),*)) => {
        match $ty {
            Type::F16 => $function(Half::from_bits($bits.into()), $($argument),*),
            Type::Bf16 => $function(BFloat::from_bits($bits.into()), $($argument),*),
            Type::F32 => $function(Single::from_bits($bits.into()), $($argument),*),
            _ => $function(Double::from_bits($bits.into()), $($argument),*),
        }
    };
}

fn floats(ty: (Type, u32, u32), seed: u64, count: usize) -> Vec<u64> {
    let (_, exponent_bits, fraction_bits) = ty;
    let edges = edges(exponent_bits, fraction_bits);
    let mut random = Random(seed);
    let mut values = edges.clone();
    values.extend((0..count).map(|_| random.float(exponent_bits, fraction_bits, &edges)));
    // About the bounds of every integer type, and the middles between small integers.
    let bias = (1u64 << (exponent_bits - 1)) - 1;
    for exponent in (0..=64).filter(|exponent| bias + exponent < (1 << exponent_bits) - 1) {
        let power = (bias + exponent) << fraction_bits;
        for value in [power - 1, power, power + 1, power + (1 << (fraction_bits - 1))] {
            values.extend([value, value | 1 << (exponent_bits + fraction_bits)]);
        }
    }
    values
}

fn to_integer<F: Float>(value: F, to: Type, round: Round) -> i128 {
    let mut exact = false;
    if to.is_signed() {
        value.to_i128_r(to.bits() as usize, round, &mut exact).value
    } else {
        value.to_u128_r(to.bits() as usize, round, &mut exact).value as i128
    }
}

fn is_nan<F: Float>(value: F) -> bool {
    value.is_nan()
}

#[test]
fn float_to_integer() {
    for float in FLOATS {
        for bits in floats(float, 33, 2000) {
            for to in INTEGERS {
                for (rounding, round) in INTEGRAL {
                    let result = convert(to, float.0, plain(rounding), bits);
                    let expected = if with_float!(float.0, bits, is_nan()) {
                        // "Zero if source is not .f64 and destination is not .s64, .u64", else 1 << (width - 1).
                        if float.0 != Type::F64 && to.bits() != 64 { 0 } else { 1 << (to.bits() - 1) }
                    } else {
                        with_float!(float.0, bits, to_integer(to, round)) as u64 & mask(to)
                    };
                    assert_eq!(result, expected, "{to:?} {:?} {rounding:?} {bits:x}", float.0);
                }
            }
        }
    }
}

#[test]
fn truncation_is_rusts() {
    let mode = plain(Rounding::Rzi);
    for bits in floats((Type::F32, 8, 23), 34, 100_000) {
        let value = f32::from_bits(bits as u32);
        assert_eq!(convert(Type::S32, Type::F32, mode, bits) as u32, value as i32 as u32, "{value:e}");
        assert_eq!(convert(Type::U32, Type::F32, mode, bits) as u32, value as u32, "{value:e}");
        assert_eq!(convert(Type::U8, Type::F32, mode, bits) as u8, value as u8, "{value:e}");
        if !value.is_nan() {
            assert_eq!(convert(Type::S64, Type::F32, mode, bits), value as i64 as u64, "{value:e}");
            assert_eq!(convert(Type::U64, Type::F32, mode, bits), value as u64, "{value:e}");
        }
    }
}

fn to_float<F>(value: F, to: Type, round: Round) -> u64
where
    F: Float + FloatConvert<Half> + FloatConvert<BFloat> + FloatConvert<Single> + FloatConvert<Double>,
{
    fn bits<F: Float + FloatConvert<T>, T: Float>(value: F, round: Round, nan: u64) -> u64 {
        let mut lossy = false;
        let result: T = value.convert_r(round, &mut lossy).value;
        if result.is_nan() { nan } else { result.to_bits() as u64 }
    }
    match to {
        Type::F16 => bits::<F, Half>(value, round, 0x7fff),
        Type::Bf16 => bits::<F, BFloat>(value, round, 0x7fff),
        Type::F32 => bits::<F, Single>(value, round, 0x7fff_ffff),
        _ => bits::<F, Double>(value, round, 0x7fff_ffff_ffff_ffff),
    }
}

#[test]
fn float_to_float() {
    for from in FLOATS {
        for bits in floats(from, 35, 30_000) {
            for (to, _, _) in FLOATS {
                for (rounding, round) in ROUNDINGS {
                    let expected = with_float!(from.0, bits, to_float(to, round));
                    let result = convert(to, from.0, plain(rounding), bits);
                    assert_eq!(result, expected, "{to:?} {:?} {rounding:?} {bits:x}", from.0);
                }
            }
        }
    }
}

#[test]
fn every_half() {
    for bits in 0..=u16::MAX {
        for (ty, value) in [(Type::F16, f16::from_bits(bits).to_f64()), (Type::Bf16, f64::from(bf16::from_bits(bits)))]
        {
            let single = convert(Type::F32, ty, plain(Rounding::Unpinned), bits.into()) as u32;
            let double = convert(Type::F64, ty, plain(Rounding::Unpinned), bits.into());
            if value.is_nan() {
                assert_eq!((single, double), (0x7fff_ffff, 0x7fff_ffff_ffff_ffff));
                continue;
            }
            assert_eq!((single, double), ((value as f32).to_bits(), value.to_bits()), "{ty:?} {bits:x}");
            assert_eq!(convert(ty, Type::F32, plain(Rounding::Rn), single.into()), u64::from(bits));
            assert_eq!(convert(ty, Type::F64, plain(Rounding::Rz), double), u64::from(bits));
        }
    }
}

fn integral<F: Float>(value: F, round: Round) -> u64 {
    value.round_to_integral(round).value.to_bits() as u64
}

#[test]
fn float_to_integral_float() {
    for float in FLOATS {
        for bits in floats(float, 36, 20_000) {
            for (rounding, round) in INTEGRAL {
                let nan = with_float!(float.0, bits, is_nan());
                let expected = if nan { mask(float.0) >> 1 } else { with_float!(float.0, bits, integral(round)) };
                let result = convert(float.0, float.0, plain(rounding), bits);
                assert_eq!(result, expected, "{:?} {rounding:?} {bits:x}", float.0);
            }
        }
    }
}

/// The usual tricks with the bits of an f32: half a unit added, the low 13 bits cleared.
#[test]
fn tf32() {
    for bits in floats((Type::F32, 8, 23), 37, 200_000) {
        let bits = bits as u32;
        let value = f32::from_bits(bits);
        let away = convert(Type::Tf32, Type::F32, plain(Rounding::Rna), bits.into()) as u32;
        let even = convert(Type::Tf32, Type::F32, plain(Rounding::Rn), bits.into()) as u32;
        let zero = convert(Type::Tf32, Type::F32, plain(Rounding::Rz), bits.into()) as u32;
        if value.is_nan() {
            assert_eq!([away, even, zero], [0x7fff_ffff; 3]);
            continue;
        }
        let rounded = |half: u32| if value.is_infinite() { bits } else { (bits + half) & !0x1fff };
        assert_eq!(away, rounded(0x1000), "{bits:x}");
        assert_eq!(even, rounded(0xfff + (bits >> 13 & 1)), "{bits:x}");
        assert_eq!(zero, bits & !0x1fff, "{bits:x}");
        assert_eq!(convert(Type::F32, Type::Tf32, plain(Rounding::Unpinned), away.into()), u64::from(away));
    }
}

#[test]
fn modes() {
    let mode = plain(Rounding::Rn);
    let (ftz, sat) = (FloatMode { ftz: true, ..mode }, FloatMode { sat: true, ..mode });
    let relu = FloatMode { relu: true, ..mode };
    let single = |value: f32| u64::from(value.to_bits());
    let subnormal = 0x8000_0001u64;
    assert_eq!(convert(Type::F64, Type::F32, ftz, subnormal), 1 << 63);
    assert_eq!(convert(Type::F32, Type::F64, ftz, (-1e-40f64).to_bits()), 0x8000_0000);
    assert_eq!(convert(Type::F32, Type::F64, mode, 1e-40f64.to_bits()), single(1e-40));
    // Only f32 is flushed: a subnormal f16 is a normal f32.
    assert_eq!(convert(Type::F32, Type::F16, ftz, 1), single(2.0f32.powi(-24)));
    assert_eq!(convert(Type::F32, Type::Bf16, ftz, 0x8001), 0x8000_0000);
    assert_eq!(convert(Type::F16, Type::F32, ftz, single(2.0f32.powi(-24))), 1);
    let up = FloatMode { ftz: true, ..plain(Rounding::Rpi) };
    assert_eq!(convert(Type::S32, Type::F32, up, 1), 0);
    assert_eq!(convert(Type::S32, Type::F32, plain(Rounding::Rpi), 1), 1);
    assert_eq!(convert(Type::F32, Type::F32, up, 1), 0);
    for (value, expected) in [(2.5, 1.0), (0.25, 0.25), (-0.0, 0.0), (-3.0, 0.0), (f32::NAN, 0.0)] {
        assert_eq!(convert(Type::F32, Type::F32, sat, single(value)), single(expected), "{value}");
        assert_eq!(convert(Type::F16, Type::F32, sat, single(value)), u64::from(f16::from_f32(expected).to_bits()));
        assert_eq!(convert(Type::F64, Type::F32, sat, single(value)), f64::from(expected).to_bits());
    }
    assert_eq!(convert(Type::Bf16, Type::F32, relu, single(-1.0)), 0);
    assert_eq!(convert(Type::Bf16, Type::F32, relu, single(f32::NEG_INFINITY)), 0);
    assert_eq!(convert(Type::Bf16, Type::F32, relu, single(1.0)), 0x3f80);
    assert_eq!(convert(Type::F16, Type::F32, relu, single(-f32::NAN)), 0x7fff);
    assert_eq!(convert(Type::Tf32, Type::F32, relu, single(-2.0)), 0);
    // f32 above the largest f16: to infinity, or the largest.
    assert_eq!(convert(Type::F16, Type::F32, mode, single(65520.0)), 0x7c00);
    assert_eq!(convert(Type::F16, Type::F32, plain(Rounding::Rz), single(1e9)), 0x7bff);
    assert_eq!(convert_pair(Type::Bf16x2, mode, 1.0, -2.0), 0x3f80_c000);
    assert_eq!(convert_pair(Type::F16x2, relu, 1.0, -2.0), 0x3c00_0000);
    // Bits above an operand's type are ignored.
    assert_eq!(convert(Type::F32, Type::F16, mode, 0xffff_3c00), single(1.0));
    assert_eq!(convert(Type::S32, Type::F32, plain(Rounding::Rzi), 0xffff_ffff_0000_0000 | single(3.7)), 3);
}
