//! Evolution strategies and zeroth-order methods: noise that is a function of addresses, drawn again wherever it is needed and
//! never stored.
//!
//! A [`Term`] names a noise by seed, step and pair and says how much of it; [`Perturbation`] adds a few of them to all tensors of a
//! model in one launch, [`Population`] adds others to every copy of one, and an [`Estimator`] sums them up as a gradient. A [`Log`]
//! of the terms replays a run to the bit.
//! [`Pairs`] makes terms of the losses of antithetic pairs (MeZO, OpenAI-ES, ARS), [`UnrolledEs`] of those of unrolled computations
//! (PES, NRES), and [`Shaping`] weights of the losses of members.
//!
//! # What is exact and what drifts
//!
//! Every element becomes `x + Σ aⱼ·εⱼ`, summed in f32 (f64 for f64) in the order of the terms, each product and sum rounded once
//! (`fma`), and rounded to what is stored at the end. So
//!
//! * [`Perturbation::write`] from parameters that stay where they are never drifts: the parameters are only read;
//! * [`Perturbation::apply`] in place and the same noise taken away afterwards does **not** give back the bits: each pass rounds to
//!   the stored type. [`Rounding::Stochastic`] makes the error of bf16 zero in the mean, not small;
//! * [`LatticePerturbation`] of integer weights, in place or not, is taken away exactly: integers are added modulo 2ᵇ.
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

mod estimate;
mod lattice;
mod log;
mod pairs;
mod perturb;
mod population;
mod shape;
mod sums;
mod term;
mod unroll;

pub use estimate::Estimator;
pub use lattice::{Lattice, LatticePerturbation, LatticeTerm, Vote};
pub(crate) use lattice::{LatticeBackend, Outcome};
pub use log::{Header, Log};
pub use pairs::{Pairs, Weighting};
pub use perturb::{Perturbation, Rounding, Target};
pub use population::Population;
pub(crate) use shape::{Plan as ShapePlan, ShapeBackend};
pub use shape::{Shaper, Shaping};
pub(crate) use sums::{Beside, Kind, SumsBackend, check_memory};
pub use term::Term;
pub use unroll::{InnerStep, Unroll, UnrolledEs};

pub use crate::rng::Distribution;
