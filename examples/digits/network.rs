//! A network of two linear layers with a ReLU between them, under softmax and cross-entropy.

use std::slice::ChunksExact;

use rand::distr::{Distribution, Uniform};
use rand_pcg::Pcg64;

use crate::data::{CLASSES, Digit, PIXELS};

const HIDDEN: usize = 128;

/// Also the type of its gradient, which has the same tensors.
#[derive(Clone)]
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

/// What a batch shows of a layer: a row of its inputs for each image, and one of the gradient of the image's loss by its outputs.
pub struct Shown {
    pub inputs: Vec<f32>,
    pub output_gradients: Vec<f32>,
}

impl Network {
    pub fn random(rng: &mut Pcg64) -> Self {
        Self { hidden: Linear::random(PIXELS, HIDDEN, rng), output: Linear::random(HIDDEN, CLASSES, rng) }
    }

    fn zeros() -> Self {
        Self { hidden: Linear::zeros(PIXELS, HIDDEN), output: Linear::zeros(HIDDEN, CLASSES) }
    }

    pub fn tensors(&self) -> [&[f32]; 4] {
        let Self { hidden, output } = self;
        [&hidden.weights, &hidden.biases, &output.weights, &output.biases]
    }

    pub fn tensors_mut(&mut self) -> [&mut [f32]; 4] {
        let Self { hidden, output } = self;
        [&mut hidden.weights, &mut hidden.biases, &mut output.weights, &mut output.biases]
    }

    /// Inputs and outputs of each layer.
    pub fn shapes(&self) -> [[usize; 2]; 2] {
        [[PIXELS, HIDDEN], [HIDDEN, CLASSES]]
    }

    /// The tensors of each layer: weights, with a row for each input, and biases.
    pub fn layers_mut(&mut self) -> [[&mut [f32]; 2]; 2] {
        let [hidden, hidden_biases, output, output_biases] = self.tensors_mut();
        [[hidden, hidden_biases], [output, output_biases]]
    }

    /// The gradient of the mean loss over `batch`.
    pub fn gradient(&self, batch: &[&Digit]) -> Self {
        self.gradient_on(batch, |digit, _| digit.label)
    }

    /// The same on labels that are drawn from the network's own predictions: its squares, times the images, estimate the
    /// diagonal of the curvature without bias.
    pub fn gradient_on_sampled_labels(&self, batch: &[&Digit], rng: &mut Pcg64) -> Self {
        self.gradient_on(batch, |_, probabilities| draw(probabilities, rng))
    }

    /// What a batch shows of each layer, on such labels: the gradients' covariances are then those of the Fisher matrix.
    pub fn show_on_sampled_labels(&self, batch: &[&Digit], rng: &mut Pcg64) -> [Shown; 2] {
        let mut shown = [0; 2].map(|_| Shown { inputs: Vec::new(), output_gradients: Vec::new() });
        for digit in batch {
            let hidden = self.activate(digit);
            let mut d_logits = softmax(self.output.apply(&hidden));
            let label = draw(&d_logits, rng);
            d_logits[label] -= 1.0;
            let d_hidden = Self::back_to_hidden(&self.output, &d_logits, &hidden);
            let rows = [(&digit.pixels[..], d_hidden), (&hidden[..], d_logits)];
            for (shown, (inputs, gradients)) in shown.iter_mut().zip(rows) {
                shown.inputs.extend(inputs);
                shown.output_gradients.extend(gradients);
            }
        }
        shown
    }

    /// A derivative by the hidden layer's outputs, of that by the logits.
    fn back_to_hidden(output: &Linear, d_logits: &[f32], hidden: &[f32]) -> Vec<f32> {
        let mut d_hidden = output.apply_transposed(d_logits);
        for (d, &activation) in d_hidden.iter_mut().zip(hidden) {
            if activation == 0.0 {
                *d = 0.0;
            }
        }
        d_hidden
    }

    /// The gradient on labels that `label` chooses, given the probabilities of all classes.
    fn gradient_on(&self, batch: &[&Digit], mut label: impl FnMut(&Digit, &[f32]) -> usize) -> Self {
        let mut gradient = Self::zeros();
        for digit in batch {
            let hidden = self.activate(digit);
            let mut d_logits = softmax(self.output.apply(&hidden));
            let label = label(digit, &d_logits);
            d_logits[label] -= 1.0;
            gradient.add(&self.output, &digit.pixels, &hidden, d_logits, batch.len());
        }
        gradient
    }

    /// The diagonal of the mean loss's second derivatives, approximated as in LeCun et al., "Gradient-based learning applied to
    /// document recognition" (1998), Appendix C: those by different logits are left out, and so is the curvature of the ReLU.
    pub fn curvature(&self, batch: &[&Digit]) -> Self {
        let squared = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x * x).collect() };
        let output = Linear { weights: squared(&self.output.weights), ..self.output.clone() };
        let mut curvature = Self::zeros();
        for digit in batch {
            let hidden = self.activate(digit);
            let mut of_logits = softmax(self.output.apply(&hidden));
            for h in &mut of_logits {
                *h *= 1.0 - *h;
            }
            curvature.add(&output, &squared(&digit.pixels), &squared(&hidden), of_logits, batch.len());
        }
        curvature
    }

    /// Adds what one of `count` images contributes to a derivative by the tensors, of that by its logits.
    fn add(&mut self, output: &Linear, pixels: &[f32], hidden: &[f32], mut d_logits: Vec<f32>, count: usize) {
        for d in &mut d_logits {
            *d /= count as f32;
        }
        let d_hidden = Self::back_to_hidden(output, &d_logits, hidden);
        self.output.add_outer_product(hidden, &d_logits);
        self.hidden.add_outer_product(pixels, &d_hidden);
    }

    pub fn score(&self, digits: &[Digit]) -> Score {
        let mut loss = 0.0;
        let mut correct = 0;
        for digit in digits {
            let logits = self.logits(digit);
            loss += cross_entropy(&logits, digit);
            let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            correct += usize::from(best == Some(digit.label));
        }
        Score { loss: loss / digits.len() as f32, accuracy: correct as f32 / digits.len() as f32 }
    }

    /// The mean loss over `batch`.
    pub fn loss(&self, batch: &[&Digit]) -> f32 {
        batch.iter().map(|digit| cross_entropy(&self.logits(digit), digit)).sum::<f32>() / batch.len() as f32
    }

    fn logits(&self, digit: &Digit) -> Vec<f32> {
        self.output.apply(&self.activate(digit))
    }

    fn activate(&self, digit: &Digit) -> Vec<f32> {
        let mut hidden = self.hidden.apply(&digit.pixels);
        for h in &mut hidden {
            *h = h.max(0.0);
        }
        hidden
    }
}

#[derive(Clone)]
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

/// A class, drawn by the probabilities of all.
fn draw(probabilities: &[f32], rng: &mut Pcg64) -> usize {
    let uniform = Uniform::new(0.0, 1.0).expect("the bounds are finite");
    let mut left: f32 = uniform.sample(rng);
    let drawn = |probability: &f32| {
        left -= probability;
        left < 0.0
    };
    probabilities.iter().position(drawn).unwrap_or(CLASSES - 1)
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

fn cross_entropy(logits: &[f32], digit: &Digit) -> f32 {
    log_sum_exp(logits) - logits[digit.label]
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

    /// On an image, of the last layer, where the approximation is exact.
    #[test]
    fn the_curvature_is_the_slope_of_the_gradient() {
        let digits = &data::load().train[..1];
        let batch = digits.iter().collect::<Vec<_>>();
        let mut network = Network::random(&mut Pcg64::seed_from_u64(0));
        let curvature = network.curvature(&batch);
        assert!(curvature.tensors().iter().all(|tensor| tensor.iter().all(|h| *h >= 0.0)));
        for tensor in [2, 3] {
            let (element, &expected) =
                curvature.tensors()[tensor].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
            let mut slope_at = |offset: f32| {
                let original = network.tensors()[tensor][element];
                network.tensors_mut()[tensor][element] = original + offset;
                let slope = network.gradient(&batch).tensors()[tensor][element];
                network.tensors_mut()[tensor][element] = original;
                slope
            };
            let measured = (slope_at(1e-2) - slope_at(-1e-2)) / 2e-2;
            assert!((measured - expected).abs() < 1e-2 * expected, "tensor {tensor}: {measured} against {expected}");
        }
    }

    /// Their mean is that of all labels weighed by their probabilities, which is 0; their mean square is the curvature.
    #[test]
    fn sampled_labels_follow_the_predictions() {
        const SAMPLES: usize = 20_000;
        let digits = &data::load().train[..1];
        let batch = digits.iter().collect::<Vec<_>>();
        let mut rng = Pcg64::seed_from_u64(0);
        let network = Network::random(&mut rng);
        let (mut mean, mut square) = ([0.0; CLASSES], [0.0; CLASSES]);
        for _ in 0..SAMPLES {
            let gradient = network.gradient_on_sampled_labels(&batch, &mut rng);
            for (class, g) in gradient.output.biases.iter().enumerate() {
                mean[class] += g / SAMPLES as f32;
                square[class] += g * g / SAMPLES as f32;
            }
        }
        for (class, &curvature) in network.curvature(&batch).output.biases.iter().enumerate() {
            // Four deviations; that of a square is below half of its largest value.
            assert!(mean[class].abs() < 4.0 * (curvature / SAMPLES as f32).sqrt(), "class {class}: {mean:?}");
            assert!(
                (square[class] - curvature).abs() < 4.0 * 0.5 / (SAMPLES as f32).sqrt(),
                "class {class}: {square:?}"
            );
        }
    }

    #[test]
    fn the_softmax_of_large_logits_is_finite() {
        assert_eq!(softmax(vec![1e30, -1e30, 0.0]), [1.0, 0.0, 0.0]);
    }
}
