use super::refuse;
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::{Device, Place};
use crate::element::{Element, Real};
use crate::error::{Result, count};
use crate::memory::{MatRef, View, ViewMut};

/// A factor of a [`SyrkEma`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gram {
    /// Elements of a row, without the bias; at least 1.
    pub features: usize,
    /// Whether one feature more, the last, is always 1.
    pub bias: bool,
    /// `β`, the share of the average that an update keeps in the long run; in \[0, 1\].
    pub beta: f64,
    /// What the average counts for at first: 0 where it is nothing yet, so that the first update replaces it and the average is
    /// bias-corrected; `1/(1 - β)` where it is to be a plain moving average from what stands there on.
    pub count: f64,
}

impl Gram {
    /// A bias-corrected average of rows of `features` elements.
    pub fn new(features: usize, bias: bool, beta: f64) -> Self {
        Self { features, bias, beta, count: 0.0 }
    }

    /// The order of the factor.
    pub fn order(&self) -> usize {
        self.features + usize::from(self.bias)
    }

    /// Elements of the factor: its lower half, packed.
    pub fn elements(&self) -> usize {
        self.order() * (self.order() + 1) / 2
    }
}

/// A convolution whose patches are rows: images \[channels×height×width\], one behind the other. A row is the place of a result;
/// its features are channels, then rows, then columns of the kernel, as in PyTorch's `unfold`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Channels of an image.
    pub channels: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// How far apart results are, in rows and columns of the image; at least 1.
    pub stride: [usize; 2],
    /// Rows and columns of zeros on every side of an image.
    pub padding: [usize; 2],
    /// How far apart the kernel's elements are, in rows and columns of the image; at least 1.
    pub dilation: [usize; 2],
}

impl Convolution {
    /// Rows and columns of the result of an image; `None` where the kernel does not fit into it.
    pub fn results(&self) -> Option<[usize; 2]> {
        let along = |side: usize| {
            let reach = self.dilation[side].checked_mul(self.kernel[side].checked_sub(1)?)?;
            let room = (self.size[side] + 2 * self.padding[side]).checked_sub(reach + 1)?;
            Some(room.checked_div(self.stride[side])? + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// Features of a row.
    pub fn features(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }
}

/// The rows `x_n` that a factor is updated with, and `s` and `w_n` of [`SyrkEma`].
#[derive(Debug)]
pub struct Inputs<'a, E: Element> {
    pub(crate) from: From<'a, E>,
    pub(crate) weights: Option<View<'a, E::Real>>,
    pub(crate) positions: usize,
    pub(crate) scale: f64,
}

#[derive(Debug)]
pub(crate) enum From<'a, E: Element> {
    Rows(MatRef<'a, E>),
    Patches { images: View<'a, E>, count: usize, convolution: Convolution },
}

impl<'a, E: Element> Inputs<'a, E> {
    /// The rows of a matrix \[rows×features\], each of weight 1, `s` = 1/rows. (Where a layer is used at several positions of an
    /// example, all of them are rows: the *expand* setting of Eschenhagen et al. 2023.)
    pub fn rows(matrix: MatRef<'a, E>) -> Self {
        let scale = 1.0 / matrix.rows() as f64;
        Self { from: From::Rows(matrix), weights: None, positions: 1, scale }
    }

    /// The patches of `count` images, which are not written out; `s` is one over their number.
    ///
    /// Errors: the kernel does not fit, or the view has another number of elements.
    pub fn patches(images: impl Into<View<'a, E>>, count: usize, convolution: Convolution) -> Result<Self> {
        let images = images.into();
        let Some([rows, columns]) = convolution.results() else {
            return refuse("convolution".to_owned(), format!("{convolution:?} has no result"));
        };
        let [height, width] = convolution.size;
        let expected = count * convolution.channels * height * width;
        if images.len() != expected {
            let message = format!("{count} of them have {expected} elements and the view {}", images.len());
            return refuse("images".to_owned(), message);
        }
        let scale = 1.0 / (count * rows * columns) as f64;
        Ok(Self { from: From::Patches { images, count, convolution }, weights: None, positions: 1, scale })
    }

    /// Takes the sums of `positions` rows each in place of the rows, and `s` = 1/sums. (The *reduce* setting, for gradients with
    /// respect to outputs. For inputs, whose mean it takes, `s` is to be divided by positions².)
    pub fn summed(self, positions: usize) -> Self {
        Self { positions, scale: self.scale * positions as f64, ..self }
    }

    /// Gives every row, or every sum, a weight `w_n`: 0 masks it.
    pub fn weighted(self, weights: impl Into<View<'a, E::Real>>) -> Self {
        Self { weights: Some(weights.into()), ..self }
    }

    /// Sets `s`.
    pub fn scaled(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    /// Rows, before they are summed.
    pub(crate) fn all_rows(&self) -> usize {
        match &self.from {
            From::Rows(matrix) => matrix.rows(),
            From::Patches { count, convolution, .. } => {
                let [rows, columns] = convolution.results().unwrap_or([0, 0]);
                count * rows * columns
            }
        }
    }

    fn features(&self) -> usize {
        match &self.from {
            From::Rows(matrix) => matrix.columns(),
            From::Patches { convolution, .. } => convolution.features(),
        }
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let from = match &self.from {
            From::Rows(matrix) => matrix.view.place(),
            From::Patches { images, .. } => images.place(),
        };
        [Some(from), self.weights.as_ref().map(View::place)].into_iter().flatten()
    }

    fn check(&self, gram: &Gram) -> std::result::Result<(), String> {
        if self.features() != gram.features {
            return Err(format!(
                "it has {} and the inputs {}",
                count(gram.features as u64, "feature"),
                self.features()
            ));
        }
        let rows = self.all_rows();
        if self.positions == 0 || !rows.is_multiple_of(self.positions) {
            return Err(format!("{rows} rows are no sums of {} each", self.positions));
        }
        if let Some(weights) = &self.weights
            && weights.len() != rows / self.positions
        {
            return Err(format!("it has {} weights for {} rows", weights.len(), rows / self.positions));
        }
        if !self.scale.is_finite() && rows > 0 {
            return Err(format!("its scale is {}", self.scale));
        }
        if u32::try_from(rows).is_err() {
            return Err(format!("{rows} rows are more than 32 bits count"));
        }
        Ok(())
    }
}

/// Moving averages of Gram matrices, the factors of K-FAC and its relatives:
///
/// `F ← F + (s·Σ_n w_n·x_n·x_nᵀ - F) / W` with `W ← β·W + 1`,
///
/// for a ragged list of factors in two launches on CUDA. With `W = 0` at first this is the bias-corrected moving average
/// `Σ_k β^(t-k)·(s·Σ…)_k·(1 - β)/(1 - β^t)` (the weighted form of kfac-jax). Factors lie packed: row i of the lower half has i + 1
/// elements. Inputs are f32, bf16 or f16, sums and factors f32; on the CPU also f64.
///
/// ```
/// use gradus::linalg::{Gram, Inputs, SyrkEma};
/// use gradus::{Device, MatRef};
///
/// let mut averages = SyrkEma::<f64>::new(&Device::cpu(), &[Gram::new(2, true, 0.95)])?;
/// let (rows, mut factor) = ([1.0, 2.0, 3.0, 4.0], vec![0.0; 6]);
/// averages.update(&[Inputs::rows(MatRef::new(&rows[..], 2, 2)?)], &mut [(&mut factor).into()])?;
/// assert_eq!(factor, [5.0, 7.0, 10.0, 2.0, 3.0, 1.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct SyrkEma<E: Element> {
    device: Device,
    grams: Vec<Gram>,
    backend: Box<dyn SyrkBackend<E>>,
}

/// The factors of a [`SyrkEma`] on a device. The caller has checked every argument but addresses.
pub(crate) trait SyrkBackend<E: Element>: Send {
    fn update(&mut self, inputs: &[Inputs<'_, E>], factors: &mut [ViewMut<'_, E::Real>]) -> Result<()>;
}

impl<E: Element> SyrkEma<E> {
    /// A plan for factors of these shapes.
    ///
    /// Errors: no features; `β` or a count outside its range; f64 on CUDA; memory that does not suffice.
    pub fn new(device: &Device, grams: &[Gram]) -> Result<Self> {
        for (position, gram) in grams.iter().enumerate() {
            let refused = |message| refuse(format!("factor {position}"), message);
            if gram.features == 0 || gram.features > 1 << 20 {
                return refused(format!("its {} are outside 1 to 2²⁰", count(gram.features as u64, "feature")));
            }
            if !(0.0..=1.0).contains(&gram.beta) {
                return refused(format!("beta = {} is outside [0, 1]", gram.beta));
            }
            if !(0.0..f64::INFINITY).contains(&gram.count) {
                return refused(format!("its count {} is not a finite number of at least 0", gram.count));
            }
        }
        let backend: Box<dyn SyrkBackend<E>> = match device {
            Device::Cpu(_) => Box::new(cpu::linalg::CpuSyrk::new(grams.to_vec())),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaSyrk::new::<E>(cuda, grams.to_vec())?),
        };
        Ok(Self { device: device.clone(), grams: grams.to_vec(), backend })
    }

    /// The factors, as they were given.
    pub fn grams(&self) -> &[Gram] {
        &self.grams
    }

    /// Updates every factor.
    ///
    /// Errors, before anything is touched: other numbers, sizes or devices than the plan's, overlapping memory.
    pub fn update(&mut self, inputs: &[Inputs<'_, E>], factors: &mut [ViewMut<'_, E::Real>]) -> Result<()> {
        for (what, given) in [("inputs", inputs.len()), ("factors", factors.len())] {
            let expected = self.grams.len();
            if given != expected {
                let message = format!("there are {given} for {}", count(expected as u64, "factor"));
                return refuse(what.to_owned(), message);
            }
        }
        let place = self.device.place();
        for (position, ((gram, inputs), factor)) in self.grams.iter().zip(inputs).zip(factors.iter()).enumerate() {
            let refused = |message| refuse(format!("factor {position}"), message);
            if let Err(message) = inputs.check(gram) {
                return refused(message);
            }
            if factor.len() != gram.elements() {
                return refused(format!("packed it has {} elements and the view {}", gram.elements(), factor.len()));
            }
            if let Some(other) = inputs.places().chain([factor.place()]).find(|other| *other != place) {
                return refused(format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.update(inputs, factors)
    }
}

/// The new average from the old one.
#[inline(always)]
pub(crate) fn averaged<T: Real>(share: T, sum: T, scale: T, old: T) -> T {
    share.fma(sum * scale - old, old)
}
