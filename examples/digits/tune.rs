//! Steps that optimizers need to reach an accuracy, at the best of a few settings each.

use std::error::Error;
use std::fmt::Write;

use gradus::Device;
use gradus::rules::Value;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::arguments::Arguments;
use crate::data::{Digit, Split};
use crate::training::{Method, Trainer};

const ACCURACY: f32 = 0.96;
const SEEDS: u64 = 5;

/// Steps between looks at the images that are held out.
const EVERY: usize = 5;

/// Steps after which a run counts as one that does not get there.
const MOST: usize = 1000;

/// Two settings and their values: a product of twelve for each optimizer.
type Grid = (&'static str, [(&'static str, &'static [f64]); 2]);

const GRIDS: [Grid; 2] = [
    ("adamw", [("lr", &[2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2]), ("weight_decay", &[0.0, 0.01])]),
    ("kfac", [("lr", &[0.1, 0.2, 0.3, 0.4]), ("damping", &[0.003, 0.01, 0.03])]),
];

/// The best of an optimizer's settings.
struct Best {
    name: &'static str,
    settings: [(&'static str, f64); 2],
    steps: usize,
}

/// A table of every optimizer's best settings, and how they compare.
pub fn tune(device: &Device, split: &Split, arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let mut best = Vec::new();
    for (name, [(first, firsts), (second, seconds)]) in GRIDS {
        let mut found: Option<Best> = None;
        for &x in firsts {
            for &y in seconds {
                let settings = [(first, x), (second, y)];
                let steps = median(device, split, arguments, name, settings)?;
                if found.as_ref().is_none_or(|found| steps < found.steps) {
                    found = Some(Best { name, settings, steps });
                }
            }
        }
        best.extend(found);
    }
    let mut text = format!("steps to {} % of the held-out images, medians of {SEEDS} seeds\n", 100.0 * ACCURACY);
    for Best { name, settings: [(first, x), (second, y)], steps } in &best {
        writeln!(text, "{name:8} {steps:5}  {first} = {x}, {second} = {y}")?;
    }
    let ratio = best[1].steps as f64 / best[0].steps as f64;
    write!(text, "{} needs {ratio:.2} of the steps of {}", best[1].name, best[0].name)?;
    Ok(text)
}

/// The median over the seeds.
fn median(
    device: &Device,
    split: &Split,
    arguments: &Arguments,
    name: &str,
    settings: [(&'static str, f64); 2],
) -> Result<usize, Box<dyn Error>> {
    let settings: Vec<(&str, Value)> = settings.iter().map(|&(key, value)| (key, Value::from(value))).collect();
    let all = arguments.settings(name).into_iter().chain(settings).collect::<Vec<_>>();
    let method = Method::of(name, &all)?;
    let mut steps = Vec::new();
    for seed in 0..SEEDS {
        steps.push(steps_to_accuracy(device, split, arguments.batch, &method, seed)?);
    }
    steps.sort_unstable();
    Ok(steps[steps.len() / 2])
}

fn steps_to_accuracy(
    device: &Device,
    split: &Split,
    batch: usize,
    method: &Method,
    seed: u64,
) -> Result<usize, Box<dyn Error>> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut trainer = Trainer::new(device, method, &mut rng, seed)?;
    let mut order: Vec<&Digit> = split.train.iter().collect();
    let mut steps = 0;
    loop {
        order.shuffle(&mut rng);
        for batch in order.chunks(batch) {
            trainer.step(batch)?;
            steps += 1;
            if steps % EVERY == 0 && trainer.network.score(&split.held).accuracy >= ACCURACY {
                return Ok(steps);
            }
            if steps == MOST {
                return Ok(MOST);
            }
        }
    }
}
