//! Inverses that begin from previous ones: what is certified, and what is left to Cholesky's algorithm.

use gradus::element::{Dtype, Real};
use gradus::linalg::{Block, Fault, Report, SpdInverse, SpdSettings, Status, Symmetric, WarmStart};
use gradus::{Device, MatMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::matrices::Square;
use crate::spd::{Given, Layout, Stored, inverted};

const WARM: WarmStart = WarmStart { steps: 3, tolerance: 1e-3 };

/// A plan, and the inverses that its calls begin from; their rows lie a gap apart.
struct Model<T: Real> {
    device: Device,
    plan: SpdInverse<T>,
    blocks: Vec<Block>,
    inverses: Vec<Guarded<T>>,
    gap: usize,
}

impl<T: Real> Model<T> {
    fn new(device: &Device, given: &[Given<T>], warm: WarmStart, gap: usize) -> Self {
        let blocks: Vec<Block> = given.iter().map(|given| given.block).collect();
        let plan = SpdInverse::with_warm_start(device, &blocks, SpdSettings::default(), warm).unwrap();
        let zeros = |n: usize| vec![T::from_f64(0.0); (n - 1) * (n + gap) + n];
        let inverses = blocks.iter().map(|block| Guarded::new(device, &zeros(block.order), gap % 3)).collect();
        Self { device: device.clone(), plan, blocks, inverses, gap }
    }

    fn call(&mut self, given: &[Given<T>]) -> (Vec<Vec<T>>, Vec<Report>) {
        let store = |given: &Given<T>| {
            Stored::new(&self.device, &given.elements, given.block.order, given.layout, given.offset)
        };
        let stored: Vec<Stored<T>> = given.iter().map(store).collect();
        let sources: Vec<Symmetric<'_, T>> = stored.iter().map(Stored::symmetric).collect();
        let gap = self.gap;
        let mut targets: Vec<MatMut<'_, T>> = self
            .inverses
            .iter_mut()
            .zip(&self.blocks)
            .map(|(to, block)| MatMut::with_stride(to.view_mut(), block.order, block.order, block.order + gap).unwrap())
            .collect();
        self.plan.invert(&sources, &mut targets).unwrap();
        (self.found(), self.plan.reports().unwrap())
    }

    fn found(&self) -> Vec<Vec<T>> {
        let dense = |(inverse, block): (&Guarded<T>, &Block)| {
            let elements = inverse.elements();
            elements.chunks(block.order + self.gap).flat_map(|row| row[..block.order].to_vec()).collect()
        };
        self.inverses.iter().zip(&self.blocks).map(dense).collect()
    }
}

/// The devices that differ in linear algebra and have this type.
fn those<T: Real>() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1).filter(|device| T::DTYPE == Dtype::F32 || matches!(device, Device::Cpu(_)))
}

const ORDERS: [usize; 6] = [1, 31, 64, 70, 130, 260];

/// Blocks of a moving average: after some steps, which bring another matrix in.
struct Averages {
    old: Vec<Square>,
    new: Vec<Square>,
}

impl Averages {
    fn new(numbers: &mut Numbers) -> Self {
        let mut all = || ORDERS.map(|order| Square::with_condition(order, 50.0, numbers)).into();
        Self { old: all(), new: all() }
    }

    fn given<T: Real>(&self, share: f64, scale: f64) -> Vec<Given<T>> {
        let given = |(k, (old, new)): (usize, (&Square, &Square))| {
            let at = old.at.iter().zip(&new.at).map(|(x, y)| scale * ((1.0 - share) * x + share * y)).collect();
            let mut given = Given::new(Square { order: old.order, at }.rounded::<T>().0, 0.02);
            given.layout =
                [Layout::Full, Layout::Packed, Layout::Lower, Layout::Full, Layout::Bordered, Layout::Full][k];
            given.offset = k % 3;
            if k == 2 || k == 3 {
                given.block.balanced_with = Some(5 - k);
            }
            given
        };
        self.old.iter().zip(&self.new).enumerate().map(given).collect()
    }
}

/// `1 - (A + δ·1)·X` and `‖X - (A + δ·1)⁻¹‖_F / ‖X‖_F`, exactly.
fn quality<T: Real>(given: &Given<T>, report: &Report, found: &[T]) -> (f64, f64) {
    let order = given.block.order;
    let at = given.elements.iter().map(|x| x.to_f64()).collect();
    let damped = Square { order, at }.damped(report.damping);
    let x = Square { order, at: found.iter().map(|x| x.to_f64()).collect() };
    let rest = Square::zeros(order).damped(1.0).minus(&damped.times(&x)).norm() / (order as f64).sqrt();
    (rest, damped.inverse().minus(&x).norm() / x.norm())
}

fn story<T: Real>() {
    for device in those::<T>() {
        let averages = Averages::new(&mut Numbers::new(seed()));
        let first = averages.given::<T>(0.0, 1.0);
        let mut model = Model::new(device, &first, WARM, 2);
        let plain = |given: &[Given<T>]| inverted(device, given, SpdSettings::default(), 2);

        // There is nothing to begin from.
        let (found, reports) = model.call(&first);
        assert!((found.clone(), reports.clone()) == plain(&first), "{device}");
        // What stands there is right, and stays.
        let (again, reports) = model.call(&first);
        assert!(again == found, "{device}");
        for report in &reports {
            assert!(report.is_inverted() && report.residual.is_some_and(|residual| residual <= 1e-4), "{report:?}");
            assert!(report.log_determinant.is_nan() && report.smallest_pivot.is_nan());
        }
        // The average has moved.
        let moved = averages.given::<T>(0.05, 1.0);
        let (found, reports) = model.call(&moved);
        for ((given, report), found) in moved.iter().zip(&reports).zip(&found) {
            let order = given.block.order;
            let residual = report.residual.expect("a refined block");
            let (rest, error) = quality(given, report, found);
            assert!(residual <= WARM.tolerance, "{report:?}");
            assert!(
                (rest - residual).abs() <= 50.0 * T::EPSILON * 50.0,
                "{rest:e} for {report:?} of {order} on {device}"
            );
            assert!(error <= rest * (order as f64).sqrt() + 1e-12, "{error:e} for {report:?} of {order} on {device}");
            let halves = (0..order).all(|i| (0..i).all(|j| found[i * order + j] == found[j * order + i]));
            assert!(halves, "{order} on {device}");
        }
        assert!(reports.iter().any(|report| report.residual != Some(0.0)));
        // Ten times the matrix is out of reach.
        let far = averages.given::<T>(0.05, 10.0);
        assert!(model.call(&far) == plain(&far), "{device}");
        // So is a step back after none, but not one at a tenth of the way.
        let mut none = Model::new(device, &far, WarmStart { steps: 0, ..WARM }, 2);
        none.call(&far);
        assert!(none.call(&far).1.iter().all(|report| report.residual.is_some()));
        let back = averages.given::<T>(0.2, 10.0);
        let (found, reports) = none.call(&back);
        let expected = plain(&back);
        for k in 1..ORDERS.len() {
            assert!(reports[k] == expected.1[k] && found[k] == expected.0[k], "{:?} on {device}", reports[k]);
        }
    }
}

#[test]
fn refined_inverses_of_f32() {
    story::<f32>();
}

#[test]
fn refined_inverses_of_f64() {
    story::<f64>();
}

#[test]
fn a_block_has_the_same_bits_in_any_company() {
    for device in those::<f32>() {
        let averages = Averages::new(&mut Numbers::new(seed()));
        let alone_too = |given: Vec<Given<f32>>| -> Vec<Given<f32>> {
            let single = |given: Given<f32>| Given { block: Block { balanced_with: None, ..given.block }, ..given };
            given.into_iter().map(single).collect()
        };
        let (first, second) = (alone_too(averages.given(0.0, 1.0)), alone_too(averages.given(0.03, 1.0)));
        let mut all = Model::new(device, &first, WARM, 0);
        all.call(&first);
        let (together, reports) = all.call(&second);
        for k in 0..first.len() {
            let mut one = Model::new(device, &first[k..=k], WARM, 0);
            one.call(&first[k..=k]);
            let (alone, report) = one.call(&second[k..=k]);
            assert!(alone[0] == together[k], "{:?} on {device}", second[k].block);
            assert_eq!(report[0].residual, reports[k].residual);
        }
    }
}

#[test]
fn what_is_broken_is_left_to_cholesky() {
    for device in those::<f32>() {
        let averages = Averages::new(&mut Numbers::new(seed()));
        let given = averages.given::<f32>(0.0, 1.0);
        let mut model = Model::new(device, &given, WARM, 0);
        let (clean, _) = model.call(&given);
        // An inverse that is none.
        for (k, wrong) in [(1, f32::NAN), (3, 1e30), (5, f32::INFINITY)] {
            let n = ORDERS[k];
            let mut elements = model.inverses[k].elements();
            elements[(n - 1) * n] = wrong;
            model.inverses[k] = Guarded::new(device, &elements, 0);
        }
        let (found, reports) = model.call(&given);
        assert!(found == clean, "{device}");
        let refined: Vec<bool> = reports.iter().map(|report| report.residual.is_some()).collect();
        assert_eq!(refined, [true, false, true, false, true, false]);
        // A block that has none: its last inverse stays.
        let mut broken = given.clone();
        broken[0].elements[0] = f32::NAN;
        // In the half that is not computed with.
        broken[3].elements[3 * 70 + 69] += 0.5;
        broken[5].elements.iter_mut().for_each(|x| *x *= -1e3);
        let (found, reports) = model.call(&broken);
        assert!(found == clean, "{device}");
        assert!(matches!(reports[0].status, Status::Faulty(Fault::NotFinite { row: 0, column: 0, .. })));
        assert!(matches!(reports[3].status, Status::Faulty(Fault::Asymmetric { row: 69, column: 3, .. })));
        assert!(matches!(reports[5].status, Status::NotPositiveDefinite { .. }));
        assert!([1, 4].iter().all(|k| reports[*k].residual.is_some()), "{reports:?}");
        // It is well again.
        let (found, reports) = model.call(&given);
        assert!(found == clean && reports.iter().all(|report| report.residual.is_some()), "{device}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |warm| {
        let plan = SpdInverse::<f32>::with_warm_start(&Device::cpu(), &[], SpdSettings::default(), warm);
        plan.map(drop).unwrap_err().to_string()
    };
    assert_eq!(refused(WarmStart { steps: 101, ..WARM }), "warm start: 101 steps are more than 100");
    for tolerance in [0.0, 1.0, f64::NAN] {
        let message = format!("warm start: tolerance = {tolerance} is not between 0 and 1");
        assert_eq!(refused(WarmStart { tolerance, ..WARM }), message);
    }
    for device in those::<f32>().filter(|device| !matches!(device, Device::Cpu(_))) {
        let plan = SpdInverse::<f64>::with_warm_start(device, &[Block::new(2, 0.0)], SpdSettings::default(), WARM);
        assert!(plan.is_err());
    }
    for device in those::<f32>() {
        let mut empty = Model::<f32>::new(device, &[], WARM, 0);
        assert_eq!(empty.call(&[]).1, []);
    }
}
