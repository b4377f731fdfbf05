//! Eigendecompositions.

use std::collections::BTreeMap;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Real;
use gradus::linalg::{Eigh, EighReport, EighSettings, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef, Result};
use softcuda::driver::{Copies, StreamMode};
use softcuda::machine::Options;

use crate::common::data::{Numbers, seed};
use crate::common::software::{alone, untracked};
use crate::matrices::Square;
use crate::{device, executed};

/// A plan of eigendecompositions with its matrices and results on a device.
struct Eigen<T: Real> {
    plan: Eigh<T>,
    sources: Vec<Buffer<T>>,
    vectors: Vec<Buffer<T>>,
    values: Vec<Buffer<T>>,
}

impl<T: Real> Eigen<T> {
    fn new(device: &Device, orders: &[usize]) -> Self {
        let mut numbers = Numbers::new(seed());
        let square = |&order| Square::with_condition(order, 1e3, &mut numbers).rounded::<T>().0;
        let zeros = |length: usize| Buffer::zeros(device, length).unwrap();
        Self {
            plan: Eigh::new(device, orders, EighSettings::default()).unwrap(),
            sources: orders.iter().map(square).map(|source| Buffer::from_slice(device, &source).unwrap()).collect(),
            vectors: orders.iter().map(|order| zeros(order * order)).collect(),
            values: orders.iter().map(|order| zeros(*order)).collect(),
        }
    }

    fn decompose(&mut self) -> Result<()> {
        let orders = self.plan.orders().to_vec();
        let source = |(source, &order): (_, &usize)| {
            let source: &Buffer<T> = source;
            Symmetric::full(MatRef::new(source.view(), order, order).unwrap()).unwrap()
        };
        let sources: Vec<_> = self.sources.iter().zip(&orders).map(source).collect();
        let vectors = self.vectors.iter_mut().zip(&orders);
        let mut vectors: Vec<_> =
            vectors.map(|(to, &order)| MatMut::new(to.view_mut(), order, order).unwrap()).collect();
        let mut values: Vec<_> = self.values.iter_mut().map(Buffer::view_mut).collect();
        self.plan.decompose(&sources, &mut vectors, &mut values)
    }

    fn results(&self) -> (Vec<Vec<T>>, Vec<EighReport>) {
        let all = self.vectors.iter().chain(&self.values).map(|buffer| buffer.to_vec().unwrap()).collect();
        (all, self.plan.reports().unwrap())
    }
}

/// A launch for each size class that occurs, and nothing else, wherever the vectors stand.
#[test]
fn decompositions_are_a_launch_a_class() {
    let Some(alone) = alone() else { return };
    alone.driver.configure(Options::default(), "small", StreamMode::AtEnqueue);
    let orders = [20, 1, 130, 8, 40, 70, 5, 100, 33, 15];
    let mut model = Eigen::<f32>::new(&device(), &orders);
    model.decompose().unwrap();
    alone.driver.reset();
    model.decompose().unwrap();
    assert_eq!(alone.driver.take_fault(), None);
    let report = alone.driver.report();
    let names: Vec<&str> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
    let [whole, split] = ["jacobi_f32", "jacobi_workspace_f32"];
    assert_eq!(names, [whole, whole, whole, whole, whole, split]);
    let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), 6), ("cuLaunchKernel".to_owned(), 6)]);
    assert_eq!(report.calls, calls);
    assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
    assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
    assert!(model.results().1.iter().all(EighReport::is_decomposed));
}

/// Rotations as a share of all that threads execute; passes over shared memory; what is moved.
#[test]
fn most_of_a_decomposition_is_rotation() {
    let Some(alone) = alone() else { return };
    for (order, least, most_passes) in [(32, 0.18, 1.4), (64, 0.22, 1.05), (100, 0.23, 1.5), (128, 0.25, 1.03)] {
        alone.driver.configure(Options::default(), "h100", StreamMode::AtEnqueue);
        let mut model = Eigen::<f32>::new(&device(), &[order]);
        alone.driver.reset();
        model.decompose().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        let sweeps = model.results().1[0].sweeps;
        let report = alone.driver.report();
        let counters = &report.kernels["jacobi_f32"];
        // Half of A from both sides, and Q from one: 2·n³ fused multiplications and additions each, a sweep.
        let useful = 4.0 * (order as f64).powi(3) * f64::from(sweeps);
        let share = useful / executed(counters) as f64;
        let elements = (order * order * size_of::<f32>()) as f64;
        let bytes = (counters.global_read.bytes + counters.global_written.bytes) as f64 / (2.0 * elements);
        let passes = counters.shared.wavefronts as f64 / counters.shared.ideal_wavefronts as f64;
        println!(
            "order {order}: {sweeps} sweeps, {share:.3} useful, {bytes:.3} of the bytes, {passes:.3} of the passes"
        );
        assert!(share >= least, "order {order}: {share} of the instructions are useful");
        assert!(passes <= most_passes, "order {order}: {passes} of the ideal passes over shared memory");
        assert!(bytes <= 2.5, "order {order}: {bytes} of the bytes");
        assert_eq!(counters.thread_instructions.local, 0);
    }
}

/// Replays follow the contents of the matrices.
#[test]
fn a_captured_decomposition_is_replayed() {
    let Some(alone) = alone() else { return };
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        let (device, stream) = untracked();
        let orders = [3, 40, 70];
        let mut eager = Eigen::<f32>::new(&device, &orders);
        let mut replayed = Eigen::<f32>::new(&device, &orders);
        let unseen = {
            stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
            let refused = replayed.decompose().unwrap_err();
            stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
            refused.to_string()
        };
        assert!(unseen.contains("stale during graph capture: a matrix has moved"), "{unseen}");
        replayed.decompose().unwrap();
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        replayed.decompose().unwrap();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
        for turn in 0..3 {
            for model in [&mut eager, &mut replayed] {
                let mut source = model.sources[1].to_vec().unwrap();
                source[0] = 1.0 + turn as f32;
                model.sources[1].write(&source).unwrap();
            }
            eager.decompose().unwrap();
            graph.launch().unwrap();
            assert!(eager.results() == replayed.results(), "replay {turn}, {mode:?}");
        }
    }
}

/// Neither the order in which warps and lanes run nor where a device's shared memory ends changes a bit.
#[test]
fn every_schedule_and_device_decomposes_to_the_same_bits() {
    let Some(alone) = alone() else { return };
    let orders = [5, 17, 33, 48, 128];
    let results = |options: Options, profile: &str, orders: &[usize]| {
        alone.driver.configure(options, profile, StreamMode::AtEnqueue);
        let mut model = Eigen::<f32>::new(&device(), orders);
        model.decompose().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        model.results()
    };
    let expected = results(Options::default(), "h100", &orders);
    assert!(expected.1.iter().all(EighReport::is_decomposed));
    // On the small one the vectors of the last stand in the workspace.
    assert!(results(Options::default(), "small", &orders) == expected, "small");
    let expected = results(Options::default(), "a100", &orders[..4]);
    for seed in 1..4 {
        let options = Options { seed, ..Options::default() };
        assert!(results(options, "a100", &orders[..4]) == expected, "seed {seed}");
    }
    let one_lane = Options { one_lane: true, ..Options::default() };
    assert!(results(one_lane, "a100", &orders[..4]) == expected, "one lane at a time");
    alone.driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
}
