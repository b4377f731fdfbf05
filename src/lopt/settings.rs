use super::shape::WHAT;
use crate::error::{Error, ErrorKind, Result};

/// What the outputs of a [`Network`](super::Network) are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Direction and magnitude.
    SmallFc,
    /// Direction and magnitude, and the magnitudes of the nominal term and of the weight decay.
    Star,
}

impl Form {
    /// The number of outputs.
    pub const fn outputs(self) -> usize {
        match self {
            Self::SmallFc => 2,
            Self::Star => 4,
        }
    }
}

/// What [`Form::Star`] adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Star {
    /// Step size of the nominal term; finite, at least 0.
    pub nominal_lr: f64,
    /// What multiplies its magnitude; finite.
    pub nominal_exp_mult: f64,
    /// What multiplies the magnitude of the weight decay; finite.
    pub decay_exp_mult: f64,
}

/// No nominal term, multipliers of 0.001.
impl Default for Star {
    fn default() -> Self {
        Self { nominal_lr: 0.0, nominal_exp_mult: 1e-3, decay_exp_mult: 1e-3 }
    }
}

/// The settings of a [`SmallFcLopt`](super::SmallFcLopt).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What multiplies the whole step; finite, at least 0. The published optimizers have none.
    pub lr: f64,
    /// Weight decay, decoupled; finite, at least 0.
    pub weight_decay: f64,
    /// What multiplies the direction; finite. PyLO's weights were trained with 0.01.
    pub step_mult: f64,
    /// What multiplies the magnitude before it is an exponent; finite.
    pub exp_mult: f64,
    /// Decays β₀ of the momenta, before what is learned is added; in \[0, 1).
    pub momentum_decays: [f64; 3],
    /// That of the squared gradient.
    pub rms_decay: f64,
    /// Those of the factored squared gradients.
    pub adafactor_decays: [f64; 3],
    /// What there is beside the learned step: of a network of [`Form::Star`], and of no other.
    pub star: Option<Star>,
}

/// Those of learned_optimization's `AdafacMLPLOpt`.
impl Default for Settings {
    fn default() -> Self {
        Self {
            lr: 1.0,
            weight_decay: 0.0,
            step_mult: 1e-3,
            exp_mult: 1e-3,
            momentum_decays: [0.9, 0.99, 0.999],
            rms_decay: 0.999,
            adafactor_decays: [0.9, 0.99, 0.999],
            star: None,
        }
    }
}

impl Settings {
    /// Errors: a setting that lies outside its range; a form that is not that of the network.
    pub(super) fn check(&self, form: Form) -> Result<()> {
        let star = self.star.unwrap_or_default();
        let [finite, positive, decay] = ["(-∞, ∞)", "[0, ∞)", "[0, 1)"];
        let mut all = vec![
            ("lr", self.lr, positive),
            ("weight_decay", self.weight_decay, positive),
            ("step_mult", self.step_mult, finite),
            ("exp_mult", self.exp_mult, finite),
            ("rms_decay", self.rms_decay, decay),
            ("nominal_lr", star.nominal_lr, positive),
            ("nominal_exp_mult", star.nominal_exp_mult, finite),
            ("decay_exp_mult", star.decay_exp_mult, finite),
        ];
        all.extend(self.momentum_decays.map(|beta| ("momentum_decays", beta, decay)));
        all.extend(self.adafactor_decays.map(|beta| ("adafactor_decays", beta, decay)));
        let is_outside =
            |value: f64, range| !value.is_finite() || value < 0.0 && range != finite || value >= 1.0 && range == decay;
        if let Some(&(setting, value, range)) = all.iter().find(|(_, value, range)| is_outside(*value, *range)) {
            return Err(ErrorKind::OutOfRange { rule: WHAT, setting, value, range: range.to_owned() }.into());
        }
        let expected = if self.star.is_some() { Form::Star } else { Form::SmallFc };
        if form != expected {
            let message = format!("the network is {form:?} but the settings are those of {expected:?}");
            return Err(Error::setting(WHAT, message));
        }
        Ok(())
    }
}
