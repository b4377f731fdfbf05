use super::Term;
use super::term::check_pairs;
use crate::error::{Error, ErrorKind, Result};

/// Which noises the losses of an unrolled computation are weighed with.
///
/// | | a noise serves | losses of an episode count for | unbiased |
/// |---|---|---|---|
/// | `TruncatedEs` | a window | the window's noise | no: what earlier windows did is left out |
/// | `Pes` (Vicol et al. 2021, Algorithm 2) | a window | the sum of all noises of the episode so far | yes |
/// | `Gpes` (Li et al. 2023, GPES_K) | so many windows of an episode | the same | yes |
/// | `Nres` (Li et al. 2023, Algorithm 1) | the windows that begin in an episode | the same, which is one noise or two | yes |
///
/// An episode that begins inside a window begins with the window's noise, and has a new one from the next window on, whatever the
/// noise has served. Where episodes begin with windows, `Nres` has one noise an episode, and in the paper the least variance of the
/// three that are unbiased, under its assumptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unroll {
    /// Antithetic evolution strategies on each window alone.
    TruncatedEs,
    /// Persistent evolution strategies.
    Pes,
    /// Generalised persistent evolution strategies: between `Pes`, one window, and `Nres`.
    Gpes {
        /// Windows of an episode that a noise serves, at least 1, of those that begin in it: a part of a window that an episode
        /// begins in is not counted. With 1 it is `Pes`; with as many as an episode has, `Nres`.
        windows: u32,
    },
    /// Noise-reuse evolution strategies.
    Nres,
}

/// What an antithetic pair saw in a step of the unrolled computation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InnerStep {
    /// The loss at `θ + σε` and that at `θ - σε`, of the same data.
    pub losses: [f64; 2],
    /// Whether the episode ended with this step: the next one is the first of another episode.
    pub ended: bool,
}

/// Antithetic pairs that go through episodes window by window, each at a place of its own, and the gradient of the mean loss of
/// a step that they estimate:
///
/// `g = 1/(2σ²·N·K) · Σᵢ Σₜ (L⁺ᵢₜ - L⁻ᵢₜ)·ξᵢₜ` over N particles and K steps of a window, where ξ is the sum of the noises `σε` that
/// the particle has had in the episode of that step, each once.
///
/// Noise is not stored, and neither is ξ: a particle keeps which windows' noises it has had, and ξ is drawn again as terms of an
/// [`Estimator`](super::Estimator). An episode that ends inside a window leaves the rest of the window to the next one, whose ξ
/// begins with the noise that its first steps were made with, and not with 0.
///
/// ```
/// use gradus::es::{Distribution, Estimator, InnerStep, Perturbation, Unroll, UnrolledEs};
/// use gradus::optim::Tensor;
/// use gradus::{Device, View, ViewMut};
///
/// // Four particles, windows of one step, episodes of three: the loss of a step is the sum of what θ has been in the episode.
/// let (device, tensors) = (Device::cpu(), [Tensor::new(1)]);
/// let mut perturbation = Perturbation::<f64>::new(&device, Distribution::Rademacher, &tensors)?;
/// let mut estimator = Estimator::<f64>::new(&device, Distribution::Rademacher, &tensors)?;
/// let mut es = UnrolledEs::new(Unroll::Pes, 0.1, 7, 4)?;
/// let (theta, mut sums, mut mean) = ([0.0], [[0.0; 2]; 4], 0.0);
/// for window in 0..3 {
///     let mut steps = Vec::new();
///     for (particle, sums) in sums.iter_mut().enumerate() {
///         for (term, sum) in es.terms(particle)?.into_iter().zip(sums.iter_mut()) {
///             let mut perturbed = [0.0];
///             perturbation.write(&[term], &[View::from(&theta[..])], &mut [ViewMut::from(&mut perturbed[..])])?;
///             *sum += perturbed[0];
///         }
///         steps.push(InnerStep { losses: *sums, ended: window == 2 });
///     }
///     let mut gradient = [0.0];
///     estimator.write(&es.end_window(&steps)?, &mut [ViewMut::from(&mut gradient[..])])?;
///     mean += gradient[0] / 3.0;
/// }
/// // A step's loss has the gradient 1, 2 or 3.
/// assert!((mean - 2.0).abs() < 1.5);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnrolledEs {
    unroll: Unroll,
    sigma: f64,
    seed: u64,
    window: u64,
    particles: Vec<Particle>,
}

#[derive(Clone, Debug)]
struct Particle {
    /// The windows whose noises it has had in its episode; the last is that of this window.
    noises: Vec<u64>,
    /// Windows that the last of them has served.
    served: u32,
}

/// What errors call it.
const WHAT: &str = "unrolled ES";

impl UnrolledEs {
    /// So many particles, all at the beginning of an episode, with noise of deviation `sigma` that is drawn from the seed.
    ///
    /// Errors: a deviation that is not positive and finite; no particle, or more than 2²⁰; noises that serve no window.
    pub fn new(unroll: Unroll, sigma: f64, seed: u64, particles: usize) -> Result<Self> {
        check_pairs(WHAT, sigma, "particles", particles)?;
        if unroll == (Unroll::Gpes { windows: 0 }) {
            return Err(Error::setting(WHAT, "a noise has to serve one window at least".to_owned()));
        }
        let particle = Particle { noises: vec![0], served: 0 };
        Ok(Self { unroll, sigma, seed, window: 0, particles: vec![particle; particles] })
    }

    /// The number of this window, from 0 on.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The number of particles.
    pub fn particles(&self) -> usize {
        self.particles.len()
    }

    /// What makes the parameters of a particle in this window: `σε` and `-σε`. Errors: no such particle.
    pub fn terms(&self, particle: usize) -> Result<[Term; 2]> {
        let Some(noises) = self.particles.get(particle).map(|particle| &particle.noises) else {
            let message = format!("there is no particle {particle} of {}", self.particles.len());
            return Err(Error::setting(WHAT, message));
        };
        let step = noises.last().copied().unwrap_or(self.window);
        Ok(Term { coefficient: self.sigma, seed: self.seed, step, pair: particle as u64 }.both())
    }

    /// The terms whose sum is the estimate of the window that the steps tell of, `[particles×steps]`; the next window begins.
    ///
    /// Errors, the window going on: not as many steps for every particle, none, a loss that is not finite.
    pub fn end_window(&mut self, steps: &[InnerStep]) -> Result<Vec<Term>> {
        let particles = self.particles.len();
        if steps.is_empty() || !steps.len().is_multiple_of(particles) {
            let message =
                format!("{} inner steps are none or not as many for each of {particles} particles", steps.len());
            return Err(Error::setting(WHAT, message));
        }
        let count = steps.len() / particles;
        for (place, step) in steps.iter().enumerate() {
            if let Some(loss) = step.losses.into_iter().find(|loss| !loss.is_finite()) {
                let what = format!("particle {}, inner step {}", place / count, place % count);
                return Err(ErrorKind::Noise { what, message: format!("the loss {loss} is not finite") }.into());
            }
        }
        let scale = 1.0 / (2.0 * self.sigma * particles as f64 * count as f64);
        let mut terms = Vec::new();
        self.window += 1;
        for ((pair, particle), steps) in (0..).zip(&mut self.particles).zip(steps.chunks_exact(count)) {
            let first = steps.iter().position(|step| step.ended).map_or(count, |end| end + 1);
            let [old, new] = [&steps[..first], &steps[first..]]
                .map(|steps| steps.iter().map(|step| step.losses[0] - step.losses[1]).sum::<f64>());
            let last = particle.noises.len() - 1;
            terms.extend(particle.noises.iter().enumerate().map(|(place, &step)| {
                let difference = if place == last { old + new } else { old };
                Term { coefficient: scale * difference, seed: self.seed, step, pair }
            }));
            particle.go_on(self.unroll, steps, self.window);
        }
        Ok(terms)
    }
}

impl Particle {
    /// From the window of these steps to the window of this number.
    fn go_on(&mut self, unroll: Unroll, steps: &[InnerStep], next: u64) {
        self.served += 1;
        let has_ended = steps.iter().any(|step| step.ended);
        if has_ended {
            // Steps behind the end are the first of an episode, made with this window's noise.
            let ends_with_it = steps.last().is_some_and(|step| step.ended);
            let dropped = if ends_with_it { self.noises.len() } else { self.noises.len() - 1 };
            self.noises.drain(..dropped);
        }
        let has_served = match unroll {
            Unroll::TruncatedEs => {
                self.noises.clear();
                true
            }
            Unroll::Pes => true,
            Unroll::Gpes { windows } => self.served >= windows,
            Unroll::Nres => false,
        };
        if has_ended || has_served {
            self.noises.push(next);
            self.served = 0;
        }
    }
}
