//! The loops over elements on the CPU, as they are compiled: every multiply-add is an instruction and not a call of the
//! C library, and the loops run at the speed of memory.

#[path = "common/mod.rs"]
mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::data::{Numbers, seed};
use common::subjects::{Property, Subject, label, on_every_pair, subject, subjects};
use cpu_time::ProcessTime;
use gradus::device::{Cpu, SimdLevel};
use gradus::element::{Element, Real};
use gradus::fmath::Elementary;
use gradus::noise::normals;
use gradus::optim::{Group, Stepper, Tensor};
use gradus::rng::{Address, Purpose};
use gradus::{Device, View, ViewMut};
use rayon::prelude::*;
use steppers::Stepped;

/// The tests of this program count calls and take times: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instruction sets with a fused multiply-add that the processor has, where its baseline has none.
fn levels_above_baseline() -> Vec<SimdLevel> {
    SimdLevel::available().into_iter().filter(|&level| level > SimdLevel::Baseline).collect()
}

/// Checks a property of every rule of the table with every pair.
fn on_every_rule<C: Property>() {
    for subject in subjects() {
        on_every_pair::<C>(subject);
    }
}

/// A chunk of numbers, again and again: to draw a number takes longer than to step with it.
fn repeated<T: Element>(numbers: &mut Numbers, size: usize) -> Vec<T> {
    let chunk: Vec<T> = numbers.numbers(size.min(CHUNK));
    chunk.into_iter().cycle().take(size).collect()
}

/// A tensor with an optimizer.
struct Run<P: Stepped<G>, G: Element<Real = P::Real>> {
    optimizer: Box<dyn Stepper<P, G>>,
    parameter: Vec<P>,
    gradient: Vec<G>,
}

impl<P: Stepped<G>, G: Element<Real = P::Real>> Run<P, G> {
    fn new(subject: &Subject, level: SimdLevel, size: usize) -> Self {
        let device = Device::Cpu(Cpu::with_simd(level).unwrap());
        let mut optimizer = P::stepper(&Group::new(subject.default()), &device).unwrap();
        optimizer.add(Tensor::new(size)).unwrap();
        let numbers = &mut Numbers::new(seed());
        Self { optimizer, parameter: repeated(numbers, size), gradient: repeated(numbers, size) }
    }

    fn step(&mut self) {
        let parameter = ViewMut::from(&mut self.parameter);
        self.optimizer.step(&mut [parameter], &[Some(View::from(&self.gradient))]).unwrap();
    }
}

/// Above the baseline of x86-64, a multiply-add is an instruction. At the baseline it is a call of `fma` or `fmaf`, which
/// the definitions in here replace: the linker prefers an executable's own.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(target_feature = "fma")))]
mod calls {
    use std::arch::x86_64::{_mm_cvtsd_f64, _mm_cvtss_f32, _mm_fmadd_sd, _mm_fmadd_ss, _mm_set_sd, _mm_set_ss};
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static CALLS: AtomicU64 = AtomicU64::new(0);

    #[unsafe(no_mangle)]
    extern "C" fn fmaf(a: f32, b: f32, c: f32) -> f32 {
        #[target_feature(enable = "fma")]
        fn instruction(a: f32, b: f32, c: f32) -> f32 {
            _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)))
        }
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the test below multiplies and adds only where the processor has the instruction, and the other one only
        // with instruction sets that include it.
        unsafe { instruction(a, b, c) }
    }

    #[unsafe(no_mangle)]
    extern "C" fn fma(a: f64, b: f64, c: f64) -> f64 {
        #[target_feature(enable = "fma")]
        fn instruction(a: f64, b: f64, c: f64) -> f64 {
            _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)))
        }
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `fmaf`.
        unsafe { instruction(a, b, c) }
    }

    fn calls_of(work: impl FnOnce()) -> u64 {
        let before = CALLS.load(Ordering::Relaxed);
        work();
        CALLS.load(Ordering::Relaxed) - before
    }

    /// Calls in a step's loops: those of a step of an empty tensor are not counted.
    fn calls_in_loops<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &Subject, level: SimdLevel) -> u64 {
        let [some, none] = [3 * 64 + 5, 0].map(|size| {
            let mut run = Run::<P, G>::new(subject, level, size);
            calls_of(|| run.step())
        });
        some - none
    }

    struct Uncalled;

    impl Property for Uncalled {
        fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
            for level in levels_above_baseline() {
                let device = Device::Cpu(Cpu::with_simd(level).unwrap());
                let calls = calls_in_loops::<P, G>(subject, level);
                assert_eq!(calls, 0, "calls of fma and fmaf by {}", label::<P, G>(subject, &device));
            }
        }
    }

    #[test]
    fn no_loop_calls_the_c_librarys_fma() {
        let _alone = alone();
        if levels_above_baseline().is_empty() {
            println!("skipped: this processor has no fused multiply-add");
            return;
        }
        let one = calls_of(|| assert_eq!(black_box(2.0_f32).mul_add(black_box(3.0), black_box(1.0)), 7.0));
        let other = calls_of(|| assert_eq!(black_box(2.0_f64).mul_add(black_box(3.0), black_box(1.0)), 7.0));
        assert_eq!((one, other), (1, 1), "the definitions in here do not replace those of the C library");
        let adamw = subject("adamw");
        assert!(calls_in_loops::<f32, f32>(adamw, SimdLevel::Baseline) > 0, "calls in a loop are not counted");
        assert!(calls_in_loops::<f64, f64>(adamw, SimdLevel::Baseline) > 0, "calls in a loop are not counted");

        on_every_rule::<Uncalled>();
    }

    #[test]
    fn noise_does_not_call_it_either() {
        let _alone = alone();
        let address = Address::new(Purpose::PERTURBATION, 0, 0, 0).unwrap();
        for level in levels_above_baseline() {
            let device = Device::Cpu(Cpu::with_simd(level).unwrap());
            let mut out = vec![0.0; 3 * 64 + 5];
            let calls = calls_of(|| normals(&device, 0, &address, 1, ViewMut::from(&mut out)).unwrap());
            assert_eq!(calls, 0, "calls of fma and fmaf by noise on {device}");
        }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(target_feature = "fma"))))]
#[test]
fn no_loop_calls_the_c_librarys_fma() {
    println!("skipped: the target has a fused multiply-add everywhere, or its linker would not prefer our definition");
}

/// Elements of the tensors that are timed.
const TIMED: usize = 1 << 21;

/// Elements of a chunk.
const CHUNK: usize = 16384;

/// The share of the stream's rate that a step must reach.
const LEAST_SHARE: f64 = 0.25;

/// Arithmetic that takes longer than memory does, and so belongs to what a rule is timed against.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    /// So many powers of every element.
    Powers(usize),
    /// A normal drawn for every element.
    Normals,
}

fn beside(rule: &str) -> Beside {
    match rule {
        "padam" => Beside::Powers(1),
        "aida" => Beside::Powers(3),
        "theopoula" => Beside::Normals,
        _ => Beside::Nothing,
    }
}

/// What a step is timed against: the same arrays, of the same types, read and written, with an addition each, and what takes
/// longer than that.
struct Stream<P: Element, G: Element> {
    device: Device,
    beside: Beside,
    normals: Vec<f32>,
    parameter: Vec<P>,
    gradient: Vec<G>,
    states: Vec<Vec<P::Real>>,
}

/// A chunk of each array.
struct StreamChunk<'a, P: Element, G: Element> {
    powers: usize,
    parameter: &'a mut [P],
    gradient: &'a [G],
    states: Vec<&'a mut [P::Real]>,
}

impl<P: Element, G: Element<Real = P::Real>> Stream<P, G> {
    fn step(&mut self) {
        let powers = if let Beside::Powers(powers) = self.beside { powers } else { 0 };
        if let Beside::Normals = self.beside {
            let address = Address::new(Purpose::GRADIENT_NOISE, 0, 0, 0).unwrap();
            normals(&self.device, 0, &address, 0, ViewMut::from(&mut self.normals)).unwrap();
        }
        let mut states: Vec<_> = self.states.iter_mut().map(|state| state.chunks_mut(CHUNK)).collect();
        let chunks: Vec<_> = (self.parameter.chunks_mut(CHUNK).zip(self.gradient.chunks(CHUNK)))
            .map(|(parameter, gradient)| {
                let states = states.iter_mut().filter_map(Iterator::next).collect();
                StreamChunk { powers, parameter, gradient, states }
            })
            .collect();
        let arch = pulp::Arch::new();
        chunks.into_par_iter().for_each(|chunk| arch.dispatch(chunk));
    }
}

impl<P: Element, G: Element<Real = P::Real>> pulp::WithSimd for StreamChunk<'_, P, G> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (p, g) in self.parameter.iter_mut().zip(self.gradient) {
            *p = P::store(p.load() + g.load());
        }
        for _ in 0..self.powers {
            for p in &mut *self.parameter {
                *p = P::store(p.load().abs().pow(P::Real::from_f64(0.5)));
            }
        }
        for state in self.states {
            for s in state {
                *s += P::Real::from_f64(1.0);
            }
        }
    }
}

/// The processor time that all threads spend: other programs take none of it away.
fn time(work: impl FnOnce()) -> Duration {
    let start = ProcessTime::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

struct Fast;

impl Property for Fast {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let zeros = || vec![P::Real::from_f64(0.0); TIMED];
        for level in levels_above_baseline() {
            let mut run = Run::<P, G>::new(subject, level, TIMED);
            let label = label::<P, G>(subject, run.optimizer.device());
            let states = subject.states.iter().map(|_| zeros()).collect();
            let mut stream = Stream {
                device: run.optimizer.device().clone(),
                beside: beside(subject.name),
                normals: vec![0.0; TIMED],
                parameter: run.parameter.clone(),
                gradient: run.gradient.clone(),
                states,
            };
            let mut share = || {
                let (steps, streams) = (0..3).map(|_| (time(|| run.step()), time(|| stream.step()))).unzip();
                median(streams).as_secs_f64() / median(steps).as_secs_f64()
            };
            let mut trials = Vec::new();
            while trials.last().is_none_or(|&last| last < LEAST_SHARE) {
                assert!(
                    trials.len() < 3,
                    "{label} runs at {trials:.2?} of the stream's rate; {LEAST_SHARE} is the least"
                );
                trials.push(share());
            }
            println!("{label} runs at {trials:.2?} of the stream's rate");
        }
    }
}

/// Every rule runs with every pair at a quarter of the rate, or better, at which its arrays can be read and written and its powers
/// and noise computed. One
/// trial of three suffices: the processor may be busy with other work.
#[test]
fn every_rule_runs_at_a_quarter_of_the_streams_rate() {
    let _alone = alone();
    on_every_rule::<Fast>();
}
