//! What inverses, factors, solutions and eigendecompositions cost, counted exactly by the software driver; graphs of them; the same
//! bits on every schedule and device.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;
#[path = "kron/matrices.rs"]
mod matrices;

use std::collections::BTreeMap;

use common::data::{Numbers, seed};
use common::software::{Alone, alone, untracked};
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Real;
use gradus::linalg::{Block, Eigh, EighReport, EighSettings, Report, SpdFactor, SpdInverse, SpdSettings, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef, Result};
use matrices::Square;
use softcuda::count::Counters;
use softcuda::driver::{Copies, StreamMode};
use softcuda::machine::Options;

/// A plan with its blocks and inverses on a device.
struct Model<T: Real> {
    plan: SpdInverse<T>,
    sources: Vec<Buffer<T>>,
    inverses: Vec<Buffer<T>>,
}

impl<T: Real> Model<T> {
    fn new(device: &Device, orders: &[usize]) -> Self {
        let mut numbers = Numbers::new(seed());
        let blocks: Vec<Block> = orders.iter().map(|&order| Block::new(order, 0.01)).collect();
        let plan = SpdInverse::new(device, &blocks, SpdSettings::default()).unwrap();
        let square = |&order| Square::with_condition(order, 50.0, &mut numbers).rounded::<T>().0;
        let sources = orders.iter().map(square).map(|source| Buffer::from_slice(device, &source).unwrap()).collect();
        let inverses = orders.iter().map(|order| Buffer::zeros(device, order * order).unwrap()).collect();
        Self { plan, sources, inverses }
    }

    fn invert(&mut self) -> Result<()> {
        let orders: Vec<usize> = self.plan.blocks().iter().map(|block| block.order).collect();
        let source = |(source, &order): (_, &usize)| {
            let source: &Buffer<T> = source;
            Symmetric::full(MatRef::new(source.view(), order, order).unwrap()).unwrap()
        };
        let sources: Vec<_> = self.sources.iter().zip(&orders).map(source).collect();
        let inverses = self.inverses.iter_mut().zip(&orders);
        let mut inverses: Vec<_> =
            inverses.map(|(inverse, &order)| MatMut::new(inverse.view_mut(), order, order).unwrap()).collect();
        self.plan.invert(&sources, &mut inverses)
    }

    fn results(&self) -> (Vec<Vec<T>>, Vec<Report>) {
        let inverses = self.inverses.iter().map(|inverse| inverse.to_vec().unwrap()).collect();
        (inverses, self.plan.reports().unwrap())
    }
}

fn device() -> Device {
    Device::cuda(0).unwrap()
}

/// What the second call of a plan does, by kernel.
fn second_call<T: Real>(alone: &Alone, orders: &[usize]) -> softcuda::driver::Report {
    let mut model = Model::<T>::new(&device(), orders);
    model.invert().unwrap();
    alone.driver.reset();
    model.invert().unwrap();
    assert_eq!(alone.driver.take_fault(), None);
    let report = alone.driver.report();
    assert!(model.results().1.iter().all(Report::is_inverted));
    report
}

/// Instructions of all threads.
fn executed(counters: &Counters) -> u64 {
    let of = counters.thread_instructions;
    let numbers = of.integer + of.f32 + of.f64 + of.f16 + of.convert + of.special + of.moves + of.compare;
    numbers + of.control + of.global + of.shared + of.local + of.constant + of.atomic + of.warp + of.barrier + of.matrix
}

/// However many blocks of however many sizes: a launch for what precedes, and one for each size class. Nothing else happens.
#[test]
fn a_call_is_a_few_launches() {
    let Some(alone) = alone() else { return };
    let orders: Vec<usize> = (1..=300).step_by(23).chain([1, 32, 64, 128, 192, 248, 249, 520]).collect();
    let report = second_call::<f32>(&alone, &orders);
    let names: Vec<&str> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
    let expected = ["prepare_f32", "inverse_f32_4x8", "inverse_f32_8x8", "inverse_f32_8x16", "inverse_f32_8x24"];
    let expected = expected.into_iter().chain(["inverse_f32_8x31", "tiles_f32"]);
    assert_eq!(names, expected.map(|name| format!("spd_{name}")).collect::<Vec<_>>());
    let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), 7), ("cuLaunchKernel".to_owned(), 7)]);
    assert_eq!(report.calls, calls);
    assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
    assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
    let one = second_call::<f64>(&alone, &[5]);
    assert_eq!(one.launches.len(), 2);
}

/// Multiplications that an inverse takes, as a share of all that threads execute; bytes moved; passes over shared memory.
#[test]
fn most_of_the_work_is_multiplication() {
    let Some(alone) = alone() else { return };
    for (order, kernel, least, in_registers) in [
        (128, "spd_inverse_f32_8x16", 0.25, true),
        (192, "spd_inverse_f32_8x24", 0.25, true),
        (240, "spd_inverse_f32_8x31", 0.4, true),
        (512, "spd_tiles_f32", 0.6, false),
        (1024, "spd_tiles_f32", 0.6, false),
    ] {
        let report = second_call::<f32>(&alone, &[order]);
        let counters = &report.kernels[kernel];
        let useful = (order as f64).powi(3) / 2.0;
        let share = useful / executed(counters) as f64;
        let elements = (order * order * size_of::<f32>()) as f64;
        let bytes = (counters.global_read.bytes + counters.global_written.bytes) as f64 / (2.0 * elements);
        let passes = counters.shared.wavefronts as f64 / counters.shared.ideal_wavefronts as f64;
        println!("{kernel}, order {order}: {share:.3} useful, {bytes:.3} of the bytes, {passes:.3} of the passes");
        assert!(share >= least, "{kernel}, order {order}: {share} of the instructions are useful");
        assert!(passes <= 1.1, "{kernel}, order {order}: {passes} of the ideal passes over shared memory");
        assert!(!in_registers || bytes <= 1.1, "{kernel}, order {order}: {bytes} of the bytes");
        assert_eq!(counters.thread_instructions.local, 0, "{kernel}");
    }
}

/// Replays follow the damping and the contents of the blocks.
#[test]
fn a_captured_call_is_replayed() {
    let Some(alone) = alone() else { return };
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        let (device, stream) = untracked();
        let orders = [3, 40, 300, 100];
        let mut eager = Model::<f32>::new(&device, &orders);
        let mut replayed = Model::<f32>::new(&device, &orders);
        let unseen = {
            stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
            let refused = replayed.invert().unwrap_err();
            stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
            refused.to_string()
        };
        assert!(unseen.contains("stale during graph capture: a matrix has moved"), "{unseen}");
        replayed.invert().unwrap();
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        replayed.invert().unwrap();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
        for turn in 0..3 {
            for model in [&mut eager, &mut replayed] {
                model.plan.set_damping(&[0.1 * f64::from(turn); 4]).unwrap();
                let mut source = model.sources[1].to_vec().unwrap();
                source[0] = 1.0 + turn as f32;
                model.sources[1].write(&source).unwrap();
            }
            eager.invert().unwrap();
            graph.launch().unwrap();
            assert!(eager.results() == replayed.results(), "replay {turn}, {mode:?}");
        }
    }
}

/// The order in which blocks, warps and lanes run, and the device, change no bit.
#[test]
fn every_schedule_and_device_gives_the_same_bits() {
    let Some(alone) = alone() else { return };
    let orders = [5, 31, 60, 100, 190, 230, 260, 400];
    let results = |options: Options, profile: &str| {
        alone.driver.configure(options, profile, StreamMode::AtEnqueue);
        let mut model = Model::<f32>::new(&device(), &orders);
        model.invert().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        model.results()
    };
    let expected = results(Options::default(), "a100");
    for profile in ["h100", "small"] {
        assert!(results(Options::default(), profile) == expected, "{profile}");
    }
    for seed in 1..4 {
        assert!(results(Options { seed, ..Options::default() }, "a100") == expected, "seed {seed}");
        let one_thread = Options { seed, threads: 1, ..Options::default() };
        assert!(results(one_thread, "a100") == expected, "seed {seed}, one host thread");
    }
    let one_lane = Options { one_lane: true, ..Options::default() };
    assert!(results(one_lane, "a100") == expected, "one lane at a time");
    alone.driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
}

/// A plan with its blocks and right-hand sides on a device.
struct Solver<T: Real> {
    plan: SpdFactor<T>,
    sources: Vec<Buffer<T>>,
    sides: Vec<Buffer<T>>,
}

impl<T: Real> Solver<T> {
    /// Blocks of given orders, with numbers of columns.
    fn new(device: &Device, shapes: &[(usize, usize)]) -> Self {
        let mut numbers = Numbers::new(seed());
        let blocks: Vec<Block> = shapes.iter().map(|&(order, _)| Block::new(order, 0.01)).collect();
        let plan = SpdFactor::new(device, &blocks, SpdSettings::default()).unwrap();
        let (mut sources, mut sides) = (Vec::new(), Vec::new());
        for &(order, columns) in shapes {
            let source = Square::with_condition(order, 50.0, &mut numbers).rounded::<T>().0;
            sources.push(Buffer::from_slice(device, &source).unwrap());
            let side: Vec<T> = (0..order * columns).map(|_| T::from_f64(numbers.normal())).collect();
            sides.push(Buffer::from_slice(device, &side).unwrap());
        }
        Self { plan, sources, sides }
    }

    fn factor(&mut self) -> Result<()> {
        let orders = self.plan.blocks().iter().map(|block| block.order);
        let source = |(source, order): (_, usize)| {
            let source: &Buffer<T> = source;
            Symmetric::full(MatRef::new(source.view(), order, order).unwrap()).unwrap()
        };
        let sources: Vec<_> = self.sources.iter().zip(orders).map(source).collect();
        self.plan.factor(&sources)
    }

    fn solve(&mut self) -> Result<()> {
        let orders: Vec<usize> = self.plan.blocks().iter().map(|block| block.order).collect();
        let side = |(side, order): (_, usize)| {
            let side: &mut Buffer<T> = side;
            let columns = side.len() / order;
            MatMut::new(side.view_mut(), order, columns).unwrap()
        };
        let mut sides: Vec<_> = self.sides.iter_mut().zip(orders).map(side).collect();
        self.plan.solve(&mut sides)
    }

    fn results(&self) -> (Vec<Vec<T>>, Vec<Report>) {
        (self.sides.iter().map(|side| side.to_vec().unwrap()).collect(), self.plan.reports().unwrap())
    }
}

/// What the second calls of a plan do: of the factor, of the solution.
fn second_calls<T: Real>(alone: &Alone, shapes: &[(usize, usize)]) -> [softcuda::driver::Report; 2] {
    let mut solver = Solver::<T>::new(&device(), shapes);
    solver.factor().unwrap();
    solver.solve().unwrap();
    alone.driver.reset();
    solver.factor().unwrap();
    let factor = alone.driver.report();
    alone.driver.reset();
    solver.solve().unwrap();
    assert_eq!(alone.driver.take_fault(), None);
    let solve = alone.driver.report();
    assert!(solver.results().1.iter().all(Report::is_inverted));
    [factor, solve]
}

/// However many blocks of however many sizes: two launches for the factors, one for the solutions. Nothing else happens.
#[test]
fn factors_are_two_launches_and_solutions_one() {
    let Some(alone) = alone() else { return };
    let shapes: Vec<(usize, usize)> =
        [1, 32, 64, 100, 129, 200, 300].into_iter().zip([3, 0, 64, 65, 1, 130, 7]).collect();
    let [factor, solve] = second_calls::<f32>(&alone, &shapes);
    for (report, expected) in [(factor, vec!["spd_prepare_f32", "spd_tiles_f32"]), (solve, vec!["spd_solve_f32"])] {
        let names: Vec<&str> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
        assert_eq!(names, expected);
        let count = expected.len() as u64;
        let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), count), ("cuLaunchKernel".to_owned(), count)]);
        assert_eq!(report.calls, calls);
        assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
        assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
    }
    let [_, nothing] = second_calls::<f64>(&alone, &[(5, 0)]);
    assert!(nothing.launches.is_empty());
}

/// Multiplications that a factor and a solution take, as a share of all that threads execute; passes over shared memory.
#[test]
fn most_of_the_work_on_factors_is_multiplication() {
    let Some(alone) = alone() else { return };
    let check = |kernel: &str, counters: &Counters, useful: f64, least: f64, what: String| {
        let share = useful / executed(counters) as f64;
        let passes = counters.shared.wavefronts as f64 / counters.shared.ideal_wavefronts as f64;
        println!("{kernel}, {what}: {share:.3} useful, {passes:.3} of the passes");
        assert!(share >= least, "{kernel}, {what}: {share} of the instructions are useful");
        assert!(passes <= 1.1, "{kernel}, {what}: {passes} of the ideal passes over shared memory");
        assert_eq!(counters.thread_instructions.local, 0, "{kernel}");
    };
    for (order, columns, least) in [(128, 64, 0.2), (512, 256, 0.4), (1024, 64, 0.5)] {
        let [factor, solve] = second_calls::<f32>(&alone, &[(order, columns)]);
        let n = order as f64;
        let what = format!("order {order}");
        check("spd_tiles_f32", &factor.kernels["spd_tiles_f32"], n.powi(3) / 6.0, least, what.clone());
        let (counters, useful) = (&solve.kernels["spd_solve_f32"], n * n * columns as f64);
        check("spd_solve_f32", counters, useful, least + 0.1, format!("{what}, {columns} columns"));
    }
}

/// Replays follow the damping, the contents of the blocks and the right-hand sides, and which factor is kept.
#[test]
fn captured_factors_and_solutions_are_replayed() {
    let Some(alone) = alone() else { return };
    let global = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        let (device, stream) = untracked();
        let shapes = [(3, 4), (40, 70), (300, 65), (100, 1)];
        let mut eager = Solver::<f32>::new(&device, &shapes);
        let mut replayed = Solver::<f32>::new(&device, &shapes);
        replayed.factor().unwrap();
        stream.begin_capture(global).unwrap();
        let unseen = replayed.solve().unwrap_err().to_string();
        stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
        assert!(unseen.contains("stale during graph capture: a right-hand side has moved"), "{unseen}");
        replayed.solve().unwrap();
        eager.factor().unwrap();
        eager.solve().unwrap();
        stream.begin_capture(global).unwrap();
        replayed.factor().unwrap();
        replayed.solve().unwrap();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
        for turn in 0..4 {
            for solver in [&mut eager, &mut replayed] {
                solver.plan.set_damping(&[0.1 * f64::from(turn); 4]).unwrap();
                let mut source = solver.sources[1].to_vec().unwrap();
                source[0] = if turn == 2 { f32::NAN } else { 1.0 + turn as f32 };
                solver.sources[1].write(&source).unwrap();
            }
            eager.factor().unwrap();
            eager.solve().unwrap();
            graph.launch().unwrap();
            let (found, expected) = (replayed.results(), eager.results());
            assert!(found.0 == expected.0, "replay {turn}, {mode:?}");
            let inverted = |reports: &[Report]| reports.iter().map(Report::is_inverted).collect::<Vec<_>>();
            assert_eq!(inverted(&found.1), [true, turn != 2, true, true], "replay {turn}, {mode:?}");
            assert_eq!(inverted(&found.1), inverted(&expected.1));
        }
    }
}

/// The order in which blocks, warps and lanes run, and the device, change no bit of a solution.
#[test]
fn every_schedule_and_device_gives_the_same_solutions() {
    let Some(alone) = alone() else { return };
    let shapes = [(5, 3), (64, 65), (100, 64), (190, 1), (260, 130)];
    let results = |options: Options, profile: &str| {
        alone.driver.configure(options, profile, StreamMode::AtEnqueue);
        let mut solver = Solver::<f32>::new(&device(), &shapes);
        solver.factor().unwrap();
        solver.solve().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        solver.results()
    };
    let expected = results(Options::default(), "a100");
    for profile in ["h100", "small"] {
        assert!(results(Options::default(), profile) == expected, "{profile}");
    }
    for seed in 1..4 {
        let one_thread = Options { seed, threads: 1, ..Options::default() };
        assert!(results(one_thread, "a100") == expected, "seed {seed}, one host thread");
    }
    let one_lane = Options { one_lane: true, ..Options::default() };
    assert!(results(one_lane, "a100") == expected, "one lane at a time");
    alone.driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
}

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
