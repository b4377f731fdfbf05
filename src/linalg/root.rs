use std::fmt;

use super::blocks::{MOST, refuse};
use super::{Fault, Symmetric};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::{MatMut, ViewMut};

/// A matrix of an [`InverseRoot`]: its size, which root is wanted, and its damping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootBlock {
    /// The number of rows; 1 to 2²⁰.
    pub order: usize,
    /// `p`; 1, 2, 4 or 8.
    pub root: u32,
    /// `λ`, added to the diagonal; finite, at least 0.
    pub damping: f64,
    /// `ρ`: so many largest eigenvalues are added to the diagonal; finite, at least 0. The eigenvalue is estimated by the power
    /// iteration of [`Reduction::LargestEigenvalue`](super::Reduction::LargestEigenvalue).
    pub relative_damping: f64,
}

impl RootBlock {
    /// A block without damping.
    pub fn new(order: usize, root: u32) -> Self {
        Self { order, root, damping: 0.0, relative_damping: 0.0 }
    }
}

/// What holds for all blocks of an [`InverseRoot`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootSettings {
    /// Steps of the iteration, at most; 1 to 1000. Each brings the smallest eigenvalue `(1 + 1/p)^p` times nearer.
    pub steps: u32,
    /// The error `max |M - 1|` at which a block has converged; finite, at least 0.
    pub tolerance: f64,
    /// The error up to which a root is written when the iteration ends before that; at least the tolerance, below 1.
    pub acceptance: f64,
    /// How much two elements that should be equal may differ, in means of the diagonal; finite, at least 0.
    pub asymmetry: f64,
    /// Steps of the power iteration where a damping is relative; 1 to 1000.
    pub power_steps: u32,
}

/// 40 steps, an error of 10⁻⁶, one of 0.1 accepted (both as in the Shampoo of Anil and others 2020), halves that differ by up to
/// 10⁻⁴ of the mean of the diagonal, 16 steps of the power iteration.
impl Default for RootSettings {
    fn default() -> Self {
        Self { steps: 40, tolerance: 1e-6, acceptance: 0.1, asymmetry: 1e-4, power_steps: 16 }
    }
}

impl RootSettings {
    fn check(&self) -> Result<()> {
        let Self { steps, tolerance, acceptance, asymmetry, power_steps } = *self;
        let refused = |message| refuse("settings".to_owned(), message);
        for (name, steps) in [("steps", steps), ("power_steps", power_steps)] {
            if !(1..=1000).contains(&steps) {
                return refused(format!("{name} = {steps} is not 1 to 1000"));
            }
        }
        for (name, value) in [("tolerance", tolerance), ("asymmetry", asymmetry)] {
            if !(0.0..f64::INFINITY).contains(&value) {
                return refused(format!("{name} = {value} is not a finite number of at least 0"));
            }
        }
        if !(tolerance..1.0).contains(&acceptance) {
            return refused(format!("acceptance = {acceptance} is not a number from the tolerance to below 1"));
        }
        Ok(())
    }
}

/// What became of a block in a call of [`InverseRoot::compute`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootReport {
    /// Whether a root was found, and what stood in the way.
    pub status: RootStatus,
    /// `λ + ρ·λ_max`, which was added to the diagonal.
    pub damping: f64,
    /// The estimate of `λ_max`; 0 where no damping is relative to it.
    pub largest_eigenvalue: f64,
    /// The steps that were taken.
    pub steps: u32,
}

impl RootReport {
    /// Whether the root was written.
    pub fn is_found(&self) -> bool {
        matches!(self.status, RootStatus::Found { .. })
    }
}

/// Whether a root was found. Where it was not, the root that stood there stands there still.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RootStatus {
    /// The root was written.
    Found {
        /// `max |M - 1|` of the M that belongs to it.
        error: f64,
    },
    /// No step came near enough: the block is not positive definite, or too near to singular for the type or the steps.
    NotConverged {
        /// The error of the best step; a NaN where it was none.
        error: f64,
    },
    /// The matrix is not one to be computed with.
    Faulty(Fault),
}

impl fmt::Display for RootStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { error } => write!(f, "found within {error:e}"),
            Self::NotConverged { error } => write!(f, "not converged: the best error is {error:e}"),
            Self::Faulty(fault) => fault.fmt(f),
        }
    }
}

/// Whether a matrix goes on after a step with this error and the one before: it has not converged, does not grow, and what is left
/// is not rounding, since near the end a step squares the error. Twin of the function in `kernels/linalg/sym_poly.cu`.
pub(crate) fn goes_on(before: f64, error: f64, tolerance: f64) -> bool {
    error > tolerance && error <= 1.2 * before && !(before < 0.1 && error > 0.5 * before)
}

/// Inverse p-th roots `(A + δ·1)^(-1/p)` of a ragged list of symmetric positive-definite blocks, by the coupled Newton iteration
/// (Higham 2008, Functions of Matrices, equation 7.18; Anil and others 2020, arXiv 2002.09018):
///
/// `M₀ = z·(A + δ·1)`, `X₀ = z^{1/p}·1`, then `T = (1 + 1/p)·1 - M/p`, `X ← X·T`, `M ← T^p·M`, which brings M to 1,
///
/// with `z = (1 + p)/(2·(‖A‖_F + δ·√n))` and `δ = λ + ρ·λ_max`. A block stops when `max |M - 1|` is at most the tolerance, when it
/// grows by a fifth, or when it was below 0.1 and is not halved; the better of the two last steps counts. Only half of the
/// products, all symmetric, is computed.
///
/// A block whose iteration does not come near enough, or that is not finite or not symmetric, keeps the root that stood there, and
/// its [`RootReport`] says so; no other block is touched by it.
///
/// Small eigenvalues are roots of `A + δ·1` within about `κ·ε`; where more is wanted of a small root, see [`Eigh`](super::Eigh).
///
/// It is made once for a list of sizes, and then holds all memory that a call needs. On CUDA a call is `log₂ p + 1` launches for
/// each of the settings' steps, in which blocks that have stopped do nothing, and six more with those of a power iteration;
/// it waits for nothing and can be captured in a graph.
///
/// ```
/// use gradus::linalg::{InverseRoot, RootBlock, RootSettings, Symmetric};
/// use gradus::{Device, MatMut, MatRef};
///
/// let mut plan = InverseRoot::new(&Device::cpu(), &[RootBlock::new(2, 4)], RootSettings::default())?;
/// let a = [16.0_f64, 0.0, 0.0, 81.0];
/// let mut root = [0.0; 4];
/// let source = Symmetric::full(MatRef::new(&a[..], 2, 2)?)?;
/// plan.compute(&[source], &mut [MatMut::new(&mut root[..], 2, 2)?])?;
/// assert!(plan.reports()?[0].is_found());
/// assert!((root[0] - 0.5).abs() < 1e-6 && (root[3] - 1.0 / 3.0).abs() < 1e-6 && root[1] == 0.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct InverseRoot<T: Real> {
    device: Device,
    blocks: Vec<RootBlock>,
    backend: Box<dyn RootBackend<T>>,
}

/// The blocks of an [`InverseRoot`] on a device. The caller has checked every argument but addresses.
pub(crate) trait RootBackend<T: Real>: Send {
    fn compute(&mut self, sources: &[Symmetric<'_, T>], roots: &mut [MatMut<'_, T>]) -> Result<()>;

    fn reports(&self) -> Result<Vec<RootReport>>;
}

impl<T: Real> InverseRoot<T> {
    /// A plan for these blocks.
    ///
    /// Errors: an order of 0 or beyond 2²⁰, another root than 1, 2, 4 or 8, a damping or a setting outside its range; f64 on
    /// CUDA; memory that does not suffice.
    pub fn new(device: &Device, blocks: &[RootBlock], settings: RootSettings) -> Result<Self> {
        settings.check()?;
        for (position, block) in blocks.iter().enumerate() {
            let refused = |message| refuse(name(position), message);
            if !(1..=MOST).contains(&block.order) {
                return refused(format!("its order {} is outside 1 to {MOST}", block.order));
            }
            if ![1, 2, 4, 8].contains(&block.root) {
                return refused(format!("its root {} is not 1, 2, 4 or 8", block.root));
            }
            for damping in [block.damping, block.relative_damping] {
                if !(0.0..f64::INFINITY).contains(&damping) {
                    return refused(format!("its damping {damping} is not a finite number of at least 0"));
                }
            }
        }
        let backend: Box<dyn RootBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuRoot::new(*cpu, blocks, settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaRoot::new::<T>(cuda, blocks, settings)?),
        };
        Ok(Self { device: device.clone(), blocks: blocks.to_vec(), backend })
    }

    /// The blocks, as they were given.
    pub fn blocks(&self) -> &[RootBlock] {
        &self.blocks
    }

    /// Writes `roots[k]`, the inverse root of `sources[k]`, both halves of it \[order×order\]. On CUDA this enqueues the work.
    ///
    /// Errors, before anything is touched: another number of matrices than of blocks, other sizes, another device, memory
    /// that is misaligned or written and used otherwise. That no root is found is no error: see [`Self::reports`].
    pub fn compute(&mut self, sources: &[Symmetric<'_, T>], roots: &mut [MatMut<'_, T>]) -> Result<()> {
        let expected = self.blocks.len();
        for (what, given) in [("sources", sources.len()), ("roots", roots.len())] {
            if given != expected {
                return refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "block")));
            }
        }
        let place = self.device.place();
        for (position, (block, (source, root))) in self.blocks.iter().zip(sources.iter().zip(roots.iter())).enumerate()
        {
            let refused = |message| refuse(name(position), message);
            let order = block.order;
            if source.order() != order {
                return refused(format!("its order is {order} and the source's {}", source.order()));
            }
            if (root.rows(), root.columns()) != (order, order) {
                return refused(format!("its order is {order} and the root is {}×{}", root.rows(), root.columns()));
            }
            if let Some(other) = source.places().chain([ViewMut::place(&root.view)]).find(|other| *other != place) {
                return refused(format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.compute(sources, roots)
    }

    /// What became of each block in the last call; where there was none, found in 0 steps. On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<RootReport>> {
        self.backend.reports()
    }
}

fn name(position: usize) -> String {
    format!("block {position}")
}
