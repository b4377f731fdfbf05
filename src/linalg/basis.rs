use super::blocks::{MOST, refuse};
use super::{EighReport, Symmetric};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::{MatMut, ViewMut};

/// Steps of orthogonal iteration on eigenbases of a ragged list of symmetric positive-semidefinite matrices: `Q ← qr(A·Q)`, the
/// orthogonal factor whose triangular one has a positive diagonal, with the columns of Q first brought in the order of their
/// Rayleigh quotients `qᵀ·A·q`, the greatest first (SOAP: Vyas and others 2024, algorithm 4).
///
/// Where A changes little from call to call, a basis of it follows: a step brings columns of eigenvalues that differ by a factor r
/// nearer to eigenvectors by that factor. It takes a few products in place of an eigendecomposition, and there is no bound
/// on the order. To begin with, see [`Eigh`](super::Eigh).
///
/// On CUDA the factor is made by Cholesky's QR algorithm in three rounds, of the columns brought to length 1, damped where their
/// pivots ask for it (shifted Cholesky QR: Fukaya and others 2020); a multiple `8·ε·tr A` of Q is added to `A·Q`, so that columns of
/// eigenvalues zero stay orthogonal. A basis that is far from any eigenbase of a matrix of high condition may be refused there.
///
/// A matrix with an element that is not finite, or that is not symmetric, or whose columns cannot be made orthogonal, leaves its
/// basis and quotients as they were, and its [`EighReport`] says so; no other matrix is touched by it.
///
/// It is made once for a list of sizes, and then holds all memory that a call needs: on CUDA a call is 22 launches, waits for
/// nothing and can be captured in a graph.
///
/// ```
/// use gradus::linalg::{BasisRefresh, Symmetric};
/// use gradus::{Device, MatMut, MatRef, ViewMut};
///
/// let mut plan = BasisRefresh::new(&Device::cpu(), &[2], 1e-4)?;
/// let a = [2.0_f64, 1.0, 1.0, 2.0];
/// let (mut basis, mut quotients) = ([1.0, 0.0, 0.0, 1.0], [0.0; 2]);
/// for _ in 0..30 {
///     let source = Symmetric::full(MatRef::new(&a[..], 2, 2)?)?;
///     let to = MatMut::new(&mut basis[..], 2, 2)?;
///     plan.refresh(&[source], &mut [to], &mut [ViewMut::from(&mut quotients[..])])?;
/// }
/// assert!((quotients[0] - 3.0).abs() < 1e-12 && (quotients[1] - 1.0).abs() < 1e-12);
/// assert!((basis[0] - 0.5_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct BasisRefresh<T: Real> {
    device: Device,
    orders: Vec<usize>,
    backend: Box<dyn BasisBackend<T>>,
}

/// The matrices of a plan on a device. The caller has checked every argument but addresses.
pub(crate) trait BasisBackend<T: Real>: Send {
    fn refresh(
        &mut self,
        sources: &[Symmetric<'_, T>],
        bases: &mut [MatMut<'_, T>],
        quotients: &mut [ViewMut<'_, T>],
    ) -> Result<()>;

    fn reports(&self) -> Result<Vec<EighReport>>;

    fn columns(&self) -> Result<Vec<Vec<u32>>>;
}

impl<T: Real> BasisRefresh<T> {
    /// A plan for matrices of these orders. `tolerance` is how much two elements of A that should be equal may differ, in means of
    /// its diagonal.
    ///
    /// Errors: an order of 0 or beyond 2²⁰, a tolerance that is not a finite number of at least 0; f64 on CUDA; memory that
    /// does not suffice.
    pub fn new(device: &Device, orders: &[usize], tolerance: f64) -> Result<Self> {
        if !(0.0..f64::INFINITY).contains(&tolerance) {
            let message = format!("tolerance = {tolerance} is not a finite number of at least 0");
            return refuse("settings".to_owned(), message);
        }
        if let Some((position, order)) = (0..).zip(orders).find(|(_, order)| !(1..=MOST).contains(*order)) {
            return refuse(matrix(position), format!("its order {order} is outside 1 to {MOST}"));
        }
        let backend: Box<dyn BasisBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuBasis::new(*cpu, orders, tolerance)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaBasis::new::<T>(cuda, orders, tolerance)?),
        };
        Ok(Self { device: device.clone(), orders: orders.to_vec(), backend })
    }

    /// The orders of the matrices, as they were given.
    pub fn orders(&self) -> &[usize] {
        &self.orders
    }

    /// Refreshes every basis: `bases[k]` \[order×order\], whose columns are orthonormal, by `sources[k]`; `quotients[k]`
    /// \[order\] become the Rayleigh quotients of its columns before the step, in the order in which they then stand. On CUDA
    /// this enqueues the work.
    ///
    /// Errors, before anything is touched: another number of matrices, bases or quotients than of orders, other sizes, another
    /// device, memory that is misaligned or written and used otherwise. That a basis cannot be refreshed is no error: see
    /// [`Self::reports`].
    pub fn refresh(
        &mut self,
        sources: &[Symmetric<'_, T>],
        bases: &mut [MatMut<'_, T>],
        quotients: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        let expected = self.orders.len();
        for (what, given) in [("sources", sources.len()), ("bases", bases.len()), ("quotients", quotients.len())] {
            if given != expected {
                return refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "order")));
            }
        }
        let place = self.device.place();
        for (position, &order) in self.orders.iter().enumerate() {
            let refused = |message| refuse(matrix(position), message);
            let (source, basis, quotients) = (&sources[position], &bases[position], &quotients[position]);
            if source.order() != order {
                return refused(format!("its order is {order} and the source's {}", source.order()));
            }
            if (basis.rows(), basis.columns()) != (order, order) {
                let (rows, columns) = (basis.rows(), basis.columns());
                return refused(format!("its order is {order} and the basis is {rows}×{columns}"));
            }
            if quotients.len() != order {
                return refused(format!("its order is {order} and there is room for {} quotients", quotients.len()));
            }
            let written = [basis.view.place(), quotients.place()];
            if let Some(other) = source.places().chain(written).find(|other| *other != place) {
                return refused(format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.refresh(sources, bases, quotients)
    }

    /// What became of each matrix in the last call: `Decomposed` where the basis was refreshed; where there was no call,
    /// too. On CUDA the host waits.
    pub fn reports(&self) -> Result<Vec<EighReport>> {
        self.backend.reports()
    }

    /// Of each matrix, which columns of the basis before the last call that refreshed it stand where: what belongs to columns is
    /// to be brought in this order. On CUDA the host waits.
    pub fn columns(&self) -> Result<Vec<Vec<u32>>> {
        self.backend.columns()
    }
}

fn matrix(position: usize) -> String {
    format!("matrix {position}")
}
