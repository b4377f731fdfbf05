use super::adaptation::weights;
use super::term::check_pairs;
use super::{Shaping, Term};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::fmath::{exp, ln};
use crate::linalg::{Eigh, EighSettings, Symmetric};
use crate::memory::{MatMut, MatRef, ViewMut};
use crate::optim::check::length;
use crate::rng::Distribution;

/// What an [`Xnes`] begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct XnesSettings {
    /// The deviation of every coordinate at first; positive and finite.
    pub sigma: f64,
    /// Members of a generation, from 1 to 2²⁰. Where there is none, `4 + ⌊3 ln d⌋`.
    pub population: Option<usize>,
    /// The seed of all noise.
    pub seed: u64,
    /// η_m, at least 0; 1 in the paper.
    pub mean_rate: f64,
    /// η_σ, at least 0; where there is none, the paper's `(9 + 3 ln d)/(5·d·√d)`.
    pub scale_rate: Option<f64>,
    /// η_B, at least 0; the same where there is none.
    pub shape_rate: Option<f64>,
}

impl XnesSettings {
    /// The paper's rates and population.
    pub fn new(sigma: f64, seed: u64) -> Self {
        Self { sigma, population: None, seed, mean_rate: 1.0, scale_rate: None, shape_rate: None }
    }
}

/// Exponential natural evolution strategies (Glasmachers et al. 2010; Wierstra et al. 2014): a normal search distribution over a few
/// coordinates, with all their covariances, which follows the losses of its members.
///
/// Members are `m + A·zᵢ`. With the utilities u of ranks, which [`Shaping::NesUtilities`] are the negatives of, and the traceless
/// part of `G = Σ uᵢ·(zᵢzᵢᵀ - 1)`, whose mean diagonal element is g:
///
/// `m += η_m·A·Σ uᵢ·zᵢ`, `A ← A·exp(η_B/2·(G - g·1))·exp(η_σ/2·g)`
///
/// It is for small d: a generation costs d³ operations and more, in f64 and in ordinary memory. Only the order of the losses matters.
/// The noise of member i is that of the elements 0, 1, ... of tensor 0, of the [`Term`] of the seed, with the generation as step and
/// i as pair. The exponential is made of an eigendecomposition, whose last bits may differ between machines.
///
/// ```
/// use gradus::es::{Xnes, XnesSettings};
///
/// // A valley that is narrow along a diagonal.
/// let loss = |x: &[f64]| (x[0] + x[1]).powi(2) + 1e4 * (x[0] - x[1] - 2.0).powi(2);
/// let mut search = Xnes::new(XnesSettings::new(1.0, 7), &[3.0, 3.0])?;
/// for _ in 0..150 {
///     let losses: Vec<f64> = (0..search.population()).map(|i| Ok(loss(&search.member(i)?))).collect::<gradus::Result<_>>()?;
///     search.tell(&losses)?;
/// }
/// assert!(loss(search.mean()) < 1e-9);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Xnes {
    settings: XnesSettings,
    population: usize,
    generation: u64,
    mean: Vec<f64>,
    /// A, \[d×d\].
    factor: Vec<f64>,
    decomposition: Eigh<f64>,
}

/// What errors call it.
const WHAT: &str = "xNES";
/// The most coordinates.
const MOST: usize = 1024;

impl Xnes {
    /// A distribution around a mean, \[d\], with the covariance σ²·1.
    ///
    /// Errors: settings out of their range; no coordinate, or more than 1024; one of the mean that is not finite.
    pub fn new(settings: XnesSettings, mean: &[f64]) -> Result<Self> {
        let d = mean.len();
        let refuse = |message| Err(Error::setting(WHAT, message));
        if !(1..=MOST).contains(&d) {
            return refuse(format!("{d} coordinates are none or more than {MOST}"));
        }
        let population = settings.population.unwrap_or(4 + (3.0 * ln(d as f64)) as usize);
        check_pairs(WHAT, settings.sigma, "members", population)?;
        let usual = (9.0 + 3.0 * ln(d as f64)) / (5.0 * d as f64 * (d as f64).sqrt());
        let [scale_rate, shape_rate] = [settings.scale_rate, settings.shape_rate].map(|rate| rate.unwrap_or(usual));
        let rates = [("mean_rate", settings.mean_rate), ("scale_rate", scale_rate), ("shape_rate", shape_rate)];
        if let Some((name, rate)) = rates.into_iter().find(|(_, rate)| !(*rate >= 0.0 && rate.is_finite())) {
            return refuse(format!("{name} = {rate} is not a number of at least 0"));
        }
        if let Some(x) = mean.iter().find(|x| !x.is_finite()) {
            return refuse(format!("the coordinate {x} of the mean is not finite"));
        }
        let mut factor = vec![0.0; d * d];
        factor.iter_mut().step_by(d + 1).for_each(|x| *x = settings.sigma);
        let decomposition = Eigh::new(&Device::cpu(), &[d], EighSettings::default())?;
        let settings = XnesSettings {
            population: Some(population),
            scale_rate: Some(scale_rate),
            shape_rate: Some(shape_rate),
            ..settings
        };
        Ok(Self { settings, population, generation: 0, mean: mean.to_vec(), factor, decomposition })
    }

    /// What it began with, and what stood for nothing there.
    pub fn settings(&self) -> XnesSettings {
        self.settings
    }

    /// Members of a generation.
    pub fn population(&self) -> usize {
        self.population
    }

    /// The number of this generation, from 0 on.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// m, \[d\].
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// A, \[d×d\], row after row: the covariance is A·Aᵀ.
    pub fn factor(&self) -> &[f64] {
        &self.factor
    }

    /// Goes on from a mean, a factor and a generation that another search of these settings had.
    ///
    /// Errors: other lengths; a number that is not finite.
    pub fn restore(&mut self, mean: &[f64], factor: &[f64], generation: u64) -> Result<()> {
        let d = self.mean.len();
        length(mean.len(), d as u64, || ("the mean".to_owned(), "that of the search".to_owned()))?;
        length(factor.len(), (d * d) as u64, || ("the factor".to_owned(), "that of the search".to_owned()))?;
        if let Some(x) = mean.iter().chain(factor).find(|x| !x.is_finite()) {
            return Err(Error::setting(WHAT, format!("{x} is not finite")));
        }
        (self.mean, self.factor, self.generation) = (mean.to_vec(), factor.to_vec(), generation);
        Ok(())
    }

    /// `m + A·zᵢ`: a member of this generation. Errors: no such member.
    pub fn member(&self, member: usize) -> Result<Vec<f64>> {
        if member >= self.population {
            return Err(Error::setting(WHAT, format!("there is no member {member} of {}", self.population)));
        }
        Ok(self.moved(&self.noise(member)?))
    }

    fn noise(&self, member: usize) -> Result<Vec<f64>> {
        let term = Term { coefficient: 1.0, seed: self.settings.seed, step: self.generation, pair: member as u64 };
        let address = term.address(0)?;
        let number = |element| Distribution::Normal.number(term.seed, &address, element).map(f64::from);
        (0..self.mean.len() as u64).map(number).collect()
    }

    /// `m + A·v`.
    fn moved(&self, v: &[f64]) -> Vec<f64> {
        let rows = self.factor.chunks_exact(v.len());
        let along = rows.map(|row| row.iter().zip(v).map(|(a, v)| a * v).sum::<f64>());
        self.mean.iter().zip(along).map(|(m, x)| m + x).collect()
    }

    /// Adapts the distribution to the losses of all members, in their order; the next generation begins.
    ///
    /// Errors, the generation going on: not as many losses as members; a mean or factor that would not be finite.
    pub fn tell(&mut self, losses: &[f64]) -> Result<()> {
        let names = || ("the list of losses".to_owned(), "that of members".to_owned());
        length(losses.len(), self.population as u64, names)?;
        let d = self.mean.len();
        let (mut sum, mut squares) = (vec![0.0; d], vec![0.0; d * d]);
        for (member, weight) in weights(Shaping::NesUtilities, losses)?.into_iter().enumerate() {
            let z = self.noise(member)?;
            for ((row, sum), (i, x)) in squares.chunks_exact_mut(d).zip(&mut sum).zip(z.iter().enumerate()) {
                *sum -= weight * x;
                row.iter_mut().zip(&z).for_each(|(to, y)| *to -= weight * (x * y));
                row[i] += weight;
            }
        }
        let g = squares.iter().step_by(d + 1).sum::<f64>() / d as f64;
        squares.iter_mut().step_by(d + 1).for_each(|x| *x -= g);
        let half = |rate: Option<f64>| rate.unwrap_or(0.0) / 2.0;
        let (scale, shape) = (exp(half(self.settings.scale_rate) * g), half(self.settings.shape_rate));
        let mean = self.moved(&sum.iter().map(|x| self.settings.mean_rate * x).collect::<Vec<_>>());
        let factor = self.turned(&squares, scale, shape)?;
        if !mean.iter().chain(&factor).all(|x| x.is_finite()) {
            return Err(Error::setting(WHAT, "the distribution would not be finite".to_owned()));
        }
        (self.mean, self.factor) = (mean, factor);
        self.generation += 1;
        Ok(())
    }

    /// `A·exp(shape·S)·scale` of a symmetric S: A·V·exp(shape·λ)·Vᵀ·scale.
    fn turned(&mut self, symmetric: &[f64], scale: f64, shape: f64) -> Result<Vec<f64>> {
        let d = self.mean.len();
        let (mut vectors, mut values) = (vec![0.0; d * d], vec![0.0; d]);
        let source = Symmetric::lower(MatRef::new(symmetric, d, d)?)?;
        let to = MatMut::new(&mut vectors[..], d, d)?;
        self.decomposition.decompose(&[source], &mut [to], &mut [ViewMut::from(&mut values[..])])?;
        if !self.decomposition.reports()?.iter().all(|report| report.is_decomposed()) {
            return Err(Error::setting(WHAT, "the distribution would not be finite".to_owned()));
        }
        let mut turned = Vec::with_capacity(d * d);
        for row in self.factor.chunks_exact(d) {
            let mut along = vec![0.0; d];
            for (a, vectors) in row.iter().zip(vectors.chunks_exact(d)) {
                along.iter_mut().zip(vectors).for_each(|(sum, v)| *sum += a * v);
            }
            along.iter_mut().zip(&values).for_each(|(x, value)| *x *= exp(shape * value) * scale);
            let back = vectors.chunks_exact(d).map(|v| v.iter().zip(&along).map(|(v, x)| v * x).sum::<f64>());
            turned.extend(back);
        }
        Ok(turned)
    }
}
