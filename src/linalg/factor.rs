use super::blocks::{Blocks, refuse};
use super::{Block, Report, SpdSettings, Symmetric};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::memory::MatMut;

/// The most columns of a call's right-hand sides together: their strips are counted in 31 bits.
const MOST_COLUMNS: usize = i32::MAX as usize;

/// Cholesky factors of a ragged list of symmetric positive-definite blocks, damped, and solutions with them:
/// `A + δ·1 = L·Lᵀ`, then `X = (A + δ·1)⁻¹·B` for any number of columns of `B`.
///
/// A factor takes n³/6 multiplications, where [`SpdInverse`](super::SpdInverse) takes n³/2; a column of `B` then takes n², as
/// does a product of it with the inverse.
///
/// A block that is not positive definite is tried again with more damping. Where that fails too, or an element is not finite, or
/// the halves differ, the factor that the block had is kept, and its [`Report`] says so; no other block is touched by it.
///
/// It is made once for a list of sizes, and then holds all memory that a call needs: on CUDA [`Self::factor`] is two launches
/// and [`Self::solve`] one; both wait for nothing and can be captured in a graph. A graph goes on with the matrices that it was
/// captured with, as long as no call is given others.
///
/// ```
/// use gradus::linalg::{Block, SpdFactor, SpdSettings, Symmetric};
/// use gradus::{Device, MatMut, MatRef};
///
/// let mut factors = SpdFactor::new(&Device::cpu(), &[Block::new(2, 1.0)], SpdSettings::default())?;
/// let a = [3.0_f64, 0.0, 0.0, 15.0];
/// factors.factor(&[Symmetric::full(MatRef::new(&a[..], 2, 2)?)?])?;
/// let mut sides = [8.0, 4.0, -4.0, 16.0, 32.0, 48.0];
/// factors.solve(&mut [MatMut::new(&mut sides[..], 2, 3)?])?;
/// assert_eq!(sides, [2.0, 1.0, -1.0, 1.0, 2.0, 3.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct SpdFactor<T: Real> {
    blocks: Blocks,
    backend: Box<dyn FactorBackend<T>>,
    /// Whether there was a call that factors.
    is_begun: bool,
}

/// The blocks of an [`SpdFactor`] on a device. The caller has checked every argument but addresses.
pub(crate) trait FactorBackend<T: Real>: Send {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()>;

    fn factor(&mut self, sources: &[Symmetric<'_, T>]) -> Result<()>;

    fn solve(&mut self, sides: &mut [MatMut<'_, T>]) -> Result<()>;

    fn reports(&self) -> Result<Vec<Report>>;

    fn are_kept(&self) -> Result<Vec<bool>>;
}

impl<T: Real> SpdFactor<T> {
    /// A plan for blocks of these sizes.
    ///
    /// Errors: an order of 0 or beyond 2²⁰, a damping or a setting outside its range, a partner that does not exist or is the
    /// block itself, memory that does not suffice.
    pub fn new(device: &Device, blocks: &[Block], settings: SpdSettings) -> Result<Self> {
        let mut blocks = Blocks::new(device, blocks, &settings)?;
        let jobs = blocks.jobs();
        let mut backend: Box<dyn FactorBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuFactor::new(*cpu, jobs, settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaFactor::new(cuda, jobs, settings)?),
        };
        let lambdas = blocks.dampings();
        blocks.set_damping(&lambdas, |lambdas| backend.set_damping(lambdas))?;
        Ok(Self { blocks, backend, is_begun: false })
    }

    /// The blocks, as they were given, with their present damping.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks.list
    }

    /// Sets `λ` of every block, from the next call of [`Self::factor`] on, and in replays of graphs that were captured before.
    ///
    /// Errors: another number of values than of blocks; a value that is not finite or below 0.
    pub fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        let Self { blocks, backend, .. } = self;
        blocks.set_damping(lambdas, |lambdas| backend.set_damping(lambdas))
    }

    /// Factors every block. On CUDA this enqueues the work.
    ///
    /// Errors, before anything is touched: another number of matrices than of blocks, other sizes, another device, memory
    /// that is misaligned. That a block cannot be factored is no error: see [`Self::reports`].
    pub fn factor(&mut self, sources: &[Symmetric<'_, T>]) -> Result<()> {
        self.blocks.same_number("sources", sources.len())?;
        sources.iter().enumerate().try_for_each(|(position, source)| self.blocks.check_source(position, source))?;
        self.backend.factor(sources)?;
        self.is_begun = true;
        Ok(())
    }

    /// Puts `(A + δ·1)⁻¹·B` in the place of every `B`: `sides[k]` \[order×columns\] with the factor that is kept of block k. The
    /// numbers of columns may differ from block to block and call to call, and may be 0. On CUDA this enqueues the work.
    ///
    /// Where no factor is kept of a block, because every call has failed for it so far, its `B` stays as it is: see
    /// [`Self::are_kept`].
    ///
    /// Errors, before anything is touched: no call of [`Self::factor`] before; another number of matrices than of blocks, other
    /// numbers of rows, more than 2³¹ - 1 columns together, another device, memory that is misaligned or shared.
    pub fn solve(&mut self, sides: &mut [MatMut<'_, T>]) -> Result<()> {
        let blocks = &self.blocks;
        blocks.same_number("right-hand sides", sides.len())?;
        if !self.is_begun && !sides.is_empty() {
            return refuse("right-hand sides".to_owned(), "no block has been factored yet".to_owned());
        }
        for (position, (block, side)) in blocks.list.iter().zip(sides.iter()).enumerate() {
            if side.rows() != block.order {
                let (rows, columns) = (side.rows(), side.columns());
                let message = format!("its order is {} and its right-hand sides are {rows}×{columns}", block.order);
                return refuse(format!("block {position}"), message);
            }
            blocks.check_place(position, side.view.place())?;
        }
        let columns = sides.iter().fold(0_usize, |sum, side| sum.saturating_add(side.columns()));
        if columns > MOST_COLUMNS {
            let message = format!("their {columns} columns are more than {MOST_COLUMNS}");
            return refuse("right-hand sides".to_owned(), message);
        }
        self.backend.solve(sides)
    }

    /// What became of each block in the last call of [`Self::factor`]; where there was none, inverted without pivots. On CUDA
    /// the host waits.
    pub fn reports(&self) -> Result<Vec<Report>> {
        self.backend.reports()
    }

    /// Whether a factor is kept of each block: whether any call of [`Self::factor`] has succeeded for it. On CUDA the host waits.
    pub fn are_kept(&self) -> Result<Vec<bool>> {
        self.backend.are_kept()
    }
}
