//! Steps captured in CUDA graphs, and steps among other streams, on a driver that delays work as long as it may.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;

use std::sync::Arc;

use common::data::{Numbers, seed};
use common::software::{alone, untracked};
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaContext, CudaGraph, CudaSlice, CudaStream};
use gradus::device::Cuda;
use gradus::element::Element;
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::{AdamW, Lion, Pair, Rule, Sgd};
use gradus::{Buffer, Device, ErrorKind, Result, View};
use half::bf16;
use softcuda::driver::StreamMode;

const LENGTHS: [usize; 3] = [1000, 17, 20_000];

/// Learning rates of the replays.
const RATES: [f64; 3] = [0.1, 0.025, 0.5];

/// At once, and as late as possible in several orders.
fn modes() -> impl Iterator<Item = StreamMode> {
    [StreamMode::AtEnqueue].into_iter().chain((1..5).map(|seed| StreamMode::Adversarial { seed }))
}

/// An optimizer with its tensors, of which the second has no gradient.
struct Model<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> {
    optimizer: Optimizer<R, P, G>,
    parameters: Vec<Buffer<P>>,
    gradients: Vec<Buffer<G>>,
}

impl<R: Rule, P: Pair<G>, G: Element<Real = P::Real>> Model<R, P, G> {
    fn new(device: &Device) -> Self {
        let mut numbers = Numbers::new(seed());
        let mut optimizer = Optimizer::new(device, R::default()).unwrap();
        for length in LENGTHS {
            optimizer.add(Tensor::new(length)).unwrap();
        }
        let parameters = LENGTHS.map(|length| Buffer::from_slice(device, &numbers.numbers::<P>(length)).unwrap());
        let gradients = LENGTHS.map(|length| Buffer::from_slice(device, &numbers.numbers::<G>(length)).unwrap());
        Self { optimizer, parameters: parameters.into(), gradients: gradients.into() }
    }

    fn step(&mut self) -> Result<()> {
        self.step_with([true, false, true])
    }

    fn step_with(&mut self, gradients: [bool; 3]) -> Result<()> {
        let mut parameters: Vec<_> = self.parameters.iter_mut().map(Buffer::view_mut).collect();
        let gradients = self.gradients.iter().zip(gradients).map(|(gradient, there)| there.then(|| gradient.view()));
        self.optimizer.step(&mut parameters, &gradients.collect::<Vec<_>>())
    }

    /// Parameters, states, counters and settings, as bytes.
    fn everything(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        let bytes = |buffer: &Buffer<P>| bytemuck::cast_slice(&buffer.to_vec().unwrap()).to_vec();
        (self.parameters.iter().map(bytes).collect(), self.optimizer.state().unwrap().to_bytes())
    }
}

fn begin(stream: &Arc<CudaStream>) {
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
}

fn end(stream: &Arc<CudaStream>) -> Option<CudaGraph> {
    stream.end_capture(CUgraphInstantiate_flags(0)).unwrap()
}

/// n replays of a captured step are n steps, each with the learning rate that was set before it.
fn replays_are_steps<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>() {
    let Some(alone) = alone() else { return };
    for mode in modes() {
        alone.streams(mode);
        let (device, stream) = untracked();
        let mut eager = Model::<R, P, G>::new(&device);
        let mut replayed = Model::<R, P, G>::new(&device);
        eager.step().unwrap();
        replayed.step().unwrap();

        let before = replayed.everything();
        begin(&stream);
        replayed.step().unwrap();
        let graph = end(&stream).expect("there are kernels in it");
        assert!(replayed.everything() == before, "{mode:?}: the capture itself did something");

        for rate in RATES {
            for model in [&mut eager, &mut replayed] {
                model.optimizer.set_lr(rate).unwrap();
            }
            eager.step().unwrap();
            graph.launch().unwrap();
        }
        assert!(replayed.everything() == eager.everything(), "{mode:?}, replays with a rate each");

        for _ in 0..5 {
            eager.step().unwrap();
            graph.launch().unwrap();
        }
        // A step beside the graph is one more.
        eager.step().unwrap();
        replayed.step().unwrap();
        eager.step().unwrap();
        graph.launch().unwrap();
        assert!(replayed.everything() == eager.everything(), "{mode:?}, replays in a row");
        assert_eq!(replayed.optimizer.steps().unwrap(), 11);
        assert_eq!(replayed.optimizer.tensor_steps(1).unwrap(), 0);
    }
}

#[test]
fn replays_are_steps_of_adamw() {
    replays_are_steps::<AdamW, f32, f32>();
    replays_are_steps::<AdamW, bf16, bf16>();
}

#[test]
fn replays_are_steps_of_lion() {
    replays_are_steps::<Lion, f32, bf16>();
    replays_are_steps::<Lion, f64, f64>();
}

#[test]
fn replays_are_steps_of_sgd() {
    replays_are_steps::<Sgd, bf16, f32>();
}

/// Asserts the kind and the message to the letter.
#[track_caller]
fn assert_stale<T: std::fmt::Debug>(result: Result<T>, reason: &str) {
    let error = result.expect_err("the capture has to be refused");
    assert!(matches!(error.kind(), ErrorKind::StaleCapture { ordinal: 0, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "the tables on CUDA device 0 are stale during graph capture: {reason}; make one call with the same memory \
             before the capture"
        )
    );
}

const CHANGED: &str = "tensors, gradients or their addresses have changed";

#[test]
fn what_a_replay_could_not_repeat_is_refused_and_touches_nothing() {
    type Action = fn(&mut Model<AdamW, f32, f32>, &gradus::optim::State) -> Result<()>;
    let actions: [(&str, Action, &str); 8] = [
        ("other gradients", |model, _| model.step_with([true, true, true]), CHANGED),
        ("fewer gradients", |model, _| model.step_with([false, false, true]), CHANGED),
        (
            "another address",
            |model, _| {
                let mut parameters: Vec<_> = model.parameters.iter_mut().map(Buffer::view_mut).collect();
                // SAFETY: the step is refused before anything is done with the address.
                let elsewhere = unsafe { View::from_device_ptr(1 << 40, LENGTHS[0], 0) };
                let gradients = [Some(elsewhere), None, Some(model.gradients[2].view())];
                model.optimizer.step(&mut parameters, &gradients)
            },
            CHANGED,
        ),
        ("set_lr", |model, _| model.optimizer.set_lr(0.5), "settings have changed"),
        ("add_group", |model, _| model.optimizer.add_group(AdamW::default()).map(drop), "settings have changed"),
        ("add", |model, _| model.optimizer.add(Tensor::new(5)).map(drop), "a tensor was added"),
        ("remove", |model, _| model.optimizer.remove(1).map(drop), "a tensor was removed"),
        ("load_state", |model, state| model.optimizer.load_state(state), "settings have changed"),
    ];
    let Some(alone) = alone() else { return };
    for mode in modes() {
        alone.streams(mode);
        for (name, action, reason) in actions {
            let (device, stream) = untracked();
            let mut model = Model::new(&device);
            model.step().unwrap();
            let before = model.everything();
            let state = model.optimizer.state().unwrap();
            let listed = model.optimizer.tensors().to_vec();
            let calls = alone.driver.report();

            begin(&stream);
            assert_stale(action(&mut model, &state), reason);
            drop(end(&stream));
            let after = alone.driver.report();
            assert_eq!((calls.copies, calls.allocations.made), (after.copies, after.allocations.made), "{name}");
            assert!(model.everything() == before, "{mode:?}, {name}: something was touched");
            assert_eq!((model.optimizer.tensors(), model.optimizer.groups().len()), (listed.as_slice(), 1), "{name}");

            // The refused call leaves an optimizer that captures and steps as if it had not been.
            let mut reference = Model::<AdamW, f32, f32>::new(&device);
            for _ in 0..3 {
                reference.step().unwrap();
            }
            model.step().unwrap();
            begin(&stream);
            model.step().unwrap();
            end(&stream).expect("there are kernels in it").launch().unwrap();
            assert!(model.everything() == reference.everything(), "{mode:?}, {name}");
        }
    }
}

#[test]
fn a_regrouped_tensor_makes_a_capture_stale() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let mut model = Model::<AdamW, f32, f32>::new(&device);
    let group = model.optimizer.add_group(AdamW::default()).unwrap();
    model.step().unwrap();
    let before = model.everything();
    begin(&stream);
    assert_stale(model.optimizer.regroup(0, group).and_then(|()| model.step()), CHANGED);
    drop(end(&stream));
    assert_eq!(model.everything().0, before.0);
    model.step().unwrap();
}

#[test]
fn a_replay_survives_a_group_added_after_the_capture() {
    let Some(alone) = alone() else { return };
    let (device, stream) = untracked();
    let mut eager = Model::<AdamW, f32, f32>::new(&device);
    let mut replayed = Model::<AdamW, f32, f32>::new(&device);
    eager.step().unwrap();
    replayed.step().unwrap();
    begin(&stream);
    replayed.step().unwrap();
    let graph = end(&stream).expect("there are kernels in it");
    for model in [&mut eager, &mut replayed] {
        model.optimizer.add_group(AdamW::default()).unwrap();
        model.optimizer.set_lr(0.5).unwrap();
    }
    eager.step().unwrap();
    graph.launch().unwrap();
    assert_eq!(alone.driver.take_fault(), None);
    assert!(replayed.everything() == eager.everything());
}

#[test]
fn a_capture_needs_a_step_before_it() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let mut model = Model::<Lion, f32, f32>::new(&device);
    let before = model.everything();
    begin(&stream);
    assert_stale(model.step(), CHANGED);
    drop(end(&stream));
    assert!(model.everything() == before);
}

#[test]
fn reading_in_a_capture_is_refused_and_spoils_it() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let mut model = Model::<Sgd, f32, f32>::new(&device);
    model.step().unwrap();
    begin(&stream);
    let error = model.optimizer.steps().expect_err("a capture cannot be waited for");
    assert_eq!(error.to_string(), "download of 8 bytes on CUDA device 0: STREAM_CAPTURE_UNSUPPORTED");
    assert!(stream.end_capture(CUgraphInstantiate_flags(0)).is_err());
    model.step().unwrap();
    assert_eq!(model.optimizer.steps().unwrap(), 2);
}

/// Gradients written and parameters read on a stream of the caller's; cudarc's events order them with the step's stream.
#[test]
fn a_second_stream_is_ordered_by_events() {
    const STEPS: usize = 4;
    const LENGTH: usize = 5000;
    let Some(alone) = alone() else { return };
    let mut numbers = Numbers::new(seed());
    let start: Vec<f32> = numbers.numbers(LENGTH);
    let gradients: [Vec<f32>; STEPS] = std::array::from_fn(|_| numbers.numbers(LENGTH));
    let mut expected = Vec::new();
    let mut on_cpu = Optimizer::<AdamW>::new(&Device::cpu(), AdamW::default()).unwrap();
    on_cpu.add(Tensor::new(LENGTH)).unwrap();
    let mut parameter = start.clone();
    for gradient in &gradients {
        on_cpu.step(&mut [(&mut parameter).into()], &[Some(gradient.into())]).unwrap();
        expected.push(parameter.clone());
    }

    for mode in modes().chain((5..20).map(|seed| StreamMode::Adversarial { seed })) {
        alone.streams(mode);
        let context = CudaContext::new(0).unwrap();
        let own = context.new_stream().unwrap();
        let device = Device::Cuda(Cuda::from_stream(context.new_stream().unwrap()).unwrap());
        let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW::default()).unwrap();
        optimizer.add(Tensor::new(LENGTH)).unwrap();
        let mut parameter = own.clone_htod(&start).unwrap();
        let mut gradient: CudaSlice<f32> = own.alloc_zeros(LENGTH).unwrap();
        let mut copies = Vec::new();
        for values in &gradients {
            own.memcpy_htod(values, &mut gradient).unwrap();
            optimizer.step(&mut [(&mut parameter).into()], &[Some((&gradient).into())]).unwrap();
            copies.push(own.clone_dtod(&parameter).unwrap());
        }
        // Behind the last step, before it has run.
        own.memset_zeros(&mut gradient).unwrap();
        for (step, (copy, expected)) in copies.iter().zip(&expected).enumerate() {
            assert!(own.clone_dtoh(copy).unwrap() == *expected, "{mode:?}, after step {}", step + 1);
        }
        assert_eq!(alone.driver.take_fault(), None);
    }
}
