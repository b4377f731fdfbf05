//! Evolution strategies and zeroth-order methods: noise that is a function of addresses, drawn again wherever it is needed and
//! never stored.
//!
//! A [`Term`] names a noise by seed, step and pair and says how much of it; [`Perturbation`] adds a few of them to all tensors of a
//! model in one launch, [`Population`] adds others to every copy of one, and an [`Estimator`] sums them up as a gradient, which
//! [`Optimizer::step_estimate`](crate::optim::Optimizer::step_estimate) draws where it steps, by any rule and without an array.
//! [`LowRank`] perturbs and estimates with noises of low rank. A [`Log`] of the terms replays a run to the bit. [`Pairs`] makes terms
//! of the losses of antithetic pairs (MeZO, OpenAI-ES, ARS), [`UnrolledEs`] of those of unrolled computations (PES, NRES), and
//! [`Shaping`] weights of the losses of members. A learned optimizer that they can train is
//! [`SmallFcLopt`](crate::lopt::SmallFcLopt).
//!
//! A [`Search`] has deviations of every element that adapt (SNES, PGPE, sep-CMA-ES), [`Xnes`] all covariances of a few coordinates;
//! [`Guided`] noise is stretched along a few [`Directions`].
//!
//! # Methods that need no object of their own
//!
//! What a method weighs is a [`Term`], wherever the weight comes from.
//!
//! * Zeroth-order actor-critic (ZOAC, Lei et al. 2025) explores stepwise: every segment j of a rollout is played with noise of its own,
//!   a pair of its own here, and has an advantage Aⱼ that a critic makes of its rewards. The gradient of the loss, the negative
//!   return, has the coefficient `-Aⱼ/(σn)` for each of the n best segments.
//! * ES-ENAS (Song et al. 2021) gives both members of a pair an architecture that a controller proposes: the parameters that all
//!   architectures share take the gradient of [`Pairs::terms`], and the controller the same losses.
//!
//! ```
//! use gradus::es::{Distribution, Estimator, Term};
//! use gradus::optim::Tensor;
//! use gradus::{Buffer, Device};
//!
//! let (device, sigma) = (Device::cpu(), 0.1);
//! let mut estimator = Estimator::<f32>::new(&device, Distribution::Normal, &[Tensor::new(1000)])?;
//! // The advantages of four segments, of which the better two count.
//! let mut segments: Vec<(u64, f64)> = (0..).zip([0.3, -1.2, 0.8, 0.1]).collect();
//! segments.sort_by(|a, b| b.1.total_cmp(&a.1));
//! let terms: Vec<Term> = segments[..2]
//!     .iter()
//!     .map(|&(pair, advantage)| Term { coefficient: -advantage / (sigma * 2.0), seed: 7, step: 0, pair })
//!     .collect();
//! let mut gradient = Buffer::<f32>::zeros(&device, 1000)?;
//! estimator.write(&terms, &mut [gradient.view_mut()])?;
//! # assert!(gradient.to_vec()?.iter().all(|g| g.is_finite()) && terms[0].pair == 2);
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! # What is exact and what drifts
//!
//! Every element becomes `x + Σ aⱼ·εⱼ`, summed in f32 (f64 for f64) in the order of the terms, each product and sum rounded once
//! (`fma`), and rounded to what is stored at the end. So
//!
//! * [`Perturbation::write`] from parameters that stay where they are never drifts: the parameters are only read;
//! * [`Perturbation::apply`] in place and the same noise taken away afterwards does **not** give back the bits: each pass rounds to
//!   the stored type. [`Rounding::Stochastic`] makes the error of bf16 zero in the mean, not small;
//! * [`LatticePerturbation`] and [`LatticeLowRank`] of integer weights, in place or not, are taken away exactly: integers are added
//!   modulo 2ᵇ.
//!
//! Measured: weights of deviation 0.02, a thousand times perturbed in place to `θ + σε`, `θ - σε` and back, σ = 0.001, and never
//! updated. What they have moved (root of the mean square), and what their magnitudes have grown in the mean, as shares of that
//! deviation:
//!
//! | stored as | moved | grown |
//! |---|---|---|
//! | bf16, to nearest | 12.5 % | -0.89 % |
//! | bf16, by chance | 12.6 % | none seen |
//! | f16, to nearest | 1.5 % | none seen |
//! | f32, to nearest | 1.9·10⁻⁶ | none seen |
//!
//! An update of bf16 weights in place that is much smaller than the distance of neighbouring values is lost to rounding to nearest;
//! by chance it is kept in the mean.

mod adapt;
mod adaptation;
mod directions;
mod estimate;
mod factors;
mod guided;
mod lattice;
mod lattice_low_rank;
mod log;
mod low_rank;
mod pairs;
mod perturb;
mod population;
mod search;
pub(crate) mod sep_cma;
mod shape;
mod sums;
mod term;
mod unroll;
mod xnes;

pub(crate) use adapt::Adapting;
pub use adaptation::Adaptation;
pub use directions::Directions;
pub(crate) use directions::{DirectionsBackend, MOST as DIRECTIONS, check_directed};
pub use estimate::{Estimate, Estimator};
pub use factors::Matrix;
pub(crate) use factors::{FactoredTerm, Multiplication, Shard, Side, check_multiplication, element};
#[cfg(feature = "cuda")]
pub(crate) use factors::{MOST_RANK, SIDE_SHIFT};
pub use guided::{Guided, GuidedGradient, GuidedMember};
pub use lattice::{Lattice, LatticePerturbation, LatticeTerm, Vote};
pub(crate) use lattice::{LatticeBackend, Outcome};
pub use lattice_low_rank::LatticeLowRank;
pub(crate) use lattice_low_rank::{IntegerTerm, LatticeLowRankBackend, MOST_NUMBER};
pub use log::{Header, Log};
pub use low_rank::LowRank;
pub(crate) use low_rank::{LowRankBackend, Source};
pub use pairs::{Pairs, Weighting};
pub use perturb::{Perturbation, Rounding, Target};
pub use population::Population;
pub(crate) use search::{SampleBackend, check_sampled};
pub use search::{Search, SearchSettings};
pub(crate) use shape::{Plan as ShapePlan, ShapeBackend};
pub use shape::{Shaper, Shaping};
pub(crate) use sums::{Beside, Kind, SumsBackend, check_memory};
pub use term::Term;
pub use unroll::{InnerStep, Unroll, UnrolledEs};
pub use xnes::{Xnes, XnesSettings};

pub use crate::rng::Distribution;
