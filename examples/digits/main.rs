//! Trains a small network on images of handwritten digits with any of the crate's optimizers:
//!
//! ```text
//! cargo run --release --example digits -- --optimizer sgd --set nesterov=true
//! ```

mod arguments;
mod curve;
mod data;
mod network;
mod report;
mod training;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use gradus::rules;

use crate::arguments::Arguments;
use crate::report::{Output, Summary};

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
    let rule = rules::by_name(&arguments.optimizer, &arguments.settings())?;
    let mut optimizer = rule.optimizer(&device)?;

    // Opened before the training, which would be lost if they could not be written.
    let mut drawing = Output::create(arguments.curve_path()?)?;
    let mut json = arguments.json.clone().map(Output::create).transpose()?;

    let start = Instant::now();
    let history = training::train(&device, optimizer.as_mut(), &data::load(), &arguments)?;
    let summary = Summary::new(&arguments, &device, start.elapsed(), &history);

    drawing.write(&curve::draw(&summary, &history)?)?;
    if let Some(json) = &mut json {
        json.write(&(serde_json::to_string_pretty(&summary)? + "\n"))?;
    }
    writeln!(io::stdout(), "{summary}\nloss curve: {}", drawing.path.display())?;
    Ok(())
}
