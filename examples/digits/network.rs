//! A network of two linear layers with a ReLU between them, under softmax and cross-entropy.

use std::slice::ChunksExact;

use rand::distr::{Distribution, Uniform};
use rand_pcg::Pcg64;

use crate::data::{CLASSES, Digit, PIXELS};

const HIDDEN: usize = 128;

/// Also the type of its gradient, which has the same tensors.
pub struct Network {
    hidden: Linear,
    output: Linear,
}

pub struct Score {
    /// Mean cross-entropy, in nats.
    pub loss: f32,
    /// Share of the images whose most probable class is their label.
    pub accuracy: f32,
}

impl Network {
    pub fn random(rng: &mut Pcg64) -> Self {
        Self { hidden: Linear::random(PIXELS, HIDDEN, rng), output: Linear::random(HIDDEN, CLASSES, rng) }
    }

    pub fn tensors(&self) -> [&[f32]; 4] {
        let Self { hidden, output } = self;
        [&hidden.weights, &hidden.biases, &output.weights, &output.biases]
    }

    pub fn tensors_mut(&mut self) -> [&mut [f32]; 4] {
        let Self { hidden, output } = self;
        [&mut hidden.weights, &mut hidden.biases, &mut output.weights, &mut output.biases]
    }

    /// The gradient of the mean loss over `batch`.
    pub fn gradient(&self, batch: &[&Digit]) -> Self {
        let mut gradient = Self { hidden: Linear::zeros(PIXELS, HIDDEN), output: Linear::zeros(HIDDEN, CLASSES) };
        for digit in batch {
            let hidden = self.activate(digit);
            let mut d_logits = softmax(self.output.apply(&hidden));
            d_logits[digit.label] -= 1.0;
            for d in &mut d_logits {
                *d /= batch.len() as f32;
            }
            let mut d_hidden = self.output.apply_transposed(&d_logits);
            for (d, &activation) in d_hidden.iter_mut().zip(&hidden) {
                if activation == 0.0 {
                    *d = 0.0;
                }
            }
            gradient.output.add_outer_product(&hidden, &d_logits);
            gradient.hidden.add_outer_product(&digit.pixels, &d_hidden);
        }
        gradient
    }

    pub fn score(&self, digits: &[Digit]) -> Score {
        let mut loss = 0.0;
        let mut correct = 0;
        for digit in digits {
            let logits = self.output.apply(&self.activate(digit));
            loss += log_sum_exp(&logits) - logits[digit.label];
            let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            correct += usize::from(best == Some(digit.label));
        }
        Score { loss: loss / digits.len() as f32, accuracy: correct as f32 / digits.len() as f32 }
    }

    fn activate(&self, digit: &Digit) -> Vec<f32> {
        let mut hidden = self.hidden.apply(&digit.pixels);
        for h in &mut hidden {
            *h = h.max(0.0);
        }
        hidden
    }
}

struct Linear {
    /// One row for each input, one column for each output.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Linear {
    fn zeros(inputs: usize, outputs: usize) -> Self {
        Self { weights: vec![0.0; inputs * outputs], biases: vec![0.0; outputs] }
    }

    /// He et al.'s uniform initialization: weights of variance `2 / inputs`, no biases.
    fn random(inputs: usize, outputs: usize, rng: &mut Pcg64) -> Self {
        let bound = (6.0 / inputs as f32).sqrt();
        let weights = Uniform::new(-bound, bound).expect("the bound is positive and finite");
        Self { weights: weights.sample_iter(rng).take(inputs * outputs).collect(), biases: vec![0.0; outputs] }
    }

    fn rows(&self) -> ChunksExact<'_, f32> {
        self.weights.chunks_exact(self.biases.len())
    }

    fn apply(&self, inputs: &[f32]) -> Vec<f32> {
        let mut outputs = self.biases.clone();
        for (&input, row) in inputs.iter().zip(self.rows()) {
            add_scaled(&mut outputs, input, row);
        }
        outputs
    }

    fn apply_transposed(&self, outputs: &[f32]) -> Vec<f32> {
        self.rows().map(|row| row.iter().zip(outputs).map(|(weight, output)| weight * output).sum()).collect()
    }

    fn add_outer_product(&mut self, inputs: &[f32], outputs: &[f32]) {
        for (&input, row) in inputs.iter().zip(self.weights.chunks_exact_mut(outputs.len())) {
            add_scaled(row, input, outputs);
        }
        add_scaled(&mut self.biases, 1.0, outputs);
    }
}

fn add_scaled(sums: &mut [f32], factor: f32, addends: &[f32]) {
    for (sum, addend) in sums.iter_mut().zip(addends) {
        *sum += factor * addend;
    }
}

fn softmax(mut logits: Vec<f32>) -> Vec<f32> {
    let normalizer = log_sum_exp(&logits);
    for logit in &mut logits {
        *logit = (*logit - normalizer).exp();
    }
    logits
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    max + logits.iter().map(|logit| (logit - max).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::data;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let digits = &data::load().train[..8];
        let mut network = Network::random(&mut Pcg64::seed_from_u64(0));
        let gradient = network.gradient(&digits.iter().collect::<Vec<_>>());
        for (tensor, slopes) in gradient.tensors().into_iter().enumerate() {
            // The steepest element of each tensor, where a central difference loses the fewest digits.
            let (element, &slope) = slopes.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).unwrap();
            let mut loss_at = |offset: f32| {
                let original = network.tensors()[tensor][element];
                network.tensors_mut()[tensor][element] = original + offset;
                let loss = network.score(digits).loss;
                network.tensors_mut()[tensor][element] = original;
                loss
            };
            let measured = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
            assert!((measured - slope).abs() < 1e-2 * slope.abs(), "tensor {tensor}: {measured} against {slope}");
        }
    }

    #[test]
    fn the_softmax_of_large_logits_is_finite() {
        assert_eq!(softmax(vec![1e30, -1e30, 0.0]), [1.0, 0.0, 0.0]);
    }
}
