//! The command line.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Parser;
use gradus::Device;
use gradus::rules::Value;

/// The optimizer that stands for every one.
pub const ALL: &str = "all";

/// Settings that suit this task better than the rule's own defaults, by optimizer.
const TUNED: &[(&str, &[(&str, f64)])] = &[
    ("acprop", &[("lr", 3e-3)]),
    ("eggroll", &[("lr", 0.005)]),
    ("es", &[("lr", 0.005)]),
    ("foof", &[("lr", 0.1), ("momentum", 0.9), ("damping", 0.1)]),
    ("kfac", &[("lr", 0.2), ("damping", 0.1)]),
    ("lion", &[("lr", 3e-4)]),
    ("mezo", &[("lr", 1.5e-3)]),
    ("nesterov", &[("lr", 0.1)]),
    ("sdlm", &[("lr", 0.01)]),
    ("sgd", &[("lr", 0.1), ("momentum", 0.9)]),
    ("sophia_g", &[("lr", 1e-3)]),
    ("superadam", &[("lr", 0.1), ("scale", 1.0)]),
    ("superadam_storm", &[("lr", 0.03), ("scale", 1.0)]),
    ("theopoula", &[("lr", 0.01)]),
];

/// Trains a small network on 1500 images of handwritten digits and tests it on 297 others.
#[derive(Parser)]
pub struct Arguments {
    /// Optimizer, by the name of its rule, kfac, foof, es, eggroll or mezo; an unknown name lists the known ones, and all compares every one
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    pub optimizer: String,

    /// Compares the steps that AdamW and K-FAC need, at the best of twelve settings each, and trains nothing else
    #[arg(long)]
    pub tune: bool,

    /// A setting of the optimizer, such as lr=0.01; may be repeated. Some rules have other defaults here than their own
    /// ones: the table in examples/digits/arguments.rs
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,

    /// Device that holds the parameters and steps them: best, cpu, cuda or cuda:N
    #[arg(long, default_value = "best")]
    pub device: DeviceChoice,

    /// Passes over the training images [default: 30, or 480 with one pair a step, as mezo has]
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    pub epochs: Option<usize>,

    /// Images a step
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = parse_count)]
    pub batch: usize,

    /// Seed of the initial weights and of the order of the images
    #[arg(long, default_value = "0")]
    pub seed: u64,

    /// Writes the results to FILE as a JSON object
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draws the loss on both parts after each epoch to FILE, an SVG image [default: target/digits.svg]
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
}

impl Arguments {
    /// Reads the command line; `--help` ends the process.
    pub fn read() -> Result<Self, Box<dyn Error>> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            let message = error.to_string();
            let first_line = message.lines().next().unwrap_or_default();
            first_line.trim_start_matches("error: ").into()
        })
    }

    /// An optimizer's settings: the tuned ones, then the given ones, which override them.
    pub fn settings(&self, optimizer: &str) -> Vec<(&str, Value)> {
        let tuned = TUNED.iter().filter(|(name, _)| *name == optimizer);
        let tuned = tuned.flat_map(|(_, settings)| *settings).map(|&(key, value)| (key, Value::from(value)));
        // Sophia-G scales the curvature by it.
        let batch = (optimizer == "sophia_g").then(|| ("batch_size", Value::from(self.batch as f64)));
        let given = self.settings.iter().map(|(key, value)| (key.as_str(), Value::parse(value)));
        tuned.chain(batch).chain(given).collect()
    }

    /// Errors: what is meant for one optimizer.
    pub fn check_all(&self) -> Result<(), &'static str> {
        if !self.settings.is_empty() {
            return Err("--set is for one optimizer, not for all");
        }
        if self.curve.is_some() {
            return Err("--curve draws one optimizer, not all");
        }
        Ok(())
    }

    /// Where the loss curve goes; creates the folder of the default.
    pub fn curve_path(&self) -> Result<PathBuf, String> {
        if let Some(path) = &self.curve {
            return Ok(path.clone());
        }
        let folder = Path::new("target");
        fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(folder.join("digits.svg"))
    }
}

fn parse_count(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&count| count > 0).ok_or("expected a whole number of at least 1")
}

fn parse_setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Clone, Copy)]
pub enum DeviceChoice {
    Best,
    Cpu,
    Cuda(usize),
}

impl DeviceChoice {
    pub fn open(self) -> gradus::Result<Device> {
        match self {
            Self::Best => Ok(Device::best()),
            Self::Cpu => Ok(Device::cpu()),
            Self::Cuda(ordinal) => Device::cuda(ordinal),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected best, cpu, cuda or cuda:N";
        match text {
            "best" => Ok(Self::Best),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let ordinal = text.strip_prefix("cuda:").ok_or(EXPECTED)?;
                ordinal.parse().map(Self::Cuda).map_err(|_| EXPECTED)
            }
        }
    }
}
