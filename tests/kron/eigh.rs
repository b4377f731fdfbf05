//! Eigendecompositions: residuals, known spectra, lists, failures.

use gradus::element::Real;
use gradus::linalg::{Eigh, EighReport, EighSettings, EighStatus, Fault, Symmetric};
use gradus::{Device, MatMut, ViewMut};

use crate::common::data::{Numbers, full, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::matrices::Square;
use crate::spd::{Layout, Stored};

/// Both sides of the bounds of size classes, odd and even.
const ORDERS: [usize; 15] = [1, 2, 3, 4, 8, 16, 17, 31, 32, 33, 64, 65, 100, 128, 140];

/// What stands in vectors and values before a call, and must where none are written.
const BEFORE: f64 = -7.5;

/// A matrix of a test, and how it lies.
#[derive(Clone)]
struct Given<T> {
    elements: Vec<T>,
    layout: Layout,
    offset: usize,
}

impl<T: Real> Given<T> {
    fn new(square: &Square) -> Self {
        Self { elements: square.rounded().0, layout: Layout::Full, offset: 0 }
    }

    fn order(&self) -> usize {
        self.elements.len().isqrt()
    }

    fn square(&self) -> Square {
        Square { order: self.order(), at: self.elements.iter().map(|x| x.to_f64()).collect() }
    }
}

/// What was found of a matrix.
#[derive(Clone, Debug, PartialEq)]
struct Found<T> {
    vectors: Vec<T>,
    values: Vec<T>,
    report: EighReport,
}

impl<T: Real> Found<T> {
    fn stays(&self) -> bool {
        self.vectors.iter().chain(&self.values).all(|x| x.to_f64() == BEFORE)
    }
}

/// The decompositions of a list; rows of the vectors lie `gap` elements apart.
fn decomposed<T: Real>(device: &Device, given: &[Given<T>], settings: EighSettings, gap: usize) -> Vec<Found<T>> {
    let orders: Vec<usize> = given.iter().map(Given::order).collect();
    let mut plan = Eigh::<T>::new(device, &orders, settings).unwrap();
    let store = |given: &Given<T>| Stored::new(device, &given.elements, given.order(), given.layout, given.offset);
    let stored: Vec<Stored<T>> = given.iter().map(store).collect();
    let before = T::from_f64(BEFORE);
    let room = |length| Guarded::new(device, &vec![before; length], gap % 3);
    let mut vectors: Vec<Guarded<T>> = orders.iter().map(|order| room((order - 1) * (order + gap) + order)).collect();
    let mut values: Vec<Guarded<T>> = orders.iter().map(|order| room(*order)).collect();
    {
        let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
        let matrix = |(to, &order): (_, &usize)| {
            let to: &mut Guarded<T> = to;
            MatMut::with_stride(to.view_mut(), order, order, order + gap).unwrap()
        };
        let mut vectors: Vec<MatMut<'_, T>> = vectors.iter_mut().zip(&orders).map(matrix).collect();
        let mut values: Vec<ViewMut<'_, T>> = values.iter_mut().map(Guarded::view_mut).collect();
        plan.decompose(&sources, &mut vectors, &mut values).unwrap();
    }
    let reports = plan.reports().unwrap();
    let found = |((vectors, values), report): ((&Guarded<T>, &Guarded<T>), EighReport)| {
        let (all, values) = (vectors.elements(), values.elements());
        let order = values.len();
        for i in 0..order - 1 {
            let between = &all[i * (order + gap) + order..][..gap];
            assert!(between.iter().all(|x| *x == before), "written between rows {i} and {} of {order}", i + 1);
        }
        let vectors = (0..order).flat_map(|i| all[i * (order + gap)..][..order].to_vec()).collect();
        Found { vectors, values, report }
    };
    vectors.iter().zip(&values).zip(reports).map(found).collect()
}

/// What is far from a decomposition in units of n·ε: of the norm of what A·Q and Q·Λ differ by, and of Qᵀ·Q less 1.
struct Errors {
    residual: f64,
    orthogonality: f64,
}

impl Errors {
    /// Panics where values do not ascend, or a vector's sign is not that of the rule.
    fn of<T: Real>(matrix: &Square, found: &Found<T>, what: &str) -> Self {
        let order = matrix.order;
        assert!(found.report.is_decomposed(), "{what}: {:?}", found.report);
        assert!(found.values.is_sorted(), "{what}: values do not ascend: {:?}", found.values);
        let q = Square { order, at: found.vectors.iter().map(|x| x.to_f64()).collect() };
        let mut transposed = q.clone();
        let mut scaled = q.clone();
        for i in 0..order {
            for j in 0..order {
                transposed.at[j * order + i] = q.at[i * order + j];
                scaled.at[i * order + j] *= found.values[j].to_f64();
            }
        }
        for column in transposed.at.chunks_exact(order) {
            let largest = column.iter().fold(0.0, |largest: f64, x| if x.abs() > largest.abs() { *x } else { largest });
            assert!(largest > 0.0, "{what}: the largest component of a vector is {largest}");
        }
        let unit = order as f64 * T::EPSILON;
        let norm = matrix.norm();
        let rest = matrix.times(&q).minus(&scaled).norm();
        let residual = if norm > 0.0 { rest / norm / unit } else { rest };
        let identity = Square::zeros(order).damped(1.0);
        Self { residual, orthogonality: transposed.times(&q).minus(&identity).norm() / unit }
    }
}

/// The greatest errors of a healthy decomposition, in units of n·ε. Those of faer's vectors are up to 2.9.
fn most(device: &Device) -> f64 {
    if matches!(device, Device::Cpu(_)) { 4.0 } else { 2.0 }
}

/// A matrix with normal elements, of either sign of eigenvalue.
fn indefinite(order: usize, numbers: &mut Numbers) -> Square {
    let mut own = Square::zeros(order);
    for i in 0..order {
        for j in 0..=i {
            own.at[i * order + j] = numbers.normal();
            own.at[j * order + i] = own.at[i * order + j];
        }
    }
    own
}

/// The levels of the CPU are faer's own affair: its best one, then CUDA.
fn each_device() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1)
}

fn accurate<T: Real>(largest: f64) {
    let mut numbers = Numbers::new(seed());
    let mut given: Vec<(String, Given<T>)> = Vec::new();
    for order in ORDERS {
        let mut add =
            |kind: &str, square: &Square| given.push((format!("{kind} of order {order}"), Given::new(square)));
        add("indefinite", &indefinite(order, &mut numbers));
        if order <= 65 || full() {
            add("condition 1e6", &Square::with_condition(order, 1e6, &mut numbers));
        }
        if order <= 33 {
            for scale in [largest, 1.0 / largest] {
                let mut square = indefinite(order, &mut numbers);
                square.at.iter_mut().for_each(|x| *x *= scale);
                add(&format!("scaled by {scale:e}"), &square);
            }
        }
    }
    let matrices: Vec<Given<T>> = given.iter().map(|(_, given)| given.clone()).collect();
    for device in each_device() {
        let (mut residual, mut orthogonality, mut sweeps) = (0.0_f64, 0.0_f64, 0);
        for ((what, given), found) in given.iter().zip(decomposed(device, &matrices, EighSettings::default(), 0)) {
            let what = format!("{what}, {} on {device}", T::DTYPE);
            let errors = Errors::of(&given.square(), &found, &what);
            let bound = most(device);
            assert!(errors.residual <= bound, "{what}: the residual is {}", errors.residual);
            assert!(errors.orthogonality <= bound, "{what}: the vectors are {} from orthogonal", errors.orthogonality);
            residual = residual.max(errors.residual / bound);
            orthogonality = orthogonality.max(errors.orthogonality / bound);
            sweeps = sweeps.max(found.report.sweeps);
        }
        println!(
            "{} on {device}: residual at most {residual:.3} of its bound, orthogonality {orthogonality:.3}, {sweeps} sweeps",
            T::DTYPE,
        );
        assert!(sweeps <= 14, "{sweeps} sweeps on {device}");
    }
}

#[test]
fn decompositions_of_f32_are_accurate() {
    accurate::<f32>(1e20);
}

#[test]
fn decompositions_of_f64_are_accurate() {
    accurate::<f64>(1e100);
}

/// Matrices whose eigenvalues are known, with these, ascending.
fn known(order: usize, numbers: &mut Numbers) -> Vec<(&'static str, Square, Vec<f64>)> {
    let n = order as f64;
    let mut toeplitz = Square::zeros(order);
    let mut diagonal = Square::zeros(order);
    let mut rank_one = Square::zeros(order);
    for i in 0..order {
        toeplitz.at[i * order + i] = 2.0;
        if i > 0 {
            toeplitz.at[i * order + i - 1] = -1.0;
            toeplitz.at[(i - 1) * order + i] = -1.0;
        }
        // Out of order.
        diagonal.at[i * order + i] = ((i * 7 + 3) % order) as f64 - n / 2.0;
        for j in 0..order {
            rank_one.at[i * order + j] = ((i % 3 + 1) * (j % 3 + 1)) as f64;
        }
    }
    let cosine = |k: usize| 2.0 - 2.0 * (k as f64 * std::f64::consts::PI / (n + 1.0)).cos();
    let mut on_diagonal: Vec<f64> = (0..order).map(|i| diagonal.at[i * order + i]).collect();
    on_diagonal.sort_by(f64::total_cmp);
    let mut of_one = vec![0.0; order];
    of_one[order - 1] = (0..order).map(|i| ((i % 3 + 1) * (i % 3 + 1)) as f64).sum();
    // H = 1 - 2·v·vᵀ / vᵀv has the eigenvalues -1 and, otherwise, 1.
    let v: Vec<f64> = (0..order).map(|_| numbers.normal()).collect();
    let square: f64 = v.iter().map(|x| x * x).sum();
    let mut reflection = Square::zeros(order).damped(1.0);
    for i in 0..order {
        for j in 0..order {
            reflection.at[i * order + j] -= 2.0 * v[i] * v[j] / square;
        }
    }
    let mut of_reflection = vec![1.0; order];
    of_reflection[0] = -1.0;
    vec![
        ("Toeplitz", toeplitz, (1..=order).map(cosine).collect()),
        ("diagonal", diagonal, on_diagonal),
        ("rank one", rank_one, of_one),
        ("reflection", reflection, of_reflection),
        ("identity", Square::zeros(order).damped(1.0), vec![1.0; order]),
        ("zero", Square::zeros(order), vec![0.0; order]),
    ]
}

fn known_spectra<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let known: Vec<_> = [1, 2, 5, 32, 47].into_iter().flat_map(|order| known(order, &mut numbers)).collect();
    let given: Vec<Given<T>> = known.iter().map(|(_, square, _)| Given::new(square)).collect();
    for device in each_device() {
        let found = decomposed(device, &given, EighSettings::default(), 0);
        for ((given, (kind, square, expected)), found) in given.iter().zip(&known).zip(&found) {
            let order = square.order;
            let what = format!("{kind} matrix of order {order}, {} on {device}", T::DTYPE);
            let errors = Errors::of(&given.square(), found, &what);
            for error in [errors.residual, errors.orthogonality] {
                assert!(error <= most(device), "{what}: residual or orthogonality {error}: {found:?}");
            }
            // Weyl: the values move by no more than the matrix.
            let bound = most(device) * order as f64 * T::EPSILON * square.norm();
            for (value, expected) in found.values.iter().zip(expected) {
                assert!((value.to_f64() - expected).abs() <= bound, "{what}: {value:?}, not {expected}");
            }
            // What faer does to these is its own affair.
            if ["diagonal", "identity", "zero"].contains(kind) && !matches!(device, Device::Cpu(_)) {
                assert_eq!(found.report.sweeps, 0, "{what}");
                assert!(
                    found.values.iter().zip(expected).all(|(value, expected)| value.to_f64() == *expected),
                    "{what}"
                );
                let ones = found.vectors.iter().filter(|x| x.to_f64() == 1.0).count();
                let zeros = found.vectors.iter().filter(|x| x.to_f64() == 0.0).count();
                assert_eq!((ones, zeros), (order, order * order - order), "{what}");
            }
        }
    }
}

#[test]
fn known_spectra_are_found_in_f32() {
    known_spectra::<f32>();
}

#[test]
fn known_spectra_are_found_in_f64() {
    known_spectra::<f64>();
}

/// Forms of sources, gaps between rows, offsets, the company and the order of a list: the bits stay.
fn same_bits<T: Real>(orders: &[usize]) {
    let mut numbers = Numbers::new(seed());
    let given: Vec<Given<T>> = orders.iter().map(|&order| Given::new(&indefinite(order, &mut numbers))).collect();
    for device in devices() {
        let expected = decomposed(device, &given, EighSettings::default(), 0);
        for (turn, layout) in [Layout::Lower, Layout::Packed, Layout::Bordered].into_iter().enumerate() {
            let given: Vec<Given<T>> =
                given.iter().map(|given| Given { layout, offset: turn + 1, ..given.clone() }).collect();
            let found = decomposed(device, &given, EighSettings::default(), [5, 2, 1][turn]);
            assert!(found == expected, "{layout:?}, {} on {device}", T::DTYPE);
        }
        let mut places: Vec<usize> = (0..given.len()).collect();
        places.rotate_left(3);
        places.swap(0, 4);
        let shuffled: Vec<Given<T>> = places.iter().map(|&place| given[place].clone()).collect();
        for (found, &place) in decomposed(device, &shuffled, EighSettings::default(), 0).iter().zip(&places) {
            assert!(*found == expected[place], "order {} in another list on {device}", orders[place]);
        }
        for (place, given) in given.iter().enumerate() {
            let found = decomposed(device, std::slice::from_ref(given), EighSettings::default(), 0);
            assert!(found[0] == expected[place], "order {} alone on {device}", orders[place]);
        }
        // One that fails changes no other.
        let mut failing = given.clone();
        failing[2].elements[0] = T::from_f64(f64::NAN);
        for (place, found) in decomposed(device, &failing, EighSettings::default(), 0).iter().enumerate() {
            assert!(if place == 2 { found.stays() } else { *found == expected[place] }, "matrix {place} on {device}");
        }
    }
}

#[test]
fn a_matrix_has_the_same_bits_in_any_form_and_list() {
    same_bits::<f32>(&[40, 3, 33, 90, 1, 97, 16, 20]);
    same_bits::<f64>(&[40, 3, 33, 1, 16, 20]);
}

/// Faults of every kind in matrices of every class: what is reported, and that nothing is written.
fn faults<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let orders = [1, 2, 10, 30, 50, 90, 100];
    let plain: Vec<Given<T>> = orders.iter().map(|&order| Given::new(&indefinite(order, &mut numbers))).collect();
    for device in devices() {
        for kind in ["nan", "infinite", "asymmetric"] {
            let mut given = plain.clone();
            for given in &mut given {
                let order = given.order();
                let (i, j) = (order - 1, order / 3);
                let at = &mut given.elements;
                match kind {
                    "nan" => at[i * order + j] = T::from_f64(f64::NAN),
                    // Only in the half that is not computed with.
                    "infinite" => at[j * order + i] = T::from_f64(f64::NEG_INFINITY),
                    _ if i == j => {}
                    _ => at[i * order + j] += T::from_f64(0.25),
                }
            }
            for (order, found) in orders.iter().zip(decomposed(device, &given, EighSettings::default(), 0)) {
                let what = format!("{kind} matrix of order {order} on {device}: {:?}", found.report);
                let (i, j) = (order - 1, order / 3);
                if kind == "asymmetric" && i == j {
                    assert!(found.report.is_decomposed(), "{what}");
                    continue;
                }
                assert!(found.stays(), "{what}: written");
                match (kind, found.report.status) {
                    ("nan", EighStatus::Faulty(Fault::NotFinite { row, column, value })) => {
                        assert!((row as usize, column as usize) == (i, j) && value.is_nan(), "{what}");
                    }
                    ("infinite", EighStatus::Faulty(Fault::NotFinite { row, column, value })) => {
                        assert!((row as usize, column as usize) == (i, j) && value == f64::NEG_INFINITY, "{what}");
                    }
                    ("asymmetric", EighStatus::Faulty(Fault::Asymmetric { row, column, difference })) => {
                        assert!((row as usize, column as usize) == (i, j), "{what}");
                        assert!((difference - 0.25).abs() < 1e-5, "{what}");
                    }
                    _ => panic!("{what}"),
                }
            }
        }
    }
}

#[test]
fn faults_are_reported_in_f32() {
    faults::<f32>();
}

#[test]
fn faults_are_reported_in_f64() {
    faults::<f64>();
}

/// With too few sweeps, which only CUDA has.
#[test]
fn a_matrix_that_does_not_converge_is_reported() {
    let mut numbers = Numbers::new(seed());
    let given = [Given::<f32>::new(&indefinite(40, &mut numbers)), Given::new(&Square::zeros(3))];
    for device in &devices()[cpus().len()..] {
        let mut before = f64::INFINITY;
        for sweeps in 1..=3 {
            let settings = EighSettings { sweeps, ..EighSettings::default() };
            let found = decomposed(device, &given, settings, 0);
            let EighStatus::NotConverged { off_diagonal } = found[0].report.status else {
                panic!("{:?}", found[0].report)
            };
            assert!(found[0].stays() && found[0].report.sweeps == sweeps);
            assert!(off_diagonal < before && off_diagonal > 1e-6, "{off_diagonal} after {before}");
            before = off_diagonal;
            assert!(found[1].report.is_decomposed());
        }
    }
}

#[test]
fn an_empty_list_is_decomposed() {
    for device in devices() {
        let mut plan = Eigh::<f32>::new(device, &[], EighSettings::default()).unwrap();
        plan.decompose(&[], &mut [], &mut []).unwrap();
        assert_eq!(plan.reports().unwrap(), []);
    }
}

/// Wrong calls, and what is said of them.
#[test]
fn wrong_calls_are_refused() {
    let refused = |result: gradus::Result<()>, expected: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}, not {expected}");
    };
    for device in devices() {
        let new = |orders: &[usize], sweeps, tolerance| {
            Eigh::<f32>::new(device, orders, EighSettings { sweeps, tolerance }).map(drop)
        };
        refused(new(&[3, 0], 30, 1e-4), "matrix 1: its order 0 is outside 1 to 1048576");
        refused(new(&[3, 1 << 21], 30, 1e-4), "matrix 1: its order 2097152 is outside");
        refused(new(&[3], 0, 1e-4), "settings: 0 sweeps are outside 1 to 100");
        refused(new(&[3], 30, f64::NAN), "settings: tolerance = NaN is not a finite number");
        if !matches!(device, Device::Cpu(_)) {
            refused(new(&[3, 2000], 30, 1e-4), "matrix 1: its order 2000 is beyond ");
        }
        let mut plan = Eigh::<f32>::new(device, &[2, 3], EighSettings::default()).unwrap();
        let store = |order: usize| Stored::new(device, &vec![0.0_f32; order * order], order, Layout::Full, 0);
        let (two, three) = (store(2), store(3));
        let room = |length| Guarded::new(device, &vec![0.0_f32; length], 0);
        let mut vectors = [room(4), room(9)];
        let mut values = [room(2), room(3)];
        let mut call = |sources: &[&Stored<f32>], shapes: [usize; 2], lengths: [usize; 2], count: usize| {
            let sources: Vec<_> = sources.iter().map(|stored| stored.symmetric()).collect();
            let mut vectors: Vec<_> = vectors
                .iter_mut()
                .zip(shapes)
                .map(|(to, order)| MatMut::with_stride(to.view_mut(), order, order, order.max(1)).unwrap())
                .collect();
            let mut values: Vec<ViewMut<'_, f32>> = values.iter_mut().map(Guarded::view_mut).take(count).collect();
            if lengths == [3, 2] {
                values.reverse();
            }
            plan.decompose(&sources, &mut vectors, &mut values)
        };
        refused(call(&[&two], [2, 3], [2, 3], 2), "sources: there are 1 for 2 matrices");
        refused(call(&[&two, &three], [2, 3], [2, 3], 1), "values: there are 1 for 2 matrices");
        refused(call(&[&three, &two], [2, 3], [2, 3], 2), "matrix 0: its order is 2 and the source's 3");
        refused(call(&[&two, &three], [1, 3], [2, 3], 2), "matrix 0: its order is 2 and the vectors are 1×1");
        refused(call(&[&two, &three], [2, 3], [3, 2], 2), "matrix 0: its order is 2 and there is room for 3 values");
        call(&[&two, &three], [2, 3], [2, 3], 2).unwrap();
    }
}
