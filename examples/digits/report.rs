//! What a run leaves behind: a summary, which displays as text and serializes as JSON, and files.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use gradus::Device;
use serde::Serialize;

use crate::training::{Scores, Training};

#[derive(Serialize)]
pub struct Summary {
    pub optimizer: String,
    pub device: String,
    pub epochs: usize,
    seconds: f64,
    train_loss: f32,
    held_loss: f32,
    train_accuracy: f32,
    held_accuracy: f32,
    #[serde(skip)]
    step_time: Duration,
}

impl Summary {
    pub fn new(optimizer: &str, device: &Device, elapsed: Duration, training: &Training) -> Self {
        let Scores { train, held } = training.history.last().expect("the history starts with the untrained network");
        Self {
            optimizer: optimizer.to_owned(),
            device: device.to_string(),
            epochs: training.history.len() - 1,
            seconds: elapsed.as_secs_f64(),
            train_loss: train.loss,
            held_loss: held.loss,
            train_accuracy: train.accuracy,
            held_accuracy: held.accuracy,
            step_time: training.step_time,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { optimizer, device, epochs, seconds, .. } = self;
        let plural = if *epochs == 1 { "" } else { "s" };
        let (train_percent, held_percent) = (100.0 * self.train_accuracy, 100.0 * self.held_accuracy);
        writeln!(f, "{optimizer} on {device}, {epochs} epoch{plural} in {seconds:.2} s")?;
        writeln!(f, "train: loss {:.4}, accuracy {train_percent:.1} %", self.train_loss)?;
        write!(f, "held:  loss {:.4}, accuracy {held_percent:.1} %", self.held_loss)
    }
}

/// The summaries of several optimizers, as a table.
pub struct Table(pub Vec<Summary>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|summary| summary.optimizer.len()).max().unwrap_or_default();
        write!(f, "{:width$}  train loss  held loss  held accuracy  time a step", "optimizer")?;
        for Summary { optimizer, train_loss, held_loss, held_accuracy, step_time, .. } in &self.0 {
            let (percent, microseconds) = (100.0 * held_accuracy, 1e6 * step_time.as_secs_f64());
            write!(
                f,
                "\n{optimizer:width$}  {train_loss:10.4}  {held_loss:9.4}  {percent:11.1} %  {microseconds:8.1} µs"
            )?;
        }
        Ok(())
    }
}

/// A file that is open for writing, with its path for messages.
pub struct Output {
    pub path: PathBuf,
    file: File,
}

impl Output {
    pub fn create(path: PathBuf) -> Result<Self, String> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(format!("cannot write {}: {error}", path.display())),
        }
    }

    pub fn write(&mut self, text: &str) -> Result<(), String> {
        self.file.write_all(text.as_bytes()).map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}
