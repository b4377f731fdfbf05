use super::blocks::{MOST, refuse};
use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::device::Device;
use crate::element::Real;
use crate::error::{Result, count};
use crate::memory::{MatMut, MatRef, View, ViewMut};

/// The most steps of an iteration.
const MOST_STEPS: usize = 100;

/// What a matrix is divided by before the first step, so that its singular values are at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PolarNorm {
    /// `factor·‖X‖_F + epsilon`, as Muon of Jordan (2024) with a factor of 1.
    Plus {
        /// At least 1.
        factor: f64,
        /// At least 0.
        epsilon: f64,
    },
    /// `max(‖X‖_F, epsilon)`, as PyTorch's Muon.
    AtLeast {
        /// At least 0.
        epsilon: f64,
    },
}

/// How the polar factor is approached: the polynomials `p(x) = a·x + b·x³ + c·x⁵` that singular values go through, step by step,
/// and what they are divided by before.
#[derive(Clone, Debug, PartialEq)]
pub struct PolarSettings {
    /// The `[a, b, c]` of every step; 1 to 100 of them.
    pub polynomials: Vec<[f64; 3]>,
    /// What precedes.
    pub norm: PolarNorm,
}

impl PolarSettings {
    /// The quintic of Muon (Jordan 2024), `3.4445·x - 4.7750·x³ + 2.0315·x⁵` in every step, of a matrix divided by
    /// `‖X‖_F + 10⁻⁷`. Five steps bring singular values from 0.01 to 1 to between about 0.7 and 1.2; it does not converge to 1.
    pub fn newton_schulz(steps: usize) -> Self {
        let norm = PolarNorm::Plus { factor: 1.0, epsilon: 1e-7 };
        Self { polynomials: vec![[3.4445, -4.7750, 2.0315]; steps], norm }
    }

    /// Polar Express (Amsel, Persson, Musco and Gower 2025, arXiv 2505.16932): in every step the odd quintic that is nearest to 1
    /// on the interval where the singular values then are, which begins at 10⁻³. As there, the interval is taken to begin at
    /// 0.0241 of its end at least, all steps but the last are made safe by 1.01, and the matrix is divided by
    /// `1.02·‖X‖_F + 10⁻⁷`. With many steps it converges to 1.
    pub fn polar_express(steps: usize) -> Self {
        let norm = PolarNorm::Plus { factor: 1.02, epsilon: 1e-7 };
        Self { polynomials: composition(1e-3, steps), norm }
    }

    fn check(&self) -> Result<()> {
        let refused = |message| refuse("settings".to_owned(), message);
        if !(1..=MOST_STEPS).contains(&self.polynomials.len()) {
            return refused(format!("{} polynomials are not 1 to {MOST_STEPS}", self.polynomials.len()));
        }
        if let Some(polynomial) = self.polynomials.iter().find(|all| all.iter().any(|x| !x.is_finite())) {
            return refused(format!("the coefficients {polynomial:?} are not all finite"));
        }
        let (factor, epsilon) = match self.norm {
            PolarNorm::Plus { factor, epsilon } => (factor, epsilon),
            PolarNorm::AtLeast { epsilon } => (1.0, epsilon),
        };
        if !(1.0..f64::INFINITY).contains(&factor) {
            return refused(format!("factor = {factor} is not a finite number of at least 1"));
        }
        if !(0.0..f64::INFINITY).contains(&epsilon) {
            return refused(format!("epsilon = {epsilon} is not a finite number of at least 0"));
        }
        Ok(())
    }
}

/// Five steps of [`PolarSettings::newton_schulz`].
impl Default for PolarSettings {
    fn default() -> Self {
        Self::newton_schulz(5)
    }
}

/// The `[a, b, c]` of the odd quintic that is nearest to 1 on \[lower, upper\], by Remez' exchange: the error takes its greatest
/// value with changing signs at both ends and at the two extrema between.
fn nearest_quintic(lower: f64, upper: f64) -> [f64; 3] {
    // Where the interval is a point, its Taylor polynomial, in which nothing cancels.
    if upper - lower <= 5e-6 * upper {
        return [15.0 / 8.0 / upper, -10.0 / 8.0 / upper.powi(3), 3.0 / 8.0 / upper.powi(5)];
    }
    let mut inner = [(3.0 * lower + upper) / 4.0, (lower + 3.0 * upper) / 4.0];
    let mut best = [0.0; 3];
    for _ in 0..100 {
        let points = [lower, inner[0], inner[1], upper];
        let rows = [0, 1, 2, 3].map(|k| {
            let x = points[k];
            [x, x.powi(3), x.powi(5), if k % 2 == 0 { 1.0 } else { -1.0 }]
        });
        let [a, b, c, _] = solved(rows);
        let settled = (0..3).all(|k| ([a, b, c][k] - best[k]).abs() <= 1e-15 * best[k].abs());
        best = [a, b, c];
        // The roots of p'(x) = a + 3·b·x² + 5·c·x⁴.
        let root = (9.0 * b * b - 20.0 * a * c).sqrt();
        inner = [-1.0, 1.0].map(|sign: f64| ((-3.0 * b + sign * root) / (10.0 * c)).sqrt());
        if settled {
            break;
        }
    }
    best
}

/// The x with rows·x = 1, by elimination with the greatest pivot.
fn solved(rows: [[f64; 4]; 4]) -> [f64; 4] {
    let mut all = rows.map(|[a, b, c, d]| [a, b, c, d, 1.0]);
    for k in 0..4 {
        let pivot = (k..4).max_by(|i, j| all[*i][k].abs().total_cmp(&all[*j][k].abs())).unwrap_or(k);
        all.swap(k, pivot);
        for i in (0..4).filter(|i| *i != k) {
            let (factor, row) = (all[i][k] / all[k][k], all[k]);
            all[i].iter_mut().zip(row).skip(k).for_each(|(x, y)| *x -= factor * y);
        }
    }
    [0, 1, 2, 3].map(|k| all[k][4] / all[k][k])
}

/// The polynomials of Polar Express for singular values from `lower` to 1 (algorithm 1 there, with its section on finite
/// precision).
fn composition(lower: f64, steps: usize) -> Vec<[f64; 3]> {
    /// The least that an interval begins at, of its end.
    const CUSHION: f64 = 0.024_073_27;
    const SAFETY: f64 = 1.01;
    let (mut lower, mut upper) = (lower, 1.0);
    let mut polynomials = Vec::with_capacity(steps);
    for step in 0..steps {
        let mut polynomial = nearest_quintic(f64::max(lower, CUSHION * upper), upper);
        let value = |[a, b, c]: [f64; 3], x: f64| x * (a + x * x * (b + x * x * c));
        if CUSHION * upper > lower {
            // Where the interval was cut, its true ends are made to lie as far on either side of 1.
            let by = 2.0 / (value(polynomial, lower) + value(polynomial, upper));
            polynomial = polynomial.map(|x| x * by);
        }
        lower = value(polynomial, lower);
        upper = 2.0 - lower;
        if step + 1 < steps {
            let [a, b, c] = polynomial;
            polynomial = [a / SAFETY, b / SAFETY.powi(3), c / SAFETY.powi(5)];
        }
        polynomials.push(polynomial);
    }
    polynomials
}

/// Approximate polar factors of a ragged list of matrices: of `X = U·Σ·Vᵀ`, `U·p(Σ)·Vᵀ` with a polynomial p that is near 1. These
/// are the directions of Muon and what else makes a matrix orthogonal.
///
/// A step with `[a, b, c]` is `X ← a·X + (b·G + c·G²)·X` with `G = X·Xᵀ`, or the same from the right where there are fewer columns
/// than rows. Only half of the symmetric products is computed.
///
/// It is made once for a list of sizes, and then holds all memory that a call needs: on CUDA a call is three launches a step and
/// four more, whatever the number of matrices, waits for nothing and can be captured in a graph.
///
/// ```
/// use gradus::linalg::{PolarFactor, PolarSettings};
/// use gradus::{Device, MatMut, MatRef};
///
/// let mut plan = PolarFactor::new(&Device::cpu(), &[(2, 3)], PolarSettings::polar_express(10))?;
/// let x = [3.0_f64, 0.0, 0.0, 0.0, 0.0, -0.5];
/// let mut u = [0.0; 6];
/// plan.orthogonalize(&[MatRef::new(&x[..], 2, 3)?], &mut [MatMut::new(&mut u[..], 2, 3)?])?;
/// assert!(u.iter().zip([1.0, 0.0, 0.0, 0.0, 0.0, -1.0]).all(|(u, exact)| (u - exact).abs() < 1e-9));
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct PolarFactor<T: Real> {
    device: Device,
    shapes: Vec<(usize, usize)>,
    backend: Box<dyn PolarBackend<T>>,
}

/// The matrices of a plan on a device. The caller has checked every argument but addresses.
pub(crate) trait PolarBackend<T: Real>: Send {
    fn orthogonalize(&mut self, sources: &[MatRef<'_, T>], targets: &mut [MatMut<'_, T>]) -> Result<()>;
}

impl<T: Real> PolarFactor<T> {
    /// A plan for matrices of these rows and columns.
    ///
    /// Errors: a side of 0 or beyond 2²⁰, a setting outside its range; f64 on CUDA; memory that does not suffice.
    pub fn new(device: &Device, shapes: &[(usize, usize)], settings: PolarSettings) -> Result<Self> {
        settings.check()?;
        for (position, (rows, columns)) in shapes.iter().enumerate() {
            if !(1..=MOST).contains(rows) || !(1..=MOST).contains(columns) {
                return refuse(matrix(position), format!("the sides of {rows}×{columns} are not 1 to {MOST}"));
            }
        }
        let backend: Box<dyn PolarBackend<T>> = match device {
            Device::Cpu(cpu) => Box::new(cpu::linalg::CpuPolar::new(*cpu, shapes, settings)),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Box::new(cuda::linalg::CudaPolar::new::<T>(cuda, shapes, &settings)?),
        };
        Ok(Self { device: device.clone(), shapes: shapes.to_vec(), backend })
    }

    /// The rows and columns of the matrices, as they were given.
    pub fn shapes(&self) -> &[(usize, usize)] {
        &self.shapes
    }

    /// Writes `targets[k]`, the factor of `sources[k]`, both \[rows×columns\]. A matrix of zeros stays one, and one with a NaN
    /// becomes NaNs; no other matrix is touched by it. On CUDA this enqueues the work.
    ///
    /// Errors, before anything is touched: another number of matrices than of shapes, other sizes, another device, memory that
    /// is misaligned or written and used otherwise.
    pub fn orthogonalize(&mut self, sources: &[MatRef<'_, T>], targets: &mut [MatMut<'_, T>]) -> Result<()> {
        let expected = self.shapes.len();
        for (what, given) in [("sources", sources.len()), ("targets", targets.len())] {
            if given != expected {
                return refuse(what.to_owned(), format!("there are {given} for {}", count(expected as u64, "shape")));
            }
        }
        let place = self.device.place();
        for (position, (shape, (source, target))) in
            self.shapes.iter().zip(sources.iter().zip(targets.iter())).enumerate()
        {
            let found = [("source", (source.rows(), source.columns())), ("target", (target.rows(), target.columns()))];
            if let Some((what, (rows, columns))) = found.into_iter().find(|(_, found)| found != shape) {
                let message = format!("its {what} is {rows}×{columns} and must be {}×{}", shape.0, shape.1);
                return refuse(matrix(position), message);
            }
            let places = [View::place(&source.view), ViewMut::place(&target.view)];
            if let Some(other) = places.into_iter().find(|other| *other != place) {
                return refuse(matrix(position), format!("its memory is on {other} and the plan on {place}"));
            }
        }
        self.backend.orthogonalize(sources, targets)
    }
}

fn matrix(position: usize) -> String {
    format!("matrix {position}")
}

#[cfg(test)]
mod tests {
    use super::composition;

    /// The first polynomials that the paper's authors print, to the digits that they print.
    #[test]
    fn polar_express_is_the_published_one() {
        let printed = [
            [8.28721, -23.59589, 17.30039],
            [4.10706, -2.94785, 0.54484],
            [3.94869, -2.90890, 0.55182],
            [3.31842, -2.48849, 0.51005],
            [2.30065, -1.66890, 0.41881],
        ];
        let safety = 1.01_f64;
        for (ours, theirs) in composition(1e-3, 8).into_iter().zip(printed) {
            let ours = [ours[0] * safety, ours[1] * safety.powi(3), ours[2] * safety.powi(5)];
            for (x, y) in ours.into_iter().zip(theirs) {
                assert!((x - y).abs() < 1.5e-5, "{ours:?} for {theirs:?}");
            }
        }
        // In the end the interval is a point.
        let [a, b, c] = composition(1e-3, 30)[29];
        assert!((a + b + c - 1.0).abs() < 1e-6 && (a + 3.0 * b + 5.0 * c).abs() < 1e-5, "{a} {b} {c}");
    }
}
