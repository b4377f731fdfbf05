//! What a call costs on CUDA, counted by the software driver; calls in graphs.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;
#[path = "es_cost/drawn.rs"]
mod drawn;
#[path = "es/model.rs"]
mod model;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Element;
use gradus::es::{
    Adaptation, Directions, Distribution, Estimator, Lattice, LatticeLowRank, LatticePerturbation, LatticeTerm,
    LowRank, Matrix, Pairs, Population, Search, SearchSettings, Target, Term, Vote,
};
use gradus::optim::Tensor;
use gradus::{Buffer, Device};
use half::{bf16, f16};
use softcuda::driver::Copies;

use common::software::{alone, untracked};
use model::{Model, same, terms};

const CHUNK: usize = 16384;

/// One launch a call, and nothing else: no copy, no allocation, no wait.
#[test]
fn a_call_is_one_launch() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    for lengths in [vec![], vec![0], vec![100_000], vec![336; 300], vec![1, 5, 2 * CHUNK, 0, 17]] {
        let places: Vec<_> = lengths.iter().zip(0..).map(|(&length, id)| (id, 0, length, 0, 0)).collect();
        let mut model = Model::<bf16, bf16>::new(&device, Distribution::Rademacher, &places);
        let many = terms(30);
        for terms in [&terms(0)[..], &terms(8), &many, &many] {
            model.write(terms);
            alone.driver.reset();
            let from: Vec<_> = model.from.iter().map(|from| from.view()).collect();
            let mut to: Vec<_> = model.to.iter_mut().map(|to| to.view_mut()).collect();
            model.plan.write(terms, &from, &mut to).unwrap();
            assert_eq!(alone.driver.take_fault(), None);
            let report = alone.driver.report();
            let launches: Vec<_> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
            assert_eq!(launches, ["perturb_rademacher_bf16_bf16"], "{} tensors", lengths.len());
            assert_eq!(report.calls["cuLaunchKernel"], 1);
            assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
            assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
        }
    }
}

/// What the kernels that draw a noise are named after: rows cost what the signs cost that they turn.
fn drawn_by(distribution: Distribution) -> &'static str {
    if distribution == Distribution::Hadamard { Distribution::Rademacher.name() } else { distribution.name() }
}

/// Threads of a block: `kernels/core/chunk.cuh`.
const THREADS: u64 = 256;

/// Every element is read once and written once, whatever the number of terms, and noise is not read.
fn bytes<P: Element<Real = Q::Real>, Q: Target<P>>() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 8 * CHUNK as u64;
    for distribution in Distribution::ALL {
        let places = [(0, 0), (8, 8), (3, 3), (5, 0)];
        let of_rows = &places[..1];
        for &(first, offset) in if distribution == Distribution::Hadamard { of_rows } else { &places } {
            let mut model = Model::<P, Q>::new(&device, distribution, &[(0, first, elements as usize, offset, offset)]);
            for count in [1, 2, 8] {
                model.write(&terms(count));
                alone.driver.reset();
                model.write(&terms(count));
                let report = alone.driver.report();
                let name = format!("perturb_{}_{}_{}", drawn_by(distribution), P::DTYPE, Q::DTYPE);
                let counters = &report.kernels[&name];
                // What a thread reads of the tables, and what a block reads of the table of normals.
                let blocks = if offset == 0 { 8 } else { 9 };
                let normals = if distribution == Distribution::Normal { 8192 } else { 0 };
                let tables = blocks * (THREADS * (16 + 32) + normals);
                assert_eq!(counters.global_read.bytes, size_of::<P>() as u64 * elements + tables, "{name} at {offset}");
                assert_eq!(counters.global_written.bytes, size_of::<Q>() as u64 * elements, "{name} at {offset}");
                if first == 0 {
                    // Four elements of f64 are two requests, which share their sectors.
                    let requests = if size_of::<Q>() == 8 { 2 } else { 1 };
                    let sectors = requests * size_of::<Q>() as u64 * elements / 32;
                    assert_eq!(counters.global_written.sectors, sectors, "{name}");
                    if requests == 1 {
                        assert_eq!(counters.global_read.sectors, counters.global_read.ideal_sectors, "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn elements_move_once() {
    bytes::<bf16, bf16>();
    bytes::<f32, bf16>();
    bytes::<f16, f16>();
    bytes::<f32, f32>();
    bytes::<f64, f64>();
}

/// A sum alone reads no noise and no parameter, whatever the number of its terms.
fn estimates(squares: bool) {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 8 * CHUNK;
    for distribution in Distribution::ALL {
        let mut estimator = Estimator::<f32>::new(&device, distribution, &[Tensor::new(elements)]).unwrap();
        let [mut to, mut beside] = [(); 2].map(|()| Buffer::<f32>::zeros(&device, elements).unwrap());
        for count in [1, 2, 8] {
            let mut call = || {
                let (mut to, mut beside) = ([to.view_mut()], [beside.view_mut()]);
                match squares {
                    true => estimator.write_with_squares(&terms(count), &vec![1.0; count], &mut to, &mut beside),
                    false => estimator.write(&terms(count), &mut to),
                }
                .unwrap();
            };
            call();
            alone.driver.reset();
            call();
            let report = alone.driver.report();
            // Of a row, a sum alone reads all but the address beside.
            let (infix, arrays, row) = if squares { ("_squares", 2, 32) } else { ("", 1, 24) };
            let name = format!("estimate_{}{infix}_f32", drawn_by(distribution));
            let counters = &report.kernels[&name];
            let normals = if distribution == Distribution::Normal { 8192 } else { 0 };
            let (written, tables) = (4 * arrays * elements as u64, 8 * (THREADS * (16 + row) + normals));
            assert_eq!((counters.global_read.bytes, counters.global_written.bytes), (tables, written), "{name}");
            assert_eq!(counters.global_written.sectors, written / 32, "{name}");
            assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (1, 0));
            assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
        }
    }
}

#[test]
fn an_estimate_is_only_written() {
    estimates(false);
    estimates(true);
}

/// A noise of low rank reads no factor: a matrix is read once, if it is, and written once, in one launch.
#[test]
fn a_matrix_moves_once() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let (rows, columns) = (128, 512);
    let elements = rows * columns;
    let mut noise = LowRank::<bf16>::new(&device, Distribution::Normal, 2, &[Matrix::new(rows, columns)]).unwrap();
    let mut weights = Buffer::<bf16>::zeros(&device, elements).unwrap();
    for count in [1, 8, 40] {
        for is_alone in [false, true] {
            let mut call = || match is_alone {
                false => noise.apply(&terms(count), &mut [weights.view_mut()]).unwrap(),
                true => noise.estimate(&terms(count), &mut [weights.view_mut()]).unwrap(),
            };
            call();
            alone.driver.reset();
            call();
            let report = alone.driver.report();
            let counters = &report.kernels["low_rank_bf16_bf16"];
            let (tiles, matrix) = (2 * 4, if is_alone { 0 } else { 2 * elements as u64 });
            // What a thread reads of the tables, and what a block reads of the table of normals; many terms lie in memory.
            let most = matrix + tiles * (THREADS * (12 + 56) + 8192) + if count > 8 { 1 << 24 } else { 0 };
            let read = counters.global_read.bytes;
            assert!((matrix..=most).contains(&read), "{count} terms: {read} bytes read, of {matrix} to {most}");
            assert_eq!(counters.global_written.bytes, 2 * elements as u64);
            assert_eq!(counters.global_written.sectors, 2 * elements as u64 / 32);
            assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (1, 0));
            assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
        }
    }
}

/// Integer weights move once, votes as additions.
#[test]
fn an_integer_matrix_moves_once() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let (rows, columns) = (128, 512);
    let elements = rows * columns;
    let mut noise = LatticeLowRank::<i8>::new(&device, Distribution::Normal, 2, &[Matrix::new(rows, columns)]).unwrap();
    let mut weights = Buffer::<i8>::zeros(&device, elements).unwrap();
    for count in [1, 8, 40] {
        let of = |term: Term| LatticeTerm { multiplier: 1, term: Term { coefficient: 9.0, ..term } };
        let all: Vec<LatticeTerm> = terms(count).into_iter().map(of).collect();
        for votes in [false, true] {
            let mut call = || match votes {
                false => noise.apply(&all, &mut [weights.view_mut()]).unwrap(),
                true => noise.vote(&all, Vote { threshold: 9, limit: 100 }, &mut [weights.view_mut()]).unwrap(),
            };
            call();
            alone.driver.reset();
            call();
            let report = alone.driver.report();
            let counters = &report.kernels["lattice_low_rank"];
            let (tiles, matrix) = (2 * 4, elements as u64);
            // What a thread reads of the tables, and what a block reads of the table of normals; many terms lie in memory.
            let most = matrix + tiles * (THREADS * (12 + 56) + 8192) + if count > 8 { 1 << 24 } else { 0 };
            let read = counters.global_read.bytes;
            assert!((matrix..=most).contains(&read), "{count} terms: {read} bytes read, of {matrix} to {most}");
            assert_eq!(counters.global_written.bytes, matrix);
            assert_eq!(counters.global_written.sectors, matrix / 32);
            assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (1, 0));
            assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
        }
    }
}

/// A member is one launch that reads mean and deviations once, an update one that also writes them once; noise is not moved.
#[test]
fn a_search_moves_its_distribution_once() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 4 * CHUNK;
    for population in [6, 12] {
        let settings =
            SearchSettings { adaptation: Adaptation::SNES, sigma: 0.1, population: Some(population), seed: 5 };
        let mut search = Search::<bf16>::new(&device, settings, &[Tensor::new(elements)]).unwrap();
        let mut memory = Buffer::<bf16>::zeros(&device, elements).unwrap();
        let losses: Vec<f64> = (0..population as u32).map(f64::from).collect();
        search.member(0, &mut [memory.view_mut()]).unwrap();
        search.tell(&losses).unwrap();
        for (name, row, read, written) in [("search_sample_bf16", 40, 8, 2), ("search_adapt_f32", 32, 8, 8)] {
            alone.driver.reset();
            match written {
                2 => search.member(1, &mut [memory.view_mut()]).unwrap(),
                _ => search.tell(&losses).unwrap(),
            }
            let report = alone.driver.report();
            let counters = &report.kernels[name];
            // Terms beyond the eighth are read by all threads, once for each span of theirs.
            let terms = if written == 8 && population > 8 { 16 * 24 * population as u64 } else { 0 };
            let tables = 4 * (THREADS * (16 + row + terms) + 8192);
            let elements = elements as u64;
            assert_eq!(counters.global_read.bytes, read * elements + tables, "{name} of {population}");
            assert_eq!(counters.global_written.bytes, written * elements, "{name}");
            assert_eq!(counters.global_written.sectors, written * elements / 32, "{name}");
            assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (1, 0));
            assert_eq!(report.allocations.made.count, 0);
        }
    }
}

/// Sums, paths with a norm, the step size, variances: four launches, and no wait.
#[test]
fn an_update_of_sep_cma_es_is_four_launches() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let settings = SearchSettings { adaptation: Adaptation::SepCmaEs, sigma: 0.1, population: Some(12), seed: 5 };
    for lengths in [vec![0], vec![20_000, 5]] {
        let tensors: Vec<Tensor> = lengths.iter().map(|length| Tensor::new(*length)).collect();
        let mut search = Search::<bf16>::new(&device, settings, &tensors).unwrap();
        let losses: Vec<f64> = (0..12).map(f64::from).collect();
        search.tell(&losses).unwrap();
        alone.driver.reset();
        search.tell(&losses).unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        let report = alone.driver.report();
        let launches: Vec<_> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
        let expected = ["estimate_normal_squares_f32", "sep_cma_path_f32", "sep_cma_step_size", "sep_cma_variance_f32"];
        assert_eq!(launches, expected);
        assert_eq!((report.host_synchronisations, report.allocations.made.count), (0, 0));
    }
}

/// Three vectors move once, and what they are added to there and back, in one launch.
#[test]
fn directions_move_once_in_one_launch() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 2 * CHUNK;
    let mut plan = Directions::<bf16>::new(&device, &[Tensor::new(elements)]).unwrap();
    let vectors: Vec<_> = (0..3).map(|_| Buffer::<f32>::zeros(&device, elements).unwrap()).collect();
    let views: Vec<_> = vectors.iter().map(Buffer::view).collect();
    let mut memory = Buffer::<bf16>::zeros(&device, elements).unwrap();
    plan.add(&[1.0; 3], &views, &mut [memory.view_mut()]).unwrap();
    alone.driver.reset();
    plan.add(&[2.0; 3], &views, &mut [memory.view_mut()]).unwrap();
    let report = alone.driver.report();
    let counters = &report.kernels["directions_bf16"];
    let elements = elements as u64;
    assert_eq!((counters.global_written.bytes, counters.global_written.sectors), (2 * elements, 2 * elements / 32));
    // A thread reads the rows' heads once, and the addresses of the vectors and of the target for every pack of four elements.
    let tables = 2 * THREADS * (16 + 4) + elements / 4 * (3 * 8 + 8);
    assert_eq!(counters.global_read.bytes, 14 * elements + tables);
    assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (1, 0));
    assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
}

/// A parameter is read once a member, and what is written is written once: one launch for all members and tensors.
#[test]
fn a_population_is_one_launch() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let (lengths, count) = ([CHUNK, 1024, 8], 6);
    let tensors = lengths.map(Tensor::new);
    let mut population = Population::<f32>::new(&device, Distribution::Hadamard, &tensors).unwrap();
    let from = lengths.map(|length| Buffer::<f32>::zeros(&device, length).unwrap());
    let mut to = lengths.map(|length| Buffer::<f32>::zeros(&device, 2 * count * length).unwrap());
    let members = Pairs { sigma: 0.1, seed: 3, step: 0, count }.population();
    for call in 0..2 {
        alone.driver.reset();
        let from: Vec<_> = from.iter().map(|from| from.view()).collect();
        let mut to: Vec<_> = to.iter_mut().map(|to| to.view_mut()).collect();
        population.write(&members, &from, &mut to).unwrap();
        let report = alone.driver.report();
        assert_eq!(report.calls["cuLaunchKernel"], 1);
        if call > 0 {
            let counters = &report.kernels["perturb_rademacher_f32_f32"];
            let elements = (2 * count * lengths.iter().sum::<usize>()) as u64;
            assert_eq!((counters.global_written.bytes, counters.global_written.sectors), (4 * elements, elements / 8));
            let read = counters.global_read.bytes - 4 * elements;
            // Of the tables: 16 + 32 + 8 bytes a thread, and for each warp what the signs of its terms take.
            assert!(read < 2 * count as u64 * 3 * THREADS * 256, "{read} bytes of tables");
            assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
            assert_eq!(report.host_synchronisations, 0);
        }
    }
}

/// An integer weight is read once and written once, whatever the number of terms and whether they are added or vote.
fn weights<I: Lattice>() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let (elements, size) = (4 * CHUNK, size_of::<I>() as u64);
    for distribution in [Distribution::Normal, Distribution::Hadamard] {
        let mut plan = LatticePerturbation::<I>::new(&device, distribution, &[Tensor::new(elements)]).unwrap();
        let mut weights = Buffer::<I>::zeros(&device, elements).unwrap();
        for count in [1, 8] {
            let terms: Vec<_> = terms(count).into_iter().map(|term| LatticeTerm { multiplier: 1, term }).collect();
            plan.apply(&terms, &mut [weights.view_mut()]).unwrap();
            alone.driver.reset();
            plan.apply(&terms, &mut [weights.view_mut()]).unwrap();
            plan.vote(&terms, Vote { threshold: 1, limit: 100 }, &mut [weights.view_mut()]).unwrap();
            let report = alone.driver.report();
            let counters = &report.kernels[&format!("lattice_{}", drawn_by(distribution))];
            let normals = if distribution == Distribution::Normal { 8192 } else { 0 };
            let (moved, tables) = (2 * size * elements as u64, 2 * 4 * (THREADS * (16 + 32) + normals));
            assert_eq!((counters.global_read.bytes, counters.global_written.bytes), (moved + tables, moved));
            // A pack of i32 is two accesses, each of half its sector.
            assert_eq!(counters.global_written.sectors, moved / if size == 4 { 16 } else { 32 });
            assert_eq!((report.calls["cuLaunchKernel"], report.host_synchronisations), (2, 0));
            assert_eq!((report.copies, report.allocations.made.count), (Copies::default(), 0));
        }
    }
}

#[test]
fn a_weight_of_a_lattice_is_read_once_and_written_once() {
    weights::<i8>();
    weights::<i16>();
    weights::<i32>();
}

/// MeZO in two passes: from the perturbed point of one step over its update to the perturbed point of the next, and across to the
/// other side. Each reads and writes a weight once.
#[test]
fn a_step_of_mezo_moves_eight_bytes_a_bf16_weight() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 8 * CHUNK;
    for distribution in Distribution::ALL {
        let mut model = Model::<bf16, bf16>::new(&device, distribution, &[(0, 0, elements, 0, 0)]);
        let (sigma, update) = (1e-3, 0.02);
        let term = |coefficient, step| Term { coefficient, seed: 5, step, pair: 0 };
        model.apply(&[term(sigma, 0)]);
        alone.driver.reset();
        model.apply(&[term(-2.0 * sigma, 0)]);
        model.apply(&[term(sigma - update, 0), term(sigma, 1)]);
        let report = alone.driver.report();
        let counters = &report.kernels[&format!("perturb_{}_bf16_bf16", drawn_by(distribution))];
        let normals = if distribution == Distribution::Normal { 8192 } else { 0 };
        let tables = 2 * 8 * (THREADS * (16 + 32) + normals);
        let moved = counters.global_read.bytes + counters.global_written.bytes - tables;
        assert_eq!((moved, report.calls["cuLaunchKernel"]), (8 * elements as u64, 2), "{distribution:?}");
    }
}

/// A captured call repeats its terms on what is there.
#[test]
fn replays_are_calls() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let places = [(0, 0, 20_000, 0, 0), (1, 0, 17, 0, 0)];
    for count in [3, 12] {
        let [mut eager, mut replayed] =
            [(); 2].map(|()| Model::<f32, f32>::new(&device, Distribution::Normal, &places));
        eager.apply(&terms(count));
        replayed.apply(&terms(count));
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        let mut views: Vec<_> = replayed.from.iter_mut().map(|from| from.view_mut()).collect();
        replayed.plan.apply(&terms(count), &mut views).unwrap();
        if count > 8 {
            let error = replayed.plan.apply(&terms(count + 1), &mut views).unwrap_err();
            assert!(error.to_string().contains("stale during graph capture"), "{error}");
        }
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there is a kernel in it");
        for _ in 0..3 {
            graph.launch().unwrap();
            let expected = eager.apply(&terms(count));
            let found: Vec<_> = replayed.from.iter().map(|from| from.elements()).collect();
            same(&found, &expected, &format!("{count} terms"));
        }
    }
}
