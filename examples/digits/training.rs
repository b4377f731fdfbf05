//! The training loop: gradients are computed on the host, parameters live and are stepped on the device.

use std::error::Error;
use std::time::{Duration, Instant};

use gradus::kfac::KfacSettings;
use gradus::optim::{Array, Stepper, Tensor};
use gradus::rules::{self, AnyRule, Value};
use gradus::{Buffer, Device, ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::arguments::Arguments;
use crate::data::{Digit, Split};
use crate::evolution::{self, Evolution, EvolutionSettings};
use crate::kronecker::{self, Preconditioner};
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

/// An optimizer of the whole network.
pub enum Method {
    /// A rule steps with the gradient.
    Rule(AnyRule),
    /// A rule steps with the direction of a Kronecker method.
    Kronecker(KfacSettings, AnyRule),
    /// A rule steps with an estimate of the gradient.
    Evolution(EvolutionSettings, AnyRule),
}

impl Method {
    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        rules::names().into_iter().chain(Self::other_names())
    }

    /// Those that are no rules.
    fn other_names() -> impl Iterator<Item = &'static str> {
        kronecker::NAMES.into_iter().chain(evolution::NAMES.map(|(name, _)| name))
    }

    /// The method of a name, with these settings.
    pub fn of(name: &str, settings: &[(&str, Value)]) -> Result<Self, Box<dyn Error>> {
        if let Some((settings, rule)) = kronecker::method(name, settings)? {
            return Ok(Self::Kronecker(settings, rule));
        }
        if let Some((settings, rule)) = evolution::method(name, settings)? {
            return Ok(Self::Evolution(settings, rule));
        }
        let rule = rules::by_name(name, settings);
        let others = Self::other_names().collect::<Vec<_>>().join(", ");
        rule.map(Self::Rule).map_err(|error| match error.kind() {
            ErrorKind::UnknownRule { .. } => format!("{error}, {others}").into(),
            _ => error.into(),
        })
    }

    fn rule(&self) -> &AnyRule {
        match self {
            Self::Rule(rule) | Self::Kronecker(_, rule) | Self::Evolution(_, rule) => rule,
        }
    }

    /// Passes over the images that suit it.
    fn epochs(&self) -> usize {
        match self {
            Self::Evolution(settings, _) if settings.is_slow() => 480,
            _ => 30,
        }
    }
}

/// A network in training: its parameters live and are stepped on the device, gradients are computed on the host.
pub struct Trainer {
    pub network: Network,
    optimizer: Box<dyn Stepper<f32, f32>>,
    preconditioner: Option<Preconditioner>,
    evolution: Option<Evolution>,
    second: Second,
    parameters: [Buffer<f32>; 4],
    gradients: [Buffer<f32>; 4],
    seconds: [Buffer<f32>; 4],
}

impl Trainer {
    /// A network of random weights.
    pub fn new(device: &Device, method: &Method, rng: &mut Pcg64, seed: u64) -> Result<Self, Box<dyn Error>> {
        let rule = method.rule();
        let mut optimizer = rule.optimizer(device)?;
        let network = Network::random(rng);
        for tensor in network.tensors() {
            optimizer.add(Tensor::new(tensor.len()))?;
        }
        let preconditioner = match (method, rule) {
            (Method::Kronecker(settings, _), AnyRule::Sgd(sgd)) => {
                Some(Preconditioner::new(device, *settings, sgd.lr, &network, seed)?)
            }
            _ => None,
        };
        let evolution = match method {
            Method::Evolution(settings, _) => {
                Some(Evolution::new(device, *settings, &network, upload(device, &network)?, seed)?)
            }
            _ => None,
        };
        Ok(Self {
            parameters: upload(device, &network)?,
            // Overwritten before each step that takes them.
            gradients: upload(device, &network)?,
            seconds: upload(device, &network)?,
            second: Second::of(rule, seed),
            network,
            optimizer,
            preconditioner,
            evolution,
        })
    }

    /// A step with the gradient of a batch. The time is that from the call of the device until the parameters have been read; the
    /// losses that a gradient is estimated from lie in it.
    pub fn step(&mut self, batch: &[&Digit]) -> Result<Duration, Box<dyn Error>> {
        if let Some(evolution) = &mut self.evolution {
            let start = Instant::now();
            evolution.step(self.optimizer.as_mut(), &mut self.parameters, &mut self.gradients, batch)?;
            read(&self.parameters, &mut self.network)?;
            return Ok(start.elapsed());
        }
        let given = self.second.of_step(&self.network, batch);
        if let Some(given) = &given {
            write(&mut self.seconds, given)?;
        }
        let mut gradient = self.network.gradient(batch);
        if self.preconditioner.is_none() {
            write(&mut self.gradients, &gradient)?;
        }
        let start = Instant::now();
        if let Some(preconditioner) = &mut self.preconditioner {
            preconditioner.direct(&self.network, batch, &mut gradient)?;
            write(&mut self.gradients, &gradient)?;
        }
        let parameters = &mut self.parameters.each_mut().map(|buffer| buffer.view_mut());
        let gradients = &self.gradients.each_ref().map(|buffer| Some(buffer.view()));
        match given {
            Some(_) => {
                let seconds = self.seconds.each_ref().map(|buffer| Some(buffer.view()));
                self.optimizer.step_with(parameters, gradients, &seconds)?;
            }
            None => self.optimizer.step(parameters, gradients)?,
        }
        read(&self.parameters, &mut self.network)?;
        Ok(start.elapsed())
    }
}

/// Trains a network from the beginning.
pub fn train(
    device: &Device,
    method: &Method,
    split: &Split,
    arguments: &Arguments,
) -> Result<Training, Box<dyn Error>> {
    let mut rng = Pcg64::seed_from_u64(arguments.seed);
    let mut trainer = Trainer::new(device, method, &mut rng, arguments.seed)?;
    let mut order: Vec<&Digit> = split.train.iter().collect();
    let mut history = vec![scores(&trainer.network, split)];
    let (mut steps, mut stepping) = (0, Duration::ZERO);
    let epochs = arguments.epochs.unwrap_or(method.epochs());
    let progress = progress_bar(epochs);
    for epoch in 1..=epochs {
        order.shuffle(&mut rng);
        for batch in order.chunks(arguments.batch) {
            stepping += trainer.step(batch)?;
            steps += 1;
        }
        let scores = scores(&evaluated(&trainer.network, method.rule(), trainer.optimizer.as_ref())?, split);
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

/// Reads the tensors of a network from the device.
pub fn read(buffers: &[Buffer<f32>; 4], network: &mut Network) -> gradus::Result<()> {
    buffers.iter().zip(network.tensors_mut()).try_for_each(|(buffer, tensor)| buffer.read(tensor))
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
    fn every_optimizer_trains() {
        let split = data::load();
        for name in Method::names() {
            let epochs = if name == "mezo" { "240" } else { "10" };
            let arguments = Arguments::parse_from(["digits", "--optimizer", name, "--epochs", epochs]);
            let method = Method::of(name, &arguments.settings(name)).unwrap();
            let training = train(&Device::cpu(), &method, &split, &arguments).unwrap();
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
        read(&parameters, &mut stepped).unwrap();
        // The gradient is the network itself: z = (1 - lr) p, and after one step the evaluation point is z.
        let evaluated = evaluated(&stepped, &rule, optimizer.as_ref()).unwrap();
        for (tensor, start) in evaluated.tensors().into_iter().zip(network.tensors()) {
            for (x, p) in tensor.iter().zip(start) {
                assert!((x - 0.5 * p).abs() <= 1e-6 * p.abs(), "{x} is not half of {p}");
            }
        }
    }
}
