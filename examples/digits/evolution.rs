//! Evolution strategies and MeZO: the gradient is estimated from losses at perturbed parameters, and any rule steps with it.

use gradus::es::{Distribution, Estimator, Pairs, Perturbation, Shaping, Term, Weighting};
use gradus::optim::Tensor;
use gradus::rules::{AnyRule, Value, by_name};
use gradus::{Buffer, Device, Result, ViewMut};

use crate::data::Digit;
use crate::network::Network;
use crate::training::read;

/// The methods, by the names they are asked for, each with the rule that steps.
pub const NAMES: [(&str, &str); 2] = [("es", "adamw"), ("mezo", "sgd")];

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
}

impl EvolutionSettings {
    /// Whether a step shows little of the gradient, so that many are needed.
    pub fn is_slow(&self) -> bool {
        self.pairs == 1
    }
}

/// The settings of a method, and the rule that steps with its estimates. `None`: there is no such method.
///
/// Errors: a setting that neither has.
pub fn method(
    name: &str,
    settings: &[(&str, Value)],
) -> std::result::Result<Option<(EvolutionSettings, AnyRule)>, String> {
    let Some((_, rule)) = NAMES.iter().find(|(method, _)| *method == name) else { return Ok(None) };
    let mut method = match name {
        "es" => EvolutionSettings { sigma: 0.02, pairs: 16, by_rank: true, in_place: false },
        _ => EvolutionSettings { sigma: 1e-3, pairs: 1, by_rank: false, in_place: true },
    };
    let mut of_rule = Vec::new();
    for (key, value) in settings {
        match (*key, value) {
            ("sigma", Value::Number(sigma)) if *sigma > 0.0 => method.sigma = *sigma,
            ("pairs", Value::Number(pairs)) if *pairs >= 1.0 => method.pairs = *pairs as usize,
            ("sigma" | "pairs", _) => {
                return Err(format!("{name}: {key} is a positive number, and of pairs one at least"));
            }
            _ => of_rule.push((*key, value.clone())),
        }
    }
    let rule = by_name(rule, &of_rule);
    rule.map(|rule| Some((method, rule))).map_err(|error| format!("{error}; of {name} itself: sigma, pairs"))
}

/// Estimates gradients.
pub struct Evolution {
    settings: EvolutionSettings,
    seed: u64,
    steps: u64,
    perturbation: Perturbation<f32>,
    estimator: Estimator<f32>,
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
        let tensors = network.tensors().map(|tensor| Tensor::new(tensor.len()));
        Ok(Self {
            settings,
            seed,
            steps: 0,
            perturbation: Perturbation::new(device, Distribution::Normal, &tensors)?,
            estimator: Estimator::new(device, Distribution::Normal, &tensors)?,
            copies,
            perturbed: network.clone(),
        })
    }

    /// Writes the estimate of the gradient of a batch. Parameters in place are restored but for their rounding.
    pub fn estimate(
        &mut self,
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
        self.estimator.write(&pairs.terms(&losses, weighting)?, &mut views_mut(gradients))?;
        self.steps += 1;
        Ok(())
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
            self.perturbation.apply(&[above], &mut views_mut(parameters))?;
            return Ok([loss_above, loss_below]);
        }
        let mut of_copy = |term: Term| -> Result<f64> {
            let from = parameters.each_ref().map(|buffer| buffer.view());
            self.perturbation.write(&[term], &from, &mut views_mut(&mut self.copies))?;
            read(&self.copies, &mut self.perturbed)?;
            Ok(self.perturbed.loss(batch).into())
        };
        Ok([of_copy(above)?, of_copy(below)?])
    }

    /// Moves the parameters themselves by a noise, and tells the loss there.
    fn loss_at(&mut self, term: Term, parameters: &mut [Buffer<f32>; 4], batch: &[&Digit]) -> Result<f64> {
        self.perturbation.apply(&[term], &mut views_mut(parameters))?;
        read(parameters, &mut self.perturbed)?;
        Ok(self.perturbed.loss(batch).into())
    }
}

fn views_mut(buffers: &mut [Buffer<f32>; 4]) -> [ViewMut<'_, f32>; 4] {
    buffers.each_mut().map(|buffer| buffer.view_mut())
}
