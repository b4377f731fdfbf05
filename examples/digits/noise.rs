//! The noise of an evolution strategy: dense for every tensor, or of low rank for the weights.

use gradus::es::{Distribution, Estimate, Estimator, LowRank, Matrix, Perturbation, Term};
use gradus::optim::{Stepper, Tensor};
use gradus::{Buffer, Device, Result, View, ViewMut};

use crate::network::Network;

/// Adds noise to the four tensors of a network, and steps by sums of it.
pub enum Noise {
    /// It is drawn where it steps.
    Dense(Perturbation<f32>),
    /// Of weights; that of biases is dense.
    LowRank(LowRank<f32>, Perturbation<f32>, Estimator<f32>),
}

impl Noise {
    /// Of this rank; dense, if of none.
    pub fn new(device: &Device, network: &Network, rank: Option<usize>) -> Result<Self> {
        const NORMAL: Distribution = Distribution::Normal;
        let tensors = network.tensors().map(|tensor| tensor.len());
        let Some(rank) = rank else {
            return Ok(Self::Dense(Perturbation::new(device, NORMAL, &tensors.map(Tensor::new))?));
        };
        let [[inputs, hidden], [_, outputs]] = network.shapes();
        let weights = [Matrix::new(inputs, hidden).id(0), Matrix::new(hidden, outputs).id(2)];
        let biases = [Tensor::new(hidden).id(1), Tensor::new(outputs).id(3)];
        Ok(Self::LowRank(
            LowRank::new(device, NORMAL, rank, &weights)?,
            Perturbation::new(device, NORMAL, &biases)?,
            Estimator::new(device, NORMAL, &biases)?,
        ))
    }

    /// Moves the parameters themselves.
    pub fn apply(&mut self, term: Term, parameters: &mut [Buffer<f32>; 4]) -> Result<()> {
        let all = views_mut(parameters);
        match self {
            Self::Dense(perturbation) => perturbation.apply(&[term], &mut { all }),
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
            Self::Dense(perturbation) => perturbation.write(&[term], &from, &mut { to }),
            Self::LowRank(low_rank, perturbation, _) => {
                let ([from_weights, from_biases], [mut weights, mut biases]) = (by_kind(from), by_kind(to));
                low_rank.write(&[term], &from_weights, &mut weights)?;
                perturbation.write(&[term], &from_biases, &mut biases)
            }
        }
    }

    /// Steps by the sum of the terms' noises, which is written to `gradients` where it is not drawn.
    pub fn step(
        &mut self,
        terms: &[Term],
        optimizer: &mut dyn Stepper<f32, f32>,
        parameters: &mut [Buffer<f32>; 4],
        gradients: &mut [Buffer<f32>; 4],
    ) -> Result<()> {
        let parameters = &mut views_mut(parameters);
        match self {
            Self::Dense(perturbation) => {
                optimizer.step_estimate(parameters, Estimate { distribution: perturbation.distribution(), terms })
            }
            Self::LowRank(low_rank, _, estimator) => {
                let [mut weights, mut biases] = by_kind(views_mut(gradients));
                low_rank.estimate(terms, &mut weights)?;
                estimator.write(terms, &mut biases)?;
                optimizer.step(parameters, &gradients.each_ref().map(|buffer| Some(buffer.view())))
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
