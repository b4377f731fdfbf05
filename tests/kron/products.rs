//! Moving averages of Gram matrices, and directions: against sums in f64.

use gradus::element::{Dtype, Element, Real};
use gradus::linalg::{
    Convolution, Gram, Inputs, Inverses, KlClip, KronApply, LayerDirection, LayerGradient, Linear, SyrkEma,
};
use gradus::{Device, MatMut, MatRef};
use half::{bf16, f16};

use crate::common::data::{Numbers, element, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;

/// The devices that differ in linear algebra: the CPU once, and CUDA.
fn those() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1)
}

/// What a factor is updated with.
struct Update<E: Element> {
    rows: usize,
    features: usize,
    elements: Vec<E>,
    weights: Option<Vec<E::Real>>,
    positions: usize,
    convolution: Option<(usize, Convolution)>,
}

fn value<E: Element>(x: E) -> f64 {
    x.load().to_f64()
}

impl<E: Element> Update<E> {
    fn new(rows: usize, features: usize, numbers: &mut Numbers) -> Self {
        let elements = (0..rows * features).map(|_| element(numbers.normal())).collect();
        Self { rows, features, elements, weights: None, positions: 1, convolution: None }
    }

    /// The rows that are summed, in f64, with their weights.
    fn exact(&self, bias: bool) -> Vec<(f64, Vec<f64>)> {
        let row = |n: usize| -> Vec<f64> {
            match self.convolution {
                None => self.elements[n * self.features..][..self.features].iter().map(|x| value(*x)).collect(),
                Some((_, of)) => {
                    let [down, right] = of.results().unwrap();
                    let (image, y, x) = (n / (down * right), n / right % down, n % right);
                    let mut row = Vec::new();
                    for channel in 0..of.channels {
                        for (v, u) in (0..of.kernel[0]).flat_map(|v| (0..of.kernel[1]).map(move |u| (v, u))) {
                            let at = |place: usize, element: usize, side: usize| {
                                (place * of.stride[side] + element * of.dilation[side]) as i64 - of.padding[side] as i64
                            };
                            let (i, j) = (at(y, v, 0), at(x, u, 1));
                            let inside = (0..of.size[0] as i64).contains(&i) && (0..of.size[1] as i64).contains(&j);
                            let place = (image * of.channels + channel) * of.size[0] * of.size[1];
                            row.push(match inside {
                                true => value(self.elements[place + i as usize * of.size[1] + j as usize]),
                                false => 0.0,
                            });
                        }
                    }
                    row
                }
            }
        };
        let sum = |n: usize| {
            let mut sum = vec![0.0; self.features + usize::from(bias)];
            for position in n * self.positions..(n + 1) * self.positions {
                sum.iter_mut().zip(row(position)).for_each(|(sum, x)| *sum += x);
            }
            if bias {
                sum[self.features] = self.positions as f64;
            }
            (self.weights.as_ref().map_or(1.0, |weights| weights[n].to_f64()), sum)
        };
        (0..self.rows / self.positions).map(sum).collect()
    }
}

/// Plays updates of several factors on a device and compares each after each with its exact average.
fn check_averages<E: Element>(device: &Device, grams: &[Gram], updates: &[Vec<Update<E>>], tolerance: f64) {
    let mut plan = SyrkEma::<E>::new(device, grams).unwrap();
    let zeros = |gram: &Gram| vec![E::Real::from_f64(0.0); gram.elements()];
    let mut factors: Vec<Guarded<E::Real>> =
        grams.iter().zip(0..).map(|(gram, k)| Guarded::new(device, &zeros(gram), k % 3)).collect();
    let mut exact: Vec<(f64, Vec<f64>)> = grams.iter().map(|gram| (gram.count, vec![0.0; gram.elements()])).collect();
    for (turn, updates) in updates.iter().enumerate() {
        let stored: Vec<_> = updates.iter().map(|update| Guarded::<E>::new(device, &update.elements, turn)).collect();
        let weights: Vec<_> = updates
            .iter()
            .map(|update| update.weights.as_ref().map(|weights| Guarded::<E::Real>::new(device, weights, turn)))
            .collect();
        let inputs = updates.iter().zip(&stored).zip(&weights).map(|((update, stored), weights)| {
            let inputs = match update.convolution {
                None => Inputs::rows(MatRef::new(stored.view(), update.rows, update.features).unwrap()),
                Some((count, convolution)) => Inputs::patches(stored.view(), count, convolution).unwrap(),
            };
            let inputs = if update.positions > 1 { inputs.summed(update.positions) } else { inputs };
            match weights {
                Some(weights) => inputs.weighted(weights.view()).scaled(0.25),
                None => inputs,
            }
        });
        let inputs: Vec<_> = inputs.collect();
        let mut views: Vec<_> = factors.iter_mut().map(Guarded::view_mut).collect();
        plan.update(&inputs, &mut views).unwrap();
        for (k, (gram, update)) in grams.iter().zip(updates).enumerate() {
            let rows = update.exact(gram.bias);
            let scale = if update.weights.is_some() { 0.25 } else { 1.0 / rows.len() as f64 };
            let (count, average) = &mut exact[k];
            *count = gram.beta * *count + 1.0;
            let found = factors[k].elements();
            let places = (0..gram.order()).flat_map(|i| (0..=i).map(move |j| (i, j)));
            for (((i, j), average), found) in places.zip(average).zip(found) {
                let products = rows.iter().map(|(weight, x)| weight * x[i] * x[j]);
                let magnitude: f64 = products.clone().map(f64::abs).sum::<f64>() * scale;
                *average += (products.sum::<f64>() * scale - *average) / *count;
                let error = (found.to_f64() - *average).abs();
                assert!(
                    error <= tolerance * (1.0 + magnitude + average.abs()),
                    "factor {k} ({gram:?}), update {turn}, row {i}, column {j}: {found:?}, not {average} on {device}"
                );
            }
        }
    }
}

fn averages<E: Element>() {
    let mut numbers = Numbers::new(seed());
    let convolution =
        Convolution { channels: 3, size: [7, 6], kernel: [3, 2], stride: [2, 1], padding: [1, 1], dilation: [1, 2] };
    let fixed = Gram { count: 20.0, ..Gram::new(4, false, 0.95) };
    let grams = [
        Gram::new(1, false, 0.9),
        Gram::new(64, false, 0.95),
        Gram::new(65, true, 0.5),
        Gram::new(130, true, 0.0),
        Gram::new(18, true, 1.0),
        fixed,
        Gram::new(20, false, 0.95),
    ];
    let updates: Vec<Vec<Update<E>>> = (0..3)
        .map(|turn| {
            let mut all: Vec<Update<E>> =
                grams.iter().map(|gram| Update::new(30 + 13 * turn, gram.features, &mut numbers)).collect();
            // Masked, summed, patches.
            let weights = (0..all[2].rows).map(|n| E::Real::from_f64([0.0, 1.0, 0.5][n % 3])).collect();
            all[2].weights = Some(weights);
            all[6] = Update { positions: 3, ..Update::new(27 + 3 * turn, 20, &mut numbers) };
            let [down, right] = convolution.results().unwrap();
            let mut patches = Update::new(2, 3 * 7 * 6, &mut numbers);
            (patches.rows, patches.features, patches.convolution) = (2 * down * right, 18, Some((2, convolution)));
            all[4] = patches;
            all
        })
        .collect();
    let tolerance = if size_of::<E::Real>() == 4 { 2e-6 } else { 1e-14 };
    for device in those() {
        if E::DTYPE == Dtype::F64 && !matches!(device, Device::Cpu(_)) {
            let refused = SyrkEma::<E>::new(device, &grams).err().unwrap().to_string();
            assert_eq!(refused, "factors of f64: on CUDA there are none");
            continue;
        }
        check_averages(device, &grams, &updates, tolerance);
    }
}

#[test]
fn averages_of_f32() {
    averages::<f32>();
}

#[test]
fn averages_of_bf16() {
    averages::<bf16>();
}

#[test]
fn averages_of_f16() {
    averages::<f16>();
}

#[test]
fn averages_of_f64() {
    averages::<f64>();
}

/// A matrix in memory whose rows lie apart.
struct Stored<T: Real> {
    rows: usize,
    columns: usize,
    exact: Vec<f64>,
    memory: Guarded<T>,
}

impl<T: Real> Stored<T> {
    fn new(device: &Device, rows: usize, columns: usize, symmetric: bool, numbers: &mut Numbers) -> Self {
        let mut elements: Vec<T> = (0..rows * columns).map(|_| T::from_f64(numbers.normal())).collect();
        for i in 0..if symmetric { rows } else { 0 } {
            for j in 0..i {
                elements[j * columns + i] = elements[i * columns + j];
            }
        }
        let exact = elements.iter().map(|x| x.to_f64()).collect();
        Self { rows, columns, exact, memory: Guarded::new(device, &elements, rows % 4) }
    }

    fn matrix(&self) -> MatRef<'_, T> {
        MatRef::new(self.memory.view(), self.rows, self.columns).unwrap()
    }
}

fn product(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let row = |a: &[f64]| -> Vec<f64> {
        (0..columns).map(|j| a.iter().enumerate().map(|(k, a)| a * b[k * columns + j]).sum()).collect()
    };
    a.chunks_exact(inner).flat_map(row).collect()
}

fn directions<T: Real>() {
    let layer = |inputs, outputs, bias| Linear { inputs, outputs, bias };
    let layers =
        [layer(1, 1, false), layer(64, 64, true), layer(65, 3, false), layer(30, 130, true), layer(10, 70, true)];
    for device in those() {
        if T::DTYPE == Dtype::F64 && !matches!(device, Device::Cpu(_)) {
            assert!(KronApply::<T>::new(device, &layers).is_err());
            continue;
        }
        let mut numbers = Numbers::new(seed());
        let mut plan = KronApply::<T>::new(device, &layers).unwrap();
        let mut square = |order: usize| Stored::<T>::new(device, order, order, true, &mut numbers);
        let lefts: Vec<_> = layers.iter().enumerate().map(|(k, l)| (k != 4).then(|| square(l.outputs))).collect();
        let rights: Vec<_> = layers.iter().map(|layer| square(layer.columns())).collect();
        let mut plain = |rows, columns| Stored::<T>::new(device, rows, columns, false, &mut numbers);
        let weights: Vec<_> = layers.iter().map(|layer| plain(layer.outputs, layer.inputs)).collect();
        let biases: Vec<_> = layers.iter().map(|layer| layer.bias.then(|| plain(layer.outputs, 1))).collect();
        let mut to_weights: Vec<_> = layers.iter().map(|layer| plain(layer.outputs, layer.inputs)).collect();
        let mut to_biases: Vec<_> = layers.iter().map(|layer| layer.bias.then(|| plain(layer.outputs, 1))).collect();

        let exact: Vec<(Vec<f64>, Vec<f64>)> = layers
            .iter()
            .enumerate()
            .map(|(k, layer)| {
                let mut v = Vec::new();
                for i in 0..layer.outputs {
                    v.extend(&weights[k].exact[i * layer.inputs..][..layer.inputs]);
                    v.extend(biases[k].as_ref().map(|bias| bias.exact[i]));
                }
                let columns = layer.columns();
                let between =
                    lefts[k].as_ref().map_or(v.clone(), |left| product(&left.exact, &v, layer.outputs, columns));
                (product(&between, &rights[k].exact, columns, columns), v)
            })
            .collect();
        let inner: f64 = exact.iter().flat_map(|(u, v)| u.iter().zip(v)).map(|(u, v)| u * v).sum();
        let tight = KlClip { kappa: 0.25 * inner.abs() * 0.01, lr: 0.1 };
        let wide = KlClip { kappa: 4.0 * inner.abs() * 0.01, lr: 0.1 };
        assert!(inner > 0.0, "a sum below zero is not clipped");
        let expected = 0.5;
        for (clip, factor) in [(None, 1.0), (Some(tight), expected), (Some(wide), 1.0), (None, 1.0)] {
            plan.set_clip(clip).unwrap();
            let inverses: Vec<_> = lefts
                .iter()
                .zip(&rights)
                .map(|(left, right)| Inverses { left: left.as_ref().map(Stored::matrix), right: right.matrix() })
                .collect();
            let gradients: Vec<_> = weights
                .iter()
                .zip(&biases)
                .map(|(weight, bias)| LayerGradient {
                    weight: weight.matrix(),
                    bias: bias.as_ref().map(|bias| bias.memory.view()),
                })
                .collect();
            let mut directions: Vec<_> = to_weights
                .iter_mut()
                .zip(&mut to_biases)
                .zip(&layers)
                .map(|((weight, bias), layer)| LayerDirection {
                    weight: MatMut::new(weight.memory.view_mut(), layer.outputs, layer.inputs).unwrap(),
                    bias: bias.as_mut().map(|bias| bias.memory.view_mut()),
                })
                .collect();
            plan.apply(&inverses, &gradients, &mut directions).unwrap();
            let found = plan.clip_factor().unwrap();
            assert!((found - factor).abs() < 1e-4, "{clip:?}: ν = {found}, not {factor} on {device}");
            for (k, layer) in layers.iter().enumerate() {
                let weight = to_weights[k].memory.elements();
                let bias = to_biases[k].as_ref().map(|bias| bias.memory.elements());
                let norm = exact[k].0.iter().map(|u| u * u).sum::<f64>().sqrt();
                for (place, u) in exact[k].0.iter().enumerate() {
                    let (i, j) = (place / layer.columns(), place % layer.columns());
                    let found = if j < layer.inputs { weight[i * layer.inputs + j] } else { bias.as_ref().unwrap()[i] };
                    let error = (found.to_f64() - factor * u).abs();
                    let tolerance = 64.0 * T::EPSILON.max(1e-10) * (norm + u.abs());
                    assert!(error <= tolerance.max(1e-4 * norm * f64::from(factor != 1.0)), "{layer:?}, {i}, {j}");
                }
            }
        }
    }
}

#[test]
fn directions_of_f32() {
    directions::<f32>();
}

#[test]
fn directions_of_f64() {
    directions::<f64>();
}
