//! What some rules are given beside the gradient.

use gradus::rules::AnyRule;
use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::data::Digit;
use crate::network::Network;

/// Steps between two estimates of the curvature.
const EVERY: usize = 10;

/// What a rule's second gradient is.
pub enum Second {
    /// There is none.
    None,
    /// The gradient on labels that are drawn from the network's own predictions.
    OnSampledLabels { rng: Pcg64, steps: usize },
    /// The diagonal of the curvature.
    Curvature { steps: usize },
    /// The gradient of the batch at the parameters before the last step.
    AtPreviousPoint { previous: Option<Network> },
}

impl Second {
    pub fn of(rule: &AnyRule, seed: u64) -> Self {
        match rule {
            AnyRule::SophiaG(_) => Self::OnSampledLabels { rng: Pcg64::seed_from_u64(!seed), steps: 0 },
            AnyRule::Sdlm(_) => Self::Curvature { steps: 0 },
            AnyRule::SuperAdam(rule) if rule.storm => Self::AtPreviousPoint { previous: None },
            _ => Self::None,
        }
    }

    /// The second gradient of the next step, if it is given one; `network` is that before the step.
    pub fn of_step(&mut self, network: &Network, batch: &[&Digit]) -> Option<Network> {
        match self {
            Self::None => None,
            Self::OnSampledLabels { rng, steps } => {
                count(steps).is_multiple_of(EVERY).then(|| network.gradient_on_sampled_labels(batch, rng))
            }
            Self::Curvature { steps } => count(steps).is_multiple_of(EVERY).then(|| network.curvature(batch)),
            Self::AtPreviousPoint { previous } => {
                previous.replace(network.clone()).map(|previous| previous.gradient(batch))
            }
        }
    }
}

/// The number of steps before this one.
fn count(steps: &mut usize) -> usize {
    *steps += 1;
    *steps - 1
}
