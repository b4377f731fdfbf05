//! The noise of an evolution strategy: dense for every tensor, or of low rank for the weights.

use gradus::es::{Distribution, Estimator, LowRank, Matrix, Perturbation, Term};
use gradus::optim::Tensor;
use gradus::{Buffer, Device, Result, View, ViewMut};

use crate::network::Network;

/// Adds noise to the four tensors of a network, and sums it up.
pub enum Noise {
    Dense(Perturbation<f32>, Estimator<f32>),
    /// Of weights; that of biases is dense.
    LowRank(LowRank<f32>, Perturbation<f32>, Estimator<f32>),
}

impl Noise {
    /// Of this rank; dense, if of none.
    pub fn new(device: &Device, network: &Network, rank: Option<usize>) -> Result<Self> {
        const NORMAL: Distribution = Distribution::Normal;
        let dense = |tensors: &[Tensor]| -> Result<_> {
            Ok((Perturbation::new(device, NORMAL, tensors)?, Estimator::new(device, NORMAL, tensors)?))
        };
        let tensors = network.tensors().map(|tensor| tensor.len());
        let Some(rank) = rank else {
            let (perturbation, estimator) = dense(&tensors.map(Tensor::new))?;
            return Ok(Self::Dense(perturbation, estimator));
        };
        let [[inputs, hidden], [_, outputs]] = network.shapes();
        let weights = [Matrix::new(inputs, hidden).id(0), Matrix::new(hidden, outputs).id(2)];
        let (perturbation, estimator) = dense(&[Tensor::new(hidden).id(1), Tensor::new(outputs).id(3)])?;
        Ok(Self::LowRank(LowRank::new(device, NORMAL, rank, &weights)?, perturbation, estimator))
    }

    /// Moves the parameters themselves.
    pub fn apply(&mut self, term: Term, parameters: &mut [Buffer<f32>; 4]) -> Result<()> {
        let all = views_mut(parameters);
        match self {
            Self::Dense(perturbation, _) => perturbation.apply(&[term], &mut { all }),
            Self::LowRank(low_rank, perturbation, _) => {
                let [mut weights, mut biases] = by_kind(all);
                low_rank.apply(&[term], &mut weights)?;
                perturbation.apply(&[term], &mut biases)
            }
        }
    }

    /// Writes moved parameters to others.
    pub fn write(&mut self, term: Term, from: &[Buffer<f32>; 4], to: &mut [Buffer<f32>; 4]) -> Result<()> {
        let (from, to): ([View<'_, f32>; 4], _) = (from.each_ref().map(|buffer| buffer.view()), views_mut(to));
        match self {
            Self::Dense(perturbation, _) => perturbation.write(&[term], &from, &mut { to }),
            Self::LowRank(low_rank, perturbation, _) => {
                let ([from_weights, from_biases], [mut weights, mut biases]) = (by_kind(from), by_kind(to));
                low_rank.write(&[term], &from_weights, &mut weights)?;
                perturbation.write(&[term], &from_biases, &mut biases)
            }
        }
    }

    /// Sums the noises of the terms.
    pub fn estimate(&mut self, terms: &[Term], gradients: &mut [Buffer<f32>; 4]) -> Result<()> {
        let all: [ViewMut<'_, f32>; 4] = views_mut(gradients);
        match self {
            Self::Dense(_, estimator) => estimator.write(terms, &mut { all }),
            Self::LowRank(low_rank, _, estimator) => {
                let [mut weights, mut biases] = by_kind(all);
                low_rank.estimate(terms, &mut weights)?;
                estimator.write(terms, &mut biases)
            }
        }
    }
}

fn views_mut(buffers: &mut [Buffer<f32>; 4]) -> [ViewMut<'_, f32>; 4] {
    buffers.each_mut().map(|buffer| buffer.view_mut())
}

/// What belongs to the weights, and what to the biases.
fn by_kind<T>([weights, biases, more_weights, more_biases]: [T; 4]) -> [[T; 2]; 2] {
    [[weights, more_weights], [biases, more_biases]]
}
