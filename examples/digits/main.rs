//! Trains a small network on images of handwritten digits with any of the crate's optimizers, or with each of them:
//!
//! ```text
//! cargo run --release --example digits -- --optimizer sgd --set nesterov=true
//! cargo run --release --example digits -- --optimizer all
//! cargo run --release --example digits -- --tune
//! ```

mod arguments;
mod curve;
mod data;
mod evolution;
mod kronecker;
mod network;
mod noise;
mod report;
mod second;
mod training;
mod tune;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use gradus::Device;

use crate::arguments::{ALL, Arguments};
use crate::report::{Output, Summary, Table};
use crate::training::{Method, Training};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let device = arguments.device.open()?;
    if arguments.tune {
        writeln!(io::stdout(), "{}", tune::tune(&device, &data::load(), &arguments)?)?;
        return Ok(());
    }
    if arguments.optimizer == ALL {
        return run_all(&arguments, &device);
    }
    let method = Method::of(&arguments.optimizer, &arguments.settings(&arguments.optimizer))?;

    // Opened before the training, which would be lost if they could not be written.
    let mut drawing = Output::create(arguments.curve_path()?)?;
    let mut json = arguments.json.clone().map(Output::create).transpose()?;

    let (summary, Training { history, .. }) = train(&arguments.optimizer, &method, &arguments, &device)?;

    drawing.write(&curve::draw(&summary, &history)?)?;
    if let Some(json) = &mut json {
        json.write(&(serde_json::to_string_pretty(&summary)? + "\n"))?;
    }
    writeln!(io::stdout(), "{summary}\nloss curve: {}", drawing.path.display())?;
    Ok(())
}

/// Trains a network with every optimizer and compares them.
fn run_all(arguments: &Arguments, device: &Device) -> Result<(), Box<dyn Error>> {
    arguments.check_all()?;
    let mut json = arguments.json.clone().map(Output::create).transpose()?;
    let mut table = Table(Vec::new());
    for name in Method::names() {
        let method = Method::of(name, &arguments.settings(name))?;
        let (summary, _) = train(name, &method, arguments, device).map_err(|error| format!("{name}: {error}"))?;
        table.0.push(summary);
    }
    if let Some(json) = &mut json {
        json.write(&(serde_json::to_string_pretty(&table.0)? + "\n"))?;
    }
    writeln!(io::stdout(), "{table}")?;
    Ok(())
}

fn train(
    optimizer: &str,
    method: &Method,
    arguments: &Arguments,
    device: &Device,
) -> Result<(Summary, Training), Box<dyn Error>> {
    let start = Instant::now();
    let training = training::train(device, method, &data::load(), arguments)?;
    Ok((Summary::new(optimizer, device, start.elapsed(), &training), training))
}
