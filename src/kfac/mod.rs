//! K-FAC and FOOF: natural-gradient directions of linear layers from Kronecker factors.
//!
//! For a layer `y = W·x + b` with the gradient `V = ∂L/∂[W b]` \[outputs×columns\], the factors are moving averages
//! `A = E[x̄·x̄ᵀ]` of its inputs, a 1 behind each for the bias, and `G = E[g·gᵀ]` of the gradients `g = ∂L/∂y`, of labels drawn from
//! the model (the Fisher matrix) or of the true ones (the empirical one). The direction is
//!
//! `U = (G + √λ/π·1)⁻¹·V·(A + π·√λ·1)⁻¹` with `π = √((tr A/columns) / (tr G/outputs))`
//!
//! (Martens and Grosse 2015, section 6.3), with [`DampingForm::Exact`] that of `G·U·A + λ·U = V`, or with [`Curvature::Inputs`]
//! `U = V·(A + λ·1)⁻¹` (FOOF: Benzing 2022). A rule of [`rules`](crate::rules) then steps with `U` as its gradient.
//!
//! The phases are types: a [`Kfac`] that is [`Unobserved`] has no factors and can only [`observe`](Kfac::observe); then it is
//! [`Observed`] and can be inverted; [`Inverted`], it makes directions, and observes and is inverted again as often as the caller
//! likes, or as its settings say in [`Kfac::step`].
//!
//! ```
//! use gradus::kfac::{Kfac, KfacSettings, Observation};
//! use gradus::linalg::{Inputs, LayerDirection, LayerGradient, Linear};
//! use gradus::{Device, MatMut, MatRef};
//!
//! let layers = [Linear { inputs: 2, outputs: 1, bias: false }];
//! let kfac = Kfac::<f64>::new(&Device::cpu(), &layers, KfacSettings { damping: 0.01, ..KfacSettings::default() })?;
//! let (x, g) = ([1.0, 0.0, 0.0, 2.0], [0.5, -0.5]);
//! let observation = Observation {
//!     inputs: Inputs::rows(MatRef::new(&x[..], 2, 2)?),
//!     output_gradients: Some(Inputs::rows(MatRef::new(&g[..], 2, 1)?)),
//! };
//! let mut kfac = kfac.observe(vec![observation])?.invert()?;
//! let (v, mut u) = ([0.25, -0.5], [0.0; 2]);
//! let gradient = LayerGradient { weight: MatRef::new(&v[..], 1, 2)?, bias: None };
//! let direction = LayerDirection { weight: MatMut::new(&mut u[..], 1, 2)?, bias: None };
//! kfac.precondition(&[gradient], &mut [direction])?;
//! assert!(u[0] > 0.0 && u[1] < 0.0);
//! # Ok::<(), gradus::Error>(())
//! ```

mod preconditioner;
mod settings;

use std::marker::PhantomData;

pub use preconditioner::FactorReport;
use preconditioner::Preconditioner;
pub use settings::{Curvature, DampingForm, InitialFactors, KfacSettings};

use crate::device::Device;
use crate::element::{Element, Real};
use crate::error::{ErrorKind, Result};
use crate::linalg::{Gram, Inputs, KlClip, LayerDirection, LayerGradient, Linear, SyrkEma};
use crate::memory::Buffer;

/// What a pass through the network shows of a layer.
#[derive(Debug)]
pub struct Observation<'a, E: Element> {
    /// The rows x, without the 1 of the bias.
    pub inputs: Inputs<'a, E>,
    /// The rows g; `None` with [`Curvature::Inputs`].
    pub output_gradients: Option<Inputs<'a, E>>,
}

/// There are no factors yet.
#[derive(Debug)]
pub enum Unobserved {}
/// There are factors.
#[derive(Debug)]
pub enum Observed {}
/// There are factors and inverses.
#[derive(Debug)]
pub enum Inverted {}

/// Kronecker factors of linear layers, their inverses and the directions made with them. `E` is the type of observations, whose
/// arithmetic type all else has. See [the module](self).
pub struct Kfac<E: Element, Phase = Unobserved> {
    parts: Box<Parts<E>>,
    phase: PhantomData<Phase>,
}

struct Parts<E: Element> {
    settings: KfacSettings,
    lr: f64,
    averages: SyrkEma<E>,
    /// Packed: of each layer A, then G where there is one.
    factors: Vec<Buffer<E::Real>>,
    preconditioner: Preconditioner<E::Real>,
    /// Steps that the inverses have been used for.
    age: u64,
}

fn refuse<T>(message: String) -> Result<T> {
    Err(ErrorKind::Matrices { what: "K-FAC".to_owned(), message }.into())
}

impl<E: Element> Kfac<E, Unobserved> {
    /// Room for the factors of these layers. `lr`, which the KL clip asks for, is 1 until [`Self::set_lr`].
    ///
    /// Errors: a setting outside its range; a layer without inputs or outputs; f64 on CUDA; there with [`DampingForm::Exact`] a
    /// factor that is too large for [`Eigh`](crate::linalg::Eigh); memory that does not suffice.
    pub fn new(device: &Device, layers: &[Linear], settings: KfacSettings) -> Result<Self> {
        if settings.inverse_every == 0 {
            return refuse("inverses cannot be used for 0 steps".to_owned());
        }
        let has_outputs = settings.curvature == Curvature::InputsAndOutputs;
        let count = match settings.initial {
            InitialFactors::None => 0.0,
            InitialFactors::Identity => 1.0 / (1.0 - settings.beta),
        };
        let gram = |features, bias| Gram { count, ..Gram::new(features, bias, settings.beta) };
        let of_layer =
            |layer: &Linear| [Some(gram(layer.inputs, layer.bias)), has_outputs.then(|| gram(layer.outputs, false))];
        let grams: Vec<Gram> = layers.iter().flat_map(of_layer).flatten().collect();
        let averages = SyrkEma::new(device, &grams)?;
        let preconditioner = Preconditioner::new(device, layers, &settings)?;
        let factors = grams.iter().map(|gram| match settings.initial {
            InitialFactors::None => Buffer::zeros(device, gram.elements()),
            InitialFactors::Identity => Buffer::from_slice(device, &identity(gram.order())),
        });
        let factors = factors.collect::<Result<_>>()?;
        let mut parts = Parts { settings, lr: 1.0, averages, factors, preconditioner, age: 0 };
        parts.set_clip()?;
        Ok(Self { parts: Box::new(parts), phase: PhantomData })
    }

    /// Takes the first observation of every layer.
    ///
    /// Errors: as [`SyrkEma::update`]; output gradients that are missing, or given without need. The object is then lost.
    pub fn observe(mut self, observations: Vec<Observation<'_, E>>) -> Result<Kfac<E, Observed>> {
        self.parts.observe(observations)?;
        Ok(self.into_phase())
    }
}

impl<E: Element, Phase> Kfac<E, Phase> {
    fn into_phase<Next>(self) -> Kfac<E, Next> {
        Kfac { parts: self.parts, phase: PhantomData }
    }

    /// The settings, with their present damping.
    pub fn settings(&self) -> &KfacSettings {
        &self.parts.settings
    }

    /// Sets the learning rate that the KL clip counts with. Errors: it is not a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        self.parts.lr = lr;
        self.parts.set_clip()
    }

    /// Sets `λ`, from the next inversion on, or with [`DampingForm::Exact`] from the next directions on. Errors: it is not a finite number of at least 0.
    pub fn set_damping(&mut self, damping: f64) -> Result<()> {
        self.parts.preconditioner.set_damping(damping)?;
        self.parts.settings.damping = damping;
        Ok(())
    }
}

impl<E: Element> Kfac<E, Observed> {
    /// Takes another observation. Errors: as the first one.
    pub fn observe(&mut self, observations: Vec<Observation<'_, E>>) -> Result<()> {
        self.parts.observe(observations)
    }

    /// Inverts or decomposes the factors. Errors: those of the device; the object is then lost.
    pub fn invert(mut self) -> Result<Kfac<E, Inverted>> {
        self.parts.invert()?;
        Ok(self.into_phase())
    }
}

impl<E: Element> Kfac<E, Inverted> {
    /// Takes another observation; inverses stay what they are. Errors: as the first one.
    pub fn observe(&mut self, observations: Vec<Observation<'_, E>>) -> Result<()> {
        self.parts.observe(observations)
    }

    /// Inverts or decomposes the factors as they are now. Errors: those of the device.
    pub fn invert(&mut self) -> Result<()> {
        self.parts.invert()
    }

    /// Writes the direction of every layer. Errors: as [`KronApply::apply`](crate::linalg::KronApply::apply).
    pub fn precondition(
        &mut self,
        gradients: &[LayerGradient<'_, E::Real>],
        directions: &mut [LayerDirection<'_, E::Real>],
    ) -> Result<()> {
        self.parts.precondition(gradients, directions)
    }

    /// An observation, new inverses where these have been used for as many steps as the settings say, and directions.
    ///
    /// Errors: as those of its parts.
    pub fn step(
        &mut self,
        observations: Vec<Observation<'_, E>>,
        gradients: &[LayerGradient<'_, E::Real>],
        directions: &mut [LayerDirection<'_, E::Real>],
    ) -> Result<()> {
        self.parts.observe(observations)?;
        if self.parts.age >= self.parts.settings.inverse_every {
            self.parts.invert()?;
        }
        self.parts.precondition(gradients, directions)
    }

    /// What became of the factors in the last inversion: of each layer A, then G where there is one. A factor that could not be
    /// inverted, or decomposed, kept what it had (at first zeros). On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<FactorReport>> {
        self.parts.preconditioner.reports()
    }

    /// `ν` of the last directions. On CUDA the host waits.
    pub fn clip_factor(&self) -> Result<f64> {
        self.parts.preconditioner.clip_factor()
    }
}

impl<E: Element> Parts<E> {
    fn has_outputs(&self) -> bool {
        self.settings.curvature == Curvature::InputsAndOutputs
    }

    fn set_clip(&mut self) -> Result<()> {
        self.preconditioner.set_clip(self.settings.kl_clip.map(|kappa| KlClip { kappa, lr: self.lr }))
    }

    fn observe(&mut self, observations: Vec<Observation<'_, E>>) -> Result<()> {
        let mut all = Vec::with_capacity(self.factors.len());
        for (position, observation) in observations.into_iter().enumerate() {
            if observation.output_gradients.is_some() != self.has_outputs() {
                let what = if self.has_outputs() { "needs" } else { "takes no" };
                return refuse(format!("layer {position} {what} output gradients"));
            }
            all.push(observation.inputs);
            all.extend(observation.output_gradients);
        }
        let mut factors: Vec<_> = self.factors.iter_mut().map(Buffer::view_mut).collect();
        self.averages.update(&all, &mut factors)
    }

    fn invert(&mut self) -> Result<()> {
        self.preconditioner.invert(&self.factors)?;
        self.age = 0;
        Ok(())
    }

    fn precondition(
        &mut self,
        gradients: &[LayerGradient<'_, E::Real>],
        directions: &mut [LayerDirection<'_, E::Real>],
    ) -> Result<()> {
        self.preconditioner.apply(gradients, directions)?;
        self.age += 1;
        Ok(())
    }
}

/// The packed identity.
fn identity<T: Real>(order: usize) -> Vec<T> {
    let element = |(i, j)| T::from_f64(f64::from(i == j));
    (0..order).flat_map(|i| (0..=i).map(move |j| (i, j))).map(element).collect()
}
