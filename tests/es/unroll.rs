//! Estimates from unrolled computations: which noises count, and that nothing is biased that should not be.

use gradus::es::{Distribution, Estimator, InnerStep, Perturbation, Term, Unroll, UnrolledEs};
use gradus::optim::Tensor;
use gradus::{Device, View, ViewMut};

use crate::common::data::{Numbers, seed};

/// A step whose losses differ by so much.
fn step(difference: f64, ended: bool) -> InnerStep {
    InnerStep { losses: [1.0 + difference, 1.0], ended }
}

/// The window of each noise and its share of the estimate, with σ = ½ for one particle: the difference itself, divided by the
/// steps of the window.
fn shares(es: &mut UnrolledEs, steps: &[InnerStep]) -> Vec<(u64, f64)> {
    let terms = es.end_window(steps).unwrap();
    terms.into_iter().map(|Term { step, coefficient, .. }| (step, coefficient)).collect()
}

fn one(unroll: Unroll) -> UnrolledEs {
    UnrolledEs::new(unroll, 0.5, 3, 1).unwrap()
}

#[test]
fn noises_add_up_until_an_episode_ends() {
    let mut es = one(Unroll::Pes);
    assert_eq!(shares(&mut es, &[step(2.0, false), step(4.0, false)]), [(0, 3.0)]);
    assert_eq!(shares(&mut es, &[step(1.0, false), step(0.0, false)]), [(0, 0.5), (1, 0.5)]);
    // The second step is the first of the next episode: its loss owes nothing to the noises before.
    assert_eq!(shares(&mut es, &[step(8.0, true), step(-6.0, false)]), [(0, 4.0), (1, 4.0), (2, 1.0)]);
    // That episode began with noise 2.
    assert_eq!(shares(&mut es, &[step(2.0, false), step(0.0, true)]), [(2, 1.0), (3, 1.0)]);
    // This one begins here.
    assert_eq!(shares(&mut es, &[step(2.0, true), step(6.0, true)]), [(4, 4.0)]);
    assert_eq!(shares(&mut es, &[step(2.0, false), step(6.0, false)]), [(5, 4.0)]);
    assert_eq!(es.window(), 6);
}

#[test]
fn a_noise_serves_an_episode_or_windows_of_it() {
    let mut es = one(Unroll::Nres);
    for window in 0..3 {
        assert_eq!(es.terms(0).unwrap()[0].step, 0);
        let ended = window == 2;
        assert_eq!(shares(&mut es, &[step(1.0, ended), step(5.0, false)]), [(0, 3.0)]);
    }
    // The next episode has begun with it, and goes on with a noise of its own.
    assert_eq!(es.terms(0).unwrap()[0].step, 3);
    assert_eq!(shares(&mut es, &[step(1.0, false), step(5.0, true)]), [(0, 3.0), (3, 3.0)]);
    assert_eq!(es.terms(0).unwrap()[0].step, 4);
    assert_eq!(shares(&mut es, &[step(1.0, false), step(5.0, false)]), [(4, 3.0)]);

    let mut es = one(Unroll::Gpes { windows: 2 });
    let windows =
        [false, false, true, false, false, false].map(|ended| shares(&mut es, &[step(1.0, ended), step(1.0, false)]));
    let expected: [&[(u64, f64)]; 6] = [
        &[(0, 1.0)],
        &[(0, 1.0)],
        &[(0, 0.5), (2, 1.0)],
        &[(2, 1.0), (3, 1.0)],
        &[(2, 1.0), (3, 1.0)],
        &[(2, 1.0), (3, 1.0), (5, 1.0)],
    ];
    assert_eq!(windows.each_ref().map(Vec::as_slice), expected);
}

/// Episodes of two windows, at whatever step of a window they end.
#[test]
fn an_episode_has_a_new_noise() {
    for unroll in [Unroll::Nres, Unroll::Gpes { windows: 9 }] {
        for (age, expected) in
            [[0, 0, 2, 2, 4, 4], [0, 0, 2, 2, 4, 4], [0, 1, 1, 3, 3, 5], [0, 1, 1, 3, 3, 5]].into_iter().enumerate()
        {
            let mut es = one(unroll);
            let found = [0, 1, 2, 3, 4, 5].map(|window| {
                let noise = es.terms(0).unwrap()[0].step;
                es.end_window(&[1, 2].map(|t| step(1.0, (age + 2 * window + t).is_multiple_of(4)))).unwrap();
                noise
            });
            assert_eq!(found, expected, "{unroll:?}, {age} steps into an episode");
        }
    }
}

/// Noises that serve one window are those of persistent evolution strategies, those that serve all those of noise reuse.
#[test]
fn windows_of_a_noise_lead_from_pes_to_nres() {
    for (windows, other) in [(1, Unroll::Pes), (u32::MAX, Unroll::Nres)] {
        let [mut es, mut other] = [Unroll::Gpes { windows }, other].map(one);
        for window in 0..30 {
            let steps = [0, 1, 2].map(|t| step(f64::from(t), (3 * window + t) % 7 == 0));
            assert_eq!(es.end_window(&steps).unwrap(), other.end_window(&steps).unwrap(), "window {window}");
        }
    }
}

#[test]
fn a_window_alone_forgets_what_was_before() {
    let mut es = one(Unroll::TruncatedEs);
    for window in 0..4 {
        let steps = [step(1.0, window == 1), step(3.0, window == 2)];
        assert_eq!(shares(&mut es, &steps), [(window, 2.0)]);
    }
}

#[test]
fn particles_are_their_own_pairs() {
    let mut es = UnrolledEs::new(Unroll::Pes, 0.25, 9, 2).unwrap();
    let term = |coefficient, step, pair| Term { coefficient, seed: 9, step, pair };
    assert_eq!(es.terms(1).unwrap(), [term(0.25, 0, 1), term(-0.25, 0, 1)]);
    let terms = es.end_window(&[step(1.0, true), step(2.0, false)]).unwrap();
    assert_eq!(terms, [term(1.0, 0, 0), term(2.0, 0, 1)]);
    let terms = es.end_window(&[step(1.0, false), step(2.0, false)]).unwrap();
    assert_eq!(terms, [term(1.0, 1, 0), term(2.0, 0, 1), term(2.0, 1, 1)]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let says = |result: gradus::Result<UnrolledEs>, message: &str| {
        assert_eq!(result.map(drop).unwrap_err().to_string(), format!("unrolled ES: {message}"));
    };
    says(UnrolledEs::new(Unroll::Pes, 0.0, 0, 1), "sigma = 0 is not a positive number");
    says(UnrolledEs::new(Unroll::Pes, f64::INFINITY, 0, 1), "sigma = inf is not a positive number");
    says(UnrolledEs::new(Unroll::Pes, 1.0, 0, 0), "0 particles are none or more than 1048576");
    let none = Unroll::Gpes { windows: 0 };
    says(UnrolledEs::new(none, 1.0, 0, 1), "a noise has to serve one window at least");

    let mut es = UnrolledEs::new(Unroll::Pes, 1.0, 0, 2).unwrap();
    assert_eq!(es.terms(2).unwrap_err().to_string(), "unrolled ES: there is no particle 2 of 2");
    let odd = es.end_window(&[step(0.0, true); 3]).unwrap_err().to_string();
    assert_eq!(odd, "unrolled ES: 3 inner steps are none or not as many for each of 2 particles");
    assert!(es.end_window(&[]).is_err());
    let mut steps = [step(0.0, true); 4];
    steps[3].losses[1] = f64::NAN;
    let error = es.end_window(&steps).unwrap_err().to_string();
    assert_eq!(error, "particle 1, inner step 1: the loss NaN is not finite");
    assert_eq!(es.window(), 0);
}

const EPISODE: usize = 7;
const WINDOW: usize = 3;
const PARTICLES: usize = 50;
/// After as many windows, episodes begin where windows do.
const PERIOD: usize = EPISODE;
const PERIODS: usize = 300;
const RHO: f64 = 0.8;
const B: [f64; 3] = [0.5, -1.0, 0.75];
const THETA: [f64; 3] = [0.4, 0.1, -0.3];

/// `s ← ρs + b·θ + w` with normal w, s = 0 where an episode begins; the loss of a step is ½s².
fn dot(theta: &[f64]) -> f64 {
    theta.iter().zip(B).map(|(x, b)| x * b).sum()
}

/// The gradient of the mean loss of a step: `E s·∂s/∂θ = (b·θ) cₜ² b` with `cₜ = Σ ρⁱ` over the t steps of the episode.
fn gradient() -> [f64; 3] {
    let (mut c, mut sum) = (0.0, 0.0);
    for _ in 0..EPISODE {
        c = RHO * c + 1.0;
        sum += c * c;
    }
    B.map(|b| dot(&THETA) * sum / EPISODE as f64 * b)
}

/// How many deviations the mean of the estimates of all periods is from the gradient.
fn deviations(unroll: Unroll) -> [f64; 3] {
    let (device, tensors) = (Device::cpu(), [Tensor::new(3)]);
    let mut perturbation = Perturbation::<f64>::new(&device, Distribution::Normal, &tensors).unwrap();
    let mut estimator = Estimator::<f64>::new(&device, Distribution::Normal, &tensors).unwrap();
    let mut es = UnrolledEs::new(unroll, 0.3, 5, PARTICLES).unwrap();
    let mut numbers = Numbers::new(seed());
    let mut states = [[0.0; 2]; PARTICLES];
    let mut age = 0;
    let mut estimates = Vec::new();
    for _ in 0..PERIODS {
        let mut of_period = [0.0; 3];
        for _ in 0..PERIOD {
            let mut steps = Vec::new();
            for (particle, states) in states.iter_mut().enumerate() {
                let inputs = es.terms(particle).unwrap().map(|term| {
                    let mut perturbed = [0.0; 3];
                    let to = &mut [ViewMut::from(&mut perturbed[..])];
                    perturbation.write(&[term], &[View::from(&THETA[..])], to).unwrap();
                    dot(&perturbed)
                });
                for t in 0..WINDOW {
                    let noise = 0.1 * numbers.normal();
                    let ended = (age + t + 1).is_multiple_of(EPISODE);
                    let losses = [0, 1].map(|sign| {
                        states[sign] = RHO * states[sign] + inputs[sign] + noise;
                        let loss = states[sign] * states[sign] / 2.0;
                        states[sign] = if ended { 0.0 } else { states[sign] };
                        loss
                    });
                    steps.push(InnerStep { losses, ended });
                }
            }
            age += WINDOW;
            let mut estimate = [0.0; 3];
            estimator.write(&es.end_window(&steps).unwrap(), &mut [ViewMut::from(&mut estimate[..])]).unwrap();
            of_period.iter_mut().zip(estimate).for_each(|(sum, x)| *sum += x / PERIOD as f64);
        }
        estimates.push(of_period);
    }
    let expected = gradient();
    [0, 1, 2].map(|k| {
        let n = estimates.len() as f64;
        let mean = estimates.iter().map(|estimate| estimate[k]).sum::<f64>() / n;
        let variance = estimates.iter().map(|estimate| (estimate[k] - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean - expected[k]) / (variance / n).sqrt()
    })
}

/// Windows of three steps in episodes of seven, 105 000 pairs.
#[test]
fn estimates_over_windows_are_unbiased() {
    const { assert!(PARTICLES * PERIOD * PERIODS >= 100_000) };
    for unroll in [Unroll::Pes, Unroll::Gpes { windows: 2 }, Unroll::Nres] {
        let z = deviations(unroll);
        assert!(z.iter().all(|z| z.abs() < 4.5), "{unroll:?} is {z:?} deviations from the gradient");
    }
    let z = deviations(Unroll::TruncatedEs);
    assert!(z.iter().any(|z| z.abs() > 20.0), "the bias of truncated ES is not seen: {z:?} deviations");
}
