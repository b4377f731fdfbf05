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
        let mut blocks = Blocks::new(device, blocks, &settings)?;
        let jobs = blocks.jobs();
        let mut backend: Box<dyn SpdBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuSpd::new(*cpu, jobs, settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaSpd::new(cuda, jobs, settings)?),
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
