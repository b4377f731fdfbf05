use super::blocks::{Blocks, refuse};
use super::{Block, Report, SpdSettings, Symmetric};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::memory::MatMut;

/// Damped inverses of a ragged list of symmetric positive-definite blocks: `(A + δ·1)⁻¹` by Cholesky factors
/// (`A + δ·1 = L·Lᵀ`, then `L⁻ᵀ·L⁻¹`).
///
/// A block that is not positive definite is tried again with more damping. Where that fails too, or an element is not finite, or
/// the halves differ, its inverse stays as it was and its [`Report`] says so; no other block is touched by it.
///
/// It is made once for a list of sizes, and then holds all memory that a call needs: on CUDA a call is a few launches,
/// at most two more than there are size classes, waits for nothing and can be captured in a graph.
///
/// ```
/// use gradus::linalg::{Block, SpdInverse, SpdSettings, Symmetric};
/// use gradus::{Device, MatMut, MatRef};
///
/// let mut inverses = SpdInverse::new(&Device::cpu(), &[Block::new(2, 1.0)], SpdSettings::default())?;
/// let a = [3.0_f64, 0.0, 0.0, 15.0];
/// let mut inverse = [0.0; 4];
/// let source = Symmetric::full(MatRef::new(&a[..], 2, 2)?)?;
/// inverses.invert(&[source], &mut [MatMut::new(&mut inverse[..], 2, 2)?])?;
/// assert_eq!(inverse, [0.25, 0.0, 0.0, 0.0625]);
/// assert!((inverses.reports()?[0].log_determinant - 64.0_f64.ln()).abs() < 1e-14);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct SpdInverse<T: Real> {
    blocks: Blocks,
    backend: Box<dyn SpdBackend<T>>,
}

/// How an [`SpdInverse`] begins from the inverses X that stand where it is to write: with Newton's iteration
/// `X ← 2·X - X·(A + δ·1)·X` (Schulz 1933), which squares `1 - (A + δ·1)·X` step by step.
///
/// An X with a residual `‖1 - (A + δ·1)·X‖_F / √n` of at most the tolerance is certified: it is written, and its
/// [`Report`] has the residual in place of the pivots. A block whose residual does not shrink, or is not certified after all
/// steps, is inverted by Cholesky factors as without a warm start, and all that is said of failures holds. So is a block that
/// has no inverse yet, zeros or anything else: a wrong X costs time, never the result.
///
/// A step takes 1.5·n³ multiplications, all in products, where Cholesky's algorithm takes n³/2 in a chain of n pivots: it is
/// worth that where blocks are large and change little from call to call. Of X the lower half is read. A plan holds four
/// more matrices of every block's size; on CUDA a call has `5·steps + 6` launches more, in which blocks that have ended do
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmStart {
    /// Steps, at most; 0 to 100. With none an X is kept that is certified as it is.
    pub steps: u32,
    /// The residual up to which an inverse is certified; positive, below 1.
    pub tolerance: f64,
}

/// Three steps, a residual of 10⁻³.
impl Default for WarmStart {
    fn default() -> Self {
        Self { steps: 3, tolerance: 1e-3 }
    }
}

impl WarmStart {
    fn check(&self) -> Result<()> {
        let refused = |message| refuse("warm start".to_owned(), message);
        if self.steps > 100 {
            return refused(format!("{} steps are more than 100", self.steps));
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return refused(format!("tolerance = {} is not between 0 and 1", self.tolerance));
        }
        Ok(())
    }
}

/// The blocks of an [`SpdInverse`] on a device. The caller has checked every argument but addresses.
pub(crate) trait SpdBackend<T: Real>: Send {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()>;

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()>;

    fn reports(&self) -> Result<Vec<Report>>;
}

impl<T: Real> SpdInverse<T> {
    /// A plan for blocks of these sizes.
    ///
    /// Errors: an order of 0 or beyond 2²⁰, a damping or a setting outside its range, a partner that does not exist or is the
    /// block itself, memory that does not suffice.
    pub fn new(device: &Device, blocks: &[Block], settings: SpdSettings) -> Result<Self> {
        Self::build(device, blocks, settings, None)
    }

    /// A plan whose calls begin from the inverses that stand where they are to be written, zeros before the first call.
    ///
    /// Errors: as [`Self::new`]; a setting of the warm start outside its range; f64 on CUDA.
    pub fn with_warm_start(device: &Device, blocks: &[Block], settings: SpdSettings, warm: WarmStart) -> Result<Self> {
        warm.check()?;
        Self::build(device, blocks, settings, Some(warm))
    }

    fn build(device: &Device, blocks: &[Block], settings: SpdSettings, warm: Option<WarmStart>) -> Result<Self> {
        let mut blocks = Blocks::new(device, blocks, &settings)?;
        let jobs = blocks.jobs();
        let mut backend: Box<dyn SpdBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuSpd::new(*cpu, jobs, settings, warm)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaSpd::new(cuda, jobs, settings, warm)?),
        };
        let lambdas = blocks.dampings();
        blocks.set_damping(&lambdas, |lambdas| backend.set_damping(lambdas))?;
        Ok(Self { blocks, backend })
    }

    /// The blocks, as they were given, with their present damping.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks.list
    }

    /// Sets `λ` of every block, from the next call on, and in replays of graphs that were captured before.
    ///
    /// Errors: another number of values than of blocks; a value that is not finite or below 0.
    pub fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        let Self { blocks, backend } = self;
        blocks.set_damping(lambdas, |lambdas| backend.set_damping(lambdas))
    }

    /// Inverts every block: `sources[k]` into `inverses[k]` \[order×order\], both halves of it. On CUDA this enqueues
    /// the work.
    ///
    /// Errors, before anything is touched: another number of matrices than of blocks, other sizes, another device, memory
    /// that is misaligned or written and used otherwise. That a block cannot be inverted is no error: see [`Self::reports`].
    pub fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        let blocks = &self.blocks;
        blocks.same_number("sources", sources.len())?;
        blocks.same_number("inverses", inverses.len())?;
        for (position, (source, inverse)) in sources.iter().zip(inverses.iter()).enumerate() {
            blocks.check_source(position, source)?;
            let (order, rows, columns) = (source.order(), inverse.rows(), inverse.columns());
            if (rows, columns) != (order, order) {
                let message = format!("its order is {order} and the inverse is {rows}×{columns}");
                return refuse(format!("block {position}"), message);
            }
            blocks.check_place(position, inverse.view.place())?;
        }
        self.backend.invert(sources, inverses)
    }

    /// What became of each block in the last call; where there was none, inverted without pivots. On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<Report>> {
        self.backend.reports()
    }
}
