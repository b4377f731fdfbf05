//! Stochastic gradient descent with momentum, dampening and Nesterov's form.
//!
//! Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), in the form of
//! `torch.optim.SGD`: the learning rate multiplies the buffer when it is applied, not when it is filled.
//!
//! ```text
//! d ← g + λp  (L2; else d = g)
//! b ← d at t = 1,  μ b + (1 - dampening) d after it
//! p ← (1 - lr·λ) p - lr·(d + μ b)  (Nesterov; else lr·b)        (with L2 the first factor is 1)
//! ```
//!
//! Dampening does not act on the first step, nor without momentum. optax has no dampening and agrees otherwise.

use super::prelude::*;

settings! {
    /// Settings of SGD. State: one element a parameter, none without momentum.
    pub struct Sgd {
        /// Learning rate, per step; `lr ≥ 0`.
        pub lr: f64 = 1e-3, in 0.0..;
        /// Factor μ by which the momentum buffer shrinks a step; `momentum ≥ 0`.
        pub momentum: f64 = 0.0, in 0.0..;
        /// Share of the gradient kept out of the buffer from the second step on; at most 1.
        pub dampening: f64 = 0.0, in ..=1.0;
        /// Steps along `d + μ b` instead of `b`; wants momentum and no dampening.
        pub nesterov: bool = false;
        /// Weight decay λ; `weight_decay ≥ 0`.
        pub weight_decay: f64 = 0.0, in 0.0..;
        /// Where λ acts.
        pub decay: Decay = Decay::L2;
    }
}

record! { pub struct Scalars { l2, keep, momentum, gradient_weight, nesterov, lr } }
record! { pub struct State { momentum } }

impl Rule for Sgd {
    const NAME: &'static str = "sgd";
    type Carry = Nothing<f64>;
    type Scalars<T: Real> = Scalars<T>;
    type State<T: Real> = State<T>;
    type Gradient<T: Real> = T;
    const MOMENTUM: Option<usize> = Some(0);

    fn check(&self) -> Result<()> {
        self.check_ranges()?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::setting(
                "Sgd",
                format!(
                    "nesterov wants momentum > 0 and dampening = 0, but momentum = {} and dampening = {}",
                    self.momentum, self.dampening
                ),
            ));
        }
        Ok(())
    }

    fn is_stateless(h: &Hyper<f64>) -> bool {
        h.momentum == 0.0
    }

    fn tick(h: &Hyper<f64>, t: u64, _: &mut Nothing<f64>) -> Scalars<f64> {
        Scalars {
            l2: l2(h.decay, h.weight_decay),
            keep: keep(h.decay, h.lr, h.weight_decay),
            momentum: h.momentum,
            gradient_weight: select(t == 1 || h.momentum == 0.0, 1.0, 1.0 - h.dampening),
            nesterov: h.nesterov,
            lr: h.lr,
        }
    }

    #[inline(always)]
    fn update<T: Real>(s: &Scalars<T>, p: T, g: T, state: &mut State<T>) -> T {
        let d = fma(s.l2, p, g);
        state.momentum = fma(s.momentum, state.momentum, s.gradient_weight * d);
        let ahead = fma(s.momentum, state.momentum, d);
        let direction = select(s.nesterov != real(0.0), ahead, state.momentum);
        fma(-s.lr, direction, p * s.keep)
    }
}
