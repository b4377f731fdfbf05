//! Factors that are kept, and solutions.

use std::collections::BTreeMap;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Real;
use gradus::linalg::{Block, Report, SpdFactor, SpdSettings, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef, Result};
use softcuda::count::Counters;
use softcuda::driver::{Copies, StreamMode};
use softcuda::machine::Options;

use crate::common::data::{Numbers, seed};
use crate::common::software::{Alone, alone, untracked};
use crate::matrices::Square;
use crate::{device, executed};

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
