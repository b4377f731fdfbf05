//! Sums of noises alone, on every device.

use gradus::element::{Element, Real};
use gradus::es::{Distribution, Estimator, Perturbation, Target, Term};
use gradus::optim::Tensor;
use gradus::{Device, View, ViewMut};
use half::{bf16, f16};

use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::expected::{counts, number, places};
use crate::model::{Place, same, tensors, terms};

/// Memory of every place, full of what must not be left there, `offset` telling which of the place's two.
fn memory<G: Element>(device: &Device, places: &[Place], offset: impl Fn(&Place) -> usize) -> Vec<Guarded<G>> {
    let full = |place: &Place| vec![G::store(G::Real::from_f64(777.0)); place.2];
    places.iter().map(|place| Guarded::new(device, &full(place), offset(place))).collect()
}

fn views<G: Element>(memory: &mut [Guarded<G>]) -> Vec<ViewMut<'_, G>> {
    memory.iter_mut().map(Guarded::view_mut).collect()
}

/// As a perturbation of zeros.
fn estimated<G: Target<G>>() {
    let places = places();
    for distribution in Distribution::ALL {
        let cpu = &cpus()[0];
        let mut plan = Perturbation::<G>::new(cpu, distribution, &tensors(&places)).unwrap();
        for &count in counts(distribution, &[0, 1, 2, 8, 9, 20]) {
            let mut zeros: Vec<Vec<G>> = places.iter().map(|place| vec![G::zeroed(); place.2]).collect();
            let mut expected: Vec<ViewMut<'_, G>> = zeros.iter_mut().map(|zeros| zeros.as_mut_slice().into()).collect();
            plan.apply(&terms(count), &mut expected).unwrap();
            for device in devices() {
                let mut estimator = Estimator::<G>::new(device, distribution, &tensors(&places)).unwrap();
                let mut found = memory::<G>(device, &places, |place| place.4);
                estimator.write(&terms(count), &mut views(&mut found)).unwrap();
                let found: Vec<Vec<G>> = found.iter().map(Guarded::elements).collect();
                same(&found, &zeros, &format!("{count} terms of {distribution:?} as {} on {device}", G::DTYPE));
            }
        }
    }
}

#[test]
fn f64_estimates() {
    estimated::<f64>();
}

#[test]
fn f32_estimates() {
    estimated::<f32>();
}

#[test]
fn halves_are_estimated() {
    estimated::<bf16>();
    estimated::<f16>();
}

/// Factors of squares, none of which is the coefficient beside it.
fn factors(count: usize) -> Vec<f64> {
    (0..count).map(|i| 0.3 - 0.1 * i as f64).collect()
}

/// Each element as its numbers say, one at a time.
fn expected<G: Real>(
    places: &[Place],
    distribution: Distribution,
    terms: &[Term],
    factors: &[f64],
) -> [Vec<Vec<G>>; 2] {
    let one = |id: u64, element: u64| {
        terms.iter().zip(factors).fold([G::zeroed(); 2], |[x, squares], (term, &factor)| {
            let number = G::from_f64(number(distribution, term, id, element).into());
            [G::from_f64(term.coefficient).fma(number, x), G::from_f64(factor).fma(number * number, squares)]
        })
    };
    let all = |k: usize| {
        let tensor = |&(id, first, length, ..): &Place| (first..).take(length).map(|e| one(id, e)[k]).collect();
        places.iter().map(tensor).collect()
    };
    [all(0), all(1)]
}

fn squared<G: Real>() {
    // The first places of each kind: a reference that looks up each number takes its time.
    let places: Vec<Place> = places().into_iter().filter(|place| place.2 <= 9001).collect();
    for distribution in Distribution::ALL {
        for &count in counts(distribution, &[0, 1, 3, 11]) {
            let expected = expected::<G>(&places, distribution, &terms(count), &factors(count));
            for device in devices() {
                let mut estimator = Estimator::<G>::new(device, distribution, &tensors(&places)).unwrap();
                let mut to = memory::<G>(device, &places, |place| place.4);
                let mut squares = memory::<G>(device, &places, |place| place.3);
                let (mut to_views, mut squares_views) = (views(&mut to), views(&mut squares));
                let written = (&mut to_views, &mut squares_views);
                estimator.write_with_squares(&terms(count), &factors(count), written.0, written.1).unwrap();
                for (k, (found, what)) in [(&to, "sum"), (&squares, "sum of squares")].into_iter().enumerate() {
                    let found: Vec<Vec<G>> = found.iter().map(Guarded::elements).collect();
                    let what = format!("{what} of {count} terms of {distribution:?} as {} on {device}", G::DTYPE);
                    same(&found, &expected[k], &what);
                }
            }
        }
    }
}

#[test]
fn squares_are_summed_beside() {
    squared::<f32>();
    squared::<f64>();
}

/// With and without squares in turns, on the same memory: each call has the tables that it needs.
#[test]
fn kinds_of_calls_may_alternate() {
    for device in devices() {
        let mut estimator = Estimator::<f32>::new(device, Distribution::Normal, &[Tensor::new(1000)]).unwrap();
        let place = [(0, 0, 1000, 0, 0)];
        let [mut a, mut b] = [(); 2].map(|()| memory::<f32>(device, &place, |_| 0));
        estimator.write_with_squares(&terms(2), &[0.0, 0.0], &mut views(&mut a), &mut views(&mut b)).unwrap();
        assert!(b[0].elements().iter().all(|x| *x == 0.0));
        let sum = a[0].elements();
        estimator.write(&terms(2), &mut views(&mut b)).unwrap();
        assert!(b[0].elements() == sum, "{device}");
        estimator.write_with_squares(&terms(2), &[1.0, 0.0], &mut views(&mut b), &mut views(&mut a)).unwrap();
        assert!(b[0].elements() == sum, "{device}");
        assert!(a[0].elements().iter().all(|x| *x >= 0.0) && a[0].elements().iter().any(|x| *x > 1.0), "{device}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let mut estimator = Estimator::<f32>::new(device, Distribution::Uniform, &[Tensor::new(4)]).unwrap();
        let place = [(0, 0, 4, 0, 0)];
        let [mut a, mut b] = [(); 2].map(|()| memory::<f32>(device, &place, |_| 0));
        let mut says = |factors: &[f64], message: &str| {
            let error =
                estimator.write_with_squares(&terms(2), factors, &mut views(&mut a), &mut views(&mut b)).unwrap_err();
            assert_eq!(error.to_string(), message);
        };
        says(&[1.0], "the list of factors has 1 element but that of terms has 2");
        says(&[1.0, f64::NAN], "square 1: the coefficient NaN is not finite");
        let none = estimator.write_with_squares(&[], &[], &mut views(&mut a), &mut []).unwrap_err();
        assert_eq!(none.to_string(), "the number of sums of squares is 0 but that of tensors is 1");
        let none = estimator.write(&[], &mut []).unwrap_err();
        assert_eq!(none.to_string(), "the number of estimates is 0 but that of tensors is 1");
        assert!(a.iter().chain(&b).all(|memory| memory.elements() == [777.0; 4]), "something was written on {device}");
    }
}

/// The estimate of a linear loss, whose gradient is the same everywhere: 10⁵ antithetic pairs, each sum within 4.5 deviations.
#[test]
fn an_antithetic_estimate_is_unbiased() {
    const PAIRS: usize = 100_000;
    let gradient: Vec<f64> = (0..12).map(|i| f64::from(i) / 4.0 - 1.0).collect();
    let norm: f64 = gradient.iter().map(|g| g * g).sum();
    for distribution in Distribution::ALL {
        let device = &cpus()[0];
        let tensor = [Tensor::new(gradient.len())];
        let mut plan = Perturbation::<f64>::new(device, distribution, &tensor).unwrap();
        let mut estimator = Estimator::<f64>::new(device, distribution, &tensor).unwrap();
        let (zeros, mut noise) = (vec![0.0; gradient.len()], vec![0.0; gradient.len()]);
        let terms: Vec<Term> = (0..PAIRS as u64)
            .map(|i| {
                let mut term = Term { coefficient: 1.0, seed: 11, step: i >> 20, pair: i & 0xf_ffff };
                plan.write(&[term], &[View::from(&zeros)], &mut [ViewMut::from(&mut noise)]).unwrap();
                // (f(θ + σε) - f(θ - σε)) / 2σ.
                term.coefficient = noise.iter().zip(&gradient).map(|(e, g)| e * g).sum::<f64>() / PAIRS as f64;
                term
            })
            .collect();
        let mut estimate = vec![0.0; gradient.len()];
        estimator.write(&terms, &mut [ViewMut::from(&mut estimate)]).unwrap();
        for (found, g) in estimate.iter().zip(&gradient) {
            // Var(εᵢ Σ gⱼεⱼ) = Σ_{j≠i} gⱼ² + gᵢ² (E ε⁴ - 1).
            let kurtosis = match distribution {
                Distribution::Normal => 3.0,
                Distribution::Rademacher | Distribution::Hadamard => 1.0,
                _ => 1.8,
            };
            let deviation = ((norm - g * g + g * g * (kurtosis - 1.0)) / PAIRS as f64).sqrt();
            let z = (found - g) / deviation;
            assert!(z.abs() < 4.5, "{distribution:?}: {found}, not {g}: {z} deviations");
        }
    }
}
