//! Weights of losses, on every device.

use gradus::es::{Shaper, Shaping};
use gradus::{Buffer, Device, View, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

fn on(device: &Device, shaping: Shaping, losses: &[f32]) -> Vec<f32> {
    let losses = Buffer::from_slice(device, losses).unwrap();
    let mut weights = Buffer::from_slice(device, &vec![777.0; losses.len()]).unwrap();
    let mut shaper = Shaper::new(device, shaping, losses.len()).unwrap();
    shaper.shape(losses.view(), weights.view_mut()).unwrap();
    weights.to_vec().unwrap()
}

/// The bits on every device; a shaping's zeros are +0.
#[track_caller]
fn gives(shaping: Shaping, losses: &[f32], expected: &[f32]) {
    for device in devices() {
        let found = on(device, shaping, losses);
        let same = found.iter().zip(expected).all(|(a, b)| a == b) && found.len() == expected.len();
        assert!(same, "{shaping:?} of {losses:?} on {device}: {found:?}, not {expected:?}");
    }
}

#[test]
fn centred_ranks_by_hand() {
    let shaping = Shaping::CentredRanks;
    gives(shaping, &[], &[]);
    gives(shaping, &[3.0], &[0.0]);
    gives(shaping, &[3.0, -1.0], &[0.5, -0.5]);
    gives(shaping, &[0.0, -0.0, 1.0], &[-0.25, -0.25, 0.5]);
    gives(shaping, &[4.0; 7], &[0.0; 7]);
    gives(shaping, &[INF, 1.0, NAN, -INF, NAN], &[0.0, -0.25, 0.375, -0.5, 0.375]);
    gives(shaping, &[NAN; 3], &[0.0; 3]);
    gives(shaping, &[-1e-45, 1e-45, -0.0, -1e30, 1e30], &[-0.25, 0.25, 0.0, -0.5, 0.5]);
}

/// Wierstra et al.'s for four: ln 3 - ln 1 and ln 3 - ln 2 are positive.
#[test]
fn utilities_by_hand() {
    let [first, second] = [3.0_f64.ln(), 3.0_f64.ln() - 2.0_f64.ln()];
    let sum = first + second;
    let weights = [first, second, 0.0, 0.0].map(|u| (0.25 - u / sum) as f32);
    for device in devices() {
        let found = on(device, Shaping::NesUtilities, &[1.0, 4.0, 2.0, 3.0]);
        for (member, place) in [0, 3, 1, 2].into_iter().enumerate() {
            assert!((found[member] - weights[place]).abs() < 1e-7, "{found:?} on {device}, not {weights:?}");
        }
        let tied = on(device, Shaping::NesUtilities, &[1.0, 1.0, 2.0, 3.0]);
        assert!(tied[0] == tied[1] && (tied[0] - (weights[0] + weights[1]) / 2.0).abs() < 1e-7, "{tied:?} on {device}");
    }
    gives(Shaping::NesUtilities, &[5.0], &[0.0]);
    gives(Shaping::NesUtilities, &[2.5; 9], &[0.0; 9]);
}

/// Hansen's for five: ln 3 - ln 1 and ln 3 - ln 2, for the better two.
#[test]
fn recombination_by_hand() {
    let [first, second] = [3.0_f64.ln(), 3.0_f64.ln() - 2.0_f64.ln()];
    let weights = [first, second].map(|w| (-w / (first + second)) as f32);
    for device in devices() {
        let found = on(device, Shaping::CmaWeights, &[9.0, -2.0, 7.0, 0.5, NAN]);
        assert!((found[1] - weights[0]).abs() < 1e-7 && (found[3] - weights[1]).abs() < 1e-7, "{found:?} on {device}");
        assert_eq!([found[0], found[2], found[4]], [0.0; 3]);
    }
    gives(Shaping::CmaWeights, &[5.0], &[-1.0]);
    gives(Shaping::CmaWeights, &[1.0, 2.0], &[-1.0, 0.0]);
    gives(Shaping::CmaWeights, &[2.0; 4], &[-0.25; 4]);
}

#[test]
fn scores_by_hand() {
    let shaping = Shaping::ZScore { epsilon: 0.0 };
    gives(shaping, &[], &[]);
    gives(shaping, &[3.0], &[0.0]);
    gives(shaping, &[1.0, 3.0], &[-1.0, 1.0]);
    gives(shaping, &[0.1; 300], &[0.0; 300]);
    // -∞ counts as 1, what is no number as 3.
    gives(shaping, &[1.0, 3.0, -INF, NAN], &[-1.0, 1.0, -1.0, 1.0]);
    gives(shaping, &[NAN, INF, -INF], &[0.0; 3]);
    gives(Shaping::ZScore { epsilon: 3.0 }, &[1.0, 3.0], &[-0.5, 0.5]);
    // The greatest numbers overflow no sum.
    gives(shaping, &[f32::MAX, f32::MIN], &[1.0, -1.0]);

    let groups = Shaping::GroupZScore { group: 2, epsilon: 0.0 };
    // The deviation of all four is √5.
    let root = (1.0 / 5.0_f64.sqrt()) as f32;
    gives(groups, &[-1.0, 1.0, 3.0, 5.0], &[-root, root, -root, root]);
    gives(groups, &[1.0, 1.0, 3.0, 3.0], &[0.0; 4]);
}

#[test]
fn signs_by_hand() {
    gives(Shaping::Sign, &[2.0, -1e-45, 0.0, -0.0, NAN, INF, -INF], &[1.0, -1.0, 0.0, 0.0, 0.0, 1.0, -1.0]);
}

/// Losses of all kinds, with ties.
fn losses(count: usize) -> Vec<f32> {
    let mut numbers = Numbers::new(seed());
    let special = [NAN, -NAN, INF, -INF, 0.0, -0.0, 1e-45, f32::MAX, f32::MIN];
    (0..count)
        .map(|_| match numbers.below(8) {
            0 => numbers.pick(&special),
            1 | 2 => numbers.below(5) as f32 - 2.0,
            _ => numbers.normal() as f32,
        })
        .collect()
}

/// The definition, each loss against each.
fn by_definition(losses: &[f32], weights: &[f64]) -> Vec<f64> {
    let worse = |a: f32, b: f32| !a.is_nan() && (b.is_nan() || a < b);
    let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
    let count = |of: &dyn Fn(f32) -> bool| losses.iter().filter(|loss| of(**loss)).count();
    let one = |loss: f32| {
        let (less, equal) = (count(&|other| worse(other, loss)), count(&|other| same(other, loss)));
        weights[less..less + equal].iter().sum::<f64>() / equal as f64
    };
    losses.iter().map(|loss| one(*loss)).collect()
}

#[test]
fn ranks_of_many_are_as_defined() {
    for count in [2, 3, 17, 255, 256, 257, 600, 1000] {
        let (losses, n) = (losses(count), count as f64);
        let centred = (0..count).map(|r| r as f64 / (n - 1.0) - 0.5).collect();
        let utilities: Vec<f64> = (1..=count).map(|k| ((n / 2.0 + 1.0).ln() - (k as f64).ln()).max(0.0)).collect();
        let sum: f64 = utilities.iter().sum();
        let nes = utilities.iter().map(|u| 1.0 / n - u / sum).collect();
        let better = |k: usize| if k <= count / 2 { ((n + 1.0) / 2.0).ln() - (k as f64).ln() } else { 0.0 };
        let sum: f64 = (1..=count).map(better).sum();
        let cma = (1..=count).map(|k| -better(k) / sum).collect();
        let tables: [(Shaping, Vec<f64>, f64); 3] = [
            (Shaping::CentredRanks, centred, 0.0),
            (Shaping::NesUtilities, nes, 0.0),
            (Shaping::CmaWeights, cma, -1.0),
        ];
        for (shaping, table, total) in tables {
            let expected = by_definition(&losses, &table);
            let first = shaping.weights(&losses).unwrap();
            for (k, (found, expected)) in first.iter().zip(&expected).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-6 * expected.abs() + 1e-7, "{shaping:?} of {count}: {k} is {found}, not {expected}");
            }
            let sum: f64 = first.iter().map(|w| f64::from(*w)).sum();
            // Each is rounded once.
            let rounding = n * first.iter().fold(0.0, |max: f64, w| max.max(f64::from(w.abs()))) / 2.0_f64.powi(24);
            assert!((sum - total).abs() <= rounding, "{shaping:?} of {count} sum to {sum}");
            for device in devices() {
                assert!(on(device, shaping, &losses) == first, "{shaping:?} of {count} on {device}");
            }
        }
    }
}

#[test]
fn scores_of_many_are_as_defined() {
    for (count, group) in [(2, 1), (255, 5), (256, 256), (257, 257), (600, 2), (1000, 250)] {
        let losses = losses(count);
        let finite = || losses.iter().copied().filter(|loss| loss.is_finite());
        let (least, greatest) = (finite().fold(INF, f32::min), finite().fold(-INF, f32::max));
        let counted: Vec<f64> =
            losses.iter().map(|x| f64::from(if x.is_nan() { greatest } else { x.clamp(least, greatest) })).collect();
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let all = mean(&counted);
        let variance = counted.iter().map(|x| (x - all).powi(2)).sum::<f64>() / count as f64;
        let shaping = match group {
            group if group == count => Shaping::ZScore { epsilon: 1e-5 },
            group => Shaping::GroupZScore { group, epsilon: 1e-5 },
        };
        let first = shaping.weights(&losses).unwrap();
        for (k, found) in first.iter().enumerate() {
            let from = mean(&counted[k / group * group..][..group]);
            let expected = (counted[k] - from) / (variance + 1e-5).sqrt();
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5,
                "{shaping:?} of {count}: {k} is {found}, not {expected}"
            );
        }
        for device in devices() {
            assert!(on(device, shaping, &losses) == first, "{shaping:?} of {count} on {device}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let says = |shaping: Shaping, count: usize, message: &str| {
            let error = Shaper::new(device, shaping, count).map(drop).unwrap_err();
            assert_eq!(error.to_string(), format!("shaping: {message}"));
        };
        says(Shaping::CentredRanks, (1 << 20) + 1, "1048577 losses are more than 1048576");
        says(Shaping::ZScore { epsilon: -1.0 }, 4, "epsilon = -1 is not a number of at least 0");
        says(Shaping::ZScore { epsilon: f64::NAN }, 4, "epsilon = NaN is not a number of at least 0");
        let groups = |group| Shaping::GroupZScore { group, epsilon: 0.0 };
        says(groups(0), 4, "4 losses are no whole number of groups of 0");
        says(groups(3), 4, "4 losses are no whole number of groups of 3");
        let mut shaper = Shaper::new(device, Shaping::Sign, 4).unwrap();
        let four = Buffer::from_slice(device, &[0.5_f32; 4]).unwrap();
        let mut three = Buffer::from_slice(device, &[0.5_f32; 3]).unwrap();
        let error = shaper.shape(four.view(), three.view_mut()).unwrap_err();
        assert_eq!(error.to_string(), "weights has 3 elements but the shaper has 4");
        assert_eq!(three.to_vec().unwrap(), [0.5; 3]);
    }
    let mut memory = [0.5_f32; 4];
    let address = memory.as_ptr().addr();
    // SAFETY: the call must refuse the overlap before it reads or writes.
    let losses = unsafe { std::slice::from_raw_parts(memory.as_ptr(), 4) };
    let mut shaper = Shaper::new(&Device::cpu(), Shaping::Sign, 4).unwrap();
    let error = shaper.shape(View::from(losses), ViewMut::from(&mut memory[..])).unwrap_err();
    let span = format!("({address:#x} to {:#x})", address + 16);
    assert_eq!(error.to_string(), format!("weights 0 {span} overlaps losses 0 {span}"));
}
