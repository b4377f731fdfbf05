//! Noise in orthogonal rows: what is exact, and what it makes of estimates.

use gradus::es::{Distribution, Estimator, Perturbation, Term};
use gradus::optim::Tensor;
use gradus::rng::{Address, Purpose};
use gradus::{Device, View, ViewMut};

use crate::common::devices::devices;
use crate::expected::number;

const ROWS: u64 = 128;

fn term(pair: u64) -> Term {
    Term { coefficient: 1.0, seed: 5, step: 3, pair }
}

/// The noise of a pair in `count` elements of tensor 7, from `first` on, as signs.
fn signs(pair: u64, first: u64, count: u64) -> Vec<i32> {
    (first..first + count).map(|element| number_of(pair, 7, element)).collect()
}

fn number_of(pair: u64, id: u64, element: u64) -> i32 {
    let address = Address::new(Purpose::PERTURBATION, 3, id, pair).unwrap();
    Distribution::Hadamard.number(5, &address, element).unwrap() as i32
}

fn product(a: &[i32], b: &[i32]) -> i32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn pairs_of_a_group_are_orthogonal_over_whole_blocks() {
    for (group, block) in [(0, 0), (3, 1), ((1 << 13) - 1, (1 << 33) - 1)] {
        let rows: Vec<_> = (ROWS * group..ROWS * (group + 1)).map(|pair| signs(pair, ROWS * block, ROWS)).collect();
        for (a, first) in rows.iter().enumerate() {
            for (b, second) in rows.iter().enumerate() {
                assert_eq!(product(first, second), if a == b { 128 } else { 0 }, "rows {a} and {b} of group {group}");
            }
        }
    }
}

/// Over a whole group the noises of two elements are orthogonal, unless their places agree modulo 128.
#[test]
fn elements_are_orthogonal_over_whole_groups() {
    let columns = |id: u64, element: u64| -> Vec<i32> { (0..ROWS).map(|pair| number_of(pair, id, element)).collect() };
    let places = [(7, 0), (7, 1), (7, 127), (7, 128), (7, 129), (7, 1 << 39), (8, 0), (8, 5)];
    let noises = places.map(|(id, element)| columns(id, element));
    for (a, (_, first)) in places.iter().enumerate() {
        for (b, (_, second)) in places.iter().enumerate() {
            let found = product(&noises[a], &noises[b]);
            let expected = if first % ROWS == second % ROWS { 128 } else { 0 };
            assert_eq!(found.abs(), expected, "{:?} and {:?}", places[a], places[b]);
        }
    }
}

/// Every pair is Rademacher noise, and other groups and tensors have nothing to do with it.
#[test]
fn groups_are_independent() {
    const COUNT: u64 = 1 << 14;
    let first = signs(5, 0, COUNT);
    for (what, other) in [
        ("the next group", signs(128 + 5, 0, COUNT)),
        ("another row of the next group", signs(128 + 9, 0, COUNT)),
        ("the same group on", signs(9, 128, COUNT)),
        ("the noise that rows are made of", signs(0, 128, COUNT)),
        ("nothing", vec![1; COUNT as usize]),
    ] {
        let deviations = f64::from(product(&first, &other)) / (COUNT as f64).sqrt();
        assert!(deviations.abs() < 4.5, "{what}: {deviations} deviations");
    }
    // Row 0 of a group changes no sign.
    let rademacher = |element| number(Distribution::Rademacher, &term(256), 7, element) as i32;
    assert_eq!(signs(256, 0, 300), (0..300).map(rademacher).collect::<Vec<_>>());
}

/// What N pairs from `first` on estimate of the gradient of a linear loss over these tensors.
fn estimate(device: &Device, gradient: &[Vec<f64>], tensors: &[Tensor], pairs: std::ops::Range<u64>) -> Vec<Vec<f64>> {
    let mut plan = Perturbation::<f64>::new(device, Distribution::Hadamard, tensors).unwrap();
    let mut estimator = Estimator::<f64>::new(device, Distribution::Hadamard, tensors).unwrap();
    let zeros: Vec<Vec<f64>> = gradient.iter().map(|gradient| vec![0.0; gradient.len()]).collect();
    let mut memory = zeros.clone();
    let count = (pairs.end - pairs.start) as f64;
    let terms: Vec<Term> = pairs
        .map(|pair| {
            let from: Vec<View<'_, f64>> = zeros.iter().map(View::from).collect();
            let mut to: Vec<ViewMut<'_, f64>> = memory.iter_mut().map(ViewMut::from).collect();
            plan.write(&[term(pair)], &from, &mut to).unwrap();
            let products = memory.iter().zip(gradient).map(|(e, g)| e.iter().zip(g).map(|(e, g)| e * g).sum::<f64>());
            Term { coefficient: products.sum::<f64>() / count, ..term(pair) }
        })
        .collect();
    let mut to: Vec<ViewMut<'_, f64>> = memory.iter_mut().map(ViewMut::from).collect();
    estimator.write(&terms, &mut to).unwrap();
    memory
}

fn gradient(length: usize) -> Vec<f64> {
    (0..length).map(|i| (i * 37 % 100) as f64 / 50.0 - 0.9).collect()
}

/// 128 parameters of one vector, whatever the tensors it is cut into.
#[test]
fn a_whole_group_estimates_a_block_exactly() {
    let device = &devices()[0];
    let flat = gradient(128);
    let gradient = [flat[..100].to_vec(), flat[100..].to_vec()];
    let tensors = [Tensor::new(100).id(4).first(256), Tensor::new(28).id(4).first(356)];
    let found = estimate(device, &gradient, &tensors, 384..512);
    for (found, expected) in found.iter().flatten().zip(&flat) {
        assert!((found - expected).abs() < 1e-13, "{found}, not {expected}");
    }
}

/// (d/N - 1)·|g|² in the mean over groups, to 4.5 standard errors.
#[test]
fn the_error_of_estimates_is_as_documented() {
    const GROUPS: u64 = 100;
    let device = &devices()[0];
    let gradient = [gradient(384), gradient(128)];
    let tensors = [Tensor::new(384), Tensor::new(128)];
    let norm: f64 = gradient.iter().flatten().map(|g| g * g).sum();
    for count in [1, 32, 128] {
        let errors: Vec<f64> = (0..GROUPS)
            .map(|group| {
                let found = estimate(device, &gradient, &tensors, 128 * group..128 * group + count);
                let both = found.iter().flatten().zip(gradient.iter().flatten());
                both.map(|(found, g)| (found - g).powi(2)).sum::<f64>() / norm
            })
            .collect();
        let mean = errors.iter().sum::<f64>() / GROUPS as f64;
        let variance = errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / (GROUPS - 1) as f64;
        let z = (mean - (512.0 / count as f64 - 1.0)) / (variance / GROUPS as f64).sqrt();
        assert!(z.abs() < 4.5, "{count} pairs: an error of {mean}, {z} standard errors from that documented");
    }
}
