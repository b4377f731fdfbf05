use super::{Report, Symmetric, refuse};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::MatMut;

/// The greatest order of a block: positions of elements stay within 64 bits and those of tiles within 32.
pub(super) const MOST: usize = 1 << 20;

/// A block of an [`SpdInverse`]: its size and its damping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The number of rows, that of a border included; 1 to 2²⁰.
    pub order: usize,
    /// `λ`, which [`SpdInverse::set_damping`] changes; finite, at least 0.
    pub damping: f64,
    /// `None`: `λ·1` is added to the block (Tikhonov). `Some(other)`: the block and that other one are the factors of a Kronecker
    /// product that is to be damped by `λ`, and `√λ·√((tr A/order A) / (tr B/order B))·1` is added, with the block `A` and the
    /// other `B` (Martens and Grosse 2015, section 6.3). A ratio of traces that is no positive number counts as 1.
    pub balanced_with: Option<usize>,
}

impl Block {
    /// A block that `damping·1` is added to.
    pub fn new(order: usize, damping: f64) -> Self {
        Self { order, damping, balanced_with: None }
    }
}

/// What holds for all blocks of an [`SpdInverse`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpdSettings {
    /// Attempts after the first, at most; at most 30.
    pub retries: u32,
    /// By how much the damping grows from attempt to attempt; more than 1. It becomes the machine's epsilon times the mean of the
    /// diagonal at least, so that a block that is not damped at first is.
    pub growth: f64,
    /// How much two elements that should be equal may differ, in means of the diagonal; at least 0.
    pub tolerance: f64,
}

/// Three retries with ten times the damping each; halves that differ by up to 10⁻⁴ of the mean of the diagonal.
impl Default for SpdSettings {
    fn default() -> Self {
        Self { retries: 3, growth: 10.0, tolerance: 1e-4 }
    }
}

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
/// let a = [3.0_f64, 0.0, 0.0, 1.0];
/// let mut inverse = [0.0; 4];
/// let source = Symmetric::full(MatRef::new(&a[..], 2, 2)?)?;
/// inverses.invert(&[source], &mut [MatMut::new(&mut inverse[..], 2, 2)?])?;
/// assert_eq!(inverse, [0.25, 0.0, 0.0, 0.5]);
/// assert!((inverses.reports()?[0].log_determinant - 8.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct SpdInverse<T: Real> {
    device: Device,
    blocks: Vec<Block>,
    backend: Box<dyn SpdBackend<T>>,
}

/// What a backend knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "a source knows its own"))]
    pub(crate) order: usize,
    /// The block that balances its damping; itself where none does.
    pub(crate) partner: usize,
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
        check_settings(&settings)?;
        for (position, block) in blocks.iter().enumerate() {
            let refused = |message| refuse(format!("block {position}"), message);
            if block.order == 0 || block.order > MOST {
                return refused(format!("its order {} is outside 1 to {MOST}", block.order));
            }
            if let Some(partner) = block.balanced_with
                && (partner >= blocks.len() || partner == position)
            {
                return refused(format!("it cannot be balanced with block {partner} of {}", blocks.len()));
            }
        }
        let jobs: Vec<Job> = blocks
            .iter()
            .enumerate()
            .map(|(position, block)| Job { order: block.order, partner: block.balanced_with.unwrap_or(position) })
            .collect();
        let backend: Box<dyn SpdBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuSpd::new(*cpu, jobs, settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaSpd::new(cuda, jobs, settings)?),
        };
        let mut plan = Self { device: device.clone(), blocks: blocks.to_vec(), backend };
        let lambdas: Vec<f64> = blocks.iter().map(|block| block.damping).collect();
        plan.set_damping(&lambdas)?;
        Ok(plan)
    }

    /// The blocks, as they were given, with their present damping.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Sets `λ` of every block, from the next call on, and in replays of graphs that were captured before.
    ///
    /// Errors: another number of values than of blocks; a value that is not finite or below 0.
    pub fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.same_number("dampings", lambdas.len())?;
        if let Some(position) = lambdas.iter().position(|lambda| !(0.0..f64::INFINITY).contains(lambda)) {
            let message = format!("its damping {} is not a finite number of at least 0", lambdas[position]);
            return refuse(format!("block {position}"), message);
        }
        self.backend.set_damping(lambdas)?;
        for (block, lambda) in self.blocks.iter_mut().zip(lambdas) {
            block.damping = *lambda;
        }
        Ok(())
    }

    /// Inverts every block: `sources[k]` into `inverses[k]` \[order×order\], both halves of it. On CUDA this enqueues
    /// the work.
    ///
    /// Errors, before anything is touched: another number of matrices than of blocks, other sizes, another device, memory
    /// that is misaligned or written and used otherwise. That a block cannot be inverted is no error: see [`Self::reports`].
    pub fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        self.same_number("sources", sources.len())?;
        self.same_number("inverses", inverses.len())?;
        let place = self.device.place();
        for (position, ((block, source), inverse)) in self.blocks.iter().zip(sources).zip(inverses.iter()).enumerate() {
            let refused = |message| refuse(format!("block {position}"), message);
            let order = block.order;
            if source.order() != order {
                return refused(format!("its order is {order} and the source's {}", source.order()));
            }
            let (rows, columns) = (inverse.rows(), inverse.columns());
            if (rows, columns) != (order, order) {
                return refused(format!("its order is {order} and the inverse is {rows}×{columns}"));
            }
            if let Some(other) = source.places().chain([inverse.view.place()]).find(|other| *other != place) {
                return refused(format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.invert(sources, inverses)
    }

    /// What became of each block in the last call; where there was none, inverted without pivots. On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<Report>> {
        self.backend.reports()
    }

    fn same_number(&self, what: &str, given: usize) -> Result<()> {
        let expected = self.blocks.len();
        if given == expected {
            return Ok(());
        }
        refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "block")))
    }
}

fn check_settings(settings: &SpdSettings) -> Result<()> {
    let SpdSettings { retries, growth, tolerance } = *settings;
    let refused = |message| refuse("settings".to_owned(), message);
    if retries > 30 {
        return refused(format!("{retries} retries are more than 30"));
    }
    if !(growth > 1.0 && growth.is_finite()) {
        return refused(format!("growth = {growth} is not a finite number above 1"));
    }
    if !(0.0..f64::INFINITY).contains(&tolerance) {
        return refused(format!("tolerance = {tolerance} is not a finite number of at least 0"));
    }
    Ok(())
}
