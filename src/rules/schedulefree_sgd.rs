//! Schedule-free SGD: steps at a constant rate, and an average of the iterates that takes the place of a schedule.
//!
//! ```text
//! d ← g + λy        (g is taken at y, the parameter; λz with decay_at_z)
//! z ← z - lr_t d                                            lr_t = lr · min(t/warmup, 1)
//! x ← (1-c) x + c z                                         c = w_t / Σ w        w_t = t^r · (max lr)^power
//! y ← β x + (1-β) z                                         z₀ = x₀ = y₀
//! ```
//!
//! Defazio, Yang, Mehta, Mishchenko, Khaled & Cutkosky, "The road less scheduled" (2024), equations 1 to 3; as
//! `SGDScheduleFreeReference` of facebookresearch/schedule_free has it, with its defaults. The greatest rate is that of the steps
//! so far; the paper's weights are lr².
//!
//! The parameter is y; **evaluate the model at x**, which the rule's [`evaluation`](super::Rule::evaluation) gives:
//! `x = y + (1 - 1/β)(z - y)`. x itself is not kept: `y ← y + c (z - y) - lr_t (1 - β(1-c)) d`, with the z from before the
//! step, is the same. That is why β = 0, where y = z, is refused, as it is there.
//!
//! State: one element a parameter.
//!
//! ```
//! use gradus::optim::{Array, Optimizer, Tensor};
//! use gradus::rules::{Rule, ScheduleFreeSgd};
//! use gradus::Device;
//!
//! let rule = ScheduleFreeSgd { lr: 0.25, momentum: 0.5, ..ScheduleFreeSgd::default() };
//! let mut optimizer = Optimizer::<ScheduleFreeSgd>::new(&Device::cpu(), rule)?;
//! optimizer.add(Tensor::new(1).id(0))?;
//! let mut weight = vec![1.0_f32];
//! for _ in 0..2 {
//!     optimizer.step(&mut [(&mut weight).into()], &[Some((&vec![1.0_f32]).into())])?;
//! }
//!
//! // z has gone to 0.75 and to 0.5, x to 0.75 and to their mean.
//! assert_eq!(weight, [0.5625]);
//! let state = optimizer.state()?;
//! let Some(Array::F32(z)) = state.get("tensor.0.0.state.z") else { panic!("z is kept") };
//! let Some((0, share)) = rule.evaluation() else { panic!("z is the first state") };
//! assert_eq!(weight[0] + share as f32 * (z[0] - weight[0]), 0.625);
//! # Ok::<(), gradus::Error>(())
//! ```

use super::common::{average_weight, warmed_up};
use super::prelude::*;
use crate::fmath::max;

settings! {
    /// Settings of schedule-free SGD. State: one element a parameter.
    pub struct ScheduleFreeSgd {
        /// Learning rate, per step; `lr ≥ 0`. One to fifty times what suits SGD with a schedule is usual.
        pub lr: f64 = 1.0, in 0.0..;
        /// The average's share β of the point that gradients are taken at; `(0, 1)`.
        pub momentum: f64 = 0.9, in f64::MIN_POSITIVE..1.0;
        /// Weight decay λ, added to the gradient; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Whether λ acts at z instead of y.
        pub decay_at_z: bool = false;
        /// Steps over which the rate rises to `lr` in a straight line.
        pub warmup_steps: u64 = 0;
        /// Power of the step in the average's weights; `r ≥ 0`. Later iterates weigh more where it is not 0.
        pub r: f64 = 0.0, in 0.0..;
        /// Power of the greatest rate so far in the average's weights; `weight_lr_power ≥ 0`.
        pub weight_lr_power: f64 = 2.0, in 0.0..;
    }
}

record! { pub struct Carry { greatest_lr, weight_sum } }
record! { pub struct Scalars { begins, weight_decay, decay_at_z, share, lr, y_lr } }
record! { pub struct State { z } }

impl Rule for ScheduleFreeSgd {
    const NAME: &'static str = "schedulefree_sgd";
    type Carry = Carry<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;

    fn evaluation(&self) -> Option<(usize, f64)> {
        Some((0, 1.0 - 1.0 / self.momentum))
    }

    fn tick(h: &Hyper<f64>, t: u64, carry: &mut Carry<f64>) -> Scalars<f64> {
        let lr = warmed_up(h.lr, h.warmup_steps, t);
        carry.greatest_lr = max(carry.greatest_lr, lr);
        let weight = average_weight(t, h.r, carry.greatest_lr, h.weight_lr_power);
        carry.weight_sum += weight;
        let share = select(carry.weight_sum == 0.0, 0.0, weight / carry.weight_sum);
        Scalars {
            begins: select(t == 1, 1.0, 0.0),
            weight_decay: h.weight_decay,
            decay_at_z: h.decay_at_z,
            share,
            lr,
            y_lr: lr * (1.0 - h.momentum * (1.0 - share)),
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let z = select(s.begins != real(0.0), p, state.z);
        let decayed = select(s.decay_at_z != real(0.0), z, p);
        let d = fma(s.weight_decay, decayed, g);
        state.z = fma(-s.lr, d, z);
        fma(-s.y_lr, d, fma(s.share, z - p, p))
    }
}
