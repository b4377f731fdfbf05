//! What a step of a learned optimizer costs on CUDA, counted by the software driver; steps in graphs.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;
#[path = "lopt/model.rs"]
mod model;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::Device;
use gradus::element::Element;
use gradus::lopt::Form;
use half::bf16;
use softcuda::driver::Copies;

use common::memory::Guarded;
use common::software::{alone, untracked};
use model::{Model, guarded, network, settings, tensors};

/// Five launches, or three where nothing is factored, whatever the number of tensors, and nothing else: no copy, no allocation, no wait.
#[test]
fn a_step_is_five_launches() {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let many: Vec<&[usize]> = (0..20).map(|k| [&[5, 3][..], &[4], &[2, 3, 2]][k % 3]).collect();
    for (shapes, launches) in [(&[][..], 2), (&[&[5][..], &[0]], 3), (&[&[5, 3]], 5), (&many, 5)] {
        let mut model = Model::<f32>::new(&device, 2, Form::SmallFc, shapes);
        let gradients = guarded::<f32>(&device, &tensors(shapes, 2), 0);
        for is_first in [true, false] {
            alone.driver.reset();
            let views: Vec<_> = gradients.iter().map(Guarded::view).collect();
            let mut parameters: Vec<_> = model.parameters.iter_mut().map(Guarded::view_mut).collect();
            model.optimizer.step(&mut parameters, &views).unwrap();
            assert_eq!(alone.driver.take_fault(), None);
            let report = alone.driver.report();
            assert_eq!(report.calls["cuLaunchKernel"], launches, "{} tensors", shapes.len());
            assert_eq!((report.host_synchronisations, report.allocations.made.count), (0, 0));
            assert!(is_first || report.copies == Copies::default());
        }
    }
}

/// What a step moves of an element: gradients are read four times, where nothing is factored twice, parameters and moments are read
/// twice and written once, averages of what is not factored among them. What sectors hold beside is of tables, and most of it in
/// caches: rows, columns, scalars, weights.
fn bytes<P: Element>(axes: &[usize], moments: u64, reads: u64, most: f64) {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let mut model = Model::<P>::new(&device, 1, Form::SmallFc, &[axes]);
    let gradients = tensors(&[axes], 2);
    model.step(&gradients);
    alone.driver.reset();
    model.step(&gradients);
    let report = alone.driver.report();
    let type_name = <P::Real as Element>::DTYPE;
    let counted = |names: &[&str], count: fn(&softcuda::count::Counters) -> u64| -> u64 {
        names.iter().filter_map(|name| report.kernels.get(&format!("lopt_{name}_{type_name}"))).map(count).sum()
    };
    let elements = axes.iter().product::<usize>() as u64;
    let (p, t) = (size_of::<P>() as u64, size_of::<P::Real>() as u64);
    let written = counted(&["apply"], |counters| counters.global_written.bytes);
    assert_eq!(written, elements * (p + moments * t) + 8, "{axes:?}");
    let read = 32 * counted(&["squares", "statistics", "apply"], |counters| counters.global_read.sectors);
    let least = elements * (reads * p + 2 * (p + moments * t));
    let beside = (read as f64 - least as f64) / elements as f64;
    assert!((0.0..most).contains(&beside), "{axes:?} as {}: {beside}", P::DTYPE);
}

#[test]
fn elements_move_as_often_as_is_said() {
    bytes::<f32>(&[64, 128], 4, 4, 90.5);
    bytes::<bf16>(&[64, 128], 4, 4, 90.5);
    bytes::<f32>(&[8192], 7, 2, 28.0);
}

/// Each replay of a captured step is a step of its own: it is counted, and the features of time follow.
#[test]
fn replays_are_steps() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let shapes: &[&[usize]] = &[&[6, 5], &[9]];
    let [mut eager, mut replayed] = [(); 2].map(|()| Model::<f32>::new(&device, 3, Form::SmallFc, shapes));
    let gradients = tensors(shapes, 2);
    eager.step(&gradients);
    let held = guarded::<f32>(&device, &gradients, 1);
    let views: Vec<_> = held.iter().map(Guarded::view).collect();
    let mut parameters: Vec<_> = replayed.parameters.iter_mut().map(Guarded::view_mut).collect();
    replayed.optimizer.step(&mut parameters, &views).unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
    replayed.optimizer.step(&mut parameters, &views).unwrap();
    let error = replayed.optimizer.set(settings(Form::SmallFc), &network(2, Form::SmallFc)).unwrap_err();
    assert!(error.to_string().contains("stale during graph capture: the network has changed"), "{error}");
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
    for step in 2..5 {
        graph.launch().unwrap();
        eager.step(&gradients);
        assert!(replayed.elements() == eager.elements(), "step {step}");
        assert_eq!(replayed.optimizer.steps().unwrap(), step);
    }
}
