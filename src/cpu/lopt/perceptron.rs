//! The network, for a batch of elements.

use crate::element::Real;
use crate::fmath::select;
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

/// What neurons say of a batch.
pub(super) struct Said<T> {
    first: [Column<T>; MOST],
    second: [Column<T>; MOST],
    pub(super) outputs: [Column<T>; NEURONS],
}

impl<T: Real> Said<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let zero = [T::from_f64(0.0); BATCH];
        Self { first: [zero; MOST], second: [zero; MOST], outputs: [zero; NEURONS] }
    }
}

impl<T: Real> Folded<T> {
    /// The outputs for a batch.
    #[inline(always)]
    pub(super) fn run(&self, features: &[Column<T>; FEATURES], said: &mut Said<T>) {
        let [first, second, third] = &self.layers;
        first.run(features, &mut said.first, true);
        second.run(&said.first[..self.hidden], &mut said.second, true);
        third.run(&said.second[..self.hidden], &mut said.outputs, false);
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
    fn run(&self, x: &[Column<T>], y: &mut [Column<T>], is_hidden: bool) {
        let groups = self.weights.chunks_exact(x.len()).zip(&self.biases).zip(y.as_chunks_mut::<NEURONS>().0);
        for ((weights, biases), y) in groups {
            for from in (0..BATCH).step_by(WIDTH) {
                // Named one by one, the sums stay in registers.
                let [mut s0, mut s1, mut s2, mut s3] = biases.map(|bias| [bias; WIDTH]);
                for (w, x) in weights.iter().zip(x) {
                    let x: &[T; WIDTH] = x[from..].first_chunk().unwrap_or_else(|| unreachable!());
                    for i in 0..WIDTH {
                        s0[i] = w[0].fma(x[i], s0[i]);
                        s1[i] = w[1].fma(x[i], s1[i]);
                        s2[i] = w[2].fma(x[i], s2[i]);
                        s3[i] = w[3].fma(x[i], s3[i]);
                    }
                }
                for (y, sums) in y.iter_mut().zip([s0, s1, s2, s3]) {
                    for i in 0..WIDTH {
                        y[from + i] = select(is_hidden, relu(sums[i]), sums[i]);
                    }
                }
            }
        }
    }
}
