//! What a step costs, counted exactly by the software driver: launches, host traffic, bytes and sectors.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;

use std::collections::BTreeMap;
use std::marker::PhantomData;

use common::data::{Numbers, seed};
use common::memory::Guarded;
use common::software::{Alone, alone};
use gradus::Device;
use gradus::element::Element;
use gradus::noise::normals;
use gradus::optim::{Optimizer, Tensor};
use gradus::rng::{Address, Purpose};
use gradus::rules::{AdamW, Extra, Gradient, Lion, Pair, Record, Rule, Sgd, TheoPoula, UNLIMITED};
use half::bf16;
use softcuda::count::Counters;
use softcuda::driver::{Copies, Report};

/// Threads and warps of a block, elements of a chunk: `kernels/core/chunk.cuh`.
const THREADS: u64 = 256;
const WARPS: u64 = THREADS / 32;
const CHUNK: usize = 16384;

/// Bytes of a sector, the unit in which memory is moved.
const SECTOR: u64 = 32;

/// Bytes of the optimizer's own counter, which the update reads and writes once: one sector, one request each.
const COUNTER: u64 = 8;

/// A rule and a pair of storage types.
struct Case<R, P, G> {
    rule: R,
    pair: PhantomData<(P, G)>,
}

/// What the words of a rule's records come to.
struct Words {
    settings: u64,
    carries: u64,
    scalars: u64,
    states: u64,
}

impl<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> Case<R, P, G> {
    fn words(&self) -> Words {
        Words {
            settings: R::Hyper::NAMES.len() as u64,
            carries: R::Carry::NAMES.len() as u64,
            scalars: R::Scalars::<P::Real>::NAMES.len() as u64,
            states: if R::is_stateless(&self.rule.hyper()) { 0 } else { R::State::<P::Real>::NAMES.len() as u64 },
        }
    }

    /// The bytes of each array that is read, the parameter's first and the gradient's second; all but the gradient are
    /// written as well.
    fn arrays(&self) -> Vec<u64> {
        let states = vec![size_of::<P::Real>() as u64; self.words().states as usize];
        [vec![size_of::<P>() as u64, size_of::<G>() as u64], states].concat()
    }

    /// The least bytes a parameter costs: those read, those written.
    fn floor(&self) -> (u64, u64) {
        let read: u64 = self.arrays().iter().sum();
        (read, read - size_of::<G>() as u64)
    }

    /// What the tables cost the update kernel: every thread of a block reads its row of `chunks` (16 bytes), of `tensors`
    /// (flags, parameter, gradient, states, and the other array of a rule that takes one; the rest is not for it) and of `scalars` (the rule's, the gradient's scale, and
    /// three that tell whether anything surrounds the rule). A warp asks for the same words with all its lanes, so that a
    /// request is one sector: bytes a thread, requests a warp. Of a row of `chunks` the tensor and the length come together. A rule that draws reads a byte of the flags first.
    fn tables(&self) -> (u64, u64) {
        let scalars = self.words().scalars;
        let states = R::State::<P::Real>::NAMES.len() as u64;
        let extra = <R::Gradient<P::Real> as Gradient<P::Real>>::EXTRA;
        let (has_extra, draws) = (u64::from(extra != Extra::None), u64::from(extra == Extra::Noise));
        let bytes = 16 + (4 + draws + 8 + 8 + 8 * (states + has_extra)) + size_of::<P::Real>() as u64 * (4 + scalars);
        (bytes, 2 + (3 + states + has_extra + draws) + (4 + scalars))
    }

    fn update<'a>(&self, report: &'a Report) -> &'a Counters {
        &report.kernels[&format!("{}_{}_{}", R::NAME, P::DTYPE, G::DTYPE)]
    }

    fn tick<'a>(&self, report: &'a Report) -> &'a Counters {
        &report.kernels[&format!("{}_tick_{}", R::NAME, P::Real::DTYPE)]
    }

    /// The second step of tensors whose parameters and gradients stand at these offsets.
    fn second_step(&self, alone: &Alone, lengths: &[usize], groups: usize, offsets: (usize, usize)) -> Report {
        let device = Device::cuda(0).unwrap();
        let mut numbers = Numbers::new(seed());
        let mut optimizer = Optimizer::<R, P, G>::new(&device, self.rule).unwrap();
        for _ in 1..groups {
            optimizer.add_group(self.rule).unwrap();
        }
        let mut parameters = Vec::new();
        let mut gradients = Vec::new();
        for (position, &length) in lengths.iter().enumerate() {
            optimizer.add(Tensor::new(length).group(position % groups)).unwrap();
            parameters.push(Guarded::<P>::new(&device, &numbers.numbers(length), offsets.0));
            gradients.push(Guarded::<G>::new(&device, &numbers.numbers(length), offsets.1));
        }
        let mut step = || {
            let mut parameters: Vec<_> = parameters.iter_mut().map(Guarded::view_mut).collect();
            let gradients: Vec<_> = gradients.iter().map(|gradient| Some(gradient.view())).collect();
            optimizer.step(&mut parameters, &gradients).unwrap();
        };
        step();
        alone.driver.reset();
        step();
        assert_eq!(alone.driver.take_fault(), None);
        alone.driver.report()
    }

    fn label(&self, what: &str) -> String {
        format!("{} ({}, {}), {what}", R::NAME, P::DTYPE, G::DTYPE)
    }

    /// Two launches, two calls that launch, and nothing else: no copy, no allocation, no wait.
    fn check_host(&self, report: &Report, label: &str) {
        let launches: Vec<_> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
        let update = format!("{}_{}_{}", R::NAME, P::DTYPE, G::DTYPE);
        assert_eq!(launches, [format!("{}_tick_{}", R::NAME, P::Real::DTYPE), update], "{label}");
        let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), 2), ("cuLaunchKernel".to_owned(), 2)]);
        assert_eq!(report.calls, calls, "{label}");
        assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()), "{label}");
        let allocations = &report.allocations;
        assert_eq!((allocations.made.count, allocations.freed.count), (0, 0), "{label}");
        assert!(report.launches.iter().all(|launch| launch.shared == 0), "{label}");
    }

    /// Tensors of whole sectors at aligned addresses: the floor, the tables, and no sector more.
    fn check_aligned(&self, alone: &Alone) {
        for (count, length, groups) in
            [(1, 100_000, 1), (1, 8 * CHUNK, 1), (7, 14_288, 1), (7, 14_288, 3), (300, 336, 1), (300, 336, 5)]
        {
            let label = self.label(&format!("{count} tensors of {length} elements in {groups} groups"));
            let report = self.second_step(alone, &vec![length; count], groups, (0, 0));
            self.check_host(&report, &label);

            let update = self.update(&report);
            let blocks = (count * length.div_ceil(CHUNK)) as u64;
            assert_eq!((update.launches, update.blocks, update.warps), (1, blocks, blocks * WARPS), "{label}");
            let elements = (count * length) as u64;
            let (read, written) = self.floor();
            let (bytes, requests) = self.tables();
            let (found_read, found_written) = (&update.global_read, &update.global_written);
            assert_eq!(found_read.bytes, elements * read + blocks * THREADS * bytes + COUNTER, "{label}");
            assert_eq!(found_written.bytes, elements * written + COUNTER, "{label}");
            assert_eq!(found_read.sectors, elements * read / SECTOR + blocks * WARPS * requests + 1, "{label}");
            assert_eq!(found_written.sectors, elements * written / SECTOR + 1, "{label}");
            assert_eq!(found_read.sectors, found_read.ideal_sectors, "{label}");
            assert_eq!(found_written.sectors, found_written.ideal_sectors, "{label}");
            if length.is_multiple_of(CHUNK) {
                // 4 elements a lane and request.
                let arrays = self.arrays().len() as u64;
                assert_eq!(found_read.requests, arrays * elements / 128 + blocks * WARPS * requests + 1, "{label}");
                assert_eq!(found_written.requests, (arrays - 1) * elements / 128 + 1, "{label}");
                assert_eq!(update.divergent_branches, 1, "{label}");
            }
            // The one thread that counts the step, and where a tensor ends inside a warp.
            assert!(update.divergent_branches <= 1 + count as u64, "{label}: {}", update.divergent_branches);

            // Every tensor's row of each table once, and the optimizer's own counter for its schedule. Nothing reads the seed
            // here, nor the floor and the shape of a schedule that does not fall. The rule's carry stands behind two scalars
            // of what surrounds it, its scalars behind six.
            let tick = self.tick(&report);
            let Words { settings, carries, scalars, .. } = self.words();
            let tensors = count as u64;
            let real = size_of::<P::Real>() as u64;
            let row = (4 + 4) + 8 * (14 + settings) + 2 * 8 + 8 * (2 + carries);
            assert_eq!(tick.global_read.bytes, tensors * row, "{label}");
            assert_eq!(tick.global_written.bytes, tensors * (8 + 8 * (2 + carries) + real * (6 + scalars)), "{label}");
            assert_eq!(tick.blocks, tensors.div_ceil(THREADS), "{label}");
            // The end of the tensors.
            assert!(tick.divergent_branches <= 1, "{label}: {}", tick.divergent_branches);
            self.check_nothing_shared(&report, &label);
        }
    }

    /// At any phase that the arrays share, every sector they touch is moved once: at most two a tensor and array more than
    /// its elements fill. The ends of a tensor go in one request beside the full ones.
    fn check_shared_phase(&self, alone: &Alone) {
        const LENGTHS: [usize; 7] = [1, 5, 16, 31, 1004, CHUNK - 3, 2 * CHUNK + 19];
        for offset in 0..16 {
            let label = self.label(&format!("{LENGTHS:?} elements at offset {offset}"));
            let report = self.second_step(alone, &LENGTHS, 1, (offset, offset));
            self.check_host(&report, &label);
            let update = self.update(&report);
            let (read, written) = self.floor();
            let (bytes, requests) = self.tables();
            let elements = LENGTHS.iter().sum::<usize>() as u64;
            assert_eq!(
                update.global_read.bytes,
                elements * read + update.blocks * THREADS * bytes + COUNTER,
                "{label}"
            );
            assert_eq!(update.global_written.bytes, elements * written + COUNTER, "{label}");

            let touched = |width: &u64| -> u64 {
                let sectors = |length: &usize| {
                    let (start, end) = (offset as u64 * width, (offset + length) as u64 * width);
                    end.div_ceil(SECTOR) - start / SECTOR
                };
                LENGTHS.iter().map(sectors).sum()
            };
            let arrays = self.arrays();
            let all = arrays.iter().map(touched).sum::<u64>();
            let tables = update.blocks * WARPS * requests;
            assert_eq!(update.global_read.sectors, tables + all + 1, "{label}");
            assert_eq!(update.global_written.sectors, all - touched(&arrays[1]) + 1, "{label}");
            let most = 1 + 4 * LENGTHS.len() as u64;
            assert!(update.divergent_branches <= most, "{label}: {}", update.divergent_branches);
            self.check_nothing_shared(&report, &label);
        }
    }

    /// Where the gradient agrees with the parameter modulo a run but not modulo a sector, its requests are as wide as
    /// elsewhere, and each costs one sector more.
    fn check_shared_run(&self, alone: &Alone) {
        const LENGTH: usize = 100_000;
        for offsets in [(0, 4), (0, 8), (0, 12), (16, 4)] {
            let label = self.label(&format!("{LENGTH} elements at offsets {offsets:?}"));
            let report = self.second_step(alone, &[LENGTH], 1, offsets);
            self.check_host(&report, &label);
            let update = self.update(&report);
            let (read, written) = self.floor();
            let (bytes, requests) = self.tables();
            let elements = LENGTH as u64;
            assert_eq!(
                update.global_read.bytes,
                elements * read + update.blocks * THREADS * bytes + COUNTER,
                "{label}"
            );
            let straddling = !(offsets.1 as u64 * size_of::<G>() as u64).is_multiple_of(SECTOR);
            let more = if straddling { elements.div_ceil(128) } else { 0 };
            let tables = update.blocks * WARPS * requests;
            assert_eq!(update.global_read.sectors, tables + elements * read / SECTOR + more + 1, "{label}");
            assert_eq!(update.global_written.sectors, elements * written / SECTOR + 1, "{label}");
        }
    }

    /// Out of phase, elements go one by one; an array that is off by less than a sector costs one sector a request more.
    fn check_out_of_phase(&self, alone: &Alone) {
        const LENGTH: usize = 100_000;
        for offsets in [(0, 1), (0, 3), (0, 7), (3, 5), (5, 0), (1, 2)] {
            let label = self.label(&format!("{LENGTH} elements at offsets {offsets:?}"));
            let report = self.second_step(alone, &[LENGTH], 1, offsets);
            self.check_host(&report, &label);
            let update = self.update(&report);
            let (read, written) = self.floor();
            let (bytes, requests) = self.tables();
            let elements = LENGTH as u64;
            let (found_read, found_written) = (&update.global_read, &update.global_written);
            assert_eq!(found_read.bytes, elements * read + update.blocks * THREADS * bytes + COUNTER, "{label}");
            assert_eq!(found_written.bytes, elements * written + COUNTER, "{label}");
            let tables = update.blocks * WARPS * requests;
            let ideal = elements * (read + written) / SECTOR;
            let found = found_read.sectors - tables + found_written.sectors - 2;
            assert!(10 * found <= 13 * ideal, "{label}: {found} sectors where {ideal} would hold them");
            if offsets.0 == 0 {
                // The gradient alone: 32 elements a request, each over one sector more.
                assert_eq!(found, ideal + elements / 32, "{label}");
            }
            assert!(update.divergent_branches <= 5, "{label}: {}", update.divergent_branches);
            self.check_nothing_shared(&report, &label);
        }
    }

    /// No atomics, no shared memory, no barriers.
    fn check_nothing_shared(&self, report: &Report, label: &str) {
        let Counters { global_atomics, shared_atomics, shared, block_barriers, .. } = &report.counters;
        assert_eq!((*global_atomics, *shared_atomics, shared.requests, *block_barriers), (0, 0, 0, 0), "{label}");
    }
}

macro_rules! cases {
    ($($name:ident: $rule:expr, $parameter:ident $gradient:ident, $floor:literal bytes;)*) => {
        $(mod $name {
            use super::*;

            fn this() -> Case<impl Rule, $parameter, $gradient> {
                Case { rule: $rule, pair: PhantomData }
            }

            #[test]
            fn the_floor_is_what_is_told() {
                let (read, written) = this().floor();
                assert_eq!(read + written, $floor);
            }

            #[test]
            fn aligned_tensors_cost_the_floor_and_the_tables() {
                let Some(alone) = alone() else { return };
                this().check_aligned(&alone);
            }

            #[test]
            fn a_shared_phase_moves_every_sector_once() {
                let Some(alone) = alone() else { return };
                this().check_shared_phase(&alone);
            }

            #[test]
            fn a_gradient_off_by_whole_runs_costs_a_sector_a_request() {
                let Some(alone) = alone() else { return };
                this().check_shared_run(&alone);
            }

            #[test]
            fn a_gradient_out_of_phase_costs_a_sector_a_request() {
                let Some(alone) = alone() else { return };
                this().check_out_of_phase(&alone);
            }
        })*
    };
}

cases! {
    sgd_f32: Sgd::default(), f32 f32, 12 bytes;
    momentum_sgd_f32: Sgd { momentum: 0.9, ..Sgd::default() }, f32 f32, 20 bytes;
    sgd_bf16_f32: Sgd::default(), bf16 f32, 8 bytes;
    momentum_sgd_bf16_f32: Sgd { momentum: 0.9, ..Sgd::default() }, bf16 f32, 16 bytes;
    sgd_bf16: Sgd::default(), bf16 bf16, 6 bytes;
    momentum_sgd_bf16: Sgd { momentum: 0.9, ..Sgd::default() }, bf16 bf16, 14 bytes;
    adamw_f32: AdamW::default(), f32 f32, 28 bytes;
    adamw_bf16_f32: AdamW::default(), bf16 f32, 24 bytes;
    adamw_bf16: AdamW::default(), bf16 bf16, 22 bytes;
    lion_f32: Lion::default(), f32 f32, 20 bytes;
    lion_bf16_f32: Lion::default(), bf16 f32, 16 bytes;
    lion_bf16: Lion::default(), bf16 bf16, 14 bytes;
    theopoula_f32: TheoPoula { beta: UNLIMITED, ..TheoPoula::default() }, f32 f32, 12 bytes;
    theopoula_bf16: TheoPoula { beta: UNLIMITED, ..TheoPoula::default() }, bf16 bf16, 6 bytes;
}

/// Noise that a step draws moves the table, once a block, and what addresses it: no array.
#[test]
fn drawn_noise_costs_a_table_a_block() {
    let Some(alone) = alone() else { return };
    let blocks = 8;
    let update = |beta| {
        let case = Case::<_, f32, f32> { rule: TheoPoula { beta, ..TheoPoula::default() }, pair: PhantomData };
        let report = case.second_step(&alone, &[blocks as usize * CHUNK], 1, (0, 0));
        case.check_host(&report, "THEO POULA");
        case.update(&report).clone()
    };
    let (with, without) = (update(1e4), update(UNLIMITED));
    assert_eq!((with.block_barriers, without.block_barriers), (blocks, 0));
    assert_eq!(with.global_written.bytes, without.global_written.bytes);
    // Group, seed, id, first element and step.
    let address = THREADS * (4 + 4 * 8);
    assert_eq!(with.global_read.bytes - without.global_read.bytes, blocks * (8192 + address));
    assert_eq!(with.divergent_branches, without.divergent_branches);
    let elements = blocks * CHUNK as u64;
    assert_eq!(with.shared.requests, blocks * 8192 / 16 / 32 + elements / 32);
    println!("{:?} with noise, {:?} without", with.thread_instructions, without.thread_instructions);
}

/// A launch; the normals once; the table, 8 KiB, once a block; look-ups that meet in the banks as random rows do.
#[test]
fn noise_costs_what_it_writes_and_a_table_a_block() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let address = Address::new(Purpose::PERTURBATION, 1, 2, 3).unwrap();
    let blocks = 8;
    let elements = blocks * CHUNK as u64;
    for (first, offset) in [(0, 0), (1 << 34, 8)] {
        let mut out = Guarded::<f32>::new(&device, &vec![0.0; elements as usize], offset);
        let mut draw = || normals(&device, 5, &address, first, out.view_mut()).unwrap();
        draw();
        alone.driver.reset();
        draw();
        assert_eq!(alone.driver.take_fault(), None);
        let report = alone.driver.report();
        assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
        assert_eq!(report.launches.iter().map(|launch| launch.kernel.as_str()).collect::<Vec<_>>(), ["noise_normals"]);
        let noise = &report.kernels["noise_normals"];
        assert_eq!((noise.launches, noise.blocks, noise.block_barriers), (1, blocks, blocks));
        assert_eq!((noise.global_written.bytes, noise.global_written.sectors), (4 * elements, 4 * elements / SECTOR));
        assert_eq!((noise.global_read.bytes, noise.global_read.sectors), (blocks * 8192, blocks * 8192 / SECTOR));
        assert_eq!(noise.divergent_branches, 0);
        let (staged, looked_up) = (blocks * 8192 / 16 / 32, elements / 32);
        assert_eq!(noise.shared.requests, staged + looked_up);
        let wavefronts = (noise.shared.wavefronts - 4 * staged) as f64 / looked_up as f64;
        println!("{wavefronts:.2} wavefronts a look-up, {:?}", noise.thread_instructions);
        assert!((9.0..10.0).contains(&wavefronts), "{wavefronts} wavefronts a look-up");
    }
}
