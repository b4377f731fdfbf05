//! Refreshed eigenbases: against the orthogonal factors that faer finds in f64.

use gradus::element::{Dtype, Real};
use gradus::linalg::{BasisRefresh, EighReport, EighStatus, Fault, Symmetric};
use gradus::{Device, MatMut, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::matrices::Square;
use crate::spd::{Layout, Stored};

const TOLERANCE: f64 = 1e-4;

/// A matrix of a test, how it lies, and the basis that it begins with.
#[derive(Clone)]
struct Given<T> {
    matrix: Vec<T>,
    layout: Layout,
    basis: Vec<T>,
}

impl<T: Real> Given<T> {
    fn new(matrix: &Square, basis: &Square) -> Self {
        Self { matrix: matrix.rounded().0, layout: Layout::Full, basis: basis.rounded().0 }
    }

    fn order(&self) -> usize {
        self.matrix.len().isqrt()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Found<T> {
    basis: Vec<T>,
    quotients: Vec<T>,
    columns: Vec<u32>,
    report: EighReport,
}

/// What stands in quotients before a call.
const BEFORE: f64 = -7.5;

/// The bases of a list after some calls; their rows lie a gap apart.
fn refreshed<T: Real>(device: &Device, given: &[Given<T>], calls: usize, gap: usize) -> Vec<Found<T>> {
    let orders: Vec<usize> = given.iter().map(Given::order).collect();
    let mut plan = BasisRefresh::<T>::new(device, &orders, TOLERANCE).unwrap();
    let store = |given: &Given<T>| Stored::new(device, &given.matrix, given.order(), given.layout, gap % 3);
    let stored: Vec<Stored<T>> = given.iter().map(store).collect();
    let spread = |given: &Given<T>| {
        let filler = vec![T::from_f64(BEFORE); gap];
        let rows = given.basis.chunks_exact(given.order());
        let elements: Vec<T> = rows.flat_map(|row| row.iter().chain(&filler)).copied().collect();
        Guarded::new(device, &elements, gap % 3)
    };
    let mut bases: Vec<Guarded<T>> = given.iter().map(spread).collect();
    let room = |order: &usize| Guarded::new(device, &vec![T::from_f64(BEFORE); *order], gap % 2);
    let mut quotients: Vec<Guarded<T>> = orders.iter().map(room).collect();
    for _ in 0..calls {
        let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
        let mut bases: Vec<MatMut<'_, T>> = bases
            .iter_mut()
            .zip(&orders)
            .map(|(basis, &n)| MatMut::with_stride(basis.view_mut(), n, n, n + gap).unwrap())
            .collect();
        let mut quotients: Vec<ViewMut<'_, T>> = quotients.iter_mut().map(Guarded::view_mut).collect();
        plan.refresh(&sources, &mut bases, &mut quotients).unwrap();
    }
    let (reports, columns) = (plan.reports().unwrap(), plan.columns().unwrap());
    let mut all = Vec::new();
    for (k, (basis, quotients)) in bases.iter().zip(&quotients).enumerate() {
        let rows = basis.elements();
        let rows = rows.chunks_exact(orders[k] + gap);
        assert!(rows.clone().all(|row| row[orders[k]..].iter().all(|x| x.to_f64() == BEFORE)));
        let basis = rows.flat_map(|row| &row[..orders[k]]).copied().collect();
        let (columns, report) = (columns[k].clone(), reports[k]);
        all.push(Found { basis, quotients: quotients.elements(), columns, report });
    }
    all
}

/// The devices that differ in linear algebra and have this type.
fn those<T: Real>() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1).filter(|device| T::DTYPE == Dtype::F32 || matches!(device, Device::Cpu(_)))
}

fn square<T: Real>(elements: &[T]) -> Square {
    Square { order: elements.len().isqrt(), at: elements.iter().map(|x| x.to_f64()).collect() }
}

/// `‖QᵀQ - 1‖_F`.
fn defect(basis: &Square) -> f64 {
    let n = basis.order;
    let mut transposed = Square::zeros(n);
    (0..n * n).for_each(|k| transposed.at[k % n * n + k / n] = basis.at[k]);
    transposed.times(basis).minus(&Square::zeros(n).damped(1.0)).norm()
}

/// The eigenvectors of a matrix by faer, the greatest value first, and the factor of `A·Q` with Q in the order of its quotients.
fn eigenbasis(matrix: &Square) -> (Square, Vec<f64>) {
    let n = matrix.order;
    let found = faer::MatRef::from_row_major_slice(&matrix.at, n, n).self_adjoint_eigen(faer::Side::Lower).unwrap();
    let (u, s) = (found.U(), found.S());
    let mut basis = Square::zeros(n);
    (0..n).for_each(|i| (0..n).for_each(|j| basis.at[i * n + j] = u[(i, n - 1 - j)]));
    (basis, (0..n).map(|j| s[n - 1 - j]).collect())
}

fn exact(matrix: &Square, basis: &Square) -> (Square, Vec<f64>, Vec<u32>) {
    let n = matrix.order;
    let product = matrix.times(basis);
    let quotients: Vec<f64> =
        (0..n).map(|j| (0..n).map(|i| basis.at[i * n + j] * product.at[i * n + j]).sum()).collect();
    let mut columns: Vec<u32> = (0..n as u32).collect();
    columns.sort_by(|j, k| quotients[*k as usize].total_cmp(&quotients[*j as usize]));
    let ordered = faer::Mat::from_fn(n, n, |i, j| product.at[i * n + columns[j] as usize]);
    let qr = ordered.qr();
    let (q, r) = (qr.compute_Q(), qr.R());
    let mut to = Square::zeros(n);
    for j in 0..n {
        (0..n).for_each(|i| to.at[i * n + j] = q[(i, j)] * r[(j, j)].signum());
    }
    let sorted = columns.iter().map(|j| quotients[*j as usize]).collect();
    (to, sorted, columns)
}

const ORDERS: [usize; 8] = [1, 2, 33, 64, 65, 130, 200, 260];

/// A matrix, and the eigenbasis of one that is a bit different.
fn pair(order: usize, condition: f64, numbers: &mut Numbers) -> (Square, Square) {
    let old = Square::with_condition(order, condition, numbers);
    let other = Square::with_condition(order, condition, numbers);
    let mut new = old.clone();
    new.at.iter_mut().zip(&other.at).for_each(|(x, y)| *x = 0.98 * *x + 0.02 * y);
    let (mut basis, _) = eigenbasis(&old);
    // Not in order.
    for row in basis.at.chunks_exact_mut(order) {
        row.reverse();
        row.swap(0, order / 2);
    }
    (new, basis)
}

fn accuracy<T: Real>() {
    for device in those::<T>() {
        let mut numbers = Numbers::new(seed());
        let pairs = ORDERS.map(|order| pair(order, 50.0, &mut numbers));
        let given: Vec<Given<T>> = pairs
            .iter()
            .enumerate()
            .map(|(k, (matrix, basis))| {
                let layout = [Layout::Full, Layout::Lower, Layout::Packed, Layout::Bordered][k % 4];
                Given { layout, ..Given::new(matrix, basis) }
            })
            .collect();
        for (found, given) in refreshed(device, &given, 1, 2).iter().zip(&given) {
            let (order, what) = (given.order(), format!("{} on {device}", given.order()));
            assert!(found.report.is_decomposed(), "{:?}, {what}", found.report);
            let (basis, quotients, columns) = exact(&square(&given.matrix), &square(&given.basis));
            assert_eq!(found.columns, columns, "{what}");
            let of_basis = square(&found.basis);
            let orthogonal = defect(&of_basis);
            assert!(orthogonal <= 20.0 * (order as f64).sqrt() * T::EPSILON, "{orthogonal:e}, {what}");
            let error = of_basis.minus(&basis).norm() / basis.norm();
            assert!(error <= 50.0 * 20.0 * T::EPSILON, "{error:e}, {what}");
            for (x, y) in found.quotients.iter().zip(quotients) {
                assert!((x.to_f64() - y).abs() <= 20.0 * T::EPSILON, "{what}");
            }
        }
    }
}

#[test]
fn bases_of_f32() {
    accuracy::<f32>();
}

#[test]
fn bases_of_f64() {
    accuracy::<f64>();
}

/// From the identity, by many steps.
#[test]
fn many_steps_find_the_eigenvectors() {
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let matrix = Square::with_condition(12, 1e3, &mut numbers);
        let found = &refreshed::<f32>(device, &[Given::new(&matrix, &Square::zeros(12).damped(1.0))], 40, 0)[0];
        let (_, values) = eigenbasis(&matrix);
        for (x, y) in found.quotients.iter().zip(values) {
            assert!((f64::from(*x) - y).abs() < 1e-5, "{x} for {y} on {device}");
        }
    }
}

/// Most eigenvalues are zero, or all.
#[test]
fn matrices_without_full_rank_have_bases() {
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let order = 70;
        let mut matrix = Square::zeros(order);
        for _ in 0..3 {
            let v: Vec<f64> = (0..order).map(|_| numbers.normal()).collect();
            (0..order * order).for_each(|k| matrix.at[k] += v[k / order] * v[k % order]);
        }
        let identity = Square::zeros(order).damped(1.0);
        let zeros = Square::zeros(order);
        let given = [Given::<f32>::new(&matrix, &identity), Given::new(&zeros, &identity)];
        let found = refreshed(device, &given, 3, 0);
        for (k, found) in found.iter().enumerate() {
            assert!(found.report.is_decomposed(), "{k}: {:?} on {device}", found.report);
            let orthogonal = defect(&square(&found.basis));
            assert!(orthogonal <= 1e-4, "{k}: {orthogonal:e} on {device}");
        }
        // The three columns that are not of the null space come first.
        let trace: f64 = (0..order).map(|i| matrix.at[i * order + i]).sum();
        let (first, rest) = found[0].quotients.split_at(3);
        let sum: f64 = first.iter().map(|x| f64::from(*x)).sum();
        assert!((sum - trace).abs() <= 1e-3 * trace, "{sum} for {trace} on {device}");
        assert!(rest.iter().all(|x| f64::from(*x).abs() <= 1e-3 * trace), "{device}");
    }
}

#[test]
fn a_matrix_has_the_same_bits_in_any_company() {
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let given = [1, 2, 33, 64, 65, 129].map(|order| {
            let (matrix, basis) = pair(order, 20.0, &mut numbers);
            Given::<f32>::new(&matrix, &basis)
        });
        let together = refreshed(device, &given, 2, 0);
        for (given, found) in given.iter().zip(&together) {
            assert_eq!(
                refreshed(device, std::slice::from_ref(given), 2, 0)[0],
                *found,
                "{} on {device}",
                given.order()
            );
        }
        // What is wrong with one touches no other, and leaves it as it was.
        let mut broken = given.clone();
        broken[2].matrix[33 * 5 + 2] = f32::NAN;
        broken[3].matrix[64 * 5 + 2] += 0.5;
        broken[5].basis[7] = f32::NAN;
        for (k, (found, broken)) in refreshed(device, &broken, 2, 0).iter().zip(&broken).enumerate() {
            match k {
                2 => assert!(matches!(
                    found.report.status,
                    EighStatus::Faulty(Fault::NotFinite { row: 5, column: 2, .. })
                )),
                3 => assert!(matches!(
                    found.report.status,
                    EighStatus::Faulty(Fault::Asymmetric { row: 5, column: 2, .. })
                )),
                5 => assert!(matches!(found.report.status, EighStatus::NotConverged { .. })),
                _ => assert_eq!(*found, together[k], "{k} on {device}"),
            }
            if [2, 3, 5].contains(&k) {
                assert!(found.basis.iter().zip(&broken.basis).all(|(x, y)| x.to_bits() == y.to_bits()), "{device}");
                assert!(found.quotients.iter().all(|x| f64::from(*x) == BEFORE), "{k} on {device}");
                assert!(found.columns.iter().zip(0..).all(|(x, y)| *x == y), "{k} on {device}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |orders: &[usize], tolerance| {
        BasisRefresh::<f32>::new(&Device::cpu(), orders, tolerance).map(drop).unwrap_err().to_string()
    };
    assert_eq!(refused(&[1, 0], 0.0), "matrix 1: its order 0 is outside 1 to 1048576");
    assert_eq!(refused(&[], -1.0), "settings: tolerance = -1 is not a finite number of at least 0");
    for device in those::<f32>() {
        let mut plan = BasisRefresh::<f32>::new(device, &[2], TOLERANCE).unwrap();
        assert_eq!(plan.refresh(&[], &mut [], &mut []).unwrap_err().to_string(), "sources: there are 0 for 1 order");
        let stored = Stored::new(device, &[1.0_f32; 4], 2, Layout::Full, 0);
        let (mut basis, mut few) = (Guarded::new(device, &[1.0_f32; 6], 0), Guarded::new(device, &[0.0_f32; 1], 0));
        let to = MatMut::new(basis.view_mut(), 2, 3).unwrap();
        let error = plan.refresh(&[stored.symmetric()], &mut [to], &mut [few.view_mut()]).unwrap_err().to_string();
        assert_eq!(error, "matrix 0: its order is 2 and the basis is 2×3");
        let to = MatMut::new(basis.view_mut(), 2, 2).unwrap();
        let error = plan.refresh(&[stored.symmetric()], &mut [to], &mut [few.view_mut()]).unwrap_err().to_string();
        assert_eq!(error, "matrix 0: its order is 2 and there is room for 1 quotients");
        BasisRefresh::<f32>::new(device, &[], TOLERANCE).unwrap().refresh(&[], &mut [], &mut []).unwrap();
        if !matches!(device, Device::Cpu(_)) {
            assert!(BasisRefresh::<f64>::new(device, &[2], TOLERANCE).is_err());
        }
    }
}
