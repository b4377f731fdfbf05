//! The training loop: gradients are computed on the host, parameters live and are stepped on the device.

use std::error::Error;

use gradus::optim::{Stepper, Tensor};
use gradus::{Buffer, Device};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::arguments::Arguments;
use crate::data::{Digit, Split};
use crate::network::{Network, Score};

/// The scores after an epoch.
pub struct Scores {
    pub train: Score,
    pub held: Score,
}

/// Returns the scores before the first epoch and after each.
pub fn train(
    device: &Device,
    optimizer: &mut dyn Stepper<f32, f32>,
    split: &Split,
    arguments: &Arguments,
) -> Result<Vec<Scores>, Box<dyn Error>> {
    let mut rng = Pcg64::seed_from_u64(arguments.seed);
    let mut network = Network::random(&mut rng);
    let mut parameters = upload(device, &network)?;
    let mut gradients = upload(device, &network)?; // Overwritten before each step.
    for tensor in network.tensors() {
        optimizer.add(Tensor::new(tensor.len()))?;
    }

    let mut order: Vec<&Digit> = split.train.iter().collect();
    let mut history = vec![scores(&network, split)];
    let progress = progress_bar(arguments.epochs);
    for epoch in 1..=arguments.epochs {
        order.shuffle(&mut rng);
        for batch in order.chunks(arguments.batch) {
            for (buffer, tensor) in gradients.iter_mut().zip(network.gradient(batch).tensors()) {
                buffer.write(tensor)?;
            }
            optimizer.step(
                &mut parameters.each_mut().map(|buffer| buffer.view_mut()),
                &gradients.each_ref().map(|buffer| Some(buffer.view())),
            )?;
            for (buffer, tensor) in parameters.iter().zip(network.tensors_mut()) {
                buffer.read(tensor)?;
            }
        }
        let scores = scores(&network, split);
        if !(scores.train.loss.is_finite() && scores.held.loss.is_finite()) {
            return Err(format!("the loss is not finite after epoch {epoch}; a smaller lr may help").into());
        }
        progress.set_message(format!("held-out loss {:.4}", scores.held.loss));
        progress.inc(1);
        history.push(scores);
    }
    progress.finish_and_clear();
    Ok(history)
}

fn upload(device: &Device, network: &Network) -> gradus::Result<[Buffer<f32>; 4]> {
    let [w1, b1, w2, b2] = network.tensors().map(|tensor| Buffer::from_slice(device, tensor));
    Ok([w1?, b1?, w2?, b2?])
}

fn scores(network: &Network, split: &Split) -> Scores {
    Scores { train: network.score(&split.train), held: network.score(&split.held) }
}

/// Invisible when the standard error is not a terminal.
fn progress_bar(epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} epoch {pos}/{len}  {msg}").expect("the template is well-formed");
    ProgressBar::new(epochs as u64).with_style(style)
}
