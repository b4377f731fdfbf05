//! Steps by a gradient that is drawn where it is used.

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::element::Element;
use gradus::es::{Distribution, Estimate};
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::{AdamW, Pair, Record, Rule, Sgd};
use gradus::{Buffer, Device};
use half::bf16;
use softcuda::driver::Copies;

use crate::common::software::{alone, untracked};
use crate::model::terms;
use crate::{CHUNK, THREADS};

/// Elements of a gradient that are drawn together: `kernels/optim/library.cuh`.
const TILE: u64 = 2048;

/// Two launches, and of elements the parameter and the states, once: neither gradient nor noise, whatever the number of terms.
fn moves<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(rule: R) {
    let Some(alone) = alone() else { return };
    let device = Device::cuda(0).unwrap();
    let elements = 8 * CHUNK as u64;
    let states = if R::is_stateless(&rule.hyper()) { 0 } else { R::State::<P::Real>::NAMES.len() as u64 };
    let floor = elements * (size_of::<P>() as u64 + states * size_of::<P::Real>() as u64);
    for distribution in Distribution::ALL {
        for count in [0, 1, 8, 30] {
            let mut optimizer = Optimizer::<R, P, G>::new(&device, rule).unwrap();
            optimizer.add(Tensor::new(elements as usize)).unwrap();
            let mut parameter = Buffer::<P>::zeros(&device, elements as usize).unwrap();
            let terms = terms(count);
            let mut step = || {
                let estimate = Estimate { distribution, terms: &terms };
                optimizer.step_estimate(&mut [parameter.view_mut()], estimate).unwrap();
            };
            step();
            alone.driver.reset();
            step();
            assert_eq!(alone.driver.take_fault(), None);
            let report = alone.driver.report();
            let launches: Vec<_> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
            let name = format!("{}_drawn_{}", R::NAME, P::DTYPE);
            assert_eq!(launches, [&format!("{}_tick_{}", R::NAME, P::Real::DTYPE), &name]);
            assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()), "{name}");
            assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0), "{name}");

            let counters = &report.kernels[&name];
            assert_eq!(counters.global_written.bytes, floor + 8, "{name}, {count} terms of {distribution:?}");
            assert_eq!(counters.global_written.sectors, floor / 32 + 1, "{name}");
            // Rows of tables are read tile by tile, a sector for all threads of a warp, those of normals block by block, and terms
            // where they do not travel with the launch.
            let normals = if distribution == Distribution::Normal { 8192 * 8 } else { 0 };
            let tiles = elements / TILE;
            let many = if count > 8 { count as u64 } else { 0 };
            let rows = tiles * THREADS * (110 + 24 * many);
            assert!(counters.global_read.bytes <= floor + normals + rows, "{name}, {count} terms of {distribution:?}");
            let requests = tiles * THREADS / 32 * (20 + 3 * many);
            assert!(counters.global_read.sectors <= (floor + normals) / 32 + requests, "{name}");
        }
    }
}

#[test]
fn a_gradient_that_is_drawn_is_not_moved() {
    moves::<AdamW, f32, f32>(AdamW::default());
    moves::<AdamW, bf16, f32>(AdamW::default());
    moves::<Sgd, f64, f64>(Sgd { momentum: 0.0, ..Sgd::default() });
}

/// A captured step repeats its terms, at the settings of the replay.
#[test]
fn replays_are_steps() {
    let Some(_alone) = alone() else { return };
    let (device, stream) = untracked();
    let all = terms(12);
    for count in [3, 12] {
        let of = |terms| Estimate { distribution: Distribution::Normal, terms };
        let make = || {
            let mut optimizer = Optimizer::<AdamW>::new(&device, AdamW::default()).unwrap();
            optimizer.add(Tensor::new(20_001)).unwrap();
            let mut parameter = Buffer::<f32>::zeros(&device, 20_001).unwrap();
            optimizer.step_estimate(&mut [parameter.view_mut()], of(&all[..count])).unwrap();
            (optimizer, parameter)
        };
        let [(mut eager, mut expected), (mut replayed, mut found)] = [(); 2].map(|()| make());
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        replayed.step_estimate(&mut [found.view_mut()], of(&all[..count])).unwrap();
        if count > 8 {
            let error = replayed.step_estimate(&mut [found.view_mut()], of(&all[..count - 1])).unwrap_err();
            assert!(error.to_string().contains("stale during graph capture"), "{error}");
        }
        let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
        for lr in [1e-3, 0.5] {
            eager.set_lr(lr).unwrap();
            replayed.set_lr(lr).unwrap();
            eager.step_estimate(&mut [expected.view_mut()], of(&all[..count])).unwrap();
            graph.launch().unwrap();
            assert_eq!(found.to_vec().unwrap(), expected.to_vec().unwrap(), "{count} terms at {lr}");
        }
    }
}
