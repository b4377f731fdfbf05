use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::error::{Error, Result};
use crate::fmath::Elementary;
use crate::memory::{View, ViewMut};
use crate::optim::check::{length, same_place_as};

/// How losses of members are made into weights of their noises, which grow with the loss: what an
/// [`Estimator`](super::Estimator) sums with them goes uphill, as a gradient does, and optimizers step against it.
///
/// | losses | places of ranks | scores | signs |
/// |---|---|---|---|
/// | equal ones | the mean of the weights of the places they share | the same | the same |
/// | all equal | 0, but for `CmaWeights`, 1 divided by -n | 0 | the same |
/// | +∞ | worse than all numbers | as the worst number | 1 |
/// | -∞ | better than all numbers | as the best number | -1 |
/// | NaN | worse than +∞ | as the worst number | 0 |
/// | none a number | as above | 0 | as above |
///
/// Ranks cost n² comparisons, on CUDA spread over all threads; a score is computed by one block.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shaping {
    /// `r/(n-1) - ½` for the r-th of n losses from the best, r from 0 on (Salimans et al. 2017, section 2.1). Before they are rounded
    /// they sum to 0.
    CentredRanks,
    /// `1/n - uᵣ` with the utilities `uᵣ = max(0, ln(n/2 + 1) - ln(r + 1)) / Σ` of natural evolution strategies (Wierstra et al.
    /// 2014, section 3.1). Before they are rounded they sum to 0.
    NesUtilities,
    /// `-wᵣ` with the positive recombination weights `wᵣ = (ln((n + 1)/2) - ln(r + 1)) / Σ` for the better half, r < ⌊n/2⌋ (at least
    /// the best), and 0 for the others (Hansen 2016, equations 49 to 53). They sum to -1.
    CmaWeights,
    /// `(loss - mean) / √(variance + ε)` over all n losses; 0 for a loss that is the mean.
    ZScore {
        /// ε, at least 0.
        epsilon: f64,
    },
    /// The same with the mean of each group of neighbours, such as the members that saw the same data, over the deviation of all
    /// losses (as HyperscaleES does).
    GroupZScore {
        /// Losses of a group, of which there are a whole number.
        group: usize,
        /// ε, at least 0.
        epsilon: f64,
    },
    /// 1, 0 or -1: of the differences of antithetic pairs, a vote of each.
    Sign,
}

/// The most losses: their ranks compare each with each.
const MOST: usize = 1 << 20;

/// What a backend computes.
pub(crate) enum Plan {
    /// The weight of losses that share places a to b (exclusive): `(sums[b] - sums[a] - total·(b - a)/n) / ((b - a)·scale)`.
    Ranks {
        sums: Vec<f64>,
        total: f64,
        scale: f64,
    },
    Scores {
        group: usize,
        epsilon: f64,
    },
    Signs,
}

impl Shaping {
    /// The weights of losses in ordinary memory, `[n]`.
    ///
    /// Errors: as [`Shaper::new`].
    pub fn weights(self, losses: &[f32]) -> Result<Vec<f32>> {
        let mut weights = vec![0.0; losses.len()];
        Shaper::new(&Device::cpu(), self, losses.len())?.shape(losses.into(), weights.as_mut_slice().into())?;
        Ok(weights)
    }

    fn plan(self, count: usize) -> Result<Plan> {
        let refuse = |message| Err(Error::setting("shaping", message));
        if count > MOST {
            return refuse(format!("{count} losses are more than {MOST}"));
        }
        let n = count as f64;
        match self {
            Self::ZScore { epsilon } | Self::GroupZScore { epsilon, .. }
                if !(epsilon >= 0.0 && epsilon.is_finite()) =>
            {
                refuse(format!("epsilon = {epsilon} is not a number of at least 0"))
            }
            Self::GroupZScore { group, .. } if group == 0 || !count.is_multiple_of(group) => {
                refuse(format!("{count} losses are no whole number of groups of {group}"))
            }
            Self::GroupZScore { group, epsilon } => Ok(Plan::Scores { group, epsilon }),
            Self::ZScore { epsilon } => Ok(Plan::Scores { group: count, epsilon }),
            Self::Sign => Ok(Plan::Signs),
            Self::CentredRanks => {
                let sums = prefix_sums(count, |place| 2.0 * place - (n - 1.0));
                Ok(Plan::Ranks { sums, total: 0.0, scale: (2.0 * (n - 1.0)).max(1.0) })
            }
            Self::NesUtilities => {
                let best = ln(n / 2.0 + 1.0);
                let sums = prefix_sums(count, |place| -(best - ln(place + 1.0)).max(0.0));
                let total = sums[count];
                Ok(Plan::Ranks { sums, total, scale: -total })
            }
            Self::CmaWeights => {
                let best = ln((n + 1.0) / 2.0);
                let parents = (count / 2) as f64;
                let weight = |place: f64| if place < parents { ln(place + 1.0) - best } else { 0.0 };
                // Alone, the one is the best.
                let sums = if count == 1 { vec![0.0, -1.0] } else { prefix_sums(count, weight) };
                let scale = -sums[count];
                Ok(Plan::Ranks { sums, total: 0.0, scale })
            }
        }
    }
}

/// The same bits on every machine, unlike the C library's.
fn ln(x: f64) -> f64 {
    Elementary::ln(x)
}

/// The sums of the weights of the first 0, 1, ... `count` places.
fn prefix_sums(count: usize, weight: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = (0..count).map(|place| {
        sum += weight(place as f64);
        sum
    });
    std::iter::once(0.0).chain(sums).collect()
}

/// Makes losses into weights on a device: one launch on CUDA, which waits for nothing and allocates nothing.
///
/// ```
/// use gradus::es::Shaping;
///
/// // The second and the third are equally good.
/// assert_eq!(Shaping::CentredRanks.weights(&[3.0, 1.0, 1.0, f32::NAN, 7.5])?, [0.0, -0.375, -0.375, 0.5, 0.25]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Shaper {
    place: Place,
    count: usize,
    backend: Box<dyn ShapeBackend>,
}

/// Weights of losses, both of the number that the plan was made for, on the device.
pub(crate) trait ShapeBackend: Send {
    fn shape(&mut self, losses: &View<'_, f32>, weights: &mut ViewMut<'_, f32>) -> Result<()>;
}

impl Shaper {
    /// For so many losses, at most 2²⁰.
    ///
    /// Errors: settings out of their range; the driver refuses.
    pub fn new(device: &Device, shaping: Shaping, count: usize) -> Result<Self> {
        let plan = shaping.plan(count)?;
        let backend: Box<dyn ShapeBackend> = match device {
            Device::Cpu(_) => Box::new(cpu::es::CpuShape::new(plan)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::es::CudaShape::new(cuda, plan, count)?),
        };
        Ok(Self { place: device.place(), count, backend })
    }

    /// The weights of the losses, `[n]` each.
    ///
    /// Errors: lengths or devices that do not fit; memory that overlaps or is not aligned; the driver refuses.
    pub fn shape(&mut self, losses: View<'_, f32>, mut weights: ViewMut<'_, f32>) -> Result<()> {
        let views = [("losses", losses.len(), losses.place()), ("weights", weights.len(), weights.place())];
        for (what, given, place) in views {
            length(given, self.count as u64, || (what.to_owned(), "the shaper".to_owned()))?;
            same_place_as("the shaper", || what.to_owned(), place, self.place)?;
        }
        self.backend.shape(&losses, &mut weights)
    }
}
