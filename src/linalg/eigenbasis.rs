use super::blocks::refuse;
use super::layer::{KlClip, LayerDirection, LayerGradient, Layers, Linear};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::memory::{MatMut, MatRef, View};

/// A layer of an [`EigenApply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EigenLayer {
    /// Its size.
    pub linear: Linear,
    /// Whether there is `Q_G`; else it is the identity, and takes no memory.
    pub left: bool,
}

/// An eigendecomposition `Q·diag(s)·Qᵀ`, as [`Eigh`](super::Eigh) makes it.
#[derive(Debug)]
pub struct Eigenbasis<'a, T: Real> {
    /// `Q` \[order×order\], an eigenvector a column.
    pub vectors: MatRef<'a, T>,
    /// `s` \[order\].
    pub values: View<'a, T>,
}

/// The eigendecompositions of a layer's factors.
#[derive(Debug)]
pub struct Eigenbases<'a, T: Real> {
    /// `Q_G` and `s`, of order outputs, where there is one.
    pub left: Option<Eigenbasis<'a, T>>,
    /// `Q_A` and `t`, of order columns, the bias last.
    pub right: Eigenbasis<'a, T>,
}

/// What becomes of the elements of `W = Q_Gᵀ·V·Q_A` in an [`EigenApply`]. Where there is no `Q_G`, every `s_i` is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// `W_ij/(s_i·t_j + λ)`: the damped inverse of the Kronecker product itself, which factored damping only approaches (Grosse
    /// and Martens 2016, appendix B; George et al. 2018).
    Damped {
        /// `λ`; finite, at least 0.
        damping: f64,
    },
    /// `W_ij·(max(s_i·t_j, 0) + λ)^e`: powers of the Kronecker product, as `e = -1/4` of Shampoo's factors (Gupta, Koren and
    /// Singer 2018) or `-1/2`, which whitens.
    Power {
        /// `λ`; finite, at least 0. With 0, a product that is not positive gives infinities where `e` is below 0.
        damping: f64,
        /// `e`; finite.
        exponent: f64,
    },
    /// `E ← β·E + (1-β)·W²`, then `W_ij/(E_ij + λ)`: eigenvalues that are corrected by second moments in the basis (EKFAC, with
    /// running averages: George et al. 2018). Eigenvalues are not read.
    SecondMoments {
        /// `β`; in \[0, 1\].
        beta: f64,
        /// `λ`; finite, at least 0.
        damping: f64,
    },
    /// `E ← β·E + (1-β)·W²`, then `W_ij/(√(E_ij/(1-βᵗ)) + ε)`: Adam's second moments in the basis, as in SOAP (Vyas et al. 2024).
    /// Every call adds 1 to `t` before; replays do, too. Eigenvalues are not read.
    Adam {
        /// `β`; at least 0, below 1.
        beta: f64,
        /// `ε`; finite, at least 0.
        epsilon: f64,
        /// `t` so far: the updates that `E`, which began with zeros, has had.
        updates: u64,
    },
}

impl Epilogue {
    /// Whether there is an `E`.
    pub fn has_moments(&self) -> bool {
        matches!(self, Self::SecondMoments { .. } | Self::Adam { .. })
    }

    fn check(&self) -> Result<()> {
        let finite = |name, value: f64| match (0.0..f64::INFINITY).contains(&value) {
            true => Ok(()),
            false => refuse("epilogue".to_owned(), format!("{name} = {value} is not a finite number of at least 0")),
        };
        match *self {
            Self::Damped { damping } => finite("damping", damping),
            Self::Power { exponent, .. } if !exponent.is_finite() => {
                refuse("epilogue".to_owned(), format!("exponent = {exponent} is not finite"))
            }
            Self::SecondMoments { beta, .. } if !(0.0..=1.0).contains(&beta) => {
                refuse("epilogue".to_owned(), format!("beta = {beta} is outside [0, 1]"))
            }
            Self::Adam { beta, .. } if !(0.0..1.0).contains(&beta) => {
                refuse("epilogue".to_owned(), format!("beta = {beta} is outside [0, 1)"))
            }
            Self::Power { damping, .. } | Self::SecondMoments { damping, .. } => finite("damping", damping),
            Self::Adam { epsilon, .. } => finite("epsilon", epsilon),
        }
    }
}

/// Directions in eigenbases,
///
/// `U = Q_G·[(Q_Gᵀ·V·Q_A) ∘ f]·Q_Aᵀ`,
///
/// of a ragged list of layers, with `f` as the [`Epilogue`] says: five launches on CUDA, three where no layer has `Q_G`, two more
/// with a clip. A call waits for nothing and allocates nothing, and can be captured in a graph; the plan holds two products and the
/// transposed bases of every layer.
///
/// With [`Epilogue::Damped`] and the eigendecompositions of `G` and `A` this is `U` of `G·U·A + λ·U = V`. The bases need not be
/// those of the present factors: second moments are of any orthogonal ones.
///
/// ```
/// use gradus::linalg::{
///     EigenApply, EigenLayer, Eigenbases, Eigenbasis, Epilogue, LayerDirection, LayerGradient, Linear,
/// };
/// use gradus::{Device, MatMut, MatRef};
///
/// let layer = EigenLayer { linear: Linear { inputs: 2, outputs: 1, bias: false }, left: false };
/// let mut plan = EigenApply::<f64>::new(&Device::cpu(), &[layer], Epilogue::Damped { damping: 1.0 })?;
/// let (q, t) = ([0.6, -0.8, 0.8, 0.6], [1.0, 3.0]);
/// let (v, mut u) = ([1.0, 2.0], [0.0; 2]);
/// let right = Eigenbasis { vectors: MatRef::new(&q[..], 2, 2)?, values: (&t[..]).into() };
/// let gradient = LayerGradient { weight: MatRef::new(&v[..], 1, 2)?, bias: None };
/// let direction = LayerDirection { weight: MatMut::new(&mut u[..], 1, 2)?, bias: None };
/// plan.apply(&[Eigenbases { left: None, right }], &mut [], &[gradient], &mut [direction])?;
/// // W = [2.2, 0.4] becomes [1.1, 0.1].
/// assert!((u[0] - 0.58).abs() < 1e-15 && (u[1] - 0.94).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct EigenApply<T: Real> {
    layers: Vec<EigenLayer>,
    sizes: Layers,
    epilogue: Epilogue,
    backend: Box<dyn EigenBackend<T>>,
}

/// The layers of an [`EigenApply`] on a device. The caller has checked every argument but addresses.
pub(crate) trait EigenBackend<T: Real>: Send {
    /// Sets another epilogue of the same kind.
    fn set_epilogue(&mut self, epilogue: Epilogue) -> Result<()>;

    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()>;

    /// `moments` are as many as layers, or none.
    fn apply(
        &mut self,
        bases: &[Eigenbases<'_, T>],
        moments: &mut [MatMut<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()>;

    fn clip_factor(&self) -> Result<f64>;
}

impl<T: Real> EigenApply<T> {
    /// A plan for these layers, without a clip.
    ///
    /// Errors: a layer without inputs or outputs; a number of the epilogue outside its range; f64 on CUDA; memory that does not
    /// suffice.
    pub fn new(device: &Device, layers: &[EigenLayer], epilogue: Epilogue) -> Result<Self> {
        epilogue.check()?;
        let linear: Vec<Linear> = layers.iter().map(|layer| layer.linear).collect();
        let sizes = Layers::new(device, &linear)?;
        let backend: Box<dyn EigenBackend<T>> = match device {
            Device::Cpu(_) => Box::new(cpu::linalg::CpuEigen::new(linear, epilogue)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaEigen::new(cuda, layers, linear, epilogue)?),
        };
        Ok(Self { layers: layers.to_vec(), sizes, epilogue, backend })
    }

    /// The layers, as they were given.
    pub fn layers(&self) -> &[EigenLayer] {
        &self.layers
    }

    /// The epilogue, as it was set last.
    pub fn epilogue(&self) -> &Epilogue {
        &self.epilogue
    }

    /// Sets the numbers of the epilogue, from the next call or replay on.
    ///
    /// Errors: another kind of epilogue; a number outside its range.
    pub fn set_epilogue(&mut self, epilogue: Epilogue) -> Result<()> {
        epilogue.check()?;
        if std::mem::discriminant(&epilogue) != std::mem::discriminant(&self.epilogue) {
            return refuse("epilogue".to_owned(), format!("{epilogue:?} is of another kind than {:?}", self.epilogue));
        }
        self.backend.set_epilogue(epilogue)?;
        self.epilogue = epilogue;
        Ok(())
    }

    /// Sets the clip, from the next call on; in replays of a captured call with a clip, its values.
    ///
    /// Errors: a value that is not positive and finite.
    pub fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        clip.as_ref().map_or(Ok(()), KlClip::check)?;
        self.backend.set_clip(clip)
    }

    /// `ν` of the last call; 1 where there was no clip. On CUDA the host waits.
    pub fn clip_factor(&self) -> Result<f64> {
        self.backend.clip_factor()
    }

    /// Writes every layer's direction. `moments` are `E` \[outputs×columns\] of every layer, the bias last, where the epilogue
    /// has them, else none; they are updated.
    ///
    /// Errors, before anything is touched: other numbers, sizes or devices than the plan's, overlapping memory.
    pub fn apply(
        &mut self,
        bases: &[Eigenbases<'_, T>],
        moments: &mut [MatMut<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        self.sizes.same_number("bases", bases.len())?;
        self.sizes.same_number("gradients", gradients.len())?;
        self.sizes.same_number("directions", directions.len())?;
        if self.epilogue.has_moments() {
            self.sizes.same_number("moments", moments.len())?;
        } else if !moments.is_empty() {
            return refuse("moments".to_owned(), format!("there are {} and the epilogue takes none", moments.len()));
        }
        self.sizes.each(|position, layer| {
            let Eigenbases { left, right } = &bases[position];
            if left.is_some() != self.layers[position].left {
                let words = if left.is_some() { ["a", "none"] } else { ["no", "one"] };
                return Err(format!("it has {} left basis and must have {}", words[0], words[1]));
            }
            let both = [("right", Some(right), layer.columns()), ("left", left.as_ref(), layer.outputs)];
            for (side, basis, order) in both {
                let Some(Eigenbasis { vectors, values }) = basis else { continue };
                self.sizes.check_matrix(&format!("{side} basis"), vectors, (order, order))?;
                if values.len() != order {
                    return Err(format!("its {side} basis has {} eigenvalues and must have {order}", values.len()));
                }
                self.sizes.check_place(values.place())?;
            }
            if let Some(moments) = moments.get(position) {
                self.sizes.check_written("second moment", moments, (layer.outputs, layer.columns()))?;
            }
            self.sizes.check_gradient(layer, &gradients[position], &directions[position])
        })?;
        self.backend.apply(bases, moments, gradients, directions)
    }
}
