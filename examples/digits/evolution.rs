//! Evolution strategies, with dense noise or of low rank, and MeZO: the gradient is estimated from losses at perturbed parameters, and any rule steps with it.

use gradus::es::{Pairs, Shaping, Term, Weighting};
use gradus::optim::Stepper;
use gradus::rules::{AnyRule, Value, by_name};
use gradus::{Buffer, Device, Result};

use crate::data::Digit;
use crate::network::Network;
use crate::noise::Noise;
use crate::training::read;

/// The methods, by the names they are asked for, each with the rule that steps.
pub const NAMES: [(&str, &str); 3] = [("es", "adamw"), ("eggroll", "adamw"), ("mezo", "sgd")];

/// What a gradient is estimated from.
#[derive(Clone, Copy)]
pub struct EvolutionSettings {
    /// Deviation of the noise.
    sigma: f64,
    /// Antithetic pairs a step.
    pairs: usize,
    /// Whether losses count by their ranks.
    by_rank: bool,
    /// Whether the parameters themselves are perturbed, and restored, and no copy of them.
    in_place: bool,
    /// The rank of the noise of weights; `None`: it is dense.
    rank: Option<usize>,
}

impl EvolutionSettings {
    /// Whether a step shows little of the gradient, so that many are needed.
    pub fn is_slow(&self) -> bool {
        self.pairs == 1
    }
}

/// The settings of a method, and the rule that steps with its estimates. `None`: there is no such method.
///
/// Errors: a setting that neither has; dense noise has no rank.
pub fn method(
    name: &str,
    settings: &[(&str, Value)],
) -> std::result::Result<Option<(EvolutionSettings, AnyRule)>, String> {
    let Some((_, rule)) = NAMES.iter().find(|(method, _)| *method == name) else { return Ok(None) };
    let mut method = match name {
        "mezo" => EvolutionSettings { sigma: 1e-3, pairs: 1, by_rank: false, in_place: true, rank: None },
        _ => EvolutionSettings {
            sigma: 0.02,
            pairs: 16,
            by_rank: true,
            in_place: false,
            rank: (name == "eggroll").then_some(1),
        },
    };
    let mut of_rule = Vec::new();
    for (key, value) in settings {
        match (*key, value) {
            ("sigma", Value::Number(sigma)) if *sigma > 0.0 => method.sigma = *sigma,
            ("pairs", Value::Number(pairs)) if *pairs >= 1.0 => method.pairs = *pairs as usize,
            ("rank", Value::Number(rank)) if method.rank.is_some() && *rank >= 1.0 => {
                method.rank = Some(*rank as usize)
            }
            ("sigma" | "pairs", _) => {
                return Err(format!("{name}: {key} is a positive number, and of pairs one at least"));
            }
            _ => of_rule.push((*key, value.clone())),
        }
    }
    let rule = by_name(rule, &of_rule);
    rule.map(|rule| Some((method, rule))).map_err(|error| {
        let rank = if method.rank.is_some() { ", rank" } else { "" };
        format!("{error}; of {name} itself: sigma, pairs{rank}")
    })
}

/// Estimates gradients and steps by them.
pub struct Evolution {
    settings: EvolutionSettings,
    seed: u64,
    steps: u64,
    noise: Noise,
    /// Perturbed parameters on the device, and on the host.
    copies: [Buffer<f32>; 4],
    perturbed: Network,
}

impl Evolution {
    pub fn new(
        device: &Device,
        settings: EvolutionSettings,
        network: &Network,
        copies: [Buffer<f32>; 4],
        seed: u64,
    ) -> Result<Self> {
        Ok(Self {
            settings,
            seed,
            steps: 0,
            noise: Noise::new(device, network, settings.rank)?,
            copies,
            perturbed: network.clone(),
        })
    }

    /// Steps by the estimate of the gradient of a batch. Parameters in place are restored before, but for their rounding.
    pub fn step(
        &mut self,
        optimizer: &mut dyn Stepper<f32, f32>,
        parameters: &mut [Buffer<f32>; 4],
        gradients: &mut [Buffer<f32>; 4],
        batch: &[&Digit],
    ) -> Result<()> {
        let EvolutionSettings { sigma, pairs, by_rank, .. } = self.settings;
        let pairs = Pairs { sigma, seed: self.seed, step: self.steps, count: pairs };
        let mut losses = Vec::with_capacity(pairs.count);
        for pair in 0..pairs.count {
            losses.push(self.losses(pairs.members(pair), parameters, batch)?);
        }
        let weighting = if by_rank { Weighting::Shaped(Shaping::CentredRanks) } else { Weighting::Differences };
        self.steps += 1;
        self.noise.step(&pairs.terms(&losses, weighting)?, optimizer, parameters, gradients)
    }

    /// The losses of the members of a pair.
    fn losses(
        &mut self,
        [above, below]: [Term; 2],
        parameters: &mut [Buffer<f32>; 4],
        batch: &[&Digit],
    ) -> Result<[f64; 2]> {
        if self.settings.in_place {
            let across = Term { coefficient: 2.0 * below.coefficient, ..below };
            let loss_above = self.loss_at(above, parameters, batch)?;
            let loss_below = self.loss_at(across, parameters, batch)?;
            self.noise.apply(above, parameters)?;
            return Ok([loss_above, loss_below]);
        }
        let mut of_copy = |term: Term| -> Result<f64> {
            self.noise.write(term, parameters, &mut self.copies)?;
            read(&self.copies, &mut self.perturbed)?;
            Ok(self.perturbed.loss(batch).into())
        };
        Ok([of_copy(above)?, of_copy(below)?])
    }

    /// Moves the parameters themselves by a noise, and tells the loss there.
    fn loss_at(&mut self, term: Term, parameters: &mut [Buffer<f32>; 4], batch: &[&Digit]) -> Result<f64> {
        self.noise.apply(term, parameters)?;
        read(parameters, &mut self.perturbed)?;
        Ok(self.perturbed.loss(batch).into())
    }
}
