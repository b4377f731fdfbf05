//! The network, for a batch of elements.

use crate::element::Real;
use crate::lopt::arithmetic::{FEATURES, INPUTS, TIMES, relu};
use crate::lopt::{Form, Network};

/// Elements of a batch.
pub(super) const BATCH: usize = 64;
/// Neurons, and elements, whose sums stand in registers together.
const NEURONS: usize = 4;
const WIDTH: usize = 16;

/// The most neurons of a layer.
const MOST: usize = 64;

/// A column of a batch.
pub(super) type Column<T> = [T; BATCH];

/// The layers in the arithmetic type.
pub(super) struct Layers<T> {
    hidden: usize,
    pub(super) form: Form,
    /// Weights, row after row, and biases.
    layers: [(Vec<T>, Vec<T>); 3],
}

impl<T: Real> Layers<T> {
    pub(super) fn new(network: &Network) -> Self {
        let [w1, b1, w2, b2, w3, b3] =
            network.layers().map(|array| array.iter().map(|x| T::from_f64(f64::from(*x))).collect::<Vec<_>>());
        Self { hidden: network.hidden(), form: network.form(), layers: [(w1, b1), (w2, b2), (w3, b3)] }
    }

    /// The layers that take features as they are: each weight of the first is multiplied by what its feature would be, and what
    /// is the same for all elements is added up with its biases.
    pub(super) fn fold(&self, inputs: &[T; INPUTS]) -> Folded<T> {
        let [(w1, b1), (w2, b2), (w3, b3)] = &self.layers;
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (row, bias) in w1.as_chunks::<INPUTS>().0.iter().zip(b1) {
            weights.extend((0..FEATURES).map(|j| row[j] * inputs[j]));
            let of_time = (FEATURES..FEATURES + TIMES).fold(*bias, |sum, j| row[j].fma(inputs[j], sum));
            biases.push(of_time);
        }
        let form = self.form;
        let first = Layer::new(FEATURES, &weights, &biases);
        Folded {
            form,
            hidden: self.hidden,
            layers: [first, Layer::new(self.hidden, w2, b2), Layer::new(self.hidden, w3, b3)],
        }
    }
}

/// The network of a tensor's step.
pub(super) struct Folded<T> {
    pub(super) form: Form,
    hidden: usize,
    layers: [Layer<T>; 3],
}

impl<T: Real> Folded<T> {
    /// The outputs for a batch.
    #[inline(always)]
    pub(super) fn run(&self, features: &[Column<T>; FEATURES]) -> [Column<T>; NEURONS] {
        let [first, second, third] = &self.layers;
        let zero = [T::from_f64(0.0); BATCH];
        let [mut y, mut z, mut outputs] = [[zero; MOST], [zero; MOST], [zero; MOST]];
        first.run(features, &mut y, relu);
        second.run(&y[..self.hidden], &mut z, relu);
        third.run(&z[..self.hidden], &mut outputs, |x| x);
        [outputs[0], outputs[1], outputs[2], outputs[3]]
    }
}

/// A layer, its neurons filled up to a multiple of [`NEURONS`]; of each such group the weights of an input stand together.
struct Layer<T> {
    weights: Vec<[T; NEURONS]>,
    biases: Vec<[T; NEURONS]>,
}

impl<T: Real> Layer<T> {
    fn new(inputs: usize, weights: &[T], biases: &[T]) -> Self {
        let at = |list: &[T], position: usize| list.get(position).copied().unwrap_or(T::from_f64(0.0));
        let groups = 0..biases.len().div_ceil(NEURONS);
        let of_group = |group: usize| {
            let neuron = move |k: usize| group * NEURONS + k;
            (0..inputs).map(move |j| std::array::from_fn(|k| at(weights, neuron(k) * inputs + j)))
        };
        let biases = groups.clone().map(|group| std::array::from_fn(|k| at(biases, group * NEURONS + k))).collect();
        Self { weights: groups.flat_map(of_group).collect(), biases }
    }

    #[inline(always)]
    fn run(&self, x: &[Column<T>], y: &mut [Column<T>; MOST], activation: impl Fn(T) -> T + Copy) {
        let groups = self.weights.chunks_exact(x.len()).zip(&self.biases).zip(y.as_chunks_mut::<NEURONS>().0);
        for ((weights, biases), y) in groups {
            for from in (0..BATCH).step_by(WIDTH) {
                let mut sums = biases.map(|bias| [bias; WIDTH]);
                for (w, x) in weights.iter().zip(x) {
                    for k in 0..NEURONS {
                        for i in 0..WIDTH {
                            sums[k][i] = w[k].fma(x[from + i], sums[k][i]);
                        }
                    }
                }
                for k in 0..NEURONS {
                    for i in 0..WIDTH {
                        y[k][from + i] = activation(sums[k][i]);
                    }
                }
            }
        }
    }
}
