//! Words that several rules share.

use super::{Setting, Value};

/// Where weight decay acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// On the gradient: `g ← g + λp`, before anything else. A penalty `λ/2 ‖p‖²` on the loss.
    L2,
    /// On the parameter: `p ← (1 - lr·λ) p`, before the update.
    Decoupled,
}

/// The code of [`Decay::L2`] in a rule's `Hyper`.
pub const DECAY_L2: f64 = 0.0;
/// The code of [`Decay::Decoupled`] in a rule's `Hyper`.
pub const DECAY_DECOUPLED: f64 = 1.0;

impl Setting for Decay {
    const EXPECTED: &'static str = "'l2' or 'decoupled'";

    fn encode(self) -> f64 {
        match self {
            Self::L2 => DECAY_L2,
            Self::Decoupled => DECAY_DECOUPLED,
        }
    }

    fn decode(code: f64) -> Option<Self> {
        [Self::L2, Self::Decoupled].into_iter().find(|decay| decay.encode() == code)
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Name(name) if name == "l2" => Some(Self::L2),
            Value::Name(name) if name == "decoupled" => Some(Self::Decoupled),
            _ => None,
        }
    }
}
