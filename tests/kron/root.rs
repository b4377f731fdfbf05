//! Inverse roots: against known eigenvalues, in lists, and of what has none.

use std::collections::BTreeSet;

use gradus::element::{Dtype, Real};
use gradus::linalg::{Fault, InverseRoot, RootBlock, RootReport, RootSettings, RootStatus, Symmetric};
use gradus::{Device, MatMut, MatRef};

use crate::common::data::{Numbers, full, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::matrices::Square;
use crate::spd::{Layout, Stored};

/// What stands in a root before a call, and must where none is written.
const BEFORE: f64 = -7.5;

/// A matrix of a test, how it lies, and what is wanted of it.
#[derive(Clone)]
struct Given<T> {
    elements: Vec<T>,
    layout: Layout,
    block: RootBlock,
}

impl<T: Real> Given<T> {
    fn new(square: &Square, root: u32) -> Self {
        Self { elements: square.rounded().0, layout: Layout::Full, block: RootBlock::new(square.order, root) }
    }

    fn square(&self) -> Square {
        Square { order: self.block.order, at: self.elements.iter().map(|x| x.to_f64()).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Found<T> {
    root: Vec<T>,
    report: RootReport,
}

/// The roots of a list; rows of the roots lie `gap` elements apart.
fn roots<T: Real>(device: &Device, given: &[Given<T>], settings: RootSettings, gap: usize) -> Vec<Found<T>> {
    roots_after(1, device, given, settings, gap)
}

/// The same after some calls.
fn roots_after<T: Real>(
    calls: usize,
    device: &Device,
    given: &[Given<T>],
    settings: RootSettings,
    gap: usize,
) -> Vec<Found<T>> {
    let blocks: Vec<RootBlock> = given.iter().map(|given| given.block).collect();
    let mut plan = InverseRoot::<T>::new(device, &blocks, settings).unwrap();
    let store = |given: &Given<T>| Stored::new(device, &given.elements, given.block.order, given.layout, gap % 3);
    let stored: Vec<Stored<T>> = given.iter().map(store).collect();
    let room = |n: usize| Guarded::new(device, &vec![T::from_f64(BEFORE); (n - 1) * (n + gap) + n], gap % 3);
    let mut to: Vec<Guarded<T>> = blocks.iter().map(|block| room(block.order)).collect();
    for _ in 0..calls {
        let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
        let mut to: Vec<MatMut<'_, T>> = to
            .iter_mut()
            .zip(&blocks)
            .map(|(to, block)| MatMut::with_stride(to.view_mut(), block.order, block.order, block.order + gap).unwrap())
            .collect();
        plan.compute(&sources, &mut to).unwrap();
    }
    let reports = plan.reports().unwrap();
    let found = |((to, block), report): ((&Guarded<T>, &RootBlock), RootReport)| {
        let elements = to.elements();
        let mut root = Vec::new();
        for row in elements.chunks(block.order + gap) {
            root.extend(&row[..block.order]);
            assert!(row[block.order..].iter().all(|x| x.to_f64() == BEFORE), "between rows something was written");
        }
        Found { root, report }
    };
    to.iter().zip(&blocks).zip(reports).map(found).collect()
}

/// The devices that differ in linear algebra and have this type.
fn those<T: Real>() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1).filter(|device| T::DTYPE == Dtype::F32 || matches!(device, Device::Cpu(_)))
}

/// The root by the eigenvalues that faer finds in f64.
fn exact(square: &Square, damping: f64, root: u32) -> Square {
    let n = square.order;
    let matrix = faer::MatRef::from_row_major_slice(&square.at, n, n);
    let found = matrix.self_adjoint_eigen(faer::Side::Lower).unwrap();
    let (u, s) = (found.U(), found.S());
    let mut to = Square::zeros(n);
    for k in 0..n {
        let value = (s[k] + damping).powf(-1.0 / f64::from(root));
        for i in 0..n {
            for j in 0..n {
                to.at[i * n + j] += value * u[(i, k)] * u[(j, k)];
            }
        }
    }
    to
}

fn accuracy<T: Real>(orders: &[usize]) {
    for device in those::<T>() {
        let mut worst = [0.0_f64; 4];
        let mut numbers = Numbers::new(seed());
        for &order in orders {
            let mut given = Vec::new();
            let conditions: &[f64] = if order > 100 && !full() { &[1e3] } else { &[1.0, 1e2, 1e4, 1e6] };
            for &condition in conditions {
                let square = Square::with_condition(order, condition, &mut numbers);
                given.extend([1, 2, 4, 8].map(|root| Given::<T>::new(&square, root)));
            }
            let found = roots(device, &given, RootSettings::default(), order % 3);
            for ((k, given), found) in given.iter().enumerate().zip(found) {
                let Given { block, .. } = given;
                let condition = conditions[k / 4];
                assert!(found.report.is_found(), "{block:?}, κ = {condition}: {:?} on {device}", found.report);
                let exact = exact(&given.square(), 0.0, block.root);
                let root = Square { order, at: found.root.iter().map(|x| x.to_f64()).collect() };
                for i in 0..order {
                    for j in 0..i {
                        assert_eq!(root.at[i * order + j], root.at[j * order + i], "{block:?}");
                    }
                }
                // What has converged to an error e is wrong by e/p more.
                let RootStatus::Found { error } = found.report.status else { unreachable!() };
                let bound = 10.0 * condition * T::EPSILON + error * order as f64;
                let apart = root.minus(&exact).norm() / exact.norm();
                worst[k % 4] = worst[k % 4].max(apart / bound);
                assert!(
                    apart <= bound,
                    "{block:?}, κ = {condition}: {apart:e} > {bound:e}, {:?} on {device}",
                    found.report
                );
            }
        }
        println!("{}: errors in bounds, p = 1, 2, 4, 8: {worst:.3?} on {device}", T::DTYPE);
    }
}

#[test]
fn roots_of_f32() {
    accuracy::<f32>(if full() { &[1, 2, 3, 8, 31, 33, 64, 65, 100, 128, 200, 256] } else { &[1, 2, 3, 31, 65, 129] });
}

#[test]
fn roots_of_f64() {
    accuracy::<f64>(&[1, 2, 3, 31, 65, 129, 256]);
}

/// A list of many kinds of blocks.
fn list(numbers: &mut Numbers) -> Vec<Given<f32>> {
    let mut given = Vec::new();
    for (k, order) in [5, 64, 70, 1, 33].into_iter().enumerate() {
        let square = Square::with_condition(order, 30.0, numbers);
        let mut own = Given::new(&square, [1, 2, 4, 8, 4][k]);
        own.layout = [Layout::Full, Layout::Lower, Layout::Packed, Layout::Full, Layout::Bordered][k];
        own.block.damping = [0.0, 0.5, 0.0, 0.25, 0.0][k];
        own.block.relative_damping = [0.0, 0.0, 1e-2, 0.0, 0.5][k];
        given.push(own);
    }
    given
}

#[test]
fn damped_roots_of_any_layout() {
    for device in those::<f32>() {
        let given = list(&mut Numbers::new(seed()));
        for (found, given) in roots(device, &given, RootSettings::default(), 1).iter().zip(&given) {
            let RootBlock { order, root, damping, relative_damping } = given.block;
            let report = found.report;
            assert!(report.is_found(), "{report:?}");
            // The greatest eigenvalue is 1.
            let largest = if relative_damping > 0.0 { 1.0 } else { 0.0 };
            assert!((0.8 * largest..=largest + 1e-5).contains(&report.largest_eigenvalue), "{report:?}");
            let sum = damping + relative_damping * report.largest_eigenvalue;
            assert!((report.damping - sum).abs() <= 1e-12);
            let exact = exact(&given.square(), report.damping, root);
            let apart = Square { order, at: found.root.iter().map(|x| f64::from(*x)).collect() }.minus(&exact).norm();
            assert!(apart <= 1e-5 * exact.norm(), "{:?}: {apart:e} on {device}", given.block);
        }
    }
}

#[test]
fn a_block_has_the_same_bits_in_any_company() {
    for device in those::<f32>() {
        let given = list(&mut Numbers::new(seed()));
        let together = roots(device, &given, RootSettings::default(), 0);
        let reversed: Vec<_> = given.iter().rev().cloned().collect();
        assert!(roots(device, &reversed, RootSettings::default(), 0).iter().eq(together.iter().rev()), "{device}");
        for (given, found) in given.iter().zip(&together) {
            let alone = roots(device, std::slice::from_ref(given), RootSettings::default(), 0);
            assert_eq!(alone[0], *found, "{:?} on {device}", given.block);
        }
    }
}

#[test]
fn a_block_without_a_root_is_reported_and_touches_no_other() {
    for device in those::<f32>() {
        let mut given = list(&mut Numbers::new(seed()));
        let clean = roots(device, &given, RootSettings::default(), 0);
        let mut numbers = Numbers::new(seed());
        let mut add = |change: &dyn Fn(&mut [f32]), root| {
            let mut own = Given::new(&Square::with_condition(66, 10.0, &mut numbers), root);
            change(&mut own.elements);
            given.insert(2, own);
        };
        add(&|a| a[65 * 66 + 3] = f32::NAN, 2);
        add(&|a| a[3 * 66 + 65] = f32::INFINITY, 1);
        add(&|a| a[7 * 66 + 6] += 0.5, 4);
        add(&|a| a.iter_mut().for_each(|x| *x = -*x), 8);
        add(&|a| a.fill(0.0), 4);
        add(&|a| a.iter_mut().enumerate().for_each(|(k, x)| *x = f32::from(k == 0)), 2);
        // In the second call, too.
        let found = roots_after(2, device, &given, RootSettings::default(), 0);
        let rest = found[..2].iter().chain(&found[8..]);
        assert!(rest.eq(&clean), "{device}");
        let status = |k: usize| found[7 - k].report.status;
        assert!(found[2..8].iter().all(|found| found.root.iter().all(|x| f64::from(*x) == BEFORE)), "{device}");
        assert!(
            matches!(status(0), RootStatus::Faulty(Fault::NotFinite { row: 65, column: 3, value }) if value.is_nan())
        );
        assert!(
            matches!(status(1), RootStatus::Faulty(Fault::NotFinite { row: 65, column: 3, value }) if value == f64::INFINITY)
        );
        assert!(
            matches!(status(2), RootStatus::Faulty(Fault::Asymmetric { row: 7, column: 6, difference }) if (difference - 0.5).abs() < 1e-6)
        );
        for k in 3..6 {
            assert!(matches!(status(k), RootStatus::NotConverged { .. }), "{k}: {:?} on {device}", status(k));
        }
        // What grows is given up.
        assert!(found[4].report.steps < 10, "{:?} on {device}", found[4].report);
        // One step is too few.
        let settings = RootSettings { steps: 1, ..RootSettings::default() };
        let given = [Given::<f32>::new(&Square::with_condition(9, 100.0, &mut numbers), 2)];
        let found = roots(device, &given, settings, 0);
        assert_eq!(found[0].report.steps, 1);
        assert!(matches!(found[0].report.status, RootStatus::NotConverged { error } if error > 0.1 && error < 1.0));
    }
}

/// Near the end errors go up and down: of the two last steps the better one counts.
#[test]
fn the_better_of_two_steps_is_written() {
    for device in those::<f32>() {
        let mut numbers = Numbers::new(seed());
        let given: Vec<Given<f32>> = (0..12)
            .map(|k| Given::new(&Square::with_condition(20 + k, 1e5, &mut numbers), [1, 2, 4, 8][k % 4]))
            .collect();
        let settings = RootSettings { tolerance: 0.0, ..RootSettings::default() };
        let whole = roots(device, &given, settings, 0);
        let steps: BTreeSet<u32> = whole.iter().map(|found| found.report.steps).collect();
        let mut went_back = 0;
        for steps in steps {
            let pairs = given.iter().zip(&whole).filter(|(_, whole)| whole.report.steps == steps);
            let (given, whole): (Vec<Given<f32>>, Vec<&Found<f32>>) =
                pairs.map(|(given, whole)| (given.clone(), whole)).unzip();
            let fewer = RootSettings { steps: steps - 1, ..settings };
            for (whole, before) in whole.iter().zip(roots(device, &given, fewer, 0)) {
                if whole.report.status == before.report.status {
                    assert!(whole.root == before.root, "{:?} on {device}", whole.report);
                    went_back += 1;
                }
            }
        }
        assert!(went_back > 0, "no error has grown on {device}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |block, settings| {
        InverseRoot::<f32>::new(&Device::cpu(), &[block], settings).map(drop).unwrap_err().to_string()
    };
    let plain = RootBlock::new(2, 4);
    let usual = RootSettings::default();
    assert_eq!(refused(RootBlock { order: 0, ..plain }, usual), "block 0: its order 0 is outside 1 to 1048576");
    assert_eq!(refused(RootBlock { root: 3, ..plain }, usual), "block 0: its root 3 is not 1, 2, 4 or 8");
    let message = "block 0: its damping -1 is not a finite number of at least 0";
    assert_eq!(refused(RootBlock { damping: -1.0, ..plain }, usual), message);
    assert_eq!(refused(RootBlock { relative_damping: -1.0, ..plain }, usual), message);
    assert_eq!(refused(plain, RootSettings { steps: 0, ..usual }), "settings: steps = 0 is not 1 to 1000");
    assert_eq!(refused(plain, RootSettings { power_steps: 0, ..usual }), "settings: power_steps = 0 is not 1 to 1000");
    let message = "settings: tolerance = NaN is not a finite number of at least 0";
    assert_eq!(refused(plain, RootSettings { tolerance: f64::NAN, ..usual }), message);
    let message = "settings: acceptance = 0 is not a number from the tolerance to below 1";
    assert_eq!(refused(plain, RootSettings { acceptance: 0.0, ..usual }), message);
    for device in those::<f32>() {
        let mut plan = InverseRoot::<f32>::new(device, &[plain], usual).unwrap();
        let (a, mut to) = (Guarded::new(device, &[1.0_f32; 9], 0), Guarded::new(device, &[0.0_f32; 9], 0));
        let source = |order| Symmetric::lower(MatRef::new(a.view(), order, order).unwrap()).unwrap();
        assert_eq!(plan.compute(&[], &mut []).unwrap_err().to_string(), "sources: there are 0 for 1 block");
        let root = MatMut::new(to.view_mut(), 2, 2).unwrap();
        let error = plan.compute(&[source(3)], &mut [root]).unwrap_err().to_string();
        assert_eq!(error, "block 0: its order is 2 and the source's 3");
        let root = MatMut::new(to.view_mut(), 3, 2).unwrap();
        let error = plan.compute(&[source(2)], &mut [root]).unwrap_err().to_string();
        assert_eq!(error, "block 0: its order is 2 and the root is 3×2");
        InverseRoot::<f32>::new(device, &[], usual).unwrap().compute(&[], &mut []).unwrap();
        if !matches!(device, Device::Cpu(_)) {
            assert!(InverseRoot::<f64>::new(device, &[plain], usual).is_err());
        }
    }
}
