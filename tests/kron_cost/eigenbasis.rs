//! Directions in eigenbases.

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use gradus::linalg::{EigenApply, Epilogue, KlClip, Linear};
use gradus::{Device, Result};
use softcuda::driver::StreamMode;
use softcuda::machine::Options;

use crate::common::data::{Numbers, seed};
use crate::common::software::{alone, untracked};
use crate::device;
use crate::eigenlayers::{Arguments, EPILOGUES, Exact, Stored, layers, stored};
use crate::products::{check_host, check_work, second};

const CLIP: KlClip = KlClip { kappa: 1e-3, lr: 0.1 };

/// Five launches whatever the list is, three where no layer has a left basis, two more with a clip.
#[test]
fn directions_in_eigenbases_are_five_launches() {
    let Some(alone) = alone() else { return };
    let kernels = [
        "eigen_turn_f32",
        "kron_left_f32",
        "eigen_scale_f32",
        "kron_left_f32",
        "kron_right_f32",
        "kron_clip",
        "kron_scale_f32",
    ];
    let all = Exact::all::<f32>();
    for (exact, epilogue) in [(&all[..], EPILOGUES[4]), (&all[1..2], EPILOGUES[0]), (&all[2..3], EPILOGUES[1])] {
        let mut model = Model::new(&device(), exact, epilogue);
        let has_left = exact.iter().any(|exact| exact.left.is_some());
        for clip in [None, Some(CLIP)] {
            model.plan.set_clip(clip).unwrap();
            let report = second(&alone, || model.apply().unwrap());
            let kernels = kernels[..if clip.is_some() { 7 } else { 5 }].iter().copied();
            let expected: Vec<&str> = kernels.filter(|kernel| has_left || *kernel != "kron_left_f32").collect();
            check_host(&report, &expected);
        }
    }
}

#[test]
fn directions_in_eigenbases_are_mostly_multiplication() {
    let Some(alone) = alone() else { return };
    let (outputs, inputs) = (512, 512);
    let layer = Linear { inputs, outputs, bias: false };
    for epilogue in [0, 1, 3, 4].map(|k| EPILOGUES[k]) {
        let exact = [Exact::unchecked(layer, &mut Numbers::new(seed()))];
        let mut model = Model::new(&device(), &exact, epilogue);
        let report = second(&alone, || model.apply().unwrap());
        println!("{epilogue:?}");
        let elements = outputs * inputs;
        check_work(&report, "kron_left_f32", (2 * elements * outputs) as f64);
        check_work(&report, "eigen_scale_f32", (elements * inputs) as f64);
        check_work(&report, "kron_right_f32", (elements * inputs) as f64);
        let turn = &report.kernels["eigen_turn_f32"];
        let bytes = (turn.global_read.bytes + turn.global_written.bytes) as f64;
        let fewest = (2 * 4 * (outputs * outputs + inputs * inputs)) as f64;
        let passes = turn.shared.wavefronts as f64 / turn.shared.ideal_wavefronts as f64;
        println!("eigen_turn_f32: {:.3} of the bytes, {passes:.3} of the passes", bytes / fewest);
        assert!(bytes <= 1.05 * fewest && passes <= 1.1, "{bytes} bytes, {passes} of the passes");
    }
}

/// A plan with its arguments on a device.
struct Model {
    plan: EigenApply<f32>,
    stored: Vec<Stored<f32>>,
    epilogue: Epilogue,
}

impl Model {
    fn new(device: &Device, exact: &[Exact], epilogue: Epilogue) -> Self {
        Self {
            plan: EigenApply::new(device, &layers(exact), epilogue).unwrap(),
            stored: stored(device, exact),
            epilogue,
        }
    }

    fn apply(&mut self) -> Result<()> {
        Arguments::new(&mut self.stored, self.epilogue).apply(&mut self.plan)
    }

    fn results(&self) -> Vec<[Vec<f64>; 2]> {
        self.stored.iter().map(|stored| [stored.direction().at, stored.moments().at]).collect()
    }
}

/// Replays update second moments and count their updates; the epilogue's numbers and the clip's hold from when they are set.
#[test]
fn captured_directions_are_replayed() {
    let Some(alone) = alone() else { return };
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 1 }] {
        alone.streams(mode);
        for epilogue in EPILOGUES {
            let (device, stream) = untracked();
            let exact = Exact::all::<f32>();
            let [mut eager, mut replayed] = [(); 2].map(|()| Model::new(&device, &exact, epilogue));
            for model in [&mut eager, &mut replayed] {
                model.plan.set_clip(Some(CLIP)).unwrap();
            }
            stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
            let moved = replayed.apply().unwrap_err().to_string();
            let changed = replayed.plan.set_epilogue(epilogue).unwrap_err().to_string();
            stream.end_capture(CUgraphInstantiate_flags(0)).unwrap();
            assert!(moved.contains("stale during graph capture: a matrix has moved"), "{moved}");
            assert!(changed.contains("stale during graph capture: the epilogue was changed"), "{changed}");
            eager.apply().unwrap();
            replayed.apply().unwrap();
            stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
            replayed.apply().unwrap();
            let graph = stream.end_capture(CUgraphInstantiate_flags(0)).unwrap().expect("there are kernels in it");
            for replay in 0..3 {
                if replay == 2 {
                    for model in [&mut eager, &mut replayed] {
                        model.plan.set_epilogue(epilogue).unwrap();
                        model.plan.set_clip(Some(KlClip { kappa: 2e-3, ..CLIP })).unwrap();
                    }
                }
                eager.apply().unwrap();
                graph.launch().unwrap();
                assert!(eager.results() == replayed.results(), "replay {replay}, {epilogue:?}, {mode:?}");
                assert_eq!(eager.plan.clip_factor().unwrap(), replayed.plan.clip_factor().unwrap());
            }
        }
    }
}

/// The order in which warps and lanes run changes no bit.
#[test]
fn every_schedule_gives_the_same_directions() {
    let Some(alone) = alone() else { return };
    let results = |options: Options, profile: &str| {
        alone.driver.configure(options, profile, StreamMode::AtEnqueue);
        let mut model = Model::new(&device(), &Exact::all::<f32>(), EPILOGUES[4]);
        model.plan.set_clip(Some(CLIP)).unwrap();
        model.apply().unwrap();
        assert_eq!(alone.driver.take_fault(), None);
        model.results()
    };
    let expected = results(Options::default(), "a100");
    assert!(results(Options::default(), "h100") == expected, "h100");
    for seed in 1..4 {
        assert!(results(Options { seed, ..Options::default() }, "a100") == expected, "seed {seed}");
    }
    assert!(results(Options { one_lane: true, ..Options::default() }, "a100") == expected, "one lane at a time");
    alone.driver.configure(Options::default(), "a100", StreamMode::AtEnqueue);
}
