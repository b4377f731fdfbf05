//! How far parameters go that are perturbed and set back in place a thousand times, without any update: the figures of the
//! documentation of `gradus::es`.

use gradus::Device;
use gradus::element::Real;
use gradus::es::{Distribution, Perturbation, Rounding, Target, Term};
use gradus::optim::Tensor;
use half::{bf16, f16};

use crate::common::data::{Numbers, element, seed};

const WEIGHTS: usize = 1 << 14;
const CYCLES: u64 = 1000;
/// Of the weights, and of the perturbation.
const DEVIATION: f64 = 0.02;
const SIGMA: f64 = 1e-3;

/// The root of the mean square of what a weight has moved, and the mean of what its magnitude has grown, both as shares of the weights'
/// deviation.
struct Drift {
    rms: f64,
    growth: f64,
}

fn drift<P: Target<P>>(by_chance: bool) -> Drift {
    let mut plan = Perturbation::<P>::new(&Device::cpu(), Distribution::Normal, &[Tensor::new(WEIGHTS)]).unwrap();
    let mut numbers = Numbers::new(seed());
    let before: Vec<P> = (0..WEIGHTS).map(|_| element(DEVIATION * numbers.normal())).collect();
    let mut weights = before.clone();
    for cycle in 0..CYCLES {
        // To θ + σε, to θ - σε, and back.
        for (pass, coefficient) in [SIGMA, -2.0 * SIGMA, SIGMA].into_iter().enumerate() {
            if by_chance {
                plan.set_rounding(Rounding::Stochastic { seed: 2, step: 3 * cycle + pass as u64 }).unwrap();
            }
            let term = Term { coefficient, seed: 1, step: cycle, pair: 0 };
            plan.apply(&[term], &mut [(&mut weights).into()]).unwrap();
        }
    }
    let value = |x: P| x.load().to_f64();
    let moved = before.iter().zip(&weights).map(|(before, after)| (value(*before), value(*after)));
    let (mut squares, mut growth) = (0.0, 0.0);
    for (before, after) in moved {
        squares += (after - before).powi(2);
        growth += after.abs() - before.abs();
    }
    let count = WEIGHTS as f64;
    Drift { rms: (squares / count).sqrt() / DEVIATION, growth: growth / count / DEVIATION }
}

#[test]
fn in_place_perturbations_drift_by_the_documented_figures() {
    for (name, drift, rms, growth) in [
        ("bf16 to nearest", drift::<bf16>(false), 0.125, -0.0089),
        ("bf16 by chance", drift::<bf16>(true), 0.126, 0.0),
        ("f16 to nearest", drift::<f16>(false), 0.0154, 0.0),
        ("f32 to nearest", drift::<f32>(false), 1.91e-6, 0.0),
    ] {
        println!("{name}: rms {:.3e}, growth {:.3e}", drift.rms, drift.growth);
        assert!((drift.rms / rms - 1.0).abs() < 0.02, "{name}: rms {:.3e}, documented as {rms:.2e}", drift.rms);
        // Standard errors of a mean.
        let z = (drift.growth - growth) / (drift.rms / (WEIGHTS as f64).sqrt());
        assert!(
            z.abs() < 4.5,
            "{name}: growth {:.3e}, documented as {growth:.1e}, {z:.1} standard errors",
            drift.growth
        );
    }
}
