//! The f64 shadow: steps in f32 stay as near to the same steps in f64 as their roundings allow.

use gradus::element::Real;
use gradus::optim::{Group, Tensor};
use gradus::rules::AnyRule;
use gradus::{Buffer, Device};
use steppers::Stepped;

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::subjects::Subject;

const SIZE: usize = 1000;
const STEPS: usize = 10;

/// The bound, relative to max(1, |x|).
///
/// A step rounds a parameter three times at most by 2^-24 of it (the decay, the sum, the rounded factor of the decay):
/// ten steps come to 1.8e-6. The direction is of the size of 1, its rate 1/32, and its error some ten roundings, which
/// the next steps carry on: 10 · 10 · 2^-24 / 32 = 0.2e-6.
const BOUND: f64 = 2e-6;

/// Steps the same numbers in f32 and in f64 and compares them.
pub fn check(subject: &Subject) {
    for &(name, mut rule) in &subject.presets {
        if subject.settings.contains(&"lr") {
            rule.set("lr", &(1.0 / 32.0).into()).unwrap();
        }
        let numbers = &mut Numbers::new(seed());
        let start: Vec<f32> = (0..SIZE).map(|_| 4.0 * numbers.unit() as f32 - 2.0).collect();
        let gradients = gradients(numbers);
        let wide: Vec<Vec<f64>> = gradients.iter().map(|gradient| widened(gradient)).collect();
        for device in devices() {
            let single = stepped(device, rule, &start, &gradients);
            let double = stepped(device, rule, &widened(&start), &wide);
            for (i, (&x, &exact)) in single.iter().zip(&double).enumerate() {
                let distance = (f64::from(x) - exact).abs() / exact.abs().max(1.0);
                assert!(
                    distance <= BOUND,
                    "{name} on {device}, element {i} after {STEPS} steps: {x:e} ({:#010x}) in f32, {exact:e} ({:#018x}) \
                     in f64, {distance:e} apart, seed {}",
                    x.to_bits(),
                    exact.to_bits(),
                    seed()
                );
            }
        }
    }
}

/// Gradients without near ties, at which a rule that takes signs would go two ways: every element has one sign in the
/// first half, and the other one in the second, eight times as large, so that it outweighs any running mean.
fn gradients(numbers: &mut Numbers) -> Vec<Vec<f32>> {
    let signs: Vec<f32> = (0..SIZE).map(|_| numbers.pick(&[-1.0, 1.0])).collect();
    let scale = |step| if step < STEPS / 2 { 1.0 } else { -8.0 };
    let mut gradient =
        |step| signs.iter().map(|sign| sign * scale(step) * (0.5 + 0.5 * numbers.unit() as f32)).collect();
    (0..STEPS).map(&mut gradient).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn stepped<T: Stepped<T> + Real>(device: &Device, rule: AnyRule, start: &[T], gradients: &[Vec<T>]) -> Vec<T> {
    let mut optimizer = T::stepper(&Group::new(rule), device).unwrap();
    optimizer.add(Tensor::new(SIZE)).unwrap();
    let mut parameter = Buffer::from_slice(device, start).unwrap();
    for gradient in gradients {
        let gradient = Buffer::from_slice(device, gradient).unwrap();
        optimizer.step(&mut [parameter.view_mut()], &[Some(gradient.view())]).unwrap();
    }
    parameter.to_vec().unwrap()
}
