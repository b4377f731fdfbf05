use super::{GREATEST, MOMENTUM_KEEP, MOMENTUM_PULLBACK, MOMENTUM_RESET};
use crate::error::Result;
use crate::rules::settings::in_range;

/// Lookahead: slow weights that follow the rule's fast ones every few steps and pull them back.
///
/// Zhang et al., "Lookahead optimizer: k steps forward, 1 step back" (2019), Algorithm 1. Behind every `every`-th step of
/// a tensor:
///
/// ```text
/// φ ← φ + α (θ - φ)        θ ← φ                 φ₀ = θ₀
/// ```
///
/// The rule's step counter and states run on across synchronisations, save its momentum where [`Momentum`] says so. The
/// paper's α is 0.5; the authors' code has 0.8. φ is kept in the arithmetic type. torch_optimizer takes φ₀ at the first
/// synchronisation, which then does nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lookahead {
    /// Steps from one synchronisation to the next, the paper's k; at least 1.
    pub every: u64,
    /// The fast weights' share α; `(0, 1]`.
    pub share: f64,
    /// What a synchronisation does to the rule's momentum.
    pub momentum: Momentum,
}

/// What a synchronisation of [`Lookahead`] does to the momentum of the rule: the state that the rule names for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Momentum {
    /// Nothing.
    Keep,
    /// Sets it to zero.
    Reset,
    /// `m ← α m + (1-α) m'`, where `m'` is what stood here behind the synchronisation before; 0 at first.
    Pullback,
}

impl Default for Lookahead {
    /// The paper's: every 5 steps, share 0.5, momentum kept.
    fn default() -> Self {
        Self { every: 5, share: 0.5, momentum: Momentum::Keep }
    }
}

impl Lookahead {
    pub(crate) fn check(&self) -> Result<()> {
        in_range("Lookahead", "every", self.every as f64, 1.0..=GREATEST as f64)?;
        in_range("Lookahead", "share", self.share, f64::MIN_POSITIVE..=1.0)
    }

    /// Interval, share and momentum as [`Hyper`](super::Hyper) has them.
    pub(crate) fn encode(&self) -> [f64; 3] {
        let momentum = match self.momentum {
            Momentum::Keep => MOMENTUM_KEEP,
            Momentum::Reset => MOMENTUM_RESET,
            Momentum::Pullback => MOMENTUM_PULLBACK,
        };
        [self.every as f64, self.share, momentum]
    }

    pub(crate) fn decode([every, share, momentum]: [f64; 3]) -> Option<Self> {
        let momentum = match momentum {
            MOMENTUM_KEEP => Momentum::Keep,
            MOMENTUM_RESET => Momentum::Reset,
            MOMENTUM_PULLBACK => Momentum::Pullback,
            _ => return None,
        };
        Some(Self { every: every as u64, share, momentum })
    }
}
