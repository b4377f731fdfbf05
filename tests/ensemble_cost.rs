//! What a step costs on CUDA, counted by the software driver; steps in graphs.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;
#[path = "ensemble/subject.rs"]
mod subject;

use std::collections::BTreeMap;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::{Buffer, Device};
use softcuda::driver::{Copies, Report, StreamMode};

use common::software::{alone, untracked};
use subject::{Agents, Model, Replicas, Subject, Walkers};

const CHUNK: usize = 16384;

/// One launch a step, and nothing else: no copy, no allocation, no wait.
fn one_launch<S: Subject<f32, f32>>(kernel: &str) {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    for lengths in [vec![0], vec![100_000], vec![336; 300], vec![1, 5, 2 * CHUNK, 0, 17]] {
        let mut model = Model::<S, f32, f32>::new(&device, &lengths, |_| (0, 0));
        model.step(|_| true);
        alone.driver.reset();
        model.step(|_| true);
        assert_eq!(alone.driver.take_fault(), None);
        let report = alone.driver.report();
        let launches: Vec<_> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
        assert_eq!(launches, [kernel], "{} tensors", lengths.len());
        let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), 1), ("cuLaunchKernel".to_owned(), 1)]);
        assert_eq!(report.calls, calls, "{} tensors", lengths.len());
        assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
        assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
    }
}

#[test]
fn a_step_of_replicas_is_one_launch() {
    one_launch::<Replicas>("replicated_sgd_f32_f32");
}

#[test]
fn a_step_of_agents_is_one_launch() {
    one_launch::<Agents<false>>("gt_adam_f32_f32");
}

#[test]
fn a_step_of_walkers_is_one_launch() {
    one_launch::<Walkers<1, true>>("entropy_sgd_f32_f32");
    one_launch::<Walkers<5, false>>("entropy_sgd_f32_f32");
}

/// Inside a loop: parameter, mean and inner momentum both ways, gradient and anchor read.
#[test]
fn a_walker_leaves_alone_what_its_step_has_no_use_for() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let mut model = Model::<Walkers<9, true>, f32, f32>::new(&device, &[4 * CHUNK], |_| (0, 0));
    let mut with_momentum = Model::<Walkers<5, true>, f32, f32>::new(&device, &[4 * CHUNK], |_| (0, 0));
    model.step(|_| true);
    with_momentum.step(|_| true);
    alone.driver.reset();
    model.step(|_| true);
    let elements = 4 * CHUNK as u64;
    let written = |report: &Report| report.kernels["entropy_sgd_f32_f32"].global_written.bytes;
    assert_eq!(written(&alone.driver.report()), 2 * 4 * elements + 16);
    alone.driver.reset();
    with_momentum.step(|_| true);
    let report = alone.driver.report();
    assert_eq!(written(&report), 3 * 4 * elements + 16);
    let read = &report.kernels["entropy_sgd_f32_f32"].global_read;
    assert!((5 * 4 * elements..5 * 4 * elements + 200_000).contains(&read.bytes), "{} bytes", read.bytes);
    assert_eq!(read.sectors, read.ideal_sectors);
}

/// Three parameters that are read twice, their gradients, and the parameters written; every request full.
#[test]
fn replicas_move_whole_sectors() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let mut model = Model::<Replicas, f32, f32>::new(&device, &[4 * CHUNK], |_| (5, 5));
    model.step(|_| true);
    alone.driver.reset();
    model.step(|_| true);
    let report = alone.driver.report();
    let counters = &report.kernels["replicated_sgd_f32_f32"];
    let elements = 4 * CHUNK as u64;
    // The counter of steps, and a ticket a block.
    assert_eq!(counters.global_written.bytes, 3 * 4 * elements + 16);
    // Where a tensor begins in the middle of a sector, it touches one more.
    assert_eq!(counters.global_written.sectors, 3 * (4 * elements / 32 + 1) + 2);
    assert_eq!(counters.global_read.sectors, counters.global_read.ideal_sectors);
}

/// n replays of a captured step are n steps, whatever depends on the step.
fn replays_are_steps<S: Subject<f32, f32>>() {
    let Some(alone) = alone() else { return };
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        let (device, stream) = untracked();
        let [mut eager, mut replayed] =
            [(); 2].map(|()| Model::<S, f32, f32>::new(&device, &[1000, 17, 20_000], |_| (0, 0)));
        eager.step(|_| true);
        replayed.step(|_| true);
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        replayed.step(|_| true);
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there is a kernel in it");
        for rate in [0.1, 0.025, 0.5, 0.05, 0.1] {
            eager.ensemble.set_lr(rate).unwrap();
            eager.step(|_| true);
            replayed.ensemble.set_lr(rate).unwrap();
            graph.launch().unwrap();
        }
        assert!(replayed.everything() == eager.everything(), "{mode:?}");
    }
}

#[test]
fn replays_of_replicas_are_steps() {
    replays_are_steps::<Replicas>();
}

#[test]
fn replays_of_agents_are_steps() {
    replays_are_steps::<Agents<false>>();
}

/// Among others the places in the loop, and the noise.
#[test]
fn replays_of_walkers_are_steps() {
    replays_are_steps::<Walkers<2, true>>();
    replays_are_steps::<Walkers<2, false>>();
}

/// Tables that a replay could not upload again.
#[test]
fn a_capture_with_new_addresses_is_refused() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let mut model = Model::<Replicas, f32, f32>::new(&device, &[100], |_| (0, 0));
    let gradient = Buffer::from_slice(&device, &[1.0_f32; 100]).unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    let mut parameters: Vec<_> = model.parameters.iter_mut().map(|p| p.view_mut()).collect();
    let gradients = [Some(gradient.view()), None, None];
    let refused = model.ensemble.step(&mut parameters, &gradients).unwrap_err();
    assert!(refused.to_string().contains("are stale during graph capture"), "{refused}");
    stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
}
