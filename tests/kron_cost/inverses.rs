//! Damped inverses.

use std::collections::BTreeMap;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Real;
use gradus::linalg::{Block, Report, SpdInverse, SpdSettings, Symmetric};
use gradus::{Buffer, Device, MatMut, MatRef, Result};
use softcuda::driver::{Copies, StreamMode};
use softcuda::machine::Options;

use crate::common::data::{Numbers, seed};
use crate::common::software::{Alone, alone, untracked};
use crate::matrices::Square;
use crate::{device, executed};

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
