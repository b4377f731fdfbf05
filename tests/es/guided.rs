//! Guided evolution strategies: their perturbations and what these estimate.

use gradus::es::{Directions, Distribution, Estimator, Guided, GuidedMember, Pairs, Perturbation, Weighting};
use gradus::optim::Tensor;
use gradus::{View, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::cpus;
use crate::search::says;

const D: usize = 12;
const SIGMA: f64 = 0.3;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn products(directions: &[Vec<f64>]) -> Vec<f64> {
    directions.iter().flat_map(|a| directions.iter().map(|b| dot(a, b))).collect()
}

/// Three directions, the last of which the others span.
fn directions() -> Vec<Vec<f64>> {
    let mut numbers = Numbers::new(seed());
    let [a, b] = [(); 2].map(|()| (0..D).map(|_| 3.0 * numbers.normal()).collect::<Vec<f64>>());
    let c = a.iter().zip(&b).map(|(a, b)| 2.0 * a - b).collect();
    vec![a, b, c]
}

/// The orthogonal projection onto the span of the first two.
fn projected(directions: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    let (a, b) = (&directions[0], &directions[1]);
    let b: Vec<f64> = b.iter().zip(a).map(|(y, x)| y - dot(a, b) / dot(a, a) * x).collect();
    let share = |v: &[f64]| dot(v, x) / dot(v, v);
    let (of_a, of_b) = (share(a), share(&b));
    a.iter().zip(&b).map(|(a, b)| of_a * a + of_b * b).collect()
}

struct Plans {
    perturbation: Perturbation<f64>,
    estimator: Estimator<f64>,
    along: Directions<f64>,
}

impl Plans {
    fn new() -> Self {
        let (device, tensors) = (&cpus()[0], [Tensor::new(D)]);
        Self {
            perturbation: Perturbation::new(device, Distribution::Normal, &tensors).unwrap(),
            estimator: Estimator::new(device, Distribution::Normal, &tensors).unwrap(),
            along: Directions::new(device, &tensors).unwrap(),
        }
    }

    fn perturbed(&mut self, member: &GuidedMember, directions: &[Vec<f64>], from: &[f64]) -> Vec<f64> {
        let mut to = vec![0.0; D];
        self.perturbation.write(&[member.term], &[View::from(from)], &mut [ViewMut::from(&mut to)]).unwrap();
        let views: Vec<View<'_, f64>> = directions.iter().map(View::from).collect();
        self.along.add(&member.coefficients, &views, &mut [ViewMut::from(&mut to)]).unwrap();
        to
    }
}

/// The estimate is `β/(2σ²N) Σ (L⁺ - L⁻) p` with the perturbations that the members have.
#[test]
fn estimates_are_of_the_perturbations() {
    let (directions, mut plans) = (directions(), Plans::new());
    let pairs = Pairs { sigma: SIGMA, seed: 3, step: 5, count: 6 };
    let guided = Guided::new(pairs, 0.4, 2.0, D as u64, &products(&directions)).unwrap();
    assert_eq!(guided.dimension(), 2);
    let loss = |x: &[f64]| x.iter().enumerate().map(|(i, x)| (x - i as f64).powi(2)).sum::<f64>();
    let (theta, mut losses, mut expected) = (vec![0.5; D], Vec::new(), vec![0.0; D]);
    for pair in 0..6 {
        let members = guided.members(pair).unwrap();
        let [above, below] = [0, 1].map(|k| plans.perturbed(&members[k], &directions, &theta));
        losses.push([loss(&above), loss(&below)]);
        let apart = losses[pair][0] - losses[pair][1];
        for i in 0..D {
            assert!((above[i] + below[i] - 2.0 * theta[i]).abs() < 1e-14);
            expected[i] += 2.0 / (2.0 * SIGMA * SIGMA * 6.0) * apart * (above[i] - theta[i]);
        }
    }
    let estimate = guided.gradient(&losses, Weighting::Differences).unwrap();
    let mut found = vec![0.0; D];
    plans.estimator.write(&estimate.terms, &mut [ViewMut::from(&mut found)]).unwrap();
    let views: Vec<View<'_, f64>> = directions.iter().map(View::from).collect();
    plans.along.add(&estimate.coefficients, &views, &mut [ViewMut::from(&mut found)]).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found}, not {expected}");
    }
}

/// Perturbations have the covariance σ²(α/d + (1 - α)/k QQᵀ): their products with fixed vectors, over 20 000 pairs.
#[test]
fn perturbations_are_stretched_along_the_directions() {
    const PAIRS: usize = 20_000;
    let (directions, mut plans) = (directions(), Plans::new());
    let pairs = Pairs { sigma: SIGMA, seed: 3, step: 0, count: PAIRS };
    let mut numbers = Numbers::new(seed() + 1);
    for (alpha, used) in [(0.4, 3), (0.0, 3), (1.0, 3), (0.4, 1), (0.4, 0)] {
        let directions = &directions[..used];
        let guided = Guided::new(pairs, alpha, 1.0, D as u64, &products(directions)).unwrap();
        let dimension = used.min(2);
        assert_eq!(guided.dimension(), dimension);
        let probes: Vec<Vec<f64>> = (0..3).map(|_| (0..D).map(|_| numbers.normal()).collect()).collect();
        let mut squares = [0.0; 3];
        for pair in 0..PAIRS {
            let [member, _] = guided.members(pair).unwrap();
            let perturbation = plans.perturbed(&member, directions, &[0.0; D]);
            squares.iter_mut().zip(&probes).for_each(|(sum, probe)| *sum += dot(probe, &perturbation).powi(2));
        }
        for (square, probe) in squares.iter().zip(&probes) {
            let along = match dimension {
                0 => 0.0,
                1 => dot(&directions[0], probe).powi(2) / dot(&directions[0], &directions[0]),
                _ => dot(&projected(directions, probe), probe) / 2.0,
            };
            let alpha = if dimension == 0 { 1.0 } else { alpha };
            let expected = SIGMA * SIGMA * (alpha / D as f64 * dot(probe, probe) + (1.0 - alpha) * along);
            // A mean of squares of normals has the deviation √(2/n).
            let z = (square / PAIRS as f64 / expected - 1.0) / (2.0 / PAIRS as f64).sqrt();
            assert!(z.abs() < 4.5, "alpha {alpha}, {used} directions: {z} deviations");
        }
    }
}

#[test]
fn arguments_out_of_their_range_are_refused() {
    let pairs = Pairs { sigma: SIGMA, seed: 3, step: 0, count: 2 };
    let new = |alpha, beta, elements, products: &[f64]| Guided::new(pairs, alpha, beta, elements, products);
    says(new(1.5, 1.0, 3, &[]), "guided ES: alpha = 1.5 is not a number from 0 to 1");
    says(new(f64::NAN, 1.0, 3, &[]), "guided ES: alpha = NaN is not a number from 0 to 1");
    says(new(0.5, 0.0, 3, &[]), "guided ES: beta = 0 is not a positive number");
    says(new(0.5, 1.0, 0, &[]), "guided ES: there are no elements");
    says(new(0.5, 1.0, 3, &[1.0; 3]), "guided ES: 3 inner products are not those of each direction with each");
    says(new(0.5, 1.0, 3, &[f64::INFINITY]), "guided ES: the inner product inf is not finite");
    let guided = new(0.5, 1.0, 3, &[0.0]).unwrap();
    assert_eq!(guided.dimension(), 0);
    says(guided.members(1 << 20), "pair 1048576 does not fit into the 20 bits that a noise address has for it");
    let few = guided.gradient(&[[1.0, 2.0]], Weighting::Signs);
    says(few, "the list of losses has 1 element but that of pairs has 2");
}
