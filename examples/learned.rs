//! A learned optimizer, meta-trained by persistent evolution strategies (Vicol et al. 2021) on random least squares: small_fc_lopt with
//! 4 hidden neurons, 197 numbers in all.
//!
//! ```text
//! cargo run --release --example learned
//! ```
//!
//! prints what is left of the loss after an episode, beside Adam with the best of its learning rates, and writes the network to
//! `target/learned.safetensors`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use gradus::es::{Distribution, Estimator, InnerStep, Perturbation, Unroll, UnrolledEs};
use gradus::lopt::{Form, Network, Settings, SmallFcLopt};
use gradus::optim::{Optimizer, Tensor};
use gradus::rng::{Address, Purpose};
use gradus::rules::AdamW;
use gradus::{Device, View, ViewMut};

const HIDDEN: usize = 4;
/// Unknowns of a task, and its equations.
const SIDE: usize = 8;
/// Steps of an episode, and of a window of it.
const EPISODE: usize = 40;
const WINDOW: usize = 8;
const PARTICLES: usize = 16;
const WINDOWS: usize = 3000;
const SIGMA: f64 = 0.02;
const LR: f64 = 1e-2;

fn settings() -> Settings {
    Settings { step_mult: 1e-2, ..Settings::default() }
}

/// Standard normals of a seed.
fn normals<const N: usize>(seed: u64, step: u64) -> gradus::Result<[f32; N]> {
    let address = Address::new(Purpose::GRADIENT_NOISE, step, 0, 0)?;
    let mut numbers = [0.0; N];
    gradus::noise::normals(&Device::cpu(), seed, &address, 0, (&mut numbers[..]).into())?;
    Ok(numbers)
}

/// `½‖A·x - b‖²` with random A and b, from `x = 0` on.
#[derive(Clone)]
struct Task {
    a: [f32; SIDE * SIDE],
    b: [f32; SIDE],
    x: [f32; SIDE],
}

impl Task {
    fn new(number: u64) -> gradus::Result<Self> {
        Ok(Self { a: normals(1, number)?.map(|a| a / 2.0), b: normals(2, number)?, x: [0.0; SIDE] })
    }

    fn residual(&self) -> [f32; SIDE] {
        std::array::from_fn(|i| (0..SIDE).map(|j| self.a[i * SIDE + j] * self.x[j]).sum::<f32>() - self.b[i])
    }

    fn gradient(&self) -> [f32; SIDE] {
        let r = self.residual();
        std::array::from_fn(|j| (0..SIDE).map(|i| self.a[i * SIDE + j] * r[i]).sum())
    }

    /// What is left of the loss.
    fn left(&self) -> f64 {
        let square = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
        square(&self.residual()) / square(&self.b)
    }
}

/// A task and the optimizer that steps it.
struct Learner {
    task: Task,
    optimizer: SmallFcLopt<f32>,
}

impl Learner {
    fn new(network: &Network, number: u64) -> gradus::Result<Self> {
        let optimizer = SmallFcLopt::new(&Device::cpu(), settings(), network, &[&[SIDE]])?;
        Ok(Self { task: Task::new(number)?, optimizer })
    }

    fn step(&mut self) -> gradus::Result<()> {
        let gradient = self.task.gradient();
        self.optimizer.step(&mut [(&mut self.task.x[..]).into()], &[View::from(&gradient[..])])
    }

    fn restart(&mut self, number: u64) -> gradus::Result<()> {
        self.task = Task::new(number)?;
        self.optimizer.reset()
    }
}

/// What is left of the loss of unseen tasks after an episode, in the mean.
fn evaluate(network: &Network) -> gradus::Result<f64> {
    let mut left = 0.0;
    for number in 0..64 {
        let mut learner = Learner::new(network, 1 << 40 | number)?;
        for _ in 0..EPISODE {
            learner.step()?;
        }
        left += learner.task.left() / 64.0;
    }
    Ok(left)
}

/// The same with Adam.
fn evaluate_adam(lr: f64) -> gradus::Result<f64> {
    let mut left = 0.0;
    for number in 0..64 {
        let mut task = Task::new(1 << 40 | number)?;
        let adam = AdamW { lr, weight_decay: 0.0, ..AdamW::default() };
        let mut optimizer = Optimizer::<AdamW>::new(&Device::cpu(), adam)?;
        optimizer.add(Tensor::new(SIDE))?;
        for _ in 0..EPISODE {
            let gradient = task.gradient();
            optimizer.step(&mut [(&mut task.x[..]).into()], &[Some(View::from(&gradient[..]))])?;
        }
        left += task.left() / 64.0;
    }
    Ok(left)
}

/// Weights of about the size of one over the root of a neuron's inputs.
fn initial() -> gradus::Result<Network> {
    const COUNT: usize = HIDDEN * 40 + HIDDEN * (HIDDEN + 1) + 2 * (HIDDEN + 1) + 7;
    let mut parameters = normals::<COUNT>(3, 0)?.to_vec();
    let (first, rest) = parameters.split_at_mut(40 * HIDDEN);
    first.iter_mut().for_each(|w| *w /= 6.0);
    rest.iter_mut().for_each(|w| *w /= 2.0);
    parameters[COUNT - 7..].fill(0.0);
    Network::new(HIDDEN, Form::SmallFc, parameters)
}

fn train(windows: usize) -> gradus::Result<Network> {
    let start = initial()?;
    let (device, tensors) = (Device::cpu(), [Tensor::new(start.parameters().len())]);
    let mut perturbation = Perturbation::<f32>::new(&device, Distribution::Normal, &tensors)?;
    let mut estimator = Estimator::<f32>::new(&device, Distribution::Normal, &tensors)?;
    let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW { lr: LR, weight_decay: 0.0, ..AdamW::default() })?;
    optimizer.add(tensors[0])?;
    let mut es = UnrolledEs::new(Unroll::Pes, SIGMA, 0, PARTICLES)?;
    let mut theta = start.parameters().to_vec();
    let mut tasks = 0..;
    let mut next = || tasks.next().unwrap_or_default();

    // Particles stand at different places of their episodes.
    let mut particles = Vec::new();
    for particle in 0..PARTICLES {
        let number = next();
        let age = particle * EPISODE / PARTICLES / WINDOW * WINDOW;
        particles.push(([Learner::new(&start, number)?, Learner::new(&start, number)?], age));
    }
    for _ in 0..windows {
        let mut steps = Vec::with_capacity(PARTICLES * WINDOW);
        for (i, (pair, age)) in particles.iter_mut().enumerate() {
            for (term, learner) in es.terms(i)?.into_iter().zip(pair.iter_mut()) {
                let mut perturbed = vec![0.0; theta.len()];
                perturbation.write(&[term], &[View::from(&theta)], &mut [ViewMut::from(&mut perturbed)])?;
                learner.optimizer.set(settings(), &Network::new(HIDDEN, Form::SmallFc, perturbed)?)?;
            }
            for _ in 0..WINDOW {
                let mut losses = [0.0; 2];
                for (learner, loss) in pair.iter_mut().zip(&mut losses) {
                    learner.step()?;
                    // A task that is lost counts as one that is left alone and a little more.
                    *loss = (1e-3 + learner.task.left()).ln().min(1.0);
                }
                *age += 1;
                let ended = *age == EPISODE;
                if ended {
                    let number = next();
                    pair.iter_mut().try_for_each(|learner| learner.restart(number))?;
                    *age = 0;
                }
                steps.push(InnerStep { losses, ended });
            }
        }
        let mut gradient = vec![0.0; theta.len()];
        estimator.write(&es.end_window(&steps)?, &mut [ViewMut::from(&mut gradient)])?;
        optimizer.step(&mut [ViewMut::from(&mut theta)], &[Some(View::from(&gradient))])?;
    }
    Network::new(HIDDEN, Form::SmallFc, theta)
}

fn main() -> Result<(), Box<dyn Error>> {
    let trained = train(WINDOWS)?;
    let rates = [1e-2, 3e-2, 1e-1, 3e-1, 1.0];
    let adam =
        rates.into_iter().map(evaluate_adam).collect::<gradus::Result<Vec<_>>>()?.into_iter().fold(1.0, f64::min);
    let (before, after) = (evaluate(&initial()?)?, evaluate(&trained)?);
    writeln!(io::stdout(), "left of the loss: {before:.3} untrained, {after:.3} trained, {adam:.3} by the best Adam")?;
    let path = env::args_os().nth(1).map_or_else(|| Path::new("target/learned.safetensors").to_owned(), Into::into);
    fs::write(&path, trained.to_bytes())?;
    writeln!(io::stdout(), "network: {}", path.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_makes_a_better_optimizer() {
        let [before, after] = [0, 60].map(|windows| evaluate(&train(windows).unwrap()).unwrap());
        assert!(after < 0.7 * before, "{before} became {after}");
    }
}
