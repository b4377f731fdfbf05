//! Sums of matrix instructions, against integers, expansions, and the block model in other arithmetic.

use softcuda::exec::convert::convert;
use softcuda::exec::half::{HalfKind, half_from_f64, half_to_f32};
use softcuda::exec::matrix::{mma, mma_registers};
use softcuda::ir::{Rounding, Type};
use softcuda::machine::Accumulation;

use crate::layout::{SHAPES, elements, isa, shape};
use crate::values::{Random, edges, plain};

const A100: Accumulation = Accumulation::Hardware { block: 8, extra_bits: 1 };
const H100: Accumulation = Accumulation::Hardware { block: 16, extra_bits: 2 };

/// Matrices in plain storage, packed with the formulas of the ISA.
struct Problem {
    kind: (Type, u32, Type),
    /// A by rows, B by columns: values in registers' formats.
    a: Vec<u32>,
    b: Vec<u32>,
    c: Vec<u32>,
}

impl Problem {
    fn new(kind: (Type, u32, Type), mut input: impl FnMut() -> u32, mut start: impl FnMut() -> u32) -> Self {
        let k = kind.1 as usize;
        let a = (0..16 * k).map(|_| input()).collect();
        let b = (0..8 * k).map(|_| input()).collect();
        let c = (0..16 * 8).map(|_| start()).collect();
        Self { kind, a, b, c }
    }

    /// D by rows.
    fn run(&self, accumulation: Accumulation) -> Vec<u32> {
        let (input, k, accumulator) = self.kind;
        let (a, b, c) = mma_registers(shape(self.kind)).expect("a known shape");
        let pack = |registers: usize, per_register: usize, at: &dyn Fn(usize, usize) -> u32| {
            let word = |register: usize, lane: usize| {
                (0..per_register).fold(0, |word, low| word | at(lane, register * per_register + low) << (16 * low))
            };
            (0..registers).map(|register| std::array::from_fn(|lane| word(register, lane))).collect::<Vec<[u32; 32]>>()
        };
        let k_size = k as usize;
        let a = pack(a, elements(input), &|lane, i| {
            let (row, column) = isa(input, k, 'a', lane, i);
            self.a[row * k_size + column]
        });
        let b = pack(b, elements(input), &|lane, i| {
            let (row, column) = isa(input, k, 'b', lane, i);
            self.b[column * k_size + row]
        });
        let per_register = 4 / c;
        let c = pack(c, per_register, &|lane, i| {
            let (row, column) = isa(input, k, 'c', lane, i);
            self.c[row * 8 + column]
        });
        let packed = mma(shape(self.kind), &a, &b, &c, accumulation);
        let mut d = vec![0; 16 * 8];
        for i in 0..4 {
            for (lane, word) in packed[i / per_register].into_iter().enumerate() {
                let (row, column) = isa(input, k, 'c', lane, i);
                d[row * 8 + column] = if accumulator == Type::F16 { word >> (16 * (i % 2)) & 0xffff } else { word };
            }
        }
        d
    }

    fn products(&self, row: usize, column: usize) -> Vec<f64> {
        let k = self.kind.1 as usize;
        let value = |bits: u32| widen(self.kind.0, bits);
        (0..k).map(|i| value(self.a[row * k + i]) * value(self.b[column * k + i])).collect()
    }

    fn check(&self, accumulation: Accumulation, expect: impl Fn(&[f64], f64) -> u32) {
        let d = self.run(accumulation);
        for row in 0..16 {
            for column in 0..8 {
                let start = widen(self.kind.2, self.c[row * 8 + column]);
                let products = self.products(row, column);
                let expected = expect(&products, start);
                let result = d[row * 8 + column];
                assert_eq!(result, expected, "{:?} {accumulation:?} {products:?} + {start:e}", self.kind);
            }
        }
    }
}

fn widen(ty: Type, bits: u32) -> f64 {
    match ty {
        Type::F16 => half_to_f32(HalfKind::F16, bits as u16).into(),
        Type::Bf16 => half_to_f32(HalfKind::Bf16, bits as u16).into(),
        Type::Tf32 => f32::from_bits(bits & !0x1fff).into(),
        _ => f32::from_bits(bits).into(),
    }
}

fn narrow(ty: Type, value: f64, rounding: Rounding) -> u32 {
    if ty == Type::F16 {
        return half_from_f64(HalfKind::F16, value, rounding).into();
    }
    convert(Type::F32, Type::F64, plain(rounding), value.to_bits()) as u32
}

/// The exact sum of numbers, rounded to odd in f64: a grown expansion (Shewchuk), compressed from the top.
fn odd_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let two_sum = |a: f64, b: f64| {
        let sum = a + b;
        let part = sum - a;
        (sum, (a - (sum - part)) + (b - part))
    };
    let mut expansion: Vec<f64> = vec![];
    for term in terms {
        let mut carried = term;
        for part in &mut expansion {
            (carried, *part) = two_sum(carried, *part);
        }
        expansion.push(carried);
    }
    let (mut top, mut rest) = (0.0, 0.0);
    while let Some(part) = expansion.pop() {
        (top, rest) = two_sum(top, part);
        if rest != 0.0 {
            break;
        }
    }
    match rest {
        0.0 => top,
        _ if top.to_bits() & 1 == 1 => top,
        rest if rest > 0.0 => top.next_up(),
        _ => top.next_down(),
    }
}

/// Bits of a random finite element; `spread` binades about 1.
fn finite(random: &mut Random, ty: Type, spread: u64) -> u32 {
    let (bias, fraction_bits, shift) = match ty {
        Type::F16 => (15, 10, 15),
        Type::Bf16 => (127, 7, 15),
        _ => (127, 23, 31),
    };
    let spread = spread.min(bias);
    let exponent = bias - spread + random.below(2 * spread + 1);
    let fraction = random.next() >> random.below(20) & ((1 << fraction_bits) - 1);
    (random.below(2) << shift | exponent << fraction_bits | fraction) as u32
}

#[test]
fn exact_sums_of_moderate_numbers_are_integers() {
    let mut random = Random(41);
    for kind in SHAPES {
        for spread in [0, 1, 3, 6] {
            for _ in 0..60 {
                let mut other = Random(random.next());
                let problem = Problem::new(
                    kind,
                    || finite(&mut random, kind.0, spread),
                    || finite(&mut other, kind.2, 2 * spread),
                );
                problem.check(Accumulation::Exact, |products, start| {
                    // Multiples of 2^-46 below 2^20: f32 accumulators reach 2^-35, products 2^-32.
                    let scaled = |value: f64| {
                        let value = value * 2.0f64.powi(46);
                        assert_eq!(value, value.trunc());
                        value as i128
                    };
                    let sum: i128 = products.iter().map(|&product| scaled(product)).sum::<i128>() + scaled(start);
                    if kind.2 == Type::F16 {
                        // An i128 below 2^70 to an odd f64 by hand: the low bits stick to the last.
                        let lost = (sum.unsigned_abs().max(1).ilog2() as i32 - 52).max(0);
                        let kept = sum.abs() >> lost;
                        let kept = kept | i128::from(kept << lost != sum.abs());
                        let odd = (kept as f64) * 2.0f64.powi(lost - 46) * (sum.signum() as f64);
                        return narrow(Type::F16, odd, Rounding::Rn);
                    }
                    (sum as f32 * 2.0f32.powi(-46)).to_bits()
                });
            }
        }
    }
}

#[test]
fn exact_sums_of_any_numbers_are_expansions() {
    let mut random = Random(42);
    for kind in SHAPES {
        let per_kind = |ty: Type| match ty {
            Type::F16 => edges(5, 10),
            Type::Bf16 => edges(8, 7),
            _ => edges(8, 23),
        };
        for round in 0..300 {
            let mut other = Random(random.next());
            // All exponents; then edges, without the largest, where a product overflows f32 and any sum with it.
            let pick = |random: &mut Random, ty: Type| {
                let edges = per_kind(ty);
                if round % 3 == 0 || random.below(3) == 0 {
                    finite(random, ty, 127)
                } else {
                    edges[random.below(edges.len() as u64) as usize] as u32
                }
            };
            let problem = Problem::new(kind, || pick(&mut random, kind.0), || pick(&mut other, kind.2));
            let nan = if kind.2 == Type::F16 { 0x7fff } else { 0x7fff_ffff };
            problem.check(Accumulation::Exact, |products, start| {
                let terms = || products.iter().copied().chain([start]);
                let special: f64 = terms().filter(|term| !term.is_finite()).sum();
                if special.is_nan() {
                    nan
                } else if special != 0.0 {
                    narrow(kind.2, special, Rounding::Rn)
                } else if terms().all(|term| term == 0.0) {
                    narrow(kind.2, terms().sum(), Rounding::Rn)
                } else {
                    narrow(kind.2, odd_sum(terms()), Rounding::Rn)
                }
            });
        }
    }
}

/// What survives of 2^100 - 2^100 + 2^-100 + 2^-140: all of it.
#[test]
fn exact_sums_lose_nothing() {
    let kind = (Type::Bf16, 16, Type::F32);
    let bits = |value: f32| value.to_bits() >> 16;
    let mut problem = Problem::new(kind, || 0, || 0);
    let power = |exponent: i32| bits(2.0f32.powi(exponent));
    for (i, (a, b)) in
        [(power(50), power(50)), (power(-50), power(-50)), (power(50), 0x8000 | power(50))].into_iter().enumerate()
    {
        (problem.a[i], problem.b[i]) = (a, b);
    }
    problem.c[0] = 2.0f32.powi(-123).to_bits();
    let d = problem.run(Accumulation::Exact);
    assert_eq!(f32::from_bits(d[0]), 2.0f32.powi(-100) + 2.0f32.powi(-123));
    // Hardware aligns to 2^100 and keeps nothing else.
    assert_eq!(problem.run(A100)[0], 0);
}

/// The block model once more, in f64: numbers cut at a power of two, added exactly, rounded toward zero.
fn hardware(kind: (Type, u32, Type), accumulation: Accumulation, problem: &Problem, row: usize, column: usize) -> u32 {
    let Accumulation::Hardware { block, extra_bits } = accumulation else { panic!("not a hardware model") };
    let block = if kind.0 == Type::Tf32 { block / 2 } else { block } as usize;
    let k = kind.1 as usize;
    let least = if kind.0 == Type::F16 { -14 } else { -126 };
    let exponent = |value: f64, least: i32| ((value.abs().to_bits() >> 52) as i32 - 1023).max(least);
    let mut sum = widen(kind.2, problem.c[row * 8 + column]);
    for first in (0..k).step_by(block) {
        let mut terms = vec![];
        for i in first..(first + block).min(k) {
            let [a, b] = [problem.a[row * k + i], problem.b[column * k + i]].map(|bits| widen(kind.0, bits));
            if a * b != 0.0 {
                terms.push((a * b, exponent(a, least) + exponent(b, least)));
            }
        }
        if sum != 0.0 {
            terms.push((sum, exponent(sum, -126)));
        }
        let Some(largest) = terms.iter().map(|&(_, exponent)| exponent).max() else {
            sum = 0.0;
            continue;
        };
        let unit = 2.0f64.powi(largest.max(-133) - 23 - extra_bits as i32);
        let total: f64 = terms.iter().map(|&(value, _)| (value / unit).trunc()).sum::<f64>() * unit;
        if kind.2 == Type::F16 {
            sum = widen(Type::F16, narrow(Type::F16, total, Rounding::Rn));
        } else if total.abs() >= 2.0f64.powi(128) {
            sum = total.signum() * f64::INFINITY;
        } else {
            sum = f32::from_bits(narrow(Type::F32, total, Rounding::Rz)).into();
        }
        if sum.is_infinite() {
            break;
        }
    }
    // A sum that cancels is +0.
    let sum = if sum == 0.0 { sum.abs() } else { sum };
    narrow(kind.2, sum, Rounding::Rn)
}

#[test]
fn hardware_sums_are_the_block_model() {
    let mut random = Random(43);
    for kind in SHAPES {
        for accumulation in [A100, H100, Accumulation::Hardware { block: 4, extra_bits: 0 }] {
            for spread in [0, 2, 5, 14, 60, 127] {
                for _ in 0..20 {
                    let mut other = Random(random.next());
                    let problem = Problem::new(
                        kind,
                        || finite(&mut random, kind.0, spread),
                        || finite(&mut other, kind.2, 2 * spread),
                    );
                    let finite = problem.a.iter().chain(&problem.b).all(|&bits| widen(kind.0, bits).is_finite());
                    assert!(finite || spread >= 14);
                    let d = problem.run(accumulation);
                    for row in 0..16 {
                        for column in 0..8 {
                            let start = widen(kind.2, problem.c[row * 8 + column]);
                            if !start.is_finite() || problem.products(row, column).iter().any(|x| !x.is_finite()) {
                                continue;
                            }
                            let expected = hardware(kind, accumulation, &problem, row, column);
                            let result = d[row * 8 + column];
                            // An accumulator of -0 alone, and rounding to -0, keep their sign.
                            let zeros = widen(kind.2, result) == 0.0 && widen(kind.2, expected) == 0.0;
                            assert!(result == expected || zeros, "{kind:?} {accumulation:?} {result:x} {expected:x}");
                        }
                    }
                }
            }
        }
    }
}

/// One dot product of bf16 values with ones.
fn dot(values: [f32; 16], start: f32, accumulation: Accumulation) -> f32 {
    let mut problem = Problem::new((Type::Bf16, 16, Type::F32), || 0, || 0);
    for (i, value) in values.into_iter().enumerate() {
        problem.a[i] = value.to_bits() >> 16;
        problem.b[i] = 0x3f80;
    }
    problem.c[0] = start.to_bits();
    f32::from_bits(problem.run(accumulation)[0])
}

#[test]
fn hardware_sums_by_hand() {
    let two_24 = 2.0f32.powi(24);
    // Units of 2^24's alignment: 2^(24 - 23 - 1) = 1 on A100, 0.5 on H100.
    assert_eq!(dot([0.5; 16], two_24, Accumulation::Exact), two_24 + 8.0);
    assert_eq!(dot([0.5; 16], two_24, A100), two_24);
    assert_eq!(dot([0.5; 16], two_24, H100), two_24 + 8.0);
    // Two blocks of four units of 2^24 each on A100; an odd sum is cut, not rounded.
    assert_eq!(dot([1.0; 16], two_24, A100), two_24 + 16.0);
    let mut three = [0.0; 16];
    three[..3].fill(1.0);
    assert_eq!(dot(three, two_24, Accumulation::Exact), two_24 + 4.0);
    assert_eq!(dot(three, two_24, A100), two_24 + 2.0);
    assert_eq!(dot(three.map(|x: f32| -x), -two_24, A100), -two_24 - 2.0);
    // Order: the first eight products cancel the start before the others come.
    let mut cancelling = [0.0; 16];
    (cancelling[0], cancelling[8]) = (-two_24, 0.25);
    assert_eq!(dot(cancelling, two_24, A100), 0.25);
    assert_eq!(dot(cancelling, two_24, H100), 0.0);
    // Past the largest f32: an infinity, though the sum is rounded toward zero.
    let mut large = [0.0; 16];
    large[0] = 2.0f32.powi(127);
    assert_eq!(dot(large, f32::MAX, A100), f32::INFINITY);
    assert_eq!(dot(large.map(|x: f32| -x), f32::MIN, H100), f32::NEG_INFINITY);
}

/// Exponents at the low end: those of the alignment, of an f16 accumulator, of f16 products.
#[test]
fn hardware_sums_of_small_numbers() {
    // 2^-150 (1 + 2^-10) + 2^-150 (1 - 2^-10), aligned to 2^-133: its last places are 2^-157.
    let mut problem = Problem::new((Type::Tf32, 8, Type::F32), || 0, || 0);
    let power = |exponent: i32| 2.0f32.powi(exponent);
    let bits = |values: [f32; 2]| values.map(f32::to_bits);
    problem.a[..2].copy_from_slice(&bits([power(-75) + power(-85), power(-75) - power(-85)]));
    problem.b[..2].copy_from_slice(&bits([power(-75); 2]));
    assert_eq!(problem.run(Accumulation::Exact)[0], 1);
    assert_eq!(problem.run(A100)[0], 0);
    // 2^-23 + 2^-25 is a tie between two subnormals of f16; 2^-47 is just kept, since 2^-23 counts as normal.
    let mut problem = Problem::new((Type::F16, 8, Type::F16), || 0, || 0);
    let half = |exponent: i32| half_from_f64(HalfKind::F16, 2.0f64.powi(exponent), Rounding::Rn).into();
    problem.c[0] = half(-23);
    (problem.a[0], problem.b[0]) = (half(-12), half(-13));
    assert_eq!(problem.run(A100)[0], 2);
    (problem.a[1], problem.b[1]) = (half(-24), half(-23));
    assert_eq!(problem.run(A100)[0], 3);
}

#[test]
fn zeros_keep_a_common_sign() {
    let mut values = [-0.0; 16];
    assert_eq!(dot(values, -0.0, Accumulation::Exact).to_bits(), 0x8000_0000);
    assert_eq!(dot(values, 0.0, Accumulation::Exact).to_bits(), 0);
    assert_eq!(dot(values, -0.0, A100).to_bits(), 0);
    values[7] = 0.0;
    assert_eq!(dot(values, -0.0, Accumulation::Exact).to_bits(), 0);
    values[7] = 1.0;
    assert_eq!(dot(values, -1.0, Accumulation::Exact).to_bits(), 0);
}

#[test]
fn infinities_and_nans() {
    let inf = f32::INFINITY;
    for accumulation in [Accumulation::Exact, A100, H100] {
        let with = |index: usize, value: f32, start: f32| {
            let mut values = [1.0; 16];
            values[index] = value;
            dot(values, start, accumulation)
        };
        assert_eq!(with(3, inf, 0.0), inf);
        assert_eq!(with(12, -inf, 1.0), -inf);
        assert_eq!(with(12, 1.0, -inf), -inf);
        assert_eq!(with(12, inf, -inf).to_bits(), 0x7fff_ffff);
        assert_eq!(with(0, f32::NAN, 0.0).to_bits(), 0x7fff_ffff);
        assert_eq!(with(0, 1.0, -f32::NAN).to_bits(), 0x7fff_ffff);
        // 0 · inf.
        let mut problem = Problem::new((Type::F16, 16, Type::F16), || 0, || 0);
        problem.b[5] = 0x7c00;
        assert_eq!(problem.run(accumulation)[0], 0x7fff);
    }
}

#[test]
fn tf32_ignores_low_bits() {
    let mut problem = Problem::new((Type::Tf32, 8, Type::F32), || 0, || 0);
    problem.a[0] = 1.0f32.to_bits() | 0x1fff;
    problem.b[0] = 3.0f32.to_bits() | 0x1fff;
    assert_eq!(f32::from_bits(problem.run(Accumulation::Exact)[0]), 3.0);
}
