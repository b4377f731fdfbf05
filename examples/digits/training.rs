//! The training loop: gradients are computed on the host, parameters live and are stepped on the device.

use std::error::Error;
use std::time::{Duration, Instant};

use gradus::optim::{Array, Stepper, Tensor};
use gradus::rules::AnyRule;
use gradus::{Buffer, Device};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::arguments::Arguments;
use crate::data::{Digit, Split};
use crate::network::{Network, Score};
use crate::second::Second;

/// The scores after an epoch.
pub struct Scores {
    pub train: Score,
    pub held: Score,
}

pub struct Training {
    /// The scores before the first epoch and after each.
    pub history: Vec<Scores>,
    /// The mean time from the call of a step until its parameters have been read.
    pub step_time: Duration,
}

/// Trains a network from the beginning.
pub fn train(device: &Device, rule: AnyRule, split: &Split, arguments: &Arguments) -> Result<Training, Box<dyn Error>> {
    let mut optimizer = rule.optimizer(device)?;
    let mut rng = Pcg64::seed_from_u64(arguments.seed);
    let mut network = Network::random(&mut rng);
    let mut parameters = upload(device, &network)?;
    let mut gradients = upload(device, &network)?; // Overwritten before each step.
    let mut seconds = upload(device, &network)?; // Overwritten before each step that takes them.
    for tensor in network.tensors() {
        optimizer.add(Tensor::new(tensor.len()))?;
    }
    let mut second = Second::of(&rule, arguments.seed);

    let mut order: Vec<&Digit> = split.train.iter().collect();
    let mut history = vec![scores(&network, split)];
    let (mut steps, mut stepping) = (0, Duration::ZERO);
    let progress = progress_bar(arguments.epochs);
    for epoch in 1..=arguments.epochs {
        order.shuffle(&mut rng);
        for batch in order.chunks(arguments.batch) {
            write(&mut gradients, &network.gradient(batch))?;
            let given = second.of_step(&network, batch);
            if let Some(given) = &given {
                write(&mut seconds, given)?;
            }
            let start = Instant::now();
            let parameters_mut = &mut parameters.each_mut().map(|buffer| buffer.view_mut());
            let gradients = &gradients.each_ref().map(|buffer| Some(buffer.view()));
            match given {
                Some(_) => {
                    let seconds = seconds.each_ref().map(|buffer| Some(buffer.view()));
                    optimizer.step_with(parameters_mut, gradients, &seconds)?;
                }
                None => optimizer.step(parameters_mut, gradients)?,
            }
            for (buffer, tensor) in parameters.iter().zip(network.tensors_mut()) {
                buffer.read(tensor)?;
            }
            stepping += start.elapsed();
            steps += 1;
        }
        let scores = scores(&evaluated(&network, &rule, optimizer.as_ref())?, split);
        if !(scores.train.loss.is_finite() && scores.held.loss.is_finite()) {
            return Err(format!("the loss is not finite after epoch {epoch}; a smaller lr may help").into());
        }
        progress.set_message(format!("held-out loss {:.4}", scores.held.loss));
        progress.inc(1);
        history.push(scores);
    }
    progress.finish_and_clear();
    Ok(Training { history, step_time: stepping / steps })
}

fn upload(device: &Device, network: &Network) -> gradus::Result<[Buffer<f32>; 4]> {
    let [w1, b1, w2, b2] = network.tensors().map(|tensor| Buffer::from_slice(device, tensor));
    Ok([w1?, b1?, w2?, b2?])
}

fn write(buffers: &mut [Buffer<f32>; 4], network: &Network) -> gradus::Result<()> {
    buffers.iter_mut().zip(network.tensors()).try_for_each(|(buffer, tensor)| buffer.write(tensor))
}

/// The network at the point where the rule wants its model evaluated.
fn evaluated(network: &Network, rule: &AnyRule, optimizer: &dyn Stepper<f32, f32>) -> gradus::Result<Network> {
    let mut evaluated = network.clone();
    let Some((name, weight)) = rule.evaluation() else { return Ok(evaluated) };
    let state = optimizer.state()?;
    for (listed, tensor) in optimizer.tensors().iter().zip(evaluated.tensors_mut()) {
        if let Some(Array::F32(array)) = state.get(&format!("tensor.{}.{}.state.{name}", listed.id, listed.first)) {
            for (p, x) in tensor.iter_mut().zip(array) {
                *p += weight as f32 * (x - *p);
            }
        }
    }
    Ok(evaluated)
}

fn scores(network: &Network, split: &Split) -> Scores {
    Scores { train: network.score(&split.train), held: network.score(&split.held) }
}

/// Invisible when the standard error is not a terminal.
fn progress_bar(epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} epoch {pos}/{len}  {msg}").expect("the template is well-formed");
    ProgressBar::new(epochs as u64).with_style(style)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gradus::rules;

    use super::*;
    use crate::data;

    #[test]
    fn every_rule_trains() {
        let split = data::load();
        for name in rules::names() {
            let arguments = Arguments::parse_from(["digits", "--optimizer", name, "--epochs", "10"]);
            let rule = rules::by_name(name, &arguments.settings(name)).unwrap();
            let training = train(&Device::cpu(), rule, &split, &arguments).unwrap();
            let Scores { held, .. } = training.history.last().unwrap();
            assert!(held.accuracy >= 0.9, "{name}: accuracy {} on held-out images", held.accuracy);
        }
    }

    #[test]
    fn a_rule_is_evaluated_beside_its_parameters() {
        let device = Device::cpu();
        let rule = rules::by_name("schedulefree_sgd", &[("lr", 0.5.into()), ("momentum", 0.5.into())]).unwrap();
        let network = Network::random(&mut Pcg64::seed_from_u64(0));
        let mut optimizer = rule.optimizer::<f32, f32>(&device).unwrap();
        let mut parameters = upload(&device, &network).unwrap();
        let gradients = upload(&device, &network).unwrap();
        for tensor in network.tensors() {
            optimizer.add(Tensor::new(tensor.len())).unwrap();
        }
        let views = gradients.each_ref().map(|buffer| Some(buffer.view()));
        optimizer.step(&mut parameters.each_mut().map(|buffer| buffer.view_mut()), &views).unwrap();
        let mut stepped = network.clone();
        for (buffer, tensor) in parameters.iter().zip(stepped.tensors_mut()) {
            buffer.read(tensor).unwrap();
        }
        // The gradient is the network itself: z = (1 - lr) p, and after one step the evaluation point is z.
        let evaluated = evaluated(&stepped, &rule, optimizer.as_ref()).unwrap();
        for (tensor, start) in evaluated.tensors().into_iter().zip(network.tensors()) {
            for (x, p) in tensor.iter().zip(start) {
                assert!((x - 0.5 * p).abs() <= 1e-6 * p.abs(), "{x} is not half of {p}");
            }
        }
    }
}
