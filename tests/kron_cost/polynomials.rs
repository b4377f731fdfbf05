//! Polar factors, inverse roots, warm starts, refreshed bases and reductions.

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::linalg::{
    BasisRefresh, Block, InverseRoot, Operand, PolarFactor, PolarSettings, Reduction, Reductions, RootBlock,
    RootReport, RootSettings, SpdInverse, SpdSettings, Symmetric, WarmStart,
};
use gradus::{Buffer, Device, MatMut, MatRef};
use softcuda::driver::StreamMode;
use softcuda::machine::Options;

use crate::common::data::{Numbers, seed};
use crate::common::software::{alone, untracked};
use crate::matrices::Square;
use crate::products::{check_host, check_work, second};
use crate::{device, executed};

fn matrix(device: &Device, elements: usize, numbers: &mut Numbers) -> Buffer<f32> {
    let elements: Vec<f32> = (0..elements).map(|_| numbers.normal() as f32).collect();
    Buffer::from_slice(device, &elements).unwrap()
}

#[test]
fn polar_factors_are_three_launches_a_step_and_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    const SHAPE: (usize, usize) = (640, 512);
    let device = device();
    let elements = SHAPE.0 * SHAPE.1;
    let source = matrix(&device, elements, &mut Numbers::new(seed()));
    let mut target = Buffer::<f32>::zeros(&device, elements).unwrap();
    let mut plan = PolarFactor::<f32>::new(&device, &[SHAPE], PolarSettings::newton_schulz(1)).unwrap();
    let report = second(&alone, || {
        let source = MatRef::new(source.view(), SHAPE.0, SHAPE.1).unwrap();
        plan.orthogonalize(&[source], &mut [MatMut::new(target.view_mut(), SHAPE.0, SHAPE.1).unwrap()]).unwrap();
    });
    let product = "poly_product_f32";
    let load = ["reduce_tiles_f32", "reduce_sums", "polar_load_f32"];
    check_host(&report, &[&load[..], &[product; 3], &["polar_store_f32"]].concat());
    let [long, short] = [SHAPE.0 as f64, SHAPE.1 as f64];
    let halves = short * (short + 1.0) / 2.0;
    check_work(&report, product, halves * (long + short) + long * short * short);
    // Beside tables and sums: read for the norm, read and written twice, then read and written.
    for (kernel, moves) in [("reduce_tiles_f32", 1), ("polar_load_f32", 3), ("polar_store_f32", 2)] {
        let counters = &report.kernels[kernel];
        let bytes = counters.global_read.bytes + counters.global_written.bytes;
        let floor = moves * 4 * elements as u64;
        assert!((floor..floor + floor / 10).contains(&bytes), "{kernel}: {bytes} bytes for {floor}");
        let sectors = [counters.global_read, counters.global_written].map(|all| all.sectors - all.ideal_sectors);
        assert_eq!(sectors, [0, 0], "{kernel}");
    }
}

#[test]
fn roots_are_as_many_launches_as_their_steps_and_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    const ORDER: usize = 512;
    let device = device();
    let mut numbers = Numbers::new(seed());
    let (elements, _) = Square::with_condition(ORDER, 2.0, &mut numbers).rounded::<f32>();
    let source = Buffer::from_slice(&device, &elements).unwrap();
    let mut target = Buffer::<f32>::zeros(&device, ORDER * ORDER).unwrap();
    let block = RootBlock { relative_damping: 1e-6, ..RootBlock::new(ORDER, 4) };
    let settings = RootSettings { steps: 2, acceptance: 0.99, power_steps: 3, ..RootSettings::default() };
    let mut plan = InverseRoot::<f32>::new(&device, &[block], settings).unwrap();
    let report = second(&alone, || {
        let source = Symmetric::full(MatRef::new(source.view(), ORDER, ORDER).unwrap()).unwrap();
        plan.compute(&[source], &mut [MatMut::new(target.view_mut(), ORDER, ORDER).unwrap()]).unwrap();
    });
    let product = "poly_product_f32";
    let begin = ["spd_prepare_f32", "root_load_f32", "reduce_tiles_f32"];
    let numbers = ["reduce_power_f32", "reduce_power_f32", "reduce_power_f32", "reduce_sums", "root_begin_f32"];
    check_host(&report, &[&begin[..], &numbers, &[product; 6], &["root_finish_f32"]].concat());
    // The first step has three products, the second four.
    check_work(&report, product, 7.0 * (ORDER * ORDER * (ORDER + 1) / 2) as f64);
    assert_eq!(plan.reports().unwrap()[0].steps, 2);
}

/// What precedes the inversion is products; where that certifies an inverse, the inversion is not made.
#[test]
fn a_warm_start_is_products_and_saves_the_inversion() {
    let Some(alone) = alone() else { return };
    const ORDERS: [usize; 2] = [512, 100];
    let device = device();
    let mut numbers = Numbers::new(seed());
    let mut matrix = |order| Square::with_condition(order, 20.0, &mut numbers);
    let (first, second) = (ORDERS.map(&mut matrix), ORDERS.map(&mut matrix));
    let mixed = |share: f64| -> Vec<Buffer<f32>> {
        let mix = |(x, y): (&Square, &Square)| -> Vec<f32> {
            x.at.iter().zip(&y.at).map(|(x, y)| ((1.0 - share) * x + share * y) as f32).collect()
        };
        first.iter().zip(&second).map(|pair| Buffer::from_slice(&device, &mix(pair)).unwrap()).collect()
    };
    let blocks = ORDERS.map(|order| Block::new(order, 0.05));
    let warm = WarmStart { steps: 1, tolerance: 0.005 };
    let mut plan = SpdInverse::<f32>::with_warm_start(&device, &blocks, SpdSettings::default(), warm).unwrap();
    let mut inverses = ORDERS.map(|order| Buffer::<f32>::zeros(&device, order * order).unwrap());
    let mut sources = mixed(0.0);
    let mut invert = |sources: &[Buffer<f32>]| {
        let source = |(source, order): (_, usize)| {
            let source: &Buffer<f32> = source;
            Symmetric::full(MatRef::new(source.view(), order, order).unwrap()).unwrap()
        };
        let target = |(to, order): (_, usize)| {
            let to: &mut Buffer<f32> = to;
            MatMut::new(to.view_mut(), order, order).unwrap()
        };
        let sources: Vec<_> = sources.iter().zip(ORDERS).map(source).collect();
        plan.invert(&sources, &mut inverses.iter_mut().zip(ORDERS).map(target).collect::<Vec<_>>()).unwrap();
    };
    invert(&sources);
    for (source, moved) in sources.iter_mut().zip(mixed(0.02)) {
        source.write(&moved.to_vec().unwrap()).unwrap();
    }
    alone.driver.reset();
    invert(&sources);
    assert_eq!(alone.driver.take_fault(), None);
    let report = alone.driver.report();
    let product = "poly_product_f32";
    let round = [product, "reduce_tiles_f32", "reduce_sums", "warm_verdict"];
    let begin = ["spd_prepare_f32", "warm_load_f32"];
    let end = ["warm_store_f32", "spd_inverse_f32_8x16", "spd_tiles_f32"];
    check_host(&report, &[&begin[..], &round, &[product], &round, &end].concat());
    let reports = plan.reports().unwrap();
    assert!(reports.iter().all(|report| report.residual.is_some_and(|residual| residual > 0.0)), "{reports:?}");
    // Two products in full and one by halves.
    let of_order = |order: usize| (2 * order.pow(3) + order * order * (order + 1) / 2) as f64;
    check_work(&report, product, ORDERS.map(of_order).iter().sum());
    let work = |kernel: &str| executed(&report.kernels[kernel]);
    let idle = work("spd_inverse_f32_8x16") + work("spd_tiles_f32");
    assert!(idle < work(product) / 100, "{idle} instructions for nothing");
}

#[test]
fn a_refreshed_basis_is_a_few_launches_and_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    const ORDER: usize = 512;
    let device = device();
    let (elements, _) = Square::with_condition(ORDER, 5.0, &mut Numbers::new(seed())).rounded::<f32>();
    let (source, identity) = (Buffer::from_slice(&device, &elements).unwrap(), Square::zeros(ORDER).damped(1.0));
    let mut basis = Buffer::from_slice(&device, &identity.rounded::<f32>().0).unwrap();
    let mut quotients = Buffer::<f32>::zeros(&device, ORDER).unwrap();
    let mut plan = BasisRefresh::<f32>::new(&device, &[ORDER], 1e-4).unwrap();
    let report = second(&alone, || {
        let source = Symmetric::full(MatRef::new(source.view(), ORDER, ORDER).unwrap()).unwrap();
        let basis = MatMut::new(basis.view_mut(), ORDER, ORDER).unwrap();
        plan.refresh(&[source], &mut [basis], &mut [quotients.view_mut()]).unwrap();
    });
    let product = "poly_product_f32";
    let begin = ["spd_prepare_f32", "basis_load_f32", product, "basis_columns_f32", "basis_ranks", "basis_scale_f32"];
    let round = [product, "spd_prepare_f32", "spd_tiles_f32", "basis_unpack_f32", product];
    check_host(&report, &[&begin[..], &round, &round, &round, &["basis_store_f32"]].concat());
    assert!(plan.reports().unwrap()[0].is_decomposed());
    // A·Q, and of every round half of YᵀY, and Y·Vᵀ without what is zero of Vᵀ in whole tiles.
    let cube = ORDER.pow(3) as f64;
    let triangle = (1.0 + 64.0 / ORDER as f64) / 2.0 * cube;
    check_work(&report, product, cube + 3.0 * ((ORDER * ORDER * (ORDER + 1) / 2) as f64 + triangle));
}

/// Roots, factors, numbers and bases of one list of matrices, and where they go.
struct Model {
    sources: Vec<Buffer<f32>>,
    roots: InverseRoot<f32>,
    polar: PolarFactor<f32>,
    reductions: Reductions<f32>,
    refresh: BasisRefresh<f32>,
    to: [Vec<Buffer<f32>>; 2],
    bases: Vec<Buffer<f32>>,
    quotients: Vec<Buffer<f32>>,
    numbers: Buffer<f64>,
}

const ORDERS: [usize; 3] = [5, 70, 64];

impl Model {
    fn new(device: &Device) -> Self {
        let mut numbers = Numbers::new(seed());
        let source = |order: usize| {
            let (elements, _) = Square::with_condition(order, 20.0, &mut numbers).rounded::<f32>();
            Buffer::from_slice(device, &elements).unwrap()
        };
        let block = |(k, order): (u32, usize)| RootBlock { relative_damping: 1e-3, ..RootBlock::new(order, 1 << k) };
        let blocks: Vec<RootBlock> = (0..).zip(ORDERS).map(block).collect();
        let shapes = ORDERS.map(|order| (order, order));
        let list = ORDERS.map(|order| Reduction::LargestEigenvalue { order, steps: order as u32 / 10 + 1 });
        let identity = |order| {
            let (elements, _) = Square::zeros(order).damped(1.0).rounded::<f32>();
            Buffer::from_slice(device, &elements).unwrap()
        };
        let zeros = || ORDERS.map(|order| Buffer::zeros(device, order * order).unwrap()).into();
        Self {
            sources: ORDERS.map(source).into(),
            roots: InverseRoot::new(device, &blocks, RootSettings { steps: 20, ..RootSettings::default() }).unwrap(),
            polar: PolarFactor::new(device, &shapes, PolarSettings::newton_schulz(2)).unwrap(),
            reductions: Reductions::new(device, &list).unwrap(),
            refresh: BasisRefresh::new(device, &ORDERS, 1e-4).unwrap(),
            to: [zeros(), zeros()],
            bases: ORDERS.map(identity).into(),
            quotients: ORDERS.map(|order| Buffer::zeros(device, order).unwrap()).into(),
            numbers: Buffer::zeros(device, ORDERS.len()).unwrap(),
        }
    }

    fn call(&mut self) -> gradus::Result<()> {
        let matrix = |(source, order): (_, usize)| {
            let source: &Buffer<f32> = source;
            MatRef::new(source.view(), order, order).unwrap()
        };
        let matrices = || self.sources.iter().zip(ORDERS).map(matrix);
        let target = |(to, order): (_, usize)| {
            let to: &mut Buffer<f32> = to;
            MatMut::new(to.view_mut(), order, order).unwrap()
        };
        let [roots, factors] = &mut self.to;
        let sources: Vec<_> = matrices().map(|matrix| Symmetric::full(matrix).unwrap()).collect();
        self.roots.compute(&sources, &mut roots.iter_mut().zip(ORDERS).map(target).collect::<Vec<_>>())?;
        let sources: Vec<_> = matrices().collect();
        self.polar.orthogonalize(&sources, &mut factors.iter_mut().zip(ORDERS).map(target).collect::<Vec<_>>())?;
        let sources: Vec<_> = matrices().map(|matrix| Symmetric::full(matrix).unwrap()).collect();
        let mut bases: Vec<_> = self.bases.iter_mut().zip(ORDERS).map(target).collect();
        let mut quotients: Vec<_> = self.quotients.iter_mut().map(Buffer::view_mut).collect();
        self.refresh.refresh(&sources, &mut bases, &mut quotients)?;
        let operands: Vec<_> = matrices().map(Operand::One).collect();
        self.reductions.reduce(&operands, &mut self.numbers.view_mut())
    }

    fn results(&self) -> (Vec<f32>, Vec<f64>, Vec<RootReport>) {
        let all = self.to.iter().flatten().chain(&self.bases).chain(&self.quotients);
        let elements = all.flat_map(|to| to.to_vec().unwrap()).collect();
        (elements, self.numbers.to_vec().unwrap(), self.roots.reports().unwrap())
    }
}

/// Replays follow the contents of the matrices: blocks that stop at other steps, too.
#[test]
fn captured_calls_are_replayed() {
    let Some(alone) = alone() else { return };
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        let (device, stream) = untracked();
        let (mut eager, mut replayed) = (Model::new(&device), Model::new(&device));
        let global = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
        stream.begin_capture(global).unwrap();
        let unseen = replayed.call().unwrap_err().to_string();
        stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
        assert!(unseen.contains("stale during graph capture: a matrix has moved"), "{unseen}");
        replayed.call().unwrap();
        // Bases go on from where they are.
        eager.call().unwrap();
        stream.begin_capture(global).unwrap();
        replayed.call().unwrap();
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
        for turn in 0..3 {
            for model in [&mut eager, &mut replayed] {
                let mut source = model.sources[1].to_vec().unwrap();
                source[0] = [1.0, 50.0, f32::NAN][turn];
                model.sources[1].write(&source).unwrap();
            }
            eager.call().unwrap();
            graph.launch().unwrap();
            let (found, expected) = (replayed.results(), eager.results());
            let bits = |results: &(Vec<f32>, Vec<f64>, _)| {
                let narrow: Vec<u32> = results.0.iter().map(|x| x.to_bits()).collect();
                (narrow, results.1.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            };
            assert!(bits(&found) == bits(&expected), "replay {turn}, {mode:?}");
            let steps = |reports: &[RootReport]| reports.iter().map(|report| report.steps).collect::<Vec<_>>();
            assert_eq!(steps(&found.2), steps(&expected.2));
        }
    }
}

/// The order in which blocks, warps and lanes run, and the device, change no bit.
#[test]
fn every_schedule_and_device_gives_the_same_roots_and_factors() {
    let Some(alone) = alone() else { return };
    let results = |options: Options, profile: &str| {
        alone.driver.configure(options, profile, StreamMode::AtEnqueue);
        let mut model = Model::new(&device());
        model.call().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        model.results()
    };
    let expected = results(Options::default(), "a100");
    assert!(expected.2.iter().all(RootReport::is_found), "{:?}", expected.2);
    assert!(results(Options::default(), "small") == expected, "small");
    for seed in 1..3 {
        assert!(results(Options { seed, ..Options::default() }, "a100") == expected, "seed {seed}");
    }
    let one_lane = Options { one_lane: true, ..Options::default() };
    assert!(results(one_lane, "a100") == expected, "one lane at a time");
    alone.driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
}
