//! Polar factors: against known singular vectors, whose values go through the polynomials one by one.

use gradus::element::{Dtype, Real};
use gradus::linalg::{PolarFactor, PolarNorm, PolarSettings};
use gradus::{Device, MatMut, MatRef};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;

/// A matrix with known singular vectors, and what stands in its target before a call.
struct Known {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    left: Vec<Vec<f64>>,
    right: Vec<Vec<f64>>,
}

const BEFORE: f64 = -7.5;

impl Known {
    /// Singular values from `scale` to `scale / condition`, in random bases.
    fn new(rows: usize, columns: usize, scale: f64, condition: f64, numbers: &mut Numbers) -> Self {
        let short = rows.min(columns);
        let share = |i: usize| if short == 1 { 0.0 } else { i as f64 / (short - 1) as f64 };
        let values = (0..short).map(|i| scale * condition.powf(-share(i))).collect();
        let mut vectors = |length| (0..3).map(|_| (0..length).map(|_| numbers.normal()).collect()).collect();
        Self { rows, columns, values, left: vectors(rows), right: vectors(columns) }
    }

    /// The matrix with the singular values that a function makes of its own.
    fn with(&self, value: impl Fn(f64) -> f64) -> Vec<f64> {
        let (rows, columns) = (self.rows, self.columns);
        let mut all = vec![0.0; rows * columns];
        self.values.iter().enumerate().for_each(|(i, x)| all[i * columns + i] = value(*x));
        for v in &self.left {
            let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
            for j in 0..columns {
                let along: f64 = (0..rows).map(|i| v[i] * all[i * columns + j]).sum();
                (0..rows).for_each(|i| all[i * columns + j] -= scale * along * v[i]);
            }
        }
        for v in &self.right {
            let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
            for row in all.chunks_exact_mut(columns) {
                let along: f64 = row.iter().zip(v).map(|(x, v)| x * v).sum();
                row.iter_mut().zip(v).for_each(|(x, v)| *x -= scale * along * v);
            }
        }
        all
    }

    /// The exact result.
    fn factor(&self, settings: &PolarSettings) -> Vec<f64> {
        let norm = self.values.iter().map(|x| x * x).sum::<f64>().sqrt();
        let by = match settings.norm {
            PolarNorm::Plus { factor, epsilon } => factor * norm + epsilon,
            PolarNorm::AtLeast { epsilon } => norm.max(epsilon),
        };
        let through = |x: f64, [a, b, c]: &[f64; 3]| x * (a + x * x * (b + x * x * c));
        self.with(|x| settings.polynomials.iter().fold(x / by, through))
    }
}

/// The factors of a list, rows of sources and targets some elements apart.
fn factors<T: Real>(
    device: &Device,
    given: &[(usize, usize, Vec<f64>)],
    settings: &PolarSettings,
    gap: usize,
) -> Vec<Vec<T>> {
    let shapes: Vec<_> = given.iter().map(|(rows, columns, _)| (*rows, *columns)).collect();
    let mut plan = PolarFactor::<T>::new(device, &shapes, settings.clone()).unwrap();
    let spread = |columns: usize, elements: &[f64]| -> Vec<T> {
        let filler = vec![f64::NAN; gap];
        elements.chunks_exact(columns).flat_map(|row| row.iter().chain(&filler)).map(|x| T::from_f64(*x)).collect()
    };
    let offset = gap % 4;
    let sources: Vec<_> = given.iter().map(|(_, n, all)| Guarded::new(device, &spread(*n, all), offset)).collect();
    let before = vec![T::from_f64(BEFORE); shapes.iter().map(|(m, n)| m * (n + gap)).max().unwrap_or(0)];
    let mut targets: Vec<_> =
        shapes.iter().map(|(m, n)| Guarded::new(device, &before[..m * (n + gap)], offset)).collect();
    for _ in 0..2 {
        let sources: Vec<_> = sources
            .iter()
            .zip(&shapes)
            .map(|(memory, (m, n))| MatRef::with_stride(memory.view(), *m, *n, n + gap).unwrap())
            .collect();
        let mut targets: Vec<_> = targets
            .iter_mut()
            .zip(&shapes)
            .map(|(memory, (m, n))| MatMut::with_stride(memory.view_mut(), *m, *n, n + gap).unwrap())
            .collect();
        plan.orthogonalize(&sources, &mut targets).unwrap();
    }
    let read = |(memory, (_, n)): (&Guarded<T>, &(usize, usize))| -> Vec<T> {
        let elements = memory.elements();
        let rows = elements.chunks_exact(n + gap);
        assert!(
            rows.clone().all(|row| row[*n..].iter().all(|x| x.to_f64() == BEFORE)),
            "between rows something was written"
        );
        rows.flat_map(|row| &row[..*n]).copied().collect()
    };
    targets.iter().zip(&shapes).map(read).collect()
}

/// The devices that differ in linear algebra and have this type.
fn those<T: Real>() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1).filter(|device| T::DTYPE == Dtype::F32 || matches!(device, Device::Cpu(_)))
}

fn apart<T: Real>(found: &[T], exact: &[f64]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = found.iter().zip(exact).map(|(x, y)| square(x.to_f64() - y)).sum();
    (difference / exact.iter().map(|x| square(*x)).sum::<f64>()).sqrt()
}

const SHAPES: [(usize, usize); 10] =
    [(1, 1), (1, 70), (70, 1), (3, 2), (64, 64), (65, 64), (64, 65), (33, 190), (130, 40), (129, 129)];

fn accuracy<T: Real>() {
    let settings = [
        PolarSettings::newton_schulz(5),
        PolarSettings { norm: PolarNorm::AtLeast { epsilon: 1e-7 }, ..PolarSettings::newton_schulz(2) },
        PolarSettings::polar_express(6),
        PolarSettings { norm: PolarNorm::Plus { factor: 1.0, epsilon: 0.5 }, ..PolarSettings::polar_express(1) },
    ];
    for device in those::<T>() {
        for (which, settings) in settings.iter().enumerate() {
            let mut numbers = Numbers::new(seed());
            // Squares of the largest and the smallest are no f32.
            let scale = [1.0, 1e25, 1e-25, 3.0][which];
            let known = SHAPES.map(|(rows, columns)| Known::new(rows, columns, scale, 100.0, &mut numbers));
            let given: Vec<_> = known.iter().map(|known| (known.rows, known.columns, known.with(|x| x))).collect();
            let found = factors::<T>(device, &given, settings, [0, 3, 4, 1][which]);
            for (found, known) in found.iter().zip(&known) {
                let error = apart(found, &known.factor(settings));
                // What cancels within a polynomial is as large as the sum of its coefficients' magnitudes.
                let size = settings.polynomials.iter().map(|all| all.iter().map(|x| x.abs()).sum()).fold(0.0, f64::max);
                let bound = 4.0 * size * T::EPSILON;
                assert!(error <= bound, "{error:e} for {}×{}, {which} on {device}", known.rows, known.columns);
            }
        }
    }
}

#[test]
fn factors_of_f32() {
    accuracy::<f32>();
}

#[test]
fn factors_of_f64() {
    accuracy::<f64>();
}

#[test]
fn many_steps_of_polar_express_make_matrices_orthogonal() {
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let known = Known::new(50, 100, 1.0, 1e3, &mut numbers);
        let given = [(50, 100, known.with(|x| x))];
        let found = factors::<f32>(device, &given, &PolarSettings::polar_express(12), 0);
        let error = apart(&found[0], &known.with(|_| 1.0));
        assert!(error < 1e-4, "{error:e} on {device}");
    }
}

#[test]
fn a_matrix_has_the_same_bits_in_any_company() {
    let settings = PolarSettings::newton_schulz(3);
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let mut given: Vec<_> = SHAPES
            .map(|(rows, columns)| (rows, columns, Known::new(rows, columns, 1.0, 10.0, &mut numbers).with(|x| x)))
            .into();
        let together = factors::<f32>(device, &given, &settings, 0);
        for (found, alone) in together.iter().zip(&given) {
            assert_eq!(factors::<f32>(device, std::slice::from_ref(alone), &settings, 0)[0], *found);
        }
        // A NaN makes NaNs of its matrix and touches no other one; zeros stay.
        given[4].2[70] = f64::NAN;
        given[6].2.fill(0.0);
        let mut settings = settings.clone();
        settings.norm = PolarNorm::Plus { factor: 1.0, epsilon: 0.0 };
        let clean = factors::<f32>(device, &given, &settings, 0);
        for (k, found) in clean.iter().enumerate() {
            match k {
                4 => assert!(found.iter().all(|x| x.is_nan()), "{device}"),
                6 => assert!(found.iter().all(|x| *x == 0.0), "{device}"),
                _ => assert!(apart(found, &together[k].iter().map(|x| f64::from(*x)).collect::<Vec<_>>()) < 1e-5),
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |shapes: &[(usize, usize)], settings| {
        PolarFactor::<f32>::new(&Device::cpu(), shapes, settings).map(drop).unwrap_err().to_string()
    };
    let plain = PolarSettings::default;
    assert_eq!(refused(&[(1, 1), (0, 2)], plain()), "matrix 1: the sides of 0×2 are not 1 to 1048576");
    let none = PolarSettings { polynomials: vec![], ..plain() };
    assert_eq!(refused(&[], none), "settings: 0 polynomials are not 1 to 100");
    let broken = PolarSettings { polynomials: vec![[1.0, f64::NAN, 0.0]], ..plain() };
    assert_eq!(refused(&[], broken), "settings: the coefficients [1.0, NaN, 0.0] are not all finite");
    let norm = |norm| PolarSettings { norm, ..plain() };
    assert_eq!(
        refused(&[], norm(PolarNorm::Plus { factor: 0.5, epsilon: 0.0 })),
        "settings: factor = 0.5 is not a finite number of at least 1"
    );
    assert_eq!(
        refused(&[], norm(PolarNorm::AtLeast { epsilon: -1.0 })),
        "settings: epsilon = -1 is not a finite number of at least 0"
    );
    for device in those::<f32>() {
        let mut plan = PolarFactor::<f32>::new(device, &[(2, 3)], plain()).unwrap();
        let (source, mut target) = (Guarded::new(device, &[1.0_f32; 6], 0), Guarded::new(device, &[0.0_f32; 6], 0));
        let from = |rows, columns| MatRef::new(source.view(), rows, columns).unwrap();
        let error = plan.orthogonalize(&[], &mut []).unwrap_err().to_string();
        assert_eq!(error, "sources: there are 0 for 1 shape");
        let to = MatMut::new(target.view_mut(), 2, 3).unwrap();
        let error = plan.orthogonalize(&[from(3, 2)], &mut [to]).unwrap_err().to_string();
        assert_eq!(error, "matrix 0: its source is 3×2 and must be 2×3");
        assert!(target.elements().iter().all(|x| *x == 0.0));
        let mut empty = PolarFactor::<f32>::new(device, &[], plain()).unwrap();
        empty.orthogonalize(&[], &mut []).unwrap();
        if matches!(device, Device::Cpu(_)) {
            continue;
        }
        assert!(PolarFactor::<f64>::new(device, &[(2, 3)], plain()).is_err());
        let (here, mut there) = ([1.0_f32; 6], [0.0_f32; 6]);
        let from = MatRef::new(&here[..], 2, 3).unwrap();
        let to = MatMut::new(&mut there[..], 2, 3).unwrap();
        assert!(plan.orthogonalize(&[from], &mut [to]).unwrap_err().to_string().contains("its memory is on"));
    }
}
