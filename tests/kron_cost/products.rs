//! Moving averages of Gram matrices, and directions.

use std::collections::BTreeMap;

use gradus::linalg::{Gram, Inputs, Inverses, KlClip, KronApply, LayerDirection, LayerGradient, Linear, SyrkEma};
use gradus::{Buffer, MatMut, MatRef};
use half::bf16;
use softcuda::driver::{Copies, Report};

use crate::common::data::{Numbers, seed};
use crate::common::software::{Alone, alone};
use crate::{device, executed};

/// Launches alone: no copy, no allocation, no wait.
pub(crate) fn check_host(report: &Report, kernels: &[&str]) {
    let names: Vec<&str> = report.launches.iter().map(|launch| launch.kernel.as_str()).collect();
    assert_eq!(names, kernels);
    let count = kernels.len() as u64;
    let calls = BTreeMap::from([("cuCtxGetCurrent".to_owned(), count), ("cuLaunchKernel".to_owned(), count)]);
    assert_eq!(report.calls, calls);
    assert_eq!((report.host_synchronisations, report.copies), (0, Copies::default()));
    assert_eq!((report.allocations.made.count, report.allocations.freed.count), (0, 0));
}

/// What a kernel's multiplications are of all that its threads execute.
pub(crate) fn check_work(report: &Report, kernel: &str, useful: f64) {
    let counters = &report.kernels[kernel];
    let share = useful / executed(counters) as f64;
    let passes = counters.shared.wavefronts as f64 / counters.shared.ideal_wavefronts as f64;
    println!("{kernel}: {share:.3} useful, {passes:.3} of the passes");
    assert!((0.6..1.0).contains(&share), "{kernel}: {share} of the instructions are useful");
    assert!(passes <= 1.1, "{kernel}: {passes} of the ideal passes over shared memory");
    assert_eq!(counters.thread_instructions.local, 0, "{kernel}");
}

pub(crate) fn second<T>(alone: &Alone, mut call: impl FnMut() -> T) -> Report {
    call();
    alone.driver.reset();
    call();
    assert_eq!(alone.driver.take_fault(), None);
    alone.driver.report()
}

#[test]
fn averages_are_two_launches_and_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    const ROWS: usize = 256;
    const FEATURES: usize = 512;
    let device = device();
    let mut numbers = Numbers::new(seed());
    let rows: Vec<bf16> = (0..ROWS * FEATURES).map(|_| bf16::from_f64(numbers.normal())).collect();
    let rows = Buffer::from_slice(&device, &rows).unwrap();
    let mut plan = SyrkEma::<bf16>::new(&device, &[Gram::new(FEATURES, false, 0.95)]).unwrap();
    let mut factor = Buffer::<f32>::zeros(&device, FEATURES * (FEATURES + 1) / 2).unwrap();
    let report = second(&alone, || {
        let inputs = Inputs::rows(MatRef::new(rows.view(), ROWS, FEATURES).unwrap());
        plan.update(&[inputs], &mut [factor.view_mut()]).unwrap();
    });
    check_host(&report, &["syrk_begin", "syrk_ema_bf16"]);
    check_work(&report, "syrk_ema_bf16", (ROWS * FEATURES * (FEATURES + 1) / 2) as f64);
}

#[test]
fn directions_are_two_launches_and_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    let layer = Linear { inputs: 384, outputs: 256, bias: false };
    let device = device();
    let mut numbers = Numbers::new(seed());
    let mut matrix = |rows: usize, columns: usize| {
        let elements: Vec<f32> = (0..rows * columns).map(|_| numbers.normal() as f32).collect();
        Buffer::from_slice(&device, &elements).unwrap()
    };
    let (left, right) = (matrix(layer.outputs, layer.outputs), matrix(layer.inputs, layer.inputs));
    let (gradient, mut direction) = (matrix(layer.outputs, layer.inputs), matrix(layer.outputs, layer.inputs));
    let mut plan = KronApply::<f32>::new(&device, &[layer]).unwrap();
    for clip in [None, Some(KlClip { kappa: 1e-3, lr: 0.1 })] {
        plan.set_clip(clip).unwrap();
        let report = second(&alone, || {
            let inverses = Inverses {
                left: Some(MatRef::new(left.view(), layer.outputs, layer.outputs).unwrap()),
                right: MatRef::new(right.view(), layer.inputs, layer.inputs).unwrap(),
            };
            let weight = MatRef::new(gradient.view(), layer.outputs, layer.inputs).unwrap();
            let to = MatMut::new(direction.view_mut(), layer.outputs, layer.inputs).unwrap();
            let to = LayerDirection { weight: to, bias: None };
            plan.apply(&[inverses], &[LayerGradient { weight, bias: None }], &mut [to]).unwrap();
        });
        let kernels = ["kron_left_f32", "kron_right_f32", "kron_clip", "kron_scale_f32"];
        check_host(&report, &kernels[..if clip.is_some() { 4 } else { 2 }]);
        let elements = layer.outputs * layer.inputs;
        check_work(&report, "kron_left_f32", (elements * layer.outputs) as f64);
        check_work(&report, "kron_right_f32", (elements * layer.inputs) as f64);
    }
}
