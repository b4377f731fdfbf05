//! What a run leaves behind: a summary, which displays as text and serializes as JSON, and files.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use gradus::Device;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::training::Scores;

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
}

impl Summary {
    pub fn new(arguments: &Arguments, device: &Device, elapsed: Duration, history: &[Scores]) -> Self {
        let Scores { train, held } = history.last().expect("the history starts with the untrained network");
        Self {
            optimizer: arguments.optimizer.clone(),
            device: device.to_string(),
            epochs: arguments.epochs,
            seconds: elapsed.as_secs_f64(),
            train_loss: train.loss,
            held_loss: held.loss,
            train_accuracy: train.accuracy,
            held_accuracy: held.accuracy,
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
