use super::{Pairs, Term, Weighting};
use crate::error::{Error, ErrorKind, Result};
use crate::rng::{Address, Distribution, Purpose};

/// Guided evolution strategies (Maheswaranathan et al. 2019): antithetic pairs whose noise is stretched along the span of a few
/// directions, such as the last gradients of a surrogate.
///
/// A member is `θ ± σ·(√(α/d)·ε + √((1 - α)/k)·Q·ε')` for d elements, where Q is an orthonormal basis of the span of the directions,
/// k its dimension, and ε, ε' are standard normal; the gradient of the loss is estimated as `β/(2σ²N) · Σ (L⁺ - L⁻)·p` over the
/// perturbations p of N pairs at `θ ± p`. The expected estimate is `β·(α/d + (1 - α)/k·Q·Qᵀ)` times the gradient: its length is that
/// of β, α and dimensions, which the paper leaves to β (it takes α = ½ and β = 2) and the learning rate.
///
/// Q is never formed. Each of its columns is a sum of directions, with coefficients that follow from their inner products, so that a
/// perturbation is a noise, for a [`Perturbation`](super::Perturbation), and coefficients of the directions as they are, for
/// [`Directions`](super::Directions); and so is the estimate, for an [`Estimator`](super::Estimator) and `Directions`. A direction
/// that the ones before it span, but for 10⁻⁵ of its length, counts for nothing; without directions, α counts as 1. The products are
/// to be summed in f64: the square of that bound, 10⁻¹⁰ of a product, is below the rounding of f32, by which a direction that others
/// span would seem to have a part of its own.
///
/// ε is the noise of [`Pairs`], ε' that of the elements 0, 1, ... of tensor 0, for [`Purpose::SUBSPACE`].
///
/// ```
/// use gradus::es::{Directions, Distribution, Estimator, Guided, Pairs, Perturbation, Weighting};
/// use gradus::optim::Tensor;
/// use gradus::{Device, View, ViewMut};
///
/// // A loss of 100 elements, and a surrogate that knows one half of its gradient.
/// let loss = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / 2.0;
/// let (device, tensors) = (Device::cpu(), [Tensor::new(100)]);
/// let mut perturbation = Perturbation::<f64>::new(&device, Distribution::Normal, &tensors)?;
/// let mut estimator = Estimator::<f64>::new(&device, Distribution::Normal, &tensors)?;
/// let mut directions = Directions::<f64>::new(&device, &tensors)?;
/// let mut theta = vec![1.0; 100];
/// for step in 0..200 {
///     let surrogate: Vec<f64> = theta.iter().enumerate().map(|(i, x)| if i < 50 { *x } else { 0.0 }).collect();
///     let square = surrogate.iter().map(|x| x * x).sum();
///     let pairs = Pairs { sigma: 0.01, seed: 7, step, count: 4 };
///     let guided = Guided::new(pairs, 0.5, 2.0, 100, &[square])?;
///     let mut losses = Vec::new();
///     for pair in 0..pairs.count {
///         losses.push([0.0, 0.0]);
///         for (member, loss_of_member) in guided.members(pair)?.into_iter().zip(&mut losses[pair]) {
///             let mut x = vec![0.0; 100];
///             perturbation.write(&[member.term], &[View::from(&theta)], &mut [ViewMut::from(&mut x)])?;
///             directions.add(&member.coefficients, &[View::from(&surrogate)], &mut [ViewMut::from(&mut x)])?;
///             *loss_of_member = loss(&x);
///         }
///     }
///     let estimate = guided.gradient(&losses, Weighting::Differences)?;
///     let mut gradient = vec![0.0; 100];
///     estimator.write(&estimate.terms, &mut [ViewMut::from(&mut gradient)])?;
///     directions.add(&estimate.coefficients, &[View::from(&surrogate)], &mut [ViewMut::from(&mut gradient)])?;
///     theta.iter_mut().zip(gradient).for_each(|(x, g)| *x -= 0.2 * g);
/// }
/// // Fifty elements went by the surrogate.
/// assert!(loss(&theta) < 30.0);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Guided {
    pairs: Pairs,
    /// Those of ε and ε', as shares of σ.
    shares: [f64; 2],
    beta: f64,
    /// Directions.
    count: usize,
    /// The coefficients of the directions in each column of Q.
    basis: Vec<Vec<f64>>,
}

/// A noise and coefficients of directions: what a member is perturbed by.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedMember {
    /// The noise of all elements.
    pub term: Term,
    /// What each direction is multiplied by.
    pub coefficients: Vec<f64>,
}

/// Noises and coefficients of directions: an estimate of the gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedGradient {
    /// The noises of all elements.
    pub terms: Vec<Term>,
    /// What each direction is multiplied by.
    pub coefficients: Vec<f64>,
}

/// What errors call it.
const WHAT: &str = "guided ES";

/// The least square of what is left of a direction, as a share of its square.
const LEAST: f64 = 1e-10;

impl Guided {
    /// Pairs over so many elements, and directions with these inner products over all of them, summed in f64, \[k×k\].
    ///
    /// Errors: α that is not from 0 to 1; β that is not positive and finite; no element; inner products that are no square matrix
    /// or not finite.
    pub fn new(pairs: Pairs, alpha: f64, beta: f64, elements: u64, products: &[f64]) -> Result<Self> {
        let refuse = |message| Err(Error::setting(WHAT, message));
        if !(0.0..=1.0).contains(&alpha) {
            return refuse(format!("alpha = {alpha} is not a number from 0 to 1"));
        }
        if !(beta > 0.0 && beta.is_finite()) {
            return refuse(format!("beta = {beta} is not a positive number"));
        }
        if elements == 0 {
            return refuse("there are no elements".to_owned());
        }
        let count = products.len().isqrt();
        if count * count != products.len() {
            return refuse(format!("{} inner products are not those of each direction with each", products.len()));
        }
        if let Some(product) = products.iter().find(|product| !product.is_finite()) {
            return refuse(format!("the inner product {product} is not finite"));
        }
        let basis = basis(count, products);
        let alpha = if basis.is_empty() { 1.0 } else { alpha };
        let shares = [(alpha / elements as f64).sqrt(), ((1.0 - alpha) / basis.len().max(1) as f64).sqrt()];
        Ok(Self { pairs, shares, beta, count, basis })
    }

    /// The dimension of the span of the directions.
    pub fn dimension(&self) -> usize {
        self.basis.len()
    }

    /// What the members of a pair are perturbed by: the second by the opposite of the first. Errors: a pair of 2²⁰ or more.
    pub fn members(&self, pair: usize) -> Result<[GuidedMember; 2]> {
        let along = self.along(pair as u64)?;
        let of = |term: Term| {
            let sign = term.coefficient.signum();
            let coefficients = along.iter().map(|c| sign * self.pairs.sigma * self.shares[1] * c).collect();
            GuidedMember { term: Term { coefficient: term.coefficient * self.shares[0], ..term }, coefficients }
        };
        Ok(self.pairs.members(pair).map(of))
    }

    /// Q·ε' of a pair, by the coefficients of the directions.
    fn along(&self, pair: u64) -> Result<Vec<f64>> {
        let Pairs { seed, step, .. } = self.pairs;
        let address = Address::new(Purpose::SUBSPACE, step, 0, pair)?;
        let mut sum = vec![0.0; self.count];
        for (column, element) in self.basis.iter().zip(0..) {
            let number = f64::from(Distribution::Normal.number(seed, &address, element)?);
            sum.iter_mut().zip(column).for_each(|(sum, c)| *sum += number * c);
        }
        Ok(sum)
    }

    /// The estimate of the gradient, given the losses of the members of every pair, where the weighting puts something in the place
    /// of `(L⁺ - L⁻)/(2σN)`.
    ///
    /// Errors: as [`Pairs::terms`].
    pub fn gradient(&self, losses: &[[f64; 2]], weighting: Weighting) -> Result<GuidedGradient> {
        let mut terms = self.pairs.terms(losses, weighting)?;
        let mut coefficients = vec![0.0; self.count];
        for term in &mut terms {
            let weight = self.beta * term.coefficient;
            for (sum, c) in coefficients.iter_mut().zip(self.along(term.pair)?) {
                *sum += weight * self.shares[1] * c;
            }
            term.coefficient = weight * self.shares[0];
        }
        match terms.iter().map(|term| term.coefficient).chain(coefficients.iter().copied()).find(|c| !c.is_finite()) {
            None => Ok(GuidedGradient { terms, coefficients }),
            Some(c) => {
                let message = format!("the coefficient {c} is not finite");
                Err(ErrorKind::Noise { what: WHAT.to_owned(), message }.into())
            }
        }
    }
}

/// Orthonormal vectors with the span of those that have these inner products, as coefficients of these: Gram and Schmidt's, each
/// freed twice from the ones before it.
fn basis(count: usize, products: &[f64]) -> Vec<Vec<f64>> {
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let row = |i: usize| (0..count).map(|j| products[i * count + j] * b[j]).sum::<f64>();
        (0..count).map(|i| a[i] * row(i)).sum()
    };
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for place in 0..count {
        let mut vector = vec![0.0; count];
        vector[place] = 1.0;
        for column in basis.iter().chain(&basis) {
            let share = product(column, &vector);
            vector.iter_mut().zip(column).for_each(|(x, c)| *x -= share * c);
        }
        let left = product(&vector, &vector);
        if left > LEAST * products[place * count + place] {
            vector.iter_mut().for_each(|x| *x /= left.sqrt());
            basis.push(vector);
        }
    }
    basis
}
