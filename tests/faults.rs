//! What a driver refuses: every allocation, copy and launch in turn, a kernel that faults, a device that is lost. Each is an
//! `Err` that names the operation, and what was there before it is there after it.

#![cfg(all(feature = "cuda", target_os = "linux"))]

mod common;

use std::env;
use std::process::Command;

use common::data::{Numbers, seed};
use common::software::{Alone, alone};
use gradus::optim::{Optimizer, State, Tensor};
use gradus::rules::AdamW;
use gradus::{Buffer, Device, Error, ErrorKind, Result};
use softcuda::driver::{Injection, Site};

const LENGTHS: [usize; 3] = [700, 33, 5000];

/// What can be refused; each is one call of gradus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Zeros,
    Write,
    New,
    Add,
    AddGroup,
    FirstStep,
    SecondStep,
    SetLr,
    State,
    Load,
    Remove,
    Steps,
    ToVec,
}

use Operation::*;

const ALL: [Operation; 13] =
    [Zeros, Write, New, Add, AddGroup, FirstStep, SecondStep, SetLr, State, Load, Remove, Steps, ToVec];

/// What a run ends with: the parameters, the state after three steps, and that of the tensors that are left.
type End = (Vec<Vec<f32>>, Vec<u8>, Vec<u8>);

/// A run of which one operation is refused once, and then made again.
struct Run<'a> {
    alone: &'a Alone,
    refused: Option<(Operation, Injection)>,
    error: Option<Error>,
}

impl Run<'_> {
    /// Makes a call; where it is the one to be refused, again after that.
    fn call<T>(&mut self, operation: Operation, mut call: impl FnMut() -> Result<T>) -> T {
        let Some((_, injection)) = self.refused.filter(|(refused, _)| *refused == operation) else {
            return call().unwrap_or_else(|error| panic!("{operation:?}, refused {:?}: {error}", self.refused));
        };
        self.refused = None;
        self.alone.driver.inject(injection);
        let result = call();
        self.alone.driver.reset();
        result.unwrap_or_else(|error| {
            self.error = Some(error);
            call().unwrap_or_else(|error| panic!("{operation:?}, again after {injection:?}: {error}"))
        })
    }

    fn run(&mut self) -> End {
        let device = Device::cuda(0).unwrap();
        let mut numbers = Numbers::new(seed());
        let mut buffer = |run: &mut Self, length| {
            let mut buffer = run.call(Zeros, || Buffer::<f32>::zeros(&device, length));
            let values: Vec<f32> = numbers.numbers(length);
            run.call(Write, || buffer.write(&values));
            buffer
        };
        let mut parameters = LENGTHS.map(|length| buffer(self, length));
        let gradients = LENGTHS.map(|length| buffer(self, length));
        let mut optimizer = self.call(New, || Optimizer::<AdamW>::new(&device, AdamW::default()));
        let group = self.call(AddGroup, || optimizer.add_group(AdamW { lr: 0.25, ..AdamW::default() }));
        for (position, length) in LENGTHS.into_iter().enumerate() {
            let tensor = Tensor::new(length).group(position % 2 * group);
            if position + 1 < LENGTHS.len() {
                optimizer.add(tensor).unwrap();
            } else {
                // The third is one for which there is no room yet.
                self.call(Add, || optimizer.add(tensor));
            }
        }
        let step = |optimizer: &mut Optimizer<AdamW>, parameters: &mut [Buffer<f32>]| {
            let mut parameters: Vec<_> = parameters.iter_mut().map(Buffer::view_mut).collect();
            optimizer.step(&mut parameters, &[0, 1, 2].map(|k| Some(gradients[k].view())))
        };
        self.call(FirstStep, || step(&mut optimizer, &mut parameters));
        self.call(SecondStep, || step(&mut optimizer, &mut parameters));
        self.call(SetLr, || optimizer.set_lr(0.125));
        step(&mut optimizer, &mut parameters).unwrap();
        let state = self.call(State, || optimizer.state());
        self.call(Load, || optimizer.load_state(&state));
        step(&mut optimizer, &mut parameters).unwrap();
        assert_eq!(self.call(Steps, || optimizer.steps()), 4);
        let values = parameters.iter().map(|parameter| self.call(ToVec, || parameter.to_vec())).collect();
        self.call(Remove, || optimizer.remove(0));
        assert_eq!(optimizer.tensors().len(), LENGTHS.len() - 1);
        (values, state.to_bytes(), optimizer.state().unwrap().to_bytes())
    }

    /// Whether a step was ticked, refused, and made again.
    fn extra(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.to_string().starts_with("launch of adamw_f32_f32"))
    }
}

/// The operation of an error that the driver gave, and its code.
#[track_caller]
fn told(error: &Error) -> (&str, &str) {
    let ErrorKind::Cuda { operation, ordinal: 0, code } = error.kind() else { panic!("{error}") };
    (operation, code)
}

/// Refuses each of a site's in turn, in every operation, and returns how many there are of each.
fn refuse_each(site: Site, check: impl Fn(Operation, &Error)) -> Option<Vec<u64>> {
    let alone = alone()?;
    let expected = Run { alone: &alone, refused: None, error: None }.run();
    let counted = |operation: &Operation| {
        let operation = *operation;
        for nth in 1.. {
            alone.driver.reset();
            let mut run = Run { alone: &alone, refused: Some((operation, Injection::new(site, nth))), error: None };
            let end = run.run();
            let at = format!("{operation:?}, {site:?} {nth}: {:?}", run.error);
            match &run.error {
                Some(error) => check(operation, error),
                None => return nth - 1,
            }
            if !run.extra() {
                assert!(end == expected, "{at}: another end than without");
            }
            drop(end);
            assert_eq!(alone.driver.report().allocations.live, [], "{at}: memory was left");
        }
        unreachable!("there is an end to the numbers")
    };
    Some(ALL.iter().map(counted).collect())
}

/// Compares how many were refused, of each of [`ALL`]. There are none where the test does not apply.
#[track_caller]
fn assert_counts(counts: Option<Vec<u64>>, expected: [u64; ALL.len()]) {
    if let Some(counts) = counts {
        assert_eq!(ALL.into_iter().zip(counts).collect::<Vec<_>>(), ALL.into_iter().zip(expected).collect::<Vec<_>>());
    }
}

#[test]
fn every_allocation_is_refused_in_turn() {
    let counts = refuse_each(Site::Allocation, |operation, error| {
        let (told, code) = told(error);
        assert!(told.starts_with("allocation of "), "{operation:?}: {error}");
        assert_eq!(code, "OUT_OF_MEMORY", "{operation:?}: {error}");
    });
    assert_counts(counts, [1, 0, 4, 3, 0, 5, 0, 0, 0, 0, 3, 0, 0]);
}

#[test]
fn every_copy_and_fill_is_refused_in_turn() {
    let counts = refuse_each(Site::Copy, |operation, error| {
        let (told, code) = told(error);
        let known = ["allocation of ", "upload of ", "download of ", "copy of ", "copy to the "];
        assert!(known.iter().any(|known| told.starts_with(known)), "{operation:?}: {error}");
        assert_eq!(code, "INVALID_VALUE", "{operation:?}: {error}");
    });
    assert_counts(counts, [1, 1, 6, 5, 1, 7, 0, 1, 13, 14, 7, 1, 1]);
}

#[test]
fn every_launch_is_refused_in_turn() {
    let counts = refuse_each(Site::Launch, |operation, error| {
        let (told, code) = told(error);
        let launches =
            ["launch of adamw_tick_f32 (1 blocks × 256 threads)", "launch of adamw_f32_f32 (3 blocks × 256 threads)"];
        assert!(launches.contains(&told), "{operation:?}: {error}");
        assert_eq!(code, "LAUNCH_OUT_OF_RESOURCES", "{operation:?}: {error}");
    });
    assert_counts(counts, [0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0]);
}

/// An optimizer of one tensor that has taken a step.
struct Small {
    device: Device,
    optimizer: Optimizer<AdamW>,
    parameter: Buffer<f32>,
    gradient: Buffer<f32>,
}

impl Small {
    const LENGTH: usize = 100;

    fn new() -> Self {
        let device = Device::cuda(0).unwrap();
        let mut numbers = Numbers::new(seed());
        let parameter = Buffer::from_slice(&device, &numbers.numbers(Self::LENGTH)).unwrap();
        let gradient = Buffer::from_slice(&device, &numbers.numbers(Self::LENGTH)).unwrap();
        let mut optimizer = Optimizer::new(&device, AdamW::default()).unwrap();
        optimizer.add(Tensor::new(Self::LENGTH)).unwrap();
        let mut small = Self { device, optimizer, parameter, gradient };
        small.step().unwrap();
        small
    }

    fn step(&mut self) -> Result<()> {
        self.optimizer.step(&mut [self.parameter.view_mut()], &[Some(self.gradient.view())])
    }

    fn end(&self) -> (Vec<f32>, Vec<u8>) {
        (self.parameter.to_vec().unwrap(), self.optimizer.state().unwrap().to_bytes())
    }

    /// Every call that asks the driver for something, with its name.
    fn calls(&mut self, state: &State) -> Vec<(&'static str, Result<()>)> {
        let rule = AdamW::default();
        vec![
            ("step", self.step()),
            ("steps", self.optimizer.steps().map(drop)),
            ("tensor_steps", self.optimizer.tensor_steps(0).map(drop)),
            ("state", self.optimizer.state().map(drop)),
            ("load_state", self.optimizer.load_state(state)),
            ("set_lr", self.optimizer.set_lr(0.5)),
            ("add_group", self.optimizer.add_group(rule).map(drop)),
            ("add", self.optimizer.add(Tensor::new(3)).map(drop)),
            ("remove", self.optimizer.remove(0).map(drop)),
            ("to_vec", self.parameter.to_vec().map(drop)),
            ("write", self.parameter.write(&[0.0; Self::LENGTH])),
            ("zeros", Buffer::<f32>::zeros(&self.device, 3).map(drop)),
            ("new", Optimizer::<AdamW>::new(&self.device, rule).map(drop)),
        ]
    }
}

/// A step is two launches. When the second is refused the first has run: the tensors' counters stand one step further, the
/// optimizer's own, elements and states where they were. Made again, the step is the elements' n-th with the scalars of the n + 1-th.
#[test]
fn an_update_that_is_refused_leaves_the_counters_ahead() {
    let Some(alone) = alone() else { return };
    let mut small = Small::new();
    let before = small.end();
    alone.driver.inject(Injection::new(Site::Launch, 1));
    let error = small.step().expect_err("the tick is refused");
    assert_eq!(
        error.to_string(),
        "launch of adamw_tick_f32 (1 blocks × 256 threads) on CUDA device 0: LAUNCH_OUT_OF_RESOURCES"
    );
    assert!(small.end() == before, "a refused tick touches nothing");

    alone.driver.inject(Injection::new(Site::Launch, 2));
    let error = small.step().expect_err("the update is refused");
    assert_eq!(
        error.to_string(),
        "launch of adamw_f32_f32 (1 blocks × 256 threads) on CUDA device 0: LAUNCH_OUT_OF_RESOURCES"
    );
    assert_eq!((small.optimizer.steps().unwrap(), small.optimizer.tensor_steps(0).unwrap()), (1, 2));
    assert!(small.parameter.to_vec().unwrap() == before.0, "no element has moved");
    let (old, new) = (State::from_bytes(&before.1).unwrap(), small.optimizer.state().unwrap());
    for (name, array) in old.arrays() {
        assert_eq!(new.get(name) == Some(array), !name.ends_with(".steps"), "{name}");
    }

    // Who keeps a state and loads it again goes on as if nothing had been.
    small.optimizer.load_state(&old).unwrap();
    small.step().unwrap();
    let mut reference = Small::new();
    reference.step().unwrap();
    assert!(small.end() == reference.end());
}

#[test]
fn a_refused_group_leaves_the_settings_of_the_others() {
    let Some(alone) = alone() else { return };
    let mut reference = Small::new();
    reference.step().unwrap();
    let reference = reference.end();
    let mut small = Small::new();
    alone.driver.inject(Injection::new(Site::Copy, 1));
    assert!(small.optimizer.add_group(AdamW::default()).is_err());
    assert_eq!(small.optimizer.groups().len(), 1);
    small.step().unwrap();
    assert!(small.end() == reference, "the step was not the one without the refused group");
}

#[test]
fn a_refused_removal_leaves_the_counters() {
    let Some(alone) = alone() else { return };
    for nth in 1..=7 {
        let device = Device::cuda(0).unwrap();
        let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW::default()).unwrap();
        let mut parameters = [0, 1, 2].map(|_| Buffer::<f32>::zeros(&device, 8).unwrap());
        let gradient = Buffer::from_slice(&device, &[1.0_f32; 8]).unwrap();
        for _ in 0..3 {
            optimizer.add(Tensor::new(8)).unwrap();
        }
        // The k-th takes k + 1 steps.
        for step in 0..3 {
            let gradients = [0, 1, 2].map(|k| (k >= step).then(|| gradient.view()));
            optimizer.step(&mut parameters.each_mut().map(Buffer::view_mut), &gradients).unwrap();
        }
        alone.driver.inject(Injection::new(Site::Copy, nth));
        assert!(optimizer.remove(0).is_err(), "copy {nth}");
        let steps: Vec<_> = (0..3).map(|k| optimizer.tensor_steps(k).unwrap()).collect();
        assert_eq!(steps, [1, 2, 3], "copy {nth}");
    }
}

#[test]
fn a_kernel_that_faults_ends_its_context() {
    let Some(alone) = alone() else { return };
    for nth in [1, 2] {
        let mut small = Small::new();
        let state = small.optimizer.state().unwrap();
        alone.driver.inject(Injection::new(Site::Kernel, nth));
        match small.step() {
            // The tick faults, which the next call is the first to hear of.
            Err(error) if nth == 1 => {
                assert_eq!(told(&error), ("launch of adamw_f32_f32 (1 blocks × 256 threads)", "ILLEGAL_ADDRESS"))
            }
            Ok(()) if nth == 2 => {}
            other => panic!("kernel {nth}: {other:?}"),
        }
        for (name, result) in small.calls(&state) {
            let error = result.err().unwrap_or_else(|| panic!("kernel {nth}: {name} is not refused"));
            assert!(error.to_string().ends_with(": ILLEGAL_ADDRESS"), "{name}: {error}");
        }
        assert_eq!((small.optimizer.tensors().len(), small.optimizer.groups().len()), (1, 1));
        assert_eq!(small.optimizer.groups()[0].rule.lr, AdamW::default().lr);
        assert!(alone.driver.take_fault().is_some());
        drop(small);
        assert_eq!(alone.driver.report().allocations.live, []);
        alone.driver.reset();
        Small::new().step().unwrap();
    }
}

/// Tells [`lost_devices`] that it has a process of its own.
const OWN: &str = "GRADUS_TEST_LOST";

/// In a process of its own: what is released on a lost device stays with the driver.
#[test]
fn a_lost_device_answers_every_call_with_an_error() {
    let mut process = Command::new(env::current_exe().expect("the test has an executable"));
    process.args(["--exact", "lost_devices", "--ignored", "--nocapture"]).env(OWN, "1");
    let output = process.output().expect("the test can be run again");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{out}");
    println!("{out}");
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn lost_devices() {
    if env::var_os(OWN).is_none() {
        return;
    }
    let Some(alone) = alone() else { return };
    let mut small = Small::new();
    let state = small.optimizer.state().unwrap();
    alone.driver.reset();
    // Healthy, how many calls of the driver there are: the device is then lost at each of them.
    let _ = small.calls(&state);
    let calls: u64 = alone.driver.report().calls.values().sum();
    drop(small);
    for nth in 1..=calls {
        alone.driver.reset();
        let mut small = Small::new();
        alone.driver.inject(Injection::new(Site::Call, nth));
        let mut lost = false;
        for (name, result) in small.calls(&state) {
            assert!(!(lost && result.is_ok()), "call {nth}: {name} succeeds after the device was lost");
            lost |= result.is_err();
        }
        drop(small);
        alone.driver.reset();
        assert_eq!(alone.driver.report().allocations.live, [], "call {nth}");
    }
    assert!(calls > 20, "{calls}");
    println!("lost at each of {calls} calls");
    Small::new().step().unwrap();
}

#[test]
fn nothing_is_left_behind() {
    let Some(alone) = alone() else { return };
    Run { alone: &alone, refused: None, error: None }.run();
    let allocations = alone.driver.report().allocations;
    assert_eq!((allocations.live, allocations.leaked.count), (vec![], 0));
    assert_eq!(allocations.made, allocations.freed);
}
