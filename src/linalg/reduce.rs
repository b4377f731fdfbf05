use super::blocks::{MOST, refuse};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::{MatRef, View, ViewMut};

/// A number of a matrix, or of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// `tr A` of `A` \[order×order\].
    Trace {
        /// The number of rows and of columns.
        order: usize,
    },
    /// `⟨A, B⟩ = Σ a_ij·b_ij` of two matrices \[rows×columns\].
    Inner {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// `‖A‖_F = √⟨A, A⟩` of `A` \[rows×columns\].
    Norm {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// An estimate of the greatest magnitude among the eigenvalues of a symmetric `A` \[order×order\], both halves of which are
    /// read: `‖A·v‖/‖v‖` after some steps `v ← A·v/‖v‖` from a vector of signs that the order alone decides. It is never greater
    /// than the eigenvalue, but for rounding; where that is `r` times as great as the next, `k` steps leave a relative error of
    /// the order of `n·r^(-2k)`.
    LargestEigenvalue {
        /// The number of rows and of columns.
        order: usize,
        /// Products with `A`; 1 to 10 000.
        steps: u32,
    },
}

impl Reduction {
    /// The rows and columns of the matrices.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match *self {
            Self::Trace { order } | Self::LargestEigenvalue { order, .. } => (order, order),
            Self::Inner { rows, columns } | Self::Norm { rows, columns } => (rows, columns),
        }
    }
}

/// What a [`Reduction`] is of.
#[derive(Debug)]
pub enum Operand<'a, T: Real> {
    /// A matrix.
    One(MatRef<'a, T>),
    /// The two of an inner product.
    Two(MatRef<'a, T>, MatRef<'a, T>),
}

impl<'a, T: Real> Operand<'a, T> {
    /// The first matrix, and the second where there is one.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &MatRef<'a, T>> {
        let (first, second) = match self {
            Self::One(one) => (one, None),
            Self::Two(one, other) => (one, Some(other)),
        };
        [Some(first), second].into_iter().flatten()
    }
}

/// Traces, inner products, norms and greatest eigenvalues of a ragged list of matrices, which stay on the device.
///
/// Sums are made in f64, whatever the matrices' type, so that no square overflows; their shape follows from the matrix' size. On
/// CUDA a call is two launches, one more for each step of the longest power iteration, and waits for nothing.
///
/// ```
/// use gradus::linalg::{Operand, Reduction, Reductions};
/// use gradus::{Device, MatRef, ViewMut};
///
/// let list = [Reduction::Norm { rows: 1, columns: 2 }, Reduction::LargestEigenvalue { order: 2, steps: 40 }];
/// let mut plan = Reductions::new(&Device::cpu(), &list)?;
/// let (x, a) = ([3.0_f32, 4.0], [2.0_f32, 1.0, 1.0, 3.0]);
/// let operands = [Operand::One(MatRef::new(&x[..], 1, 2)?), Operand::One(MatRef::new(&a[..], 2, 2)?)];
/// let mut numbers = [0.0; 2];
/// plan.reduce(&operands, &mut ViewMut::from(&mut numbers[..]))?;
/// assert_eq!(numbers[0], 5.0);
/// assert!((numbers[1] - 0.5 * (5.0 + 5.0_f64.sqrt())).abs() < 1e-6);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct Reductions<T: Real> {
    place: Place,
    list: Vec<Reduction>,
    backend: Box<dyn ReduceBackend<T>>,
}

/// The reductions of a plan on a device. The caller has checked every argument but addresses.
pub(crate) trait ReduceBackend<T: Real>: Send {
    fn reduce(&mut self, operands: &[Operand<'_, T>], results: &mut ViewMut<'_, f64>) -> Result<()>;
}

impl<T: Real> Reductions<T> {
    /// A plan for these.
    ///
    /// Errors: a side of 0 or beyond 2²⁰, steps outside their range; f64 on CUDA; memory that does not suffice.
    pub fn new(device: &Device, list: &[Reduction]) -> Result<Self> {
        for (position, reduction) in list.iter().enumerate() {
            let refused = |message| refuse(format!("reduction {position}"), message);
            let (rows, columns) = reduction.shape();
            if !(1..=MOST).contains(&rows) || !(1..=MOST).contains(&columns) {
                return refused(format!("the sides of {rows}×{columns} are not 1 to {MOST}"));
            }
            if let Reduction::LargestEigenvalue { steps, .. } = reduction
                && !(1..=10_000).contains(steps)
            {
                return refused(format!("{steps} steps are not 1 to 10000"));
            }
        }
        let backend: Box<dyn ReduceBackend<T>> = match device {
            Device::Cpu(_) => Box::new(cpu::linalg::CpuReduce::new(list)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaReduce::new::<T>(cuda, list)?),
        };
        Ok(Self { place: device.place(), list: list.to_vec(), backend })
    }

    /// The reductions, as they were given.
    pub fn list(&self) -> &[Reduction] {
        &self.list
    }

    /// Writes `results[k]`, the k-th reduction of `operands[k]`. A matrix with a NaN has a NaN. On CUDA this enqueues the work.
    ///
    /// Errors, before anything is touched: another number of operands or results than of reductions, one matrix for two or two
    /// for one, other sizes, another device, memory that is misaligned or written and used otherwise.
    pub fn reduce(&mut self, operands: &[Operand<'_, T>], results: &mut ViewMut<'_, f64>) -> Result<()> {
        let expected = self.list.len();
        for (what, given) in [("operands", operands.len()), ("results", results.len())] {
            if given != expected {
                let message = format!("there are {given} for {}", count(expected as u64, "reduction"));
                return refuse(what.to_owned(), message);
            }
        }
        for (position, (reduction, operand)) in self.list.iter().zip(operands).enumerate() {
            let refused = |message| refuse(format!("reduction {position}"), message);
            let wants_two = matches!(reduction, Reduction::Inner { .. });
            let given = operand.matrices().count();
            if (given == 2) != wants_two {
                let wanted = count(1 + u64::from(wants_two), "operand");
                return refused(format!("it has {wanted} and was given {given}"));
            }
            let (rows, columns) = reduction.shape();
            for matrix in operand.matrices() {
                if (matrix.rows(), matrix.columns()) != (rows, columns) {
                    let (found, other) = (matrix.rows(), matrix.columns());
                    return refused(format!("it is of {rows}×{columns} and was given {found}×{other}"));
                }
            }
            let places = operand.matrices().map(|matrix| View::place(&matrix.view));
            if let Some(other) = places.chain([results.place()]).find(|other| *other != self.place) {
                return refused(format!("its memory is on {other} and the plan on {}", self.place));
            }
        }
        self.backend.reduce(operands, results)
    }
}
