//! K-FAC and FOOF: natural-gradient directions of linear layers from Kronecker factors.
//!
//! For a layer `y = W·x + b` with the gradient `V = ∂L/∂[W b]` \[outputs×columns\], the factors are moving averages
//! `A = E[x̄·x̄ᵀ]` of its inputs, a 1 behind each for the bias, and `G = E[g·gᵀ]` of the gradients `g = ∂L/∂y`, of labels drawn from
//! the model (the Fisher matrix) or of the true ones (the empirical one). The direction is
//!
//! `U = (G + √λ/π·1)⁻¹·V·(A + π·√λ·1)⁻¹` with `π = √((tr A/columns) / (tr G/outputs))`
//!
//! (Martens and Grosse 2015, section 6.3), or with [`Curvature::Inputs`] `U = V·(A + λ·1)⁻¹` (FOOF: Benzing 2022). A rule of
//! [`rules`](crate::rules) then steps with `U` as its gradient.
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

use std::marker::PhantomData;

use crate::device::Device;
use crate::element::{Element, Real};
use crate::error::{ErrorKind, Result};
use crate::linalg::{
    Block, Gram, Inputs, Inverses, KlClip, KronApply, LayerDirection, LayerGradient, Linear, Report, SpdInverse,
    SpdSettings, Symmetric, SyrkEma,
};
use crate::memory::{Buffer, MatMut, MatRef};

/// Which factors a direction is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curvature {
    /// `A` and `G`: K-FAC.
    InputsAndOutputs,
    /// `A` alone: FOOF.
    Inputs,
}

/// The settings of a [`Kfac`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KfacSettings {
    /// Which factors there are.
    pub curvature: Curvature,
    /// `λ`; finite, at least 0.
    pub damping: f64,
    /// The share of a factor that an observation keeps in the long run; in \[0, 1\]. Averages are bias-corrected.
    pub beta: f64,
    /// Steps that inverses are used for by [`Kfac::step`]; at least 1.
    pub inverse_every: u64,
    /// `κ` of the KL clip; positive.
    pub kl_clip: Option<f64>,
    /// How blocks are inverted.
    pub inversion: SpdSettings,
}

/// `λ = 10⁻³`, `β = 0.95` and new inverses every step, without a clip. The papers give no defaults: λ is to be tuned.
impl Default for KfacSettings {
    fn default() -> Self {
        Self {
            curvature: Curvature::InputsAndOutputs,
            damping: 1e-3,
            beta: 0.95,
            inverse_every: 1,
            kl_clip: None,
            inversion: SpdSettings::default(),
        }
    }
}

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
    inversion: SpdInverse<E::Real>,
    /// Rows begin at multiples of [`ROW`] elements.
    inverses: Vec<Buffer<E::Real>>,
    apply: KronApply<E::Real>,
    /// Steps that the inverses have been used for.
    age: u64,
}

/// Elements that a row of an inverse is a multiple of: whole sectors of f32.
const ROW: usize = 8;

fn stride(order: usize) -> usize {
    order.next_multiple_of(ROW)
}

fn refuse<T>(message: String) -> Result<T> {
    Err(ErrorKind::Matrices { what: "K-FAC".to_owned(), message }.into())
}

impl<E: Element> Kfac<E, Unobserved> {
    /// Room for the factors of these layers. `lr`, which the KL clip asks for, is 1 until [`Self::set_lr`].
    ///
    /// Errors: a setting outside its range; a layer without inputs or outputs; f64 on CUDA; memory that does not suffice.
    pub fn new(device: &Device, layers: &[Linear], settings: KfacSettings) -> Result<Self> {
        if settings.inverse_every == 0 {
            return refuse("inverses cannot be used for 0 steps".to_owned());
        }
        let has_outputs = settings.curvature == Curvature::InputsAndOutputs;
        let (mut grams, mut blocks) = (Vec::new(), Vec::new());
        for layer in layers {
            let first = blocks.len();
            let block =
                |order, partner: Option<usize>| Block { balanced_with: partner, ..Block::new(order, settings.damping) };
            grams.push(Gram::new(layer.inputs, layer.bias, settings.beta));
            blocks.push(block(layer.columns(), has_outputs.then_some(first + 1)));
            if has_outputs {
                grams.push(Gram::new(layer.outputs, false, settings.beta));
                blocks.push(block(layer.outputs, Some(first)));
            }
        }
        let averages = SyrkEma::new(device, &grams)?;
        let inversion = SpdInverse::new(device, &blocks, settings.inversion)?;
        let apply = KronApply::new(device, layers)?;
        let zeros = |length| Buffer::zeros(device, length);
        let factors = grams.iter().map(|gram| zeros(gram.elements())).collect::<Result<_>>()?;
        let inverses = blocks.iter().map(|block| zeros(block.order * stride(block.order))).collect::<Result<_>>()?;
        let mut parts = Parts { settings, lr: 1.0, averages, factors, inversion, inverses, apply, age: 0 };
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

    /// Sets `λ`, from the next inversion on. Errors: it is not a finite number of at least 0.
    pub fn set_damping(&mut self, damping: f64) -> Result<()> {
        let blocks = self.parts.inversion.blocks().len();
        self.parts.inversion.set_damping(&vec![damping; blocks])?;
        self.parts.settings.damping = damping;
        Ok(())
    }
}

impl<E: Element> Kfac<E, Observed> {
    /// Takes another observation. Errors: as the first one.
    pub fn observe(&mut self, observations: Vec<Observation<'_, E>>) -> Result<()> {
        self.parts.observe(observations)
    }

    /// Inverts the factors. Errors: those of the device; the object is then lost.
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

    /// Inverts the factors as they are now. Errors: those of the device.
    pub fn invert(&mut self) -> Result<()> {
        self.parts.invert()
    }

    /// Writes the direction of every layer. Errors: as [`KronApply::apply`].
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
    /// inverted kept its last inverse (at first zeros). On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<Report>> {
        self.parts.inversion.reports()
    }

    /// `ν` of the last directions. On CUDA the host waits.
    pub fn clip_factor(&self) -> Result<f64> {
        self.parts.apply.clip_factor()
    }
}

impl<E: Element> Parts<E> {
    fn has_outputs(&self) -> bool {
        self.settings.curvature == Curvature::InputsAndOutputs
    }

    fn set_clip(&mut self) -> Result<()> {
        self.apply.set_clip(self.settings.kl_clip.map(|kappa| KlClip { kappa, lr: self.lr }))
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
        let orders: Vec<usize> = self.inversion.blocks().iter().map(|block| block.order).collect();
        let sources = self.factors.iter().zip(&orders).map(|(factor, order)| Symmetric::packed(factor.view(), *order));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let inverses = self.inverses.iter_mut().zip(&orders);
        let inverses = inverses
            .map(|(inverse, &order)| MatMut::with_stride(inverse.view_mut(), order, order, stride(order)))
            .collect::<Result<Vec<_>>>();
        self.inversion.invert(&sources, &mut inverses?)?;
        self.age = 0;
        Ok(())
    }

    fn precondition(
        &mut self,
        gradients: &[LayerGradient<'_, E::Real>],
        directions: &mut [LayerDirection<'_, E::Real>],
    ) -> Result<()> {
        let has_outputs = self.has_outputs();
        let mut rest = self.inverses.iter();
        let mut inverses = Vec::with_capacity(self.apply.layers().len());
        for layer in self.apply.layers() {
            let mut next = |order| square(rest.next().expect("an inverse of every factor"), order);
            let right = next(layer.columns())?;
            let left = has_outputs.then(|| next(layer.outputs)).transpose()?;
            inverses.push(Inverses { left, right });
        }
        self.apply.apply(&inverses, gradients, directions)?;
        self.age += 1;
        Ok(())
    }
}

fn square<T: Real>(inverse: &Buffer<T>, order: usize) -> Result<MatRef<'_, T>> {
    MatRef::with_stride(inverse.view(), order, order, stride(order))
}
