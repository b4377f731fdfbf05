use crate::linalg::{EighSettings, SpdSettings, WarmStart};

/// Which factors a direction is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// `A` and `G`: K-FAC.
    InputsAndOutputs,
    /// `A` alone: FOOF.
    Inputs,
}

/// What `λ` is added to. With [`Curvature::Inputs`] both forms make the same directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DampingForm {
    /// Each factor, `√λ` of it: `U = (G + √λ/π·1)⁻¹·V·(A + π·√λ·1)⁻¹`.
    Factored,
    /// The Kronecker product of the factors: `G·U·A + λ·U = V`, in their eigenbases. On CUDA their order is bounded, as that of
    /// [`Eigh`](crate::linalg::Eigh) is.
    Exact,
}

/// What factors are before the first observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialFactors {
    /// Nothing: the first observation counts alone, and averages are bias-corrected.
    None,
    /// The identity, of which every observation leaves the share `β`: plain moving averages. `β` must be below 1.
    Identity,
}

/// The settings of a [`Kfac`](super::Kfac).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KfacSettings {
    /// Which factors there are.
    pub curvature: Curvature,
    /// `λ`; finite, at least 0.
    pub damping: f64,
    /// What `λ` is added to.
    pub damping_form: DampingForm,
    /// The share of a factor that an observation keeps in the long run; in \[0, 1\].
    pub beta: f64,
    /// What factors are at first.
    pub initial: InitialFactors,
    /// Steps that inverses are used for by [`Kfac::step`](super::Kfac::step); at least 1.
    pub inverse_every: u64,
    /// `κ` of the KL clip; positive.
    pub kl_clip: Option<f64>,
    /// How factors are inverted, with [`DampingForm::Factored`].
    pub inversion: SpdSettings,
    /// How inverses begin from those before, with [`DampingForm::Factored`]; with `None` they do not.
    pub warm_start: Option<WarmStart>,
    /// How factors are decomposed, with [`DampingForm::Exact`].
    pub decomposition: EighSettings,
}

/// `λ = 10⁻³` of each factor, bias-corrected averages with `β = 0.95`, and new inverses every step, without a clip. The papers give
/// no defaults: λ is to be tuned.
impl Default for KfacSettings {
    fn default() -> Self {
        Self {
            curvature: Curvature::InputsAndOutputs,
            damping: 1e-3,
            damping_form: DampingForm::Factored,
            beta: 0.95,
            initial: InitialFactors::None,
            inverse_every: 1,
            kl_clip: None,
            inversion: SpdSettings::default(),
            warm_start: None,
            decomposition: EighSettings::default(),
        }
    }
}
