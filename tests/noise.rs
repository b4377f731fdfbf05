//! Noise: every device gives the bits that address and seed say, in any part of a tensor; numbers of different addresses
//! are independent.

mod common;

use std::hash::Hasher;

use common::devices::devices;
use common::memory::Guarded;
use fnv::FnvHasher;
use gradus::noise::normals;
use gradus::optim::{Group, Optimizer, Tensor};
use gradus::rng::{Address, Distribution, Purpose, key, normal, philox4x32, uniform};
use gradus::rules::{TheoPoula, UNLIMITED};
use gradus::{Buffer, Device, ErrorKind};
use proptest::prelude::*;

const CHUNK: usize = 16384;

/// Elements that an address can count.
const ELEMENTS: u64 = 1 << 40;

/// The word of an element, by the generator alone.
fn word(seed: u64, address: &Address, element: u64) -> u32 {
    philox4x32(address.counter(element).unwrap(), key(seed))[(element % 4) as usize]
}

fn address(purpose: Purpose, step: u64, tensor: u64, pair: u64) -> Address {
    Address::new(purpose, step, tensor, pair).unwrap()
}

/// The normals of elements from `first` on, drawn on the CPU.
fn drawn(seed: u64, address: &Address, first: u64, count: usize) -> Vec<f32> {
    let mut out = vec![0.0; count];
    normals(&Device::cpu(), seed, address, first, (&mut out).into()).unwrap();
    out
}

#[test]
fn every_device_draws_the_normals_of_the_words() {
    let seed = 0x0123_4567_89ab_cdef;
    let address = address(Purpose::new(63).unwrap(), 0xdead_beef, 0xffff_fffe, 0xf_fffe);
    for device in devices() {
        for length in [0, 1, 2, 3, 4, 5, 7, 63, 64, 65, 1023, 1024, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5] {
            for (first, offset) in [(0, 0), (1, 0), (2, 1), (3, 3), (5, 1), (1 << 34, 2), (ELEMENTS - length as u64, 0)]
            {
                let mut out = Guarded::<f32>::new(device, &vec![0.5; length], offset);
                normals(device, seed, &address, first, out.view_mut()).unwrap();
                for (found, element) in out.elements().into_iter().zip(first..) {
                    let expected = normal(word(seed, &address, element));
                    assert_eq!(
                        found.to_bits(),
                        expected.to_bits(),
                        "element {element} of {length} from {first} on at offset {offset} on {device}: {found}, not {expected}"
                    );
                }
            }
        }
    }
}

/// A part is drawn as the whole has it there.
#[test]
fn parts_are_parts_of_the_whole() {
    let address = address(Purpose::PERTURBATION, 3, 5, 7);
    let whole = drawn(1, &address, 0, 3 * CHUNK);
    for (first, count) in [(1, 6), (CHUNK - 3, 10), (CHUNK + 2, CHUNK), (2 * CHUNK + 1, CHUNK - 1)] {
        assert_eq!(drawn(1, &address, first as u64, count), whole[first..first + count], "{count} from {first} on");
    }
}

/// Tensors, by id, first element and length: whole ones and shards that begin inside a counter.
const TENSORS: [(u64, u64, usize); 5] =
    [(7, 0, 2 * CHUNK + 5), (9, 1, 1003), (9, (1 << 34) + 2, 64), (0, 3, CHUNK), (u32::MAX as u64, 8, 333)];

/// The parameters after each of three steps of all tensors with one seed. In the second one a tensor has no gradient, and does not
/// count it. `extra` gives the noise of a step of a tensor, if it is not to be drawn.
fn stepped(
    device: &Device,
    rule: TheoPoula,
    seed: u64,
    extra: impl Fn(u64, usize) -> Option<Vec<f32>>,
) -> Vec<Vec<Vec<f32>>> {
    let mut optimizer = Optimizer::<TheoPoula>::new(device, Group::new(rule).seed(seed)).unwrap();
    let mut parameters = Vec::new();
    for (offset, (id, first, length)) in TENSORS.into_iter().enumerate() {
        optimizer.add(Tensor::new(length).id(id).first(first)).unwrap();
        parameters.push(Guarded::<f32>::new(device, &vec![0.5; length], offset));
    }
    let gradients = TENSORS.map(|(.., length)| Guarded::<f32>::new(device, &vec![0.25; length], 0));
    let mut step = |step: u64| {
        let has_gradient = |tensor: usize| step != 2 || tensor != 1;
        let of_tensor = |tensor: usize| step - u64::from(step > 2 && tensor == 1);
        let noise = [0, 1, 2, 3, 4].map(|tensor| {
            extra(of_tensor(tensor), tensor).map(|noise| Guarded::<f32>::new(device, &noise, tensor % 3))
        });
        let gradients: Vec<_> = (0..5).map(|tensor| has_gradient(tensor).then(|| gradients[tensor].view())).collect();
        let noise: Vec<_> = noise.iter().map(|noise| noise.as_ref().map(Guarded::view)).collect();
        let mut views: Vec<_> = parameters.iter_mut().map(Guarded::view_mut).collect();
        optimizer.step_with(&mut views, &gradients, &noise).unwrap();
        parameters.iter().map(Guarded::elements).collect()
    };
    (1..=3).map(&mut step).collect()
}

/// A rule that is given no noise takes the normals of purpose, step of the tensor, id, element and seed.
#[test]
fn a_step_draws_the_normals_of_its_addresses() {
    let rule = TheoPoula { lr: 0.125, beta: 8.0, ..TheoPoula::default() };
    let seed = 0x1f_0123_4567_89ab;
    let supply = |step, tensor: usize| {
        let (id, first, length) = TENSORS[tensor];
        Some(drawn(seed, &address(Purpose::GRADIENT_NOISE, step, id, 0), first, length))
    };
    let expected = stepped(&Device::cpu(), rule, 0, supply);
    assert_ne!(stepped(&Device::cpu(), rule, seed + 1, |_, _| None), expected);
    for device in devices() {
        assert!(stepped(device, rule, seed, |_, _| None) == expected, "drawn on {device}");
        assert!(stepped(device, rule, 0, supply) == expected, "supplied on {device}");
        let some = |step, tensor| supply(step, tensor).filter(|_| tensor % 2 == 1);
        assert!(stepped(device, rule, seed, some) == expected, "supplied to some on {device}");
    }
}

#[test]
fn a_rule_without_noise_takes_none() {
    let rule = TheoPoula { lr: 0.125, beta: UNLIMITED, ..TheoPoula::default() };
    let expected = stepped(&Device::cpu(), rule, 1, |_, _| None);
    for device in devices() {
        assert!(stepped(device, rule, 2, |_, _| None) == expected, "on {device}");
        let infinite = |_, tensor: usize| Some(vec![f32::INFINITY; TENSORS[tensor].2]);
        assert!(stepped(device, rule, 2, infinite) == expected, "supplied on {device}");
    }
}

/// The layout of the counter and of the key, to the bit.
#[test]
fn the_counter_is_laid_out_as_written() {
    let address = address(Purpose::new(0b10_0001).unwrap(), 0x1_8765_4321, 0x1234_5678, 0xabcde);
    assert_eq!(
        address.counter((0x2a_1234_5678 << 2) + 3).unwrap(),
        [0x1234_5678, 0xabcd_e86a, 0x1234_5678, 0x8765_4321]
    );
    assert_eq!(key(0x0123_4567_89ab_cdef), [0x89ab_cdef, 0x0123_4567]);
    let named = [
        Purpose::PARAMETER_ROUNDING,
        Purpose::STATE_ROUNDING,
        Purpose::GRADIENT_NOISE,
        Purpose::PERTURBATION,
        Purpose::FACTORS,
        Purpose::SUBSPACE,
    ];
    assert_eq!(named, [0, 1, 2, 3, 4, 5].map(|number| Purpose::new(number).unwrap()));
}

#[test]
fn what_does_not_fit_is_refused() {
    let purpose = Purpose::PERTURBATION;
    for (refused, field, given, bits) in [
        (Purpose::new(64).err(), "purpose", 64, 6),
        (Address::new(purpose, 0, 0, 1 << 20).err(), "pair", 1 << 20, 20),
        (Address::new(purpose, 0, 1 << 32, 0).err(), "tensor id", 1 << 32, 32),
        (address(purpose, 0, 0, 0).counter(ELEMENTS).err(), "element", ELEMENTS, 40),
    ] {
        assert_eq!(refused.unwrap().kind(), &ErrorKind::NoiseAddress { field, given, bits });
    }
    for device in devices() {
        let mut out = Buffer::zeros(device, 3).unwrap();
        for first in [ELEMENTS - 2, u64::MAX - 1] {
            let refused = normals(device, 0, &address(purpose, 0, 0, 0), first, out.view_mut()).unwrap_err();
            let given = first.saturating_add(2);
            assert_eq!(refused.kind(), &ErrorKind::NoiseAddress { field: "element", given, bits: 40 }, "{device}");
            assert_eq!(out.to_vec().unwrap(), [0.0; 3], "{device}");
        }
    }
    assert_eq!(address(purpose, 1 << 32, 0, 0), address(purpose, 0, 0, 0), "the step wraps");
}

/// What an address is made of, each part of its whole range and often at an end of it.
fn parts() -> impl Strategy<Value = [u64; 5]> {
    let part = |bits: u32| prop_oneof![0..1_u64 << bits, 0..3_u64, (1..3_u64).prop_map(move |n| (1 << bits) - n)];
    (part(6), part(32), part(32), part(20), part(40)).prop_map(|(a, b, c, d, e)| [a, b, c, d, e])
}

fn counter([purpose, step, tensor, pair, element]: [u64; 5]) -> [u32; 4] {
    address(Purpose::new(purpose).unwrap(), step, tensor, pair).counter(element).unwrap()
}

proptest! {
    #[test]
    fn different_addresses_have_different_counters(mut one in parts(), other in parts(), same in 0..32_u32) {
        for part in 0..5 {
            if same >> part & 1 == 1 {
                one[part] = other[part];
            }
        }
        let block = |parts: [u64; 5]| [parts[0], parts[1], parts[2], parts[3], parts[4] / 4];
        prop_assert_eq!(block(one) == block(other), counter(one) == counter(other));
    }

    #[test]
    fn no_part_reaches_into_another(parts in parts(), part in 0..5_usize) {
        let zero = counter([0; 5]);
        let mut alone = [0; 5];
        alone[part] = parts[part];
        let mut others = parts;
        others[part] = 0;
        let (alone, others, all) = (counter(alone), counter(others), counter(parts));
        prop_assert_eq!(zero, [0; 4]);
        for word in 0..4 {
            prop_assert_eq!(alone[word] & others[word], 0);
            prop_assert_eq!(alone[word] | others[word], all[word]);
        }
    }
}

/// Numbers of the statistical tests. Their seed is fixed: they fail always or never.
const COUNT: usize = 1 << 20;

/// The mean of products, which of independent standard normals has deviation 1/√n, in deviations.
fn correlation(one: &[f32], other: &[f32]) -> f64 {
    let sum: f64 = one.iter().zip(other).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    sum / (one.len().min(other.len()) as f64).sqrt()
}

#[test]
fn a_stream_has_the_moments_and_no_memory() {
    let address = address(Purpose::PERTURBATION, 0, 0, 0);
    let n = COUNT as f64;
    let numbers = drawn(0, &address, 0, COUNT);
    let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let squares = numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
    let fourths = numbers.iter().map(|&x| f64::from(x).powi(4)).sum::<f64>() / n;
    // Of x, x² and x⁴ the variances are 1, 2 and 96.
    for (what, deviations) in [
        ("mean", mean * n.sqrt()),
        ("variance", (squares - 1.0) * (n / 2.0).sqrt()),
        ("fourth moment", (fourths - 3.0) * (n / 96.0).sqrt()),
    ] {
        assert!(deviations.abs() < 4.0, "{what}: {deviations} deviations from its expectation");
    }
    for lag in [1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 256, 1024, CHUNK] {
        let deviations = correlation(&numbers, &numbers[lag..]);
        assert!(deviations.abs() < 4.0, "numbers {lag} apart are correlated: {deviations} deviations");
        let squares =
            |numbers: &[f32]| -> Vec<f32> { numbers.iter().map(|x| (x * x - 1.0) / 2.0_f32.sqrt()).collect() };
        let deviations = correlation(&squares(&numbers), &squares(&numbers[lag..]));
        assert!(deviations.abs() < 4.0, "squares {lag} apart are correlated: {deviations} deviations");
    }
}

/// The numbers of elements from `first` on, of any distribution.
fn numbers(distribution: Distribution, seed: u64, address: &Address, first: u64, count: usize) -> Vec<f32> {
    let number = |element| distribution.number(seed, address, element).unwrap();
    (first..).take(count).map(number).collect()
}

/// Of each distribution a million numbers, to the bit: what is drawn under an address never changes.
#[test]
fn a_million_numbers_are_what_they_were() {
    let address = address(Purpose::PERTURBATION, 5, 7, 11);
    let hash = |distribution| {
        let mut hash = FnvHasher::default();
        let numbers = numbers(distribution, 0x0123_4567_89ab_cdef, &address, (1 << 34) - 500_000, 1_000_000);
        numbers.iter().for_each(|number| hash.write(&number.to_bits().to_le_bytes()));
        hash.finish()
    };
    let hashes = Distribution::ALL.map(|distribution| (distribution, hash(distribution)));
    let expected = [
        (Distribution::Normal, 6_109_561_162_827_568_207),
        (Distribution::Rademacher, 6_212_374_768_425_132_709),
        (Distribution::Uniform, 14_085_628_174_757_266_017),
        (Distribution::Hadamard, 8_924_156_383_620_293_669),
    ];
    assert_eq!(hashes, expected);
}

/// Mean 0, variance 1, and no memory; and streams of neighbouring addresses are independent.
#[test]
fn every_distribution_has_its_moments_and_no_memory() {
    let (n, root) = (COUNT as f64, (COUNT as f64).sqrt());
    for (distribution, fourth) in Distribution::ALL.into_iter().zip([3.0, 1.0, 1.8, 1.0]) {
        let of = |step, tensor, pair| {
            numbers(distribution, 3, &address(Purpose::PERTURBATION, step, tensor, pair), 0, COUNT)
        };
        let first = of(1, 1, 1);
        let mean = first.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = first.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        assert!((mean * root).abs() < 4.0, "{distribution:?}: mean {mean}");
        // The variance of x² is that fourth moment less 1.
        let bound = 4.0 * (fourth - 1.0_f64).sqrt() / root + 1e-7;
        assert!((variance - 1.0).abs() <= bound, "{distribution:?}: variance {variance}");
        for lag in [1, 2, 3, 4, 8, 31, 32, 64, 127, 128, 129, 256, CHUNK] {
            let deviations = correlation(&first, &first[lag..]);
            assert!(deviations.abs() < 4.5, "{distribution:?}, {lag} apart: {deviations} deviations");
        }
        for (what, other) in [("step", of(2, 1, 1)), ("tensor", of(1, 2, 1)), ("pair", of(1, 1, 2))] {
            for shift in [0, 1, 4, 32, 128] {
                let deviations = correlation(&first, &other[shift..]);
                assert!(deviations.abs() < 4.5, "{distribution:?}, next {what}, {shift} on: {deviations} deviations");
            }
        }
    }
}

/// `uniform(!word)` is `-uniform(word)`, in order, and within √3.
#[test]
fn the_uniform_map_is_symmetric_and_monotone() {
    let mut before = f32::NEG_INFINITY;
    for word in (0..1 << 31).step_by(997).chain([(1 << 31) - 1]) {
        let number = uniform(word ^ 1 << 31);
        assert_eq!(uniform(!(word ^ 1 << 31)).to_bits(), (-number).to_bits(), "{word:#x}");
        assert!(number >= before && f64::from(number.abs()) <= 3.0_f64.sqrt() * (1.0 + 1e-7), "{word:#x}: {number}");
        before = number;
    }
}

#[test]
fn neighbouring_streams_are_independent() {
    let stream = |seed: u64, purpose: u64, step: u64, tensor: u64, pair: u64| {
        drawn(seed, &address(Purpose::new(purpose).unwrap(), step, tensor, pair), 0, COUNT)
    };
    let first = stream(9, 2, 1, 1, 1);
    for (what, other) in [
        ("the next seed", stream(10, 2, 1, 1, 1)),
        ("a seed of another high word", stream(9 | 1 << 32, 2, 1, 1, 1)),
        ("the next purpose", stream(9, 3, 1, 1, 1)),
        ("the next step", stream(9, 2, 2, 1, 1)),
        ("the next tensor", stream(9, 2, 1, 2, 1)),
        ("the next pair", stream(9, 2, 1, 1, 2)),
        ("elements beyond 2³⁴", drawn(9, &address(Purpose::GRADIENT_NOISE, 1, 1, 1), 1 << 34, COUNT)),
    ] {
        for shift in 0..4 {
            let deviations = correlation(&first, &other[shift..]);
            assert!(deviations.abs() < 4.0, "{what}, {shift} on: {deviations} deviations");
        }
    }
}
