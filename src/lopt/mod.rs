//! A learned optimizer: a small perceptron, run for every parameter, makes the step.
//!
//! [`SmallFcLopt`] is small_fc_lopt of Metz, Freeman, Harrison, Maheswaranathan & Sohl-Dickstein, "Practical tradeoffs between memory,
//! compute and performance in learned optimizers" (2022), as `AdafacMLPLOpt` of their learned_optimization has it, and with
//! [`Form::Star`] what Harrison, Metz & Sohl-Dickstein, "A closer look at learned optimization: stability, robustness, and inductive
//! biases" (2022), make of it. Its weights are a [`Network`]: from a file, or meta-trained with [`es`](crate::es).
//!
//! # The step
//!
//! Of a gradient g of a tensor, element by element, with k from 1 to 3:
//!
//! ```text
//! mₖ ← βₖ mₖ + (1-βₖ) g,   v ← β v + (1-β) g²
//! rₖ ← βₖ' rₖ + (1-βₖ') mean over the largest axis of (g² + 1e-30)         rows
//! cₖ ← βₖ' cₖ + (1-βₖ') mean over the second largest of them               columns
//! ρₖ = 1/√max(rₖ / (mean over the second largest of rₖ + 1e-9), 1e-9),   κₖ = 1/√max(cₖ, 1e-9)
//! ```
//!
//! A tensor of fewer than two axes keeps `wₖ ← βₖ' wₖ + (1-βₖ') (g² + 1e-30)` in full. Of equal axes the later is the larger. The features are
//!
//! | | factored | not |
//! |---|---|---|
//! | 0, 1 | g, the parameter p | |
//! | 2 to 4, 5 | mₖ, v | |
//! | 6 to 8, 9 | mₖ/√(v + 1e-6), 1/√(v + 1e-6) | |
//! | 10 to 12 | g ρₖ κₖ | g/√max(wₖ + 1e-9, 1e-9) |
//! | 13 to 15, 16 to 18 | rₖ, cₖ | wₖ, wₖ |
//! | 19 to 21, 22 to 24 | 1/√(rₖ + 1e-8), 1/√(cₖ + 1e-8) | 1/√(wₖ + 1e-8) twice |
//! | 25 to 27 | mₖ ρₖ κₖ | mₖ/√(wₖ + 1e-6) |
//! | 28 to 38 | tanh(t/s - 1) of s = 1, 3, 10, … 10⁵ in step t, from 0 | |
//!
//! The first 28 are each divided by √(1e-5 + the mean of its square over the tensor). With d and a the first outputs of the network,
//!
//! ```text
//! p ← (1 - lr·weight_decay) p - lr·step_mult·d·exp(exp_mult·a)                         SmallFc
//!
//! p ← (1 - lr·weight_decay·exp(decay_exp_mult·b)) p                                   Star
//!     - lr·step_mult·d·exp(exp_mult·a)/√(v + 1e-6)
//!     - lr·nominal_lr·exp(nominal_exp_mult·n)·mean over k of mₖ/√(v + 1e-6)
//! ```
//!
//! where n and b are Star's other outputs: `MLPNomLOpt` of learned_optimization with the nominal term `AdamAggMo`, both controllers and
//! `normalize_blackbox`. Multipliers as small as 0.001 keep the magnitudes near 1 whatever the network says.
//!
//! Where implementations differ: momentum decays are not clipped, those of squares are clipped to \[0, 1\], and features 25 to 27 of
//! vectors have 1e-6, as in learned_optimization; PyLO's CUDA kernels clip all decays and have 1e-9 there.
//!
//! # What it costs
//!
//! `28·H + H² + 2·H` multiplications an element, and `28·H + H² + 4·H` with [`Form::Star`]: the normaliser and the features of time are
//! folded into the first layer, once a tensor. States are 4 numbers of the arithmetic type an element, 7 where second moments are not
//! factored, and 9 a row and column.

pub(crate) mod arithmetic;
mod network;
mod optimizer;
mod settings;
pub(crate) mod shape;

pub use network::Network;
pub use optimizer::SmallFcLopt;
pub(crate) use optimizer::{LoptBackend, check_memory};
pub use settings::{Form, Settings, Star};
