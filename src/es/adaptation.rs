use std::cmp::Ordering;

use super::adapt::Adapting;
use super::{Shaping, Term};
use crate::error::{Error, Result};
use crate::fmath::ln;

/// How a [`Search`](super::Search) makes a new mean m and new deviations s of the losses of members `m + s⊙zᵢ`. Losses are
/// minimised; d is the number of elements of all tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Adaptation {
    /// Separable natural evolution strategies (Schaul, Glasmachers & Schmidhuber 2011; Wierstra et al. 2014),
    /// with utilities u of ranks, which [`Shaping::NesUtilities`] are the negatives of:
    ///
    /// `m += η_m · s ⊙ Σ uᵢ·zᵢ`, `s *= exp(η_s/2 · Σ uᵢ·(zᵢ² - 1))`
    ///
    /// Only the order of the losses matters.
    Snes {
        /// η_m, at least 0; 1 in the papers.
        mean_rate: f64,
        /// η_s, at least 0; where there is none, the papers' `(3 + ln d) / (5·√d)`.
        deviation_rate: Option<f64>,
        /// Whether members 2k and 2k + 1 have the same z with opposite signs, which the papers do not do.
        is_antithetic: bool,
    },
    /// Policy gradients with parameter-based exploration by symmetric sampling (Sehnke et al. 2010): members
    /// 2k and 2k + 1 are `m ± s⊙zₖ`, of which there are N pairs, with losses `L⁺ₖ` and `L⁻ₖ` of the mean b;
    ///
    /// `m -= η_m/N · s ⊙ Σ (L⁺ₖ - L⁻ₖ)/2 · zₖ`, `s -= η_s/N · s ⊙ Σ ((L⁺ₖ + L⁻ₖ)/2 - b) · (zₖ² - 1)`
    ///
    /// where a deviation changes by a share of itself at most (as in EvoJAX and EvoTorch).
    Pgpe {
        /// η_m, at least 0.
        mean_rate: f64,
        /// η_s, at least 0.
        deviation_rate: f64,
        /// The greatest share, from 0 to 1: 0.2 is usual, 1 could make a deviation 0.
        most: f64,
        /// What stands in place of the losses. Without it, a pair with a loss that is not finite is left out, and of N.
        shaping: Option<Shaping>,
    },
    /// Separable CMA-ES (Ros & Hansen 2008), whose letters follow; n members, of which the better half count, with positive weights
    /// w of ranks that sum to 1, which [`Shaping::CmaWeights`] of different losses are the negatives of. The weights are those of
    /// Hansen's tutorial (2016, arXiv 1604.00772), all other constants those of the paper:
    ///
    /// * `m += σ·√C ⊙ Σ wᵢ·zᵢ`
    /// * `p_σ = (1 - c_σ)·p_σ + √(c_σ(2 - c_σ)μ_eff)·Σ wᵢ·zᵢ`
    /// * `σ *= exp(c_σ/d_σ · (|p_σ|/χ - 1))`
    /// * `p_c = (1 - c_c)·p_c + h·√(c_c(2 - c_c)μ_eff)·√C ⊙ Σ wᵢ·zᵢ`
    /// * `C = (1 - c)·C + c/μ_eff·p_c² + c·(1 - 1/μ_eff)·C ⊙ Σ wᵢ·zᵢ²`
    ///
    /// | | |
    /// |---|---|
    /// | wᵣ | `(ln((n + 1)/2) - ln r)/Σ` for the r-th best, r from 1 on; `μ_eff = 1/Σ w²` |
    /// | c_σ, d_σ | `(μ_eff + 2)/(d + μ_eff + 3)`, `1 + 2·max(0, √((μ_eff - 1)/(d + 1)) - 1) + c_σ` |
    /// | c_c | `4/(d + 4)` |
    /// | c | `(d + 2)/3 · (2/(μ_eff(d + √2)²) + (1 - 1/μ_eff)·min(1, (2μ_eff - 1)/((d + 2)² + μ_eff)))`, at most 1 |
    /// | χ | `√d·(1 - 1/(4d) + 1/(21d²))` |
    /// | h | 1 while `|p_σ|` is less than `(1.4 + 2/(d + 1))·χ·√(1 - (1 - c_σ)^(2(g + 1)))` in generation g, else 0 |
    ///
    /// Equal losses rank in the order of their members, and a NaN behind all numbers, so that every generation has the weights that
    /// μ_eff is of: where all losses are equal, the length of `p_σ` comes to χ in the mean, and σ wanders instead of shrinking.
    ///
    /// Deviations are σ√C. An update is four launches, and what is kept beside mean and deviations 16 (32) bytes an element. A norm goes over
    /// all elements, added in f64 in an order that the tensors alone decide: shards on several machines do not search as one.
    SepCmaEs,
}

/// What errors call it.
pub(super) const WHAT: &str = "search";

/// What a generation's losses come to: terms, the factors of their squares, and what their sums do.
pub(super) struct Told {
    pub(super) terms: Vec<Term>,
    pub(super) factors: Vec<f64>,
    pub(super) adapting: Adapting,
}

impl Adaptation {
    /// [`Adaptation::Snes`] with the papers' rates.
    pub const SNES: Self = Self::Snes { mean_rate: 1.0, deviation_rate: None, is_antithetic: false };

    /// The name that states are saved under.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Snes { .. } => "snes",
            Self::Pgpe { .. } => "pgpe",
            Self::SepCmaEs => "sep_cma_es",
        }
    }

    /// Whether two neighbouring members share their noise.
    pub(super) fn has_pairs(self) -> bool {
        matches!(self, Self::Snes { is_antithetic: true, .. } | Self::Pgpe { .. })
    }

    /// `4 + ⌊3 ln d⌋`, one more where pairs would lack one.
    pub(super) fn usual_population(self, elements: u64) -> usize {
        let count = 4 + (3.0 * ln(elements.max(1) as f64)) as usize;
        if self.has_pairs() { count.next_multiple_of(2) } else { count }
    }

    /// Errors: settings out of their range.
    pub(super) fn check(self) -> Result<()> {
        let range = |name: &str, value: f64, most: f64| {
            if (0.0..=most).contains(&value) && value.is_finite() {
                return Ok(());
            }
            let upper = if most == f64::INFINITY { "a number of at least 0" } else { "a number from 0 to 1" };
            Err(Error::setting(WHAT, format!("{name} = {value} is not {upper}")))
        };
        match self {
            Self::Snes { mean_rate, deviation_rate, .. } => {
                range("mean_rate", mean_rate, f64::INFINITY)?;
                range("deviation_rate", deviation_rate.unwrap_or(0.0), f64::INFINITY)
            }
            Self::Pgpe { mean_rate, deviation_rate, most, .. } => {
                range("mean_rate", mean_rate, f64::INFINITY)?;
                range("deviation_rate", deviation_rate, f64::INFINITY)?;
                range("most", most, 1.0)
            }
            Self::SepCmaEs => Ok(()),
        }
    }

    /// What the losses of all members come to, where `noise` has those of a coefficient and the number of a member or pair.
    ///
    /// Errors: a shaping that refuses them.
    pub(super) fn told(self, losses: &[f64], elements: u64, noise: impl Fn(f64, usize) -> Term) -> Result<Told> {
        let of_deviations = |rate: Option<f64>| {
            let d = elements.max(1) as f64;
            rate.unwrap_or((3.0 + ln(d)) / (5.0 * d.sqrt()))
        };
        let negated = |weights: Vec<f64>| weights.into_iter().map(|weight| -weight).collect::<Vec<_>>();
        // The coefficient of each noise and the factor of its square.
        let numbers: Vec<[f64; 2]> = match self {
            Self::Snes { mean_rate, deviation_rate, is_antithetic } => {
                let half = of_deviations(deviation_rate) / 2.0;
                let utilities: Vec<f64> = negated(weights(Shaping::NesUtilities, losses)?);
                if is_antithetic {
                    let pairs = utilities.as_chunks().0.iter();
                    pairs.map(|[a, b]: &[f64; 2]| [mean_rate * (a - b), half * (a + b)]).collect()
                } else {
                    utilities.iter().map(|u| [mean_rate * u, half * u]).collect()
                }
            }
            Self::Pgpe { mean_rate, deviation_rate, shaping, .. } => {
                let values = match shaping {
                    Some(shaping) => weights(shaping, losses)?,
                    None => losses.to_vec(),
                };
                let pairs = values.as_chunks::<2>().0;
                let is_finite = |pair: &&[f64; 2]| pair.iter().all(|loss| loss.is_finite());
                let count = pairs.iter().filter(is_finite).count().max(1) as f64;
                let sum_of_means: f64 = pairs.iter().filter(is_finite).map(|[a, b]| (a + b) / 2.0).sum();
                let baseline = sum_of_means / count;
                let one = |pair: &[f64; 2]| match pair {
                    [a, b] if is_finite(&pair) => {
                        let (half, middle) = ((a - b) / 2.0, (a + b) / 2.0);
                        [-mean_rate / count * half, -deviation_rate / count * (middle - baseline)]
                    }
                    _ => [0.0, 0.0],
                };
                pairs.iter().map(one).collect()
            }
            Self::SepCmaEs => {
                let weights = Shaping::CmaWeights.weights(&ranks(losses))?;
                weights.into_iter().map(|w| [-f64::from(w); 2]).collect()
            }
        };
        let used = || numbers.iter().enumerate().filter(|(_, numbers)| **numbers != [0.0, 0.0]);
        let terms = used().map(|(number, [coefficient, _])| noise(*coefficient, number)).collect();
        let factors: Vec<f64> = used().map(|(_, [_, factor])| *factor).collect();
        let most = if let Self::Pgpe { most, .. } = self { Some(most) } else { None };
        let adapting = Adapting { total: factors.iter().sum(), most };
        Ok(Told { terms, factors, adapting })
    }
}

/// The weights of losses. Those of ranks see every difference of f64: they are of the places of the losses among each other.
pub(super) fn weights(shaping: Shaping, losses: &[f64]) -> Result<Vec<f64>> {
    let rounded: Vec<f32> = match shaping {
        Shaping::CentredRanks | Shaping::NesUtilities | Shaping::CmaWeights => places(losses),
        _ => losses.iter().map(|loss| *loss as f32).collect(),
    };
    Ok(shaping.weights(&rounded)?.into_iter().map(f64::from).collect())
}

/// The order of two losses; a NaN is worse than infinity.
fn compared(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The members from the best on, those of equal losses in their order.
fn sorted(losses: &[f64]) -> Vec<usize> {
    let mut members: Vec<usize> = (0..losses.len()).collect();
    members.sort_by(|&a, &b| compared(losses[a], losses[b]));
    members
}

/// How many different losses are better than each.
fn places(losses: &[f64]) -> Vec<f32> {
    let mut places = vec![0.0; losses.len()];
    for equals in sorted(losses).chunk_by(|&a, &b| compared(losses[a], losses[b]).is_eq()).zip(0_u32..) {
        equals.0.iter().for_each(|&member| places[member] = equals.1 as f32);
    }
    places
}

/// How many members are before each.
fn ranks(losses: &[f64]) -> Vec<f32> {
    let mut ranks = vec![0.0; losses.len()];
    sorted(losses).into_iter().zip(0_u32..).for_each(|(member, rank)| ranks[member] = rank as f32);
    ranks
}
