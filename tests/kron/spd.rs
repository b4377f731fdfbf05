//! Damped inverses: forms, lists, failures.

use std::collections::BTreeMap;

use gradus::element::Real;
use gradus::linalg::{Block, Fault, Report, SpdInverse, SpdSettings, Status, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef};

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::matrices::{Square, packed};

/// Sizes of every class and on both sides of every bound.
const ORDERS: [usize; 22] = [1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 100, 124, 125, 128, 129, 192, 200, 248, 249];

/// How a source is handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    Full,
    /// Rows apart, elements above the diagonal not numbers.
    Lower,
    Packed,
    /// The last row apart.
    Bordered,
}

const LAYOUTS: [Layout; 4] = [Layout::Full, Layout::Lower, Layout::Packed, Layout::Bordered];

/// A source in memory of a device.
pub struct Stored<T: Real> {
    layout: Layout,
    order: usize,
    stride: usize,
    elements: Guarded<T>,
    border: Option<Guarded<T>>,
}

impl<T: Real> Stored<T> {
    pub fn new(device: &Device, elements: &[T], order: usize, layout: Layout, offset: usize) -> Self {
        let nan = T::from_f64(f64::NAN);
        let rows = |core: usize, stride: usize| -> Vec<T> {
            let mut all = vec![nan; if core == 0 { 0 } else { (core - 1) * stride + core }];
            for i in 0..core {
                all[i * stride..][..core].copy_from_slice(&elements[i * order..][..core]);
            }
            all
        };
        let (stride, stored, border) = match layout {
            Layout::Full => (order, rows(order, order), None),
            Layout::Lower => {
                let stride = order + 3;
                let mut all = rows(order, stride);
                for i in 0..order {
                    all[i * stride..][i + 1..order].fill(nan);
                }
                (stride, all, None)
            }
            Layout::Packed => (0, packed(elements, order), None),
            Layout::Bordered => {
                let core = order - 1;
                (core.max(1), rows(core, core.max(1)), Some(&elements[core * order..]))
            }
        };
        let border = border.map(|border| Guarded::new(device, border, 0));
        Self { layout, order, stride, elements: Guarded::new(device, &stored, offset), border }
    }

    pub fn symmetric(&self) -> Symmetric<'_, T> {
        let matrix = |order| MatRef::with_stride(self.elements.view(), order, order, self.stride).unwrap();
        match self.layout {
            Layout::Full => Symmetric::full(matrix(self.order)).unwrap(),
            Layout::Lower => Symmetric::lower(matrix(self.order)).unwrap(),
            Layout::Packed => Symmetric::packed(self.elements.view(), self.order).unwrap(),
            Layout::Bordered => {
                let border = self.border.as_ref().unwrap().view();
                Symmetric::full(matrix(self.order - 1)).unwrap().bordered(border).unwrap()
            }
        }
    }
}

/// What stands in an inverse before a call, and must where none is written.
const BEFORE: f64 = -7.5;

/// A block of a test: its elements, and how they lie.
#[derive(Clone)]
pub struct Given<T> {
    pub elements: Vec<T>,
    pub block: Block,
    pub layout: Layout,
    pub offset: usize,
}

impl<T: Real> Given<T> {
    pub fn new(elements: Vec<T>, damping: f64) -> Self {
        let order = elements.len().isqrt();
        Self { elements, block: Block::new(order, damping), layout: Layout::Full, offset: 0 }
    }
}

/// The inverses of a list, and what is reported of each. Their rows lie `gap` elements apart.
pub fn inverted<T: Real>(
    device: &Device,
    given: &[Given<T>],
    settings: SpdSettings,
    gap: usize,
) -> (Vec<Vec<T>>, Vec<Report>) {
    let blocks: Vec<Block> = given.iter().map(|given| given.block).collect();
    let mut plan = SpdInverse::<T>::new(device, &blocks, settings).unwrap();
    let store = |given: &Given<T>| Stored::new(device, &given.elements, given.block.order, given.layout, given.offset);
    let stored: Vec<Stored<T>> = given.iter().map(store).collect();
    let before = T::from_f64(BEFORE);
    let room = |order: usize| vec![before; (order - 1) * (order + gap) + order];
    let mut inverses: Vec<Guarded<T>> =
        blocks.iter().map(|block| Guarded::new(device, &room(block.order), gap % 3)).collect();
    let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
    let mut targets: Vec<MatMut<'_, T>> = inverses
        .iter_mut()
        .zip(&blocks)
        .map(|(to, block)| MatMut::with_stride(to.view_mut(), block.order, block.order, block.order + gap).unwrap())
        .collect();
    plan.invert(&sources, &mut targets).unwrap();
    let reports = plan.reports().unwrap();
    let dense = |(inverse, block): (&Guarded<T>, &Block)| {
        let (order, elements) = (block.order, inverse.elements());
        for i in 0..order - 1 {
            let between = &elements[i * (order + gap) + order..][..gap];
            assert!(between.iter().all(|x| *x == before), "written between rows {i} and {} of {order}", i + 1);
        }
        (0..order).flat_map(|i| elements[i * (order + gap)..][..order].to_vec()).collect()
    };
    (inverses.iter().zip(&blocks).map(dense).collect(), reports)
}

fn stays<T: Real>(inverse: &[T]) -> bool {
    inverse.iter().all(|x| x.to_f64() == BEFORE)
}

/// Well-conditioned blocks of every order.
fn blocks<T: Real>(orders: &[usize], numbers: &mut Numbers) -> Vec<Given<T>> {
    let block = |&order| Given::new(Square::with_condition(order, 50.0, numbers).rounded::<T>().0, 0.01);
    orders.iter().map(block).collect()
}

fn close<T: Real>(found: &[T], expected: &Square, tolerance: f64, what: &str) {
    let found = Square { order: expected.order, at: found.iter().map(|x| x.to_f64()).collect() };
    let error = found.minus(expected).norm() / expected.norm();
    assert!(error <= tolerance, "{what}: relative error {error:e} above {tolerance:e}");
}

fn every_layout<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let plain = blocks::<T>(&ORDERS, &mut numbers);
    let oracle: Vec<Square> = plain
        .iter()
        .map(|given| {
            let at = given.elements.iter().map(|x| x.to_f64()).collect();
            Square { order: given.block.order, at }.damped(given.block.damping).inverse()
        })
        .collect();
    for device in devices() {
        let mut of_full: Vec<Vec<T>> = Vec::new();
        for (turn, layout) in LAYOUTS.into_iter().enumerate() {
            let offset = [0, 1, 2, 3][turn];
            let given: Vec<Given<T>> = plain.iter().map(|given| Given { layout, offset, ..given.clone() }).collect();
            let (found, reports) = inverted(device, &given, SpdSettings::default(), [0, 5, 2, 1][turn]);
            for ((found, report), oracle) in found.iter().zip(&reports).zip(&oracle) {
                let what = format!("{layout:?} of order {} on {device}", oracle.order);
                assert!(report.is_inverted() && report.retries == 0, "{what}: {report:?}");
                assert_eq!(report.damping, 0.01, "{what}");
                close(found, oracle, 50.0 * 10.0 * T::EPSILON, &what);
                let symmetric = (0..oracle.order)
                    .all(|i| (0..i).all(|j| found[i * oracle.order + j] == found[j * oracle.order + i]));
                assert!(symmetric, "{what}: the halves differ");
            }
            if turn == 0 {
                of_full = found;
            } else {
                assert!(found == of_full, "{layout:?} on {device}: other bits than of {:?}", LAYOUTS[0]);
            }
        }
    }
}

#[test]
fn every_layout_gives_the_same_inverse_in_f32() {
    every_layout::<f32>();
}

#[test]
fn every_layout_gives_the_same_inverse_in_f64() {
    every_layout::<f64>();
}

/// Pivots and determinants are those of the damped block.
#[test]
fn reports_tell_determinant_and_pivot() {
    let mut numbers = Numbers::new(seed());
    let given = blocks::<f64>(&[1, 5, 40, 124, 130, 300], &mut numbers);
    for device in devices() {
        let (_, reports) = inverted(device, &given, SpdSettings::default(), 0);
        for (given, report) in given.iter().zip(&reports) {
            let order = given.block.order;
            let factor = Square { order, at: given.elements.clone() }.damped(0.01).cholesky().unwrap();
            let pivots = (0..order).map(|i| factor.at[i * order + i]);
            let log_determinant: f64 = pivots.clone().map(|pivot| 2.0 * pivot.ln()).sum();
            let smallest = pivots.fold(f64::INFINITY, f64::min).powi(2);
            let near = |x: f64, y: f64| (x - y).abs() <= 1e-11 * (1.0 + y.abs());
            assert!(near(report.log_determinant, log_determinant), "{report:?}, not {log_determinant} on {device}");
            assert!(near(report.smallest_pivot, smallest), "{report:?}, not {smallest} on {device}");
        }
    }
}

/// A list in another order, in parts, and again.
#[test]
fn a_block_has_the_same_bits_in_any_list() {
    let mut numbers = Numbers::new(seed());
    let orders = [300, 8, 33, 129, 1, 250, 64, 200, 17, 300, 513, 100];
    let mut given = blocks::<f32>(&orders, &mut numbers);
    for device in devices() {
        let (expected, expected_reports) = inverted(device, &given, SpdSettings::default(), 0);
        let mut places: Vec<usize> = (0..given.len()).collect();
        for turn in 0..3 {
            places.rotate_left(5);
            places.swap(turn, 7);
            let shuffled: Vec<Given<f32>> = places.iter().map(|&place| given[place].clone()).collect();
            let (found, reports) = inverted(device, &shuffled, SpdSettings::default(), 0);
            for (at, &place) in places.iter().enumerate() {
                assert!(found[at] == expected[place], "block {place} of order {} on {device}", orders[place]);
                assert_eq!(reports[at], expected_reports[place], "block {place} on {device}");
            }
        }
        for (place, given) in given.iter().enumerate() {
            let (found, reports) = inverted(device, std::slice::from_ref(given), SpdSettings::default(), 0);
            assert!(found[0] == expected[place], "block {place} of order {} alone on {device}", orders[place]);
            assert_eq!(reports[0], expected_reports[place]);
        }
    }
    // One that fails changes no other.
    for device in devices() {
        let (expected, _) = inverted(device, &given, SpdSettings::default(), 0);
        for place in [0, 3, 5] {
            given[place].elements[0] = f32::NAN;
        }
        let (found, reports) = inverted(device, &given, SpdSettings::default(), 0);
        for (place, report) in reports.iter().enumerate() {
            let bad = [0, 3, 5].contains(&place);
            assert_eq!(report.is_inverted(), !bad, "block {place} on {device}: {report:?}");
            assert!(if bad { stays(&found[place]) } else { found[place] == expected[place] }, "block {place}");
        }
        for place in [0, 3, 5] {
            given[place].elements[0] = 1.0;
        }
    }
}

/// All threads on one block, or one thread on each of as many blocks as there are threads.
#[test]
fn a_large_block_has_the_same_bits_alone_and_among_others() {
    let block = &blocks::<f32>(&[1024], &mut Numbers::new(seed()))[0];
    for threads in [2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let given = vec![block.clone(); threads];
            let (alone, report) = inverted(&Device::cpu(), &given[..1], SpdSettings::default(), 0);
            let (found, reports) = inverted(&Device::cpu(), &given, SpdSettings::default(), 0);
            assert!(report[0].is_inverted(), "{report:?}");
            assert!(found.iter().all(|found| *found == alone[0]), "other bits on {threads} threads");
            assert!(reports.iter().all(|found| *found == report[0]), "{reports:?}");
        });
    }
}

/// Faults of every kind in blocks of every class: what is reported, and that nothing is written.
fn faults<T: Real>() {
    let mut numbers = Numbers::new(seed());
    let orders = [1, 2, 20, 50, 100, 140, 240, 260, 400];
    for device in devices() {
        for (kind, settings) in [
            ("nan", SpdSettings::default()),
            ("infinite", SpdSettings::default()),
            ("asymmetric", SpdSettings::default()),
            ("indefinite", SpdSettings { retries: 0, ..SpdSettings::default() }),
        ] {
            let mut given = blocks::<T>(&orders, &mut numbers);
            let mut expected = BTreeMap::new();
            for (place, given) in given.iter_mut().enumerate() {
                let order = given.block.order;
                let (i, j) = (order - 1, order / 3);
                let at = &mut given.elements;
                match kind {
                    "nan" => {
                        at[i * order + j] = T::from_f64(f64::NAN);
                        at[j * order + i] = T::from_f64(f64::NAN);
                    }
                    // Only in the half that is not computed with.
                    "infinite" => at[j * order + i] = T::from_f64(f64::NEG_INFINITY),
                    "asymmetric" if i == j => continue,
                    "asymmetric" => at[i * order + j] += T::from_f64(0.25),
                    _ => at[j * order + j] = T::from_f64(-3.0),
                }
                expected.insert(place, (i as u32, j as u32));
            }
            let (found, reports) = inverted(device, &given, settings, 0);
            for (place, report) in reports.iter().enumerate() {
                let what = format!("{kind} block of order {} on {device}: {report:?}", orders[place]);
                let Some(&(i, j)) = expected.get(&place) else {
                    assert!(report.is_inverted(), "{what}");
                    continue;
                };
                assert!(stays(&found[place]), "{what}: written");
                assert!(report.log_determinant.is_nan() && report.smallest_pivot.is_nan(), "{what}");
                match (kind, report.status) {
                    ("nan", Status::Faulty(Fault::NotFinite { row, column, value })) => {
                        assert_eq!((row, column), (i, j), "{what}");
                        assert!(value.is_nan(), "{what}");
                    }
                    ("infinite", Status::Faulty(Fault::NotFinite { row, column, value })) => {
                        assert_eq!((row, column, value), (i, j, f64::NEG_INFINITY), "{what}");
                    }
                    ("asymmetric", Status::Faulty(Fault::Asymmetric { row, column, difference })) => {
                        assert_eq!((row, column), (i, j), "{what}");
                        assert!((difference - 0.25).abs() < 1e-5, "{what}");
                    }
                    ("indefinite", Status::NotPositiveDefinite { row, pivot }) => {
                        assert_eq!(row, j, "{what}");
                        assert!(pivot < -2.0 && pivot > -1e6, "{what}");
                        assert_eq!((report.retries, report.damping), (0, 0.01), "{what}");
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

/// The ladder: a matrix whose smallest eigenvalue is -0.5 takes the first damping above it.
#[test]
fn a_block_that_is_not_positive_definite_is_damped_more() {
    let mut numbers = Numbers::new(seed());
    let orders = [2, 30, 64, 120, 180, 230, 300, 520];
    let given: Vec<Given<f32>> = orders
        .iter()
        .map(|&order| {
            let shifted = Square::with_condition(order, 1.0 / 0.1, &mut numbers).damped(-0.6);
            Given::new(shifted.rounded::<f32>().0, 0.0015)
        })
        .collect();
    for device in devices() {
        let (found, reports) = inverted(device, &given, SpdSettings::default(), 0);
        for ((given, report), found) in given.iter().zip(&reports).zip(&found) {
            let what = format!("order {} on {device}: {report:?}", given.block.order);
            assert!(report.is_inverted() && report.retries == 3, "{what}");
            assert!((report.damping - 1.5).abs() < 1e-12, "{what}");
            let at = given.elements.iter().map(|x| f64::from(*x)).collect();
            let oracle = Square { order: given.block.order, at }.damped(1.5).inverse();
            close(found, &oracle, 1e-5, &what);
        }
        let settings = SpdSettings { retries: 2, ..SpdSettings::default() };
        let (found, reports) = inverted(device, &given, settings, 0);
        for (report, found) in reports.iter().zip(&found) {
            assert!(matches!(report.status, Status::NotPositiveDefinite { .. }), "{report:?} on {device}");
            assert_eq!(report.retries, 2);
            assert!((report.damping - 0.15).abs() < 1e-12, "{report:?}");
            assert!(stays(found), "written on {device}");
        }
        // Without damping the ladder begins with what an element of the diagonal can notice.
        let undamped: Vec<Given<f32>> = given.iter().map(|given| Given::new(given.elements.clone(), 0.0)).collect();
        let settings = SpdSettings { retries: 12, ..SpdSettings::default() };
        let (_, reports) = inverted(device, &undamped, settings, 0);
        for report in &reports {
            assert!(report.is_inverted() && report.retries > 1, "{report:?} on {device}");
            assert!(report.damping > 0.5 && report.damping < 6.0, "{report:?} on {device}");
        }
    }
}

/// Martens and Grosse's balance of the damping between the factors of a product.
#[test]
fn damping_is_balanced_between_the_factors_of_a_product() {
    let mut numbers = Numbers::new(seed());
    let scaled = |order: usize, scale: f64, numbers: &mut Numbers| {
        let mut square = Square::with_condition(order, 10.0, numbers);
        square.at.iter_mut().for_each(|x| *x *= scale);
        square.rounded::<f32>()
    };
    let (a, a_square) = scaled(40, 100.0, &mut numbers);
    let (g, g_square) = scaled(10, 0.01, &mut numbers);
    let zero = vec![0.0_f32; 9];
    let lambda = 0.04;
    let block = |elements: &[f32], partner| {
        let given = Given::new(elements.to_vec(), lambda);
        Given { block: Block { balanced_with: Some(partner), ..given.block }, ..given }
    };
    let given = [block(&g, 1), block(&a, 0), block(&zero, 0), block(&a, 2)];
    let mean =
        |square: &Square| (0..square.order).map(|i| square.at[i * square.order + i]).sum::<f64>() / square.order as f64;
    let pi = (mean(&a_square) / mean(&g_square)).sqrt();
    for device in devices() {
        let (found, reports) = inverted(device, &given, SpdSettings::default(), 0);
        for (report, expected) in reports.iter().zip([0.2 / pi, 0.2 * pi, 0.2, 0.2]) {
            assert!((report.damping - expected).abs() <= 1e-12 * expected, "{report:?}, not {expected} on {device}");
        }
        close(&found[1], &a_square.damped(0.2 * pi).inverse(), 1e-5, "A");
        close(&found[0], &g_square.damped(0.2 / pi).inverse(), 1e-5, "G");
    }
}

#[test]
fn damping_changes_from_call_to_call() {
    for device in devices() {
        let mut plan = SpdInverse::<f64>::new(device, &[Block::new(1, 1.0)], SpdSettings::default()).unwrap();
        let source = Buffer::from_slice(device, &[3.0]).unwrap();
        let mut inverse = Buffer::from_slice(device, &[0.0]).unwrap();
        for (lambda, expected) in [(None, 0.25), (Some(5.0), 0.125), (Some(0.0), 1.0 / 3.0)] {
            if let Some(lambda) = lambda {
                plan.set_damping(&[lambda]).unwrap();
                assert_eq!(plan.blocks()[0].damping, lambda);
            }
            let source = Symmetric::full(MatRef::new(source.view(), 1, 1).unwrap()).unwrap();
            plan.invert(&[source], &mut [MatMut::new(inverse.view_mut(), 1, 1).unwrap()]).unwrap();
            let found = inverse.to_vec().unwrap()[0];
            assert!((found - expected).abs() <= 4.0 * f64::EPSILON * expected, "{found}, not {expected} on {device}");
        }
    }
}

#[test]
fn an_empty_list_is_inverted() {
    for device in devices() {
        let mut plan = SpdInverse::<f32>::new(device, &[], SpdSettings::default()).unwrap();
        plan.invert(&[], &mut []).unwrap();
        assert_eq!(plan.reports().unwrap(), []);
    }
}
