//! The step as it is published, in f64, one element at a time: no folding, no fused operation, indices taken apart axis by axis.

use std::collections::HashMap;

use gradus::lopt::{Form, Network, Settings};

/// A tensor and what is kept of it.
pub struct Tensor {
    axes: Vec<usize>,
    m: Vec<[f64; 3]>,
    v: Vec<f64>,
    /// By the indices that are left; of a tensor without factors by its only one.
    rows: HashMap<Vec<usize>, [f64; 3]>,
    columns: HashMap<Vec<usize>, [f64; 3]>,
}

pub struct Reference {
    settings: Settings,
    network: Network,
    tensors: Vec<Tensor>,
    t: u64,
}

/// The indices of an element.
fn indices(axes: &[usize], element: usize) -> Vec<usize> {
    let mut rest = element;
    let mut indices: Vec<usize> = axes.iter().rev().map(|axis| (rest % axis, rest /= axis).0).collect();
    indices.reverse();
    indices
}

fn without(indices: &[usize], axis: usize) -> Vec<usize> {
    indices.iter().enumerate().filter(|(k, _)| *k != axis).map(|(_, i)| *i).collect()
}

/// The means of values that share a key.
fn means(values: impl Iterator<Item = (Vec<usize>, f64)>) -> HashMap<Vec<usize>, f64> {
    let mut sums: HashMap<Vec<usize>, (f64, f64)> = HashMap::new();
    for (key, value) in values {
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + value, sum.1 + 1.0);
    }
    sums.into_iter().map(|(key, (sum, count))| (key, sum / count)).collect()
}

impl Reference {
    pub fn new(settings: Settings, network: &Network, shapes: &[&[usize]]) -> Self {
        let tensor = |axes: &&[usize]| {
            let length = axes.iter().product();
            let (m, v) = (vec![[0.0; 3]; length], vec![0.0; length]);
            Tensor { axes: axes.to_vec(), m, v, rows: HashMap::new(), columns: HashMap::new() }
        };
        Self { settings, network: network.clone(), tensors: shapes.iter().map(tensor).collect(), t: 0 }
    }

    fn array(&self, name: &str) -> Vec<f64> {
        self.network.array(name).unwrap().iter().map(|x| f64::from(*x)).collect()
    }

    fn decays(&self, initial: &[f64], name: &str) -> Vec<f64> {
        let to_parameter = |beta: f64| (1.0 - beta).ln() / 10.0;
        let decay = |(initial, learned): (&f64, f64)| 1.0 - (10.0 * (to_parameter(*initial) + learned)).exp();
        initial.iter().zip(self.array(name)).map(decay).collect()
    }

    /// Weights and biases of the layers.
    fn layers(&self) -> [[Vec<f64>; 2]; 3] {
        [0, 1, 2].map(|layer| ["weight", "bias"].map(|kind| self.array(&format!("layer{layer}.{kind}"))))
    }

    pub fn step(&mut self, parameters: &mut [Vec<f64>], gradients: &[Vec<f64>]) {
        let (s, layers) = (self.settings, self.layers());
        let momentum = self.decays(&s.momentum_decays, "momentum_decays");
        let rms = self.decays(&[s.rms_decay], "rms_decays")[0].clamp(0.0, 1.0);
        let adafactor = self.decays(&s.adafactor_decays, "adafactor_decays");
        let adafactor: Vec<f64> = adafactor.into_iter().map(|beta| beta.clamp(0.0, 1.0)).collect();
        let mut tensors = std::mem::take(&mut self.tensors);
        for ((tensor, p), g) in tensors.iter_mut().zip(parameters).zip(gradients) {
            for (i, g) in g.iter().enumerate() {
                for (m, beta) in tensor.m[i].iter_mut().zip(&momentum) {
                    *m = beta * *m + (1.0 - beta) * g;
                }
                tensor.v[i] = rms * tensor.v[i] + (1.0 - rms) * g * g;
            }
            let features = tensor.features(p, g, &adafactor);
            let scales: Vec<f64> = (0..28)
                .map(|j| {
                    let mean = features.iter().map(|x| x[j] * x[j]).sum::<f64>() / features.len() as f64;
                    1.0 / (1e-5 + mean).sqrt()
                })
                .collect();
            let t = self.t as f64;
            let times =
                [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5].map(|ts: f64| (t / ts - 1.0).tanh());
            for (i, features) in features.iter().enumerate() {
                let mut inputs: Vec<f64> = features.iter().zip(&scales).map(|(x, scale)| x * scale).collect();
                inputs.extend(times);
                let outputs = perceptron(&layers, &inputs);
                let mut step = outputs[0] * (outputs[1] * s.exp_mult).exp() * s.step_mult;
                let (mut nominal, mut decay) = (0.0, s.weight_decay);
                if self.network.form() == Form::Star {
                    let star = s.star.unwrap();
                    step *= features[9];
                    let adam = (features[6] + features[7] + features[8]) / 3.0;
                    nominal = star.nominal_lr * (outputs[2] * star.nominal_exp_mult).exp() * adam;
                    decay *= (outputs[3] * star.decay_exp_mult).exp();
                }
                p[i] -= s.lr * (decay * p[i] + step + nominal);
            }
        }
        self.tensors = tensors;
        self.t += 1;
    }
}

/// The outputs of these layers.
fn perceptron(layers: &[[Vec<f64>; 2]; 3], inputs: &[f64]) -> Vec<f64> {
    let mut x = inputs.to_vec();
    for (layer, [weights, biases]) in layers.iter().enumerate() {
        let sum = |(row, bias): (&[f64], &f64)| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias;
        let y: Vec<f64> = weights.chunks(x.len()).zip(biases).map(sum).collect();
        x = if layer < 2 { y.into_iter().map(|y| y.max(0.0)).collect() } else { y };
    }
    x
}

impl Tensor {
    /// The 28 features of every element, the accumulators but for these averages being new.
    fn features(&mut self, p: &[f64], g: &[f64], decays: &[f64]) -> Vec<Vec<f64>> {
        let squares = g.iter().map(|g| g * g + 1e-30);
        let all: Vec<Vec<usize>> = (0..g.len()).map(|element| indices(&self.axes, element)).collect();
        let mut order: Vec<usize> = (0..self.axes.len()).collect();
        order.sort_by_key(|&axis| self.axes[axis]);
        let factored = order.len() >= 2;
        let average = |table: &mut HashMap<Vec<usize>, [f64; 3]>, means: HashMap<Vec<usize>, f64>| {
            for (key, mean) in means {
                let old = table.entry(key).or_default();
                (0..3).for_each(|k| old[k] = decays[k] * old[k] + (1.0 - decays[k]) * mean);
            }
        };
        let (d1, d0) = if factored { (order[order.len() - 2], order[order.len() - 1]) } else { (99, 99) };
        average(&mut self.rows, means(all.iter().map(|i| without(i, d0)).zip(squares.clone())));
        average(&mut self.columns, means(all.iter().map(|i| without(i, d1)).zip(squares)));
        let reduced = if d1 > d0 { d1.wrapping_sub(1) } else { d1 };
        let row_means: Vec<_> =
            (0..3).map(|k| means(self.rows.iter().map(|(key, v)| (without(key, reduced), v[k])))).collect();

        let rsqrt = |x: f64| 1.0 / x.sqrt();
        let feature = |element: usize| {
            let (g, p, m, v) = (g[element], p[element], self.m[element], self.v[element]);
            let key = without(&all[element], d0);
            let (row, column) = (self.rows[&key], self.columns[&without(&all[element], d1)]);
            let mut x = vec![g, p, m[0], m[1], m[2], v];
            x.extend(m.map(|m| m * rsqrt(v + 1e-6)));
            x.push(rsqrt(v + 1e-6));
            let factors: Vec<f64> = (0..3)
                .map(|k| {
                    let rho = row[k] / (row_means[k][&without(&key, reduced)] + 1e-9);
                    rsqrt(rho.max(1e-9)) * rsqrt(column[k].max(1e-9))
                })
                .collect();
            x.extend((0..3).map(|k| g * if factored { factors[k] } else { rsqrt((row[k] + 1e-9).max(1e-9)) }));
            x.extend(row);
            x.extend(column);
            x.extend(row.map(|v| rsqrt(v + 1e-8)));
            x.extend(column.map(|v| rsqrt(v + 1e-8)));
            x.extend((0..3).map(|k| m[k] * if factored { factors[k] } else { rsqrt(row[k] + 1e-6) }));
            x
        };
        (0..g.len()).map(feature).collect()
    }
}
