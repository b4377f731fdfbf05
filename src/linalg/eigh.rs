use std::fmt;

use super::blocks::{MOST, refuse};
use super::{Fault, Symmetric};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::Result;
use crate::memory::{MatMut, ViewMut};

/// What holds for all matrices of an [`Eigh`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EighSettings {
    /// Sweeps of rotations, at most; 1 to 100. The CPU's algorithm has none.
    pub sweeps: u32,
    /// How much two elements that should be equal may differ, in the matrix' largest magnitude; at least 0.
    pub tolerance: f64,
}

/// Thirty sweeps, of which a matrix of 128 rows needs about eight, a graded one of f64 twelve; halves that differ by up to 10⁻⁴ of the largest magnitude.
impl Default for EighSettings {
    fn default() -> Self {
        Self { sweeps: 30, tolerance: 1e-4 }
    }
}

/// What became of a matrix in a call of [`Eigh::decompose`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EighReport {
    /// Whether the matrix was decomposed, and what stood in the way.
    pub status: EighStatus,
    /// The sweeps that were taken; 0 on the CPU, whose algorithm has none.
    pub sweeps: u32,
}

impl EighReport {
    /// Whether vectors and values were written.
    pub fn is_decomposed(&self) -> bool {
        self.status == EighStatus::Decomposed
    }
}

/// Whether a matrix was decomposed. Where it was not, the vectors and values that stood there stand there still.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EighStatus {
    /// Vectors and values were written.
    Decomposed,
    /// Too much was left off the diagonal after the last sweep.
    NotConverged {
        /// `‖B - diag B‖_F / ‖B‖_F` of the matrix `B` that the rotations made; a NaN on the CPU.
        off_diagonal: f64,
    },
    /// The matrix is not one to be computed with.
    Faulty(Fault),
}

impl fmt::Display for EighStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decomposed => f.write_str("decomposed"),
            Self::NotConverged { off_diagonal } => {
                write!(f, "not converged: {off_diagonal:e} of the norm is off the diagonal")
            }
            Self::Faulty(fault) => fault.fmt(f),
        }
    }
}

/// Eigendecompositions `A = Q·diag(λ)·Qᵀ` of a ragged list of symmetric matrices.
///
/// Eigenvalues ascend; column j of `Q` \[order×order\] belongs to value j, and its component of the largest magnitude, the first
/// of those of one magnitude, is positive. Vectors of eigenvalues that are equal within rounding span the right space; which ones
/// they are follows from the matrix' bits alone. An eigenvalue beyond the type's range is an infinity.
///
/// On CUDA, Jacobi's rotations go on until `‖B - diag B‖_F ≤ ε·‖B‖_F`, with the machine's epsilon. The matrix must fit the shared
/// memory that the device grants a thread block: orders up to 238 of f32 and 168 of f64 with 227 KiB, 202 and 142 with 163 KiB,
/// 156 and 110 with 99 KiB.
///
/// A matrix that cannot be decomposed leaves its vectors and values as they were, and its [`EighReport`] says so; no other matrix
/// is touched by it.
///
/// It is made once for a list of sizes, and then holds all memory that a call needs: on CUDA a call is a launch for every
/// size class that occurs, at most six, waits for nothing and can be captured in a graph.
///
/// ```
/// use gradus::linalg::{Eigh, EighSettings, Symmetric};
/// use gradus::{Device, MatMut, MatRef, ViewMut};
///
/// let mut plan = Eigh::new(&Device::cpu(), &[2], EighSettings::default())?;
/// let a = [2.0_f64, 1.0, 1.0, 2.0];
/// let (mut vectors, mut values) = ([0.0; 4], [0.0; 2]);
/// let source = Symmetric::full(MatRef::new(&a[..], 2, 2)?)?;
/// let to = MatMut::new(&mut vectors[..], 2, 2)?;
/// plan.decompose(&[source], &mut [to], &mut [ViewMut::from(&mut values[..])])?;
/// assert!(plan.reports()?[0].is_decomposed());
/// assert!((values[0] - 1.0).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Eigh<T: Real> {
    device: Device,
    orders: Vec<usize>,
    backend: Box<dyn EighBackend<T>>,
}

/// The matrices of an [`Eigh`] on a device. The caller has checked every argument but addresses.
pub(crate) trait EighBackend<T: Real>: Send {
    fn decompose(
        &mut self,
        sources: &[Symmetric<'_, T>],
        vectors: &mut [MatMut<'_, T>],
        values: &mut [ViewMut<'_, T>],
    ) -> Result<()>;

    fn reports(&self) -> Result<Vec<EighReport>>;
}

impl<T: Real> Eigh<T> {
    /// A plan for matrices of these orders.
    ///
    /// Errors: an order of 0, beyond 2²⁰, or on CUDA beyond what shared memory holds; a setting outside its range; memory that
    /// does not suffice.
    pub fn new(device: &Device, orders: &[usize], settings: EighSettings) -> Result<Self> {
        let EighSettings { sweeps, tolerance } = settings;
        if !(1..=100).contains(&sweeps) {
            return refuse("settings".to_owned(), format!("{sweeps} sweeps are outside 1 to 100"));
        }
        if !(0.0..f64::INFINITY).contains(&tolerance) {
            let message = format!("tolerance = {tolerance} is not a finite number of at least 0");
            return refuse("settings".to_owned(), message);
        }
        if let Some((position, order)) = (0..).zip(orders).find(|(_, order)| !(1..=MOST).contains(*order)) {
            return refuse(matrix(position), format!("its order {order} is outside 1 to {MOST}"));
        }
        let backend: Box<dyn EighBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuEigh::new(*cpu, orders.len(), settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaEigh::new(cuda, orders, settings)?),
        };
        Ok(Self { device: device.clone(), orders: orders.to_vec(), backend })
    }

    /// The orders of the matrices, as they were given.
    pub fn orders(&self) -> &[usize] {
        &self.orders
    }

    /// Decomposes every matrix: `sources[k]` into `vectors[k]` \[order×order\] and `values[k]` \[order\]. On CUDA this enqueues
    /// the work.
    ///
    /// Errors, before anything is touched: another number of matrices, vectors or values than of orders, other sizes, another
    /// device, memory that is misaligned or written and used otherwise. That a matrix cannot be decomposed is no error: see
    /// [`Self::reports`].
    pub fn decompose(
        &mut self,
        sources: &[Symmetric<'_, T>],
        vectors: &mut [MatMut<'_, T>],
        values: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        let expected = self.orders.len();
        for (what, given) in [("sources", sources.len()), ("vectors", vectors.len()), ("values", values.len())] {
            if given != expected {
                let matrices = if expected == 1 { "1 matrix".to_owned() } else { format!("{expected} matrices") };
                return refuse(what.to_owned(), format!("there are {given} for {matrices}"));
            }
        }
        let place = self.device.place();
        for (position, &order) in self.orders.iter().enumerate() {
            let refused = |message| refuse(matrix(position), message);
            let (source, vectors, values) = (&sources[position], &vectors[position], &values[position]);
            if source.order() != order {
                return refused(format!("its order is {order} and the source's {}", source.order()));
            }
            let (rows, columns) = (vectors.rows(), vectors.columns());
            if (rows, columns) != (order, order) {
                return refused(format!("its order is {order} and the vectors are {rows}×{columns}"));
            }
            if values.len() != order {
                return refused(format!("its order is {order} and there is room for {} values", values.len()));
            }
            let written = [vectors.view.place(), values.place()];
            if let Some(other) = source.places().chain(written).find(|other| *other != place) {
                return refused(format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.decompose(sources, vectors, values)
    }

    /// What became of each matrix in the last call; where there was none, decomposed in 0 sweeps. On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<EighReport>> {
        self.backend.reports()
    }
}

fn matrix(position: usize) -> String {
    format!("matrix {position}")
}
