use super::term::check_pairs;
use super::{Shaping, Term};
use crate::error::{Error, ErrorKind, Result};

/// Antithetic pairs of one step: which noises their members are perturbed by, and how their losses make a gradient of these.
///
/// ```
/// use gradus::es::{Distribution, Estimator, Pairs, Perturbation, Weighting};
/// use gradus::optim::Tensor;
/// use gradus::{Device, View, ViewMut};
///
/// // The loss is half the square of the distance from (1, 2).
/// let loss = |x: &[f64]| ((x[0] - 1.0).powi(2) + (x[1] - 2.0).powi(2)) / 2.0;
/// let (device, tensors) = (Device::cpu(), [Tensor::new(2)]);
/// let mut perturbation = Perturbation::<f64>::new(&device, Distribution::Rademacher, &tensors)?;
/// let mut estimator = Estimator::<f64>::new(&device, Distribution::Rademacher, &tensors)?;
/// let (mut theta, mut gradient) = ([0.0, 0.0], [0.0, 0.0]);
/// for step in 0..100 {
///     let pairs = Pairs { sigma: 0.01, seed: 7, step, count: 4 };
///     let mut losses = Vec::new();
///     for pair in 0..pairs.count {
///         losses.push([0.0, 0.0]);
///         for (term, loss_of_member) in pairs.members(pair).into_iter().zip(&mut losses[pair]) {
///             let mut member = [0.0, 0.0];
///             perturbation.write(&[term], &[View::from(&theta[..])], &mut [ViewMut::from(&mut member[..])])?;
///             *loss_of_member = loss(&member);
///         }
///     }
///     estimator.write(&pairs.terms(&losses, Weighting::Differences)?, &mut [ViewMut::from(&mut gradient[..])])?;
///     theta.iter_mut().zip(gradient).for_each(|(x, g)| *x -= 0.1 * g);
/// }
/// assert!(loss(&theta) < 1e-3);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairs {
    /// The deviation of the noise, positive and finite.
    pub sigma: f64,
    /// The seed.
    pub seed: u64,
    /// The step or generation, counted modulo 2³².
    pub step: u64,
    /// How many pairs, from 1 to 2²⁰.
    pub count: usize,
}

/// How losses of antithetic pairs become coefficients of their noises.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Weighting {
    /// `(L⁺ - L⁻) / (2σN)`: the gradient of the loss smoothed by the noise (Spall 1992; MeZO, Malladi et al. 2023). A pair with a
    /// loss that is not finite is left out, and of N.
    Differences,
    /// The same of the weights that all 2N losses are shaped to: OpenAI-ES with centred ranks (Salimans et al. 2017, whose code
    /// leaves the division by σ to the learning rate).
    Shaped(Shaping),
    /// `(L⁺ - L⁻) / (bσ_R)` for the b pairs whose better loss is least, where σ_R is the deviation of these 2b losses: augmented
    /// random search, V1-t (Mania et al. 2018, Algorithm 2). Of equal ones the first count; a pair with a loss that is not finite
    /// never does. 0 where the losses do not differ.
    Ars {
        /// b, at least 1.
        top: usize,
    },
    /// `sign(L⁺ - L⁻) / N`: a vote of each pair. One whose losses are equal or not numbers has none.
    Signs,
}

/// What errors call them.
const WHAT: &str = "antithetic pairs";

impl Pairs {
    /// What the members of a pair are perturbed by: `σε` and `-σε`.
    pub fn members(&self, pair: usize) -> [Term; 2] {
        self.term(pair, self.sigma).both()
    }

    /// What the members of all pairs are perturbed by, those of pair i as members 2i and 2i + 1 of a
    /// [`Population`](super::Population).
    pub fn population(&self) -> Vec<[Term; 1]> {
        (0..self.count).flat_map(|pair| self.members(pair)).map(|term| [term]).collect()
    }

    fn term(&self, pair: usize, coefficient: f64) -> Term {
        Term { coefficient, seed: self.seed, step: self.step, pair: pair as u64 }
    }

    /// The terms that estimate the gradient of the loss, given the losses at `θ + σε` and `θ - σε` of every pair. Pairs that count
    /// for nothing have none.
    ///
    /// Errors: σ or the number of pairs outside its range; not as many losses; a shaping that refuses them; no best pair.
    pub fn terms(&self, losses: &[[f64; 2]], weighting: Weighting) -> Result<Vec<Term>> {
        let Self { sigma, count, .. } = *self;
        check_pairs(WHAT, sigma, "pairs", count)?;
        if losses.len() != count {
            let (what, other) = ("the list of losses".to_owned(), "that of pairs".to_owned());
            return Err(ErrorKind::Length { what, given: losses.len() as u64, other, expected: count as u64 }.into());
        }
        let is_finite = |pair: &[f64; 2]| pair.iter().all(|loss| loss.is_finite());
        let differences = |losses: &[[f64; 2]], scale: f64| -> Vec<f64> {
            losses.iter().map(|pair| if is_finite(pair) { (pair[0] - pair[1]) * scale } else { 0.0 }).collect()
        };
        let coefficients = match weighting {
            Weighting::Differences => {
                let finite = losses.iter().filter(|pair| is_finite(pair)).count();
                differences(losses, 1.0 / (2.0 * sigma * finite.max(1) as f64))
            }
            Weighting::Shaped(shaping) => {
                let flat: Vec<f32> = losses.iter().flatten().map(|loss| *loss as f32).collect();
                let shaped = shaping.weights(&flat)?;
                let pairs: Vec<[f64; 2]> =
                    shaped.as_chunks().0.iter().map(|pair: &[f32; 2]| pair.map(f64::from)).collect();
                differences(&pairs, 1.0 / (2.0 * sigma * count as f64))
            }
            Weighting::Ars { top: 0 } => return Err(Error::setting(WHAT, "the best 0 pairs show nothing".to_owned())),
            Weighting::Ars { top } => ars(losses, top),
            Weighting::Signs => {
                let vote = |[above, below]: &[f64; 2]| f64::from(above > below) - f64::from(above < below);
                losses.iter().map(|pair| vote(pair) / count as f64).collect()
            }
        };
        let terms = coefficients.into_iter().enumerate().filter(|(_, coefficient)| *coefficient != 0.0);
        Ok(terms.map(|(pair, coefficient)| self.term(pair, coefficient)).collect())
    }
}

/// The coefficients of augmented random search.
fn ars(losses: &[[f64; 2]], top: usize) -> Vec<f64> {
    let mut best: Vec<usize> = (0..losses.len()).filter(|&k| losses[k].iter().all(|loss| loss.is_finite())).collect();
    best.sort_by(|&a, &b| losses[a][0].min(losses[a][1]).total_cmp(&losses[b][0].min(losses[b][1])));
    best.truncate(top);
    let used: Vec<f64> = best.iter().flat_map(|&k| losses[k]).collect();
    let mean = used.iter().sum::<f64>() / used.len() as f64;
    let deviation = (used.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / used.len() as f64).sqrt();
    let mut coefficients = vec![0.0; losses.len()];
    if deviation > 0.0 {
        for &k in &best {
            coefficients[k] = (losses[k][0] - losses[k][1]) / (best.len() as f64 * deviation);
        }
    }
    coefficients
}
