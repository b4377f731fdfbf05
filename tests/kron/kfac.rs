//! K-FAC and FOOF: every device against f64 on the CPU.

use gradus::element::{Element, Real};
use gradus::kfac::{
    Curvature, DampingForm, FactorReport, InitialFactors, Inverted, Kfac, KfacSettings, Observation, Observed,
};
use gradus::linalg::{Inputs, LayerDirection, LayerGradient, Linear, WarmStart};
use gradus::{Buffer, Device, MatMut, MatRef};

use crate::common::data::{Numbers, element, seed};
use crate::common::devices::{cpus, devices};

const LAYERS: [Linear; 3] = [
    Linear { inputs: 20, outputs: 70, bias: true },
    Linear { inputs: 70, outputs: 9, bias: false },
    Linear { inputs: 9, outputs: 1, bias: true },
];

/// Rows of an observation.
const BATCH: usize = 50;

/// Numbers of a layer in a step: inputs, output gradients, and the gradient's weight and bias.
type Numbers4 = [Vec<f64>; 4];

fn steps(count: usize) -> Vec<Vec<Numbers4>> {
    let mut numbers = Numbers::new(seed());
    let mut draw = |length: usize| -> Vec<f64> { (0..length).map(|_| f64::from(numbers.normal() as f32)).collect() };
    let mut layer = |layer: &Linear| {
        let Linear { inputs, outputs, .. } = *layer;
        [draw(BATCH * inputs), draw(BATCH * outputs), draw(inputs * outputs), draw(outputs)]
    };
    (0..count).map(|_| LAYERS.iter().map(&mut layer).collect()).collect()
}

fn placed<E: Element>(device: &Device, values: &[f64]) -> Buffer<E> {
    let values: Vec<E> = values.iter().map(|x| element(*x)).collect();
    Buffer::from_slice(device, &values).unwrap()
}

/// What is done in a step, and with what.
#[derive(Clone, Copy)]
enum Phase {
    /// As the settings say.
    Step,
    /// An observation alone.
    Observe,
    /// A direction alone.
    Precondition,
}

/// The directions of each step that makes some, layer by layer, and ν of it.
fn played<E: Element>(device: &Device, settings: KfacSettings, phases: &[Phase]) -> Vec<(Vec<Vec<f64>>, f64)> {
    let mut fresh = Some(Kfac::<E>::new(device, &LAYERS, settings).unwrap());
    let mut kfac: Option<Kfac<E, Inverted>> = None;
    let mut directions = Vec::new();
    for (step, phase) in steps(phases.len()).iter().zip(phases) {
        let rows: Vec<[Buffer<E>; 2]> = step.iter().map(|[x, g, ..]| [placed(device, x), placed(device, g)]).collect();
        let both = settings.curvature == Curvature::InputsAndOutputs;
        let observations = || -> Vec<Observation<'_, E>> {
            rows.iter()
                .zip(&LAYERS)
                .map(|([x, g], layer)| Observation {
                    inputs: Inputs::rows(MatRef::new(x.view(), BATCH, layer.inputs).unwrap()),
                    output_gradients: both.then(|| Inputs::rows(MatRef::new(g.view(), BATCH, layer.outputs).unwrap())),
                })
                .collect()
        };
        let gradients: Vec<[Buffer<E::Real>; 2]> =
            step.iter().map(|[.., w, b]| [placed(device, w), placed(device, b)]).collect();
        let gradients: Vec<LayerGradient<'_, E::Real>> = gradients
            .iter()
            .zip(&LAYERS)
            .map(|([weight, bias], layer)| LayerGradient {
                weight: MatRef::new(weight.view(), layer.outputs, layer.inputs).unwrap(),
                bias: layer.bias.then(|| bias.view()),
            })
            .collect();
        let zeros = |length| Buffer::<E::Real>::zeros(device, length).unwrap();
        let mut to: Vec<[Buffer<E::Real>; 2]> =
            LAYERS.iter().map(|layer| [zeros(layer.inputs * layer.outputs), zeros(layer.outputs)]).collect();
        let mut targets: Vec<LayerDirection<'_, E::Real>> = to
            .iter_mut()
            .zip(&LAYERS)
            .map(|([weight, bias], layer)| LayerDirection {
                weight: MatMut::new(weight.view_mut(), layer.outputs, layer.inputs).unwrap(),
                bias: layer.bias.then(|| bias.view_mut()),
            })
            .collect();
        match (&mut kfac, phase) {
            (Some(kfac), Phase::Step) => kfac.step(observations(), &gradients, &mut targets).unwrap(),
            (Some(kfac), Phase::Observe) => {
                kfac.observe(observations()).unwrap();
                continue;
            }
            (Some(kfac), Phase::Precondition) => kfac.precondition(&gradients, &mut targets).unwrap(),
            (kfac, _) => {
                let mut fresh = fresh.take().unwrap();
                fresh.set_lr(0.1).unwrap();
                let first = fresh.observe(observations()).and_then(Kfac::<E, Observed>::invert).unwrap();
                kfac.insert(first).precondition(&gradients, &mut targets).unwrap();
            }
        }
        let kfac = kfac.as_ref().unwrap();
        assert!(kfac.reports().unwrap().iter().all(|report| report.is_renewed()));
        let wide = |buffer: &Buffer<E::Real>| buffer.to_vec().unwrap().into_iter().map(Real::to_f64);
        let values = to.iter().map(|[weight, bias]| wide(weight).chain(wide(bias)).collect()).collect();
        directions.push((values, kfac.clip_factor().unwrap()));
    }
    directions
}

/// The devices that differ in linear algebra: the CPU once, and CUDA.
fn those() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1)
}

fn compare(settings: KfacSettings, phases: &[Phase]) -> Vec<(Vec<Vec<f64>>, f64)> {
    let expected = played::<f64>(&Device::cpu(), settings, phases);
    for device in those() {
        let found = played::<f32>(device, settings, phases);
        assert_eq!(found.len(), expected.len());
        for (step, ((found, clip), (expected, expected_clip))) in found.iter().zip(&expected).enumerate() {
            assert!((clip - expected_clip).abs() <= 1e-4 * expected_clip, "step {step}: ν = {clip} on {device}");
            for (layer, (found, expected)) in found.iter().zip(expected).enumerate() {
                let norm = expected.iter().map(|u| u * u).sum::<f64>().sqrt();
                let error = found.iter().zip(expected).map(|(u, v)| (u - v).powi(2)).sum::<f64>().sqrt() / norm;
                assert!(error <= 1e-4, "step {step}, layer {layer}: relative error {error:e} on {device}");
            }
        }
    }
    expected
}

const SETTINGS: KfacSettings = KfacSettings {
    curvature: Curvature::InputsAndOutputs,
    damping: 0.05,
    damping_form: DampingForm::Factored,
    beta: 0.9,
    initial: InitialFactors::None,
    inverse_every: 1,
    kl_clip: None,
    warm_start: None,
    decomposition: gradus::linalg::EighSettings { sweeps: 30, tolerance: 1e-4 },
    inversion: gradus::linalg::SpdSettings { retries: 3, growth: 10.0, tolerance: 1e-4 },
};

#[test]
fn directions_of_kfac_are_those_of_f64() {
    let plain = compare(SETTINGS, &[Phase::Step; 3]);
    assert!(plain.iter().all(|(_, clip)| *clip == 1.0));
    let clipped = compare(KfacSettings { kl_clip: Some(1e-3), ..SETTINGS }, &[Phase::Step; 3]);
    for ((plain, _), (clipped, clip)) in plain.iter().zip(&clipped) {
        assert!(*clip < 1.0, "ν = {clip}");
        for (u, v) in plain.iter().flatten().zip(clipped.iter().flatten()) {
            assert!((clip * u - v).abs() <= 1e-12 * (1.0 + v.abs()));
        }
    }
}

#[test]
fn directions_of_foof_are_those_of_f64() {
    compare(KfacSettings { curvature: Curvature::Inputs, ..SETTINGS }, &[Phase::Step; 3]);
}

#[test]
fn directions_with_exact_damping_are_those_of_f64() {
    for curvature in [Curvature::InputsAndOutputs, Curvature::Inputs] {
        for kl_clip in [None, Some(1e-3)] {
            compare(
                KfacSettings { curvature, kl_clip, damping_form: DampingForm::Exact, ..SETTINGS },
                &[Phase::Step; 3],
            );
        }
    }
}

/// The relative difference in the norm.
fn difference(found: &[(Vec<Vec<f64>>, f64)], expected: &[(Vec<Vec<f64>>, f64)]) -> f64 {
    let values = |steps: &[(Vec<Vec<f64>>, f64)]| -> Vec<f64> {
        steps.iter().flat_map(|(layers, _)| layers.iter().flatten().copied()).collect()
    };
    let (found, expected) = (values(found), values(expected));
    let error = found.iter().zip(&expected).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
    (error / expected.iter().map(|x| x * x).sum::<f64>()).sqrt()
}

/// Inverses that begin from those before make the same directions within what is certified.
#[test]
fn warm_starts_make_nearly_the_same_directions() {
    let warm = WarmStart { steps: 4, tolerance: 1e-4 };
    let settings = KfacSettings { warm_start: Some(warm), beta: 0.99, damping: 0.3, ..SETTINGS };
    let expected = played::<f64>(&Device::cpu(), KfacSettings { warm_start: None, ..settings }, &[Phase::Step; 6]);
    let refined = difference(&played::<f64>(&Device::cpu(), settings, &[Phase::Step; 6]), &expected);
    assert!((1e-12..=1e-3).contains(&refined), "relative error {refined:e}");
    for device in devices().iter().skip(cpus().len() - 1) {
        let error = difference(&played::<f32>(device, settings, &[Phase::Step; 6]), &expected);
        assert!(error <= 1e-3, "relative error {error:e} on {device}");
    }
}

/// One factor, with the identity in place of the other, is damped alike by both forms.
#[test]
fn foof_is_the_same_with_both_forms_of_damping() {
    let factored = KfacSettings { curvature: Curvature::Inputs, ..SETTINGS };
    let exact = KfacSettings { damping_form: DampingForm::Exact, ..factored };
    let [factored, exact] =
        [factored, exact].map(|settings| played::<f64>(&Device::cpu(), settings, &[Phase::Step; 3]));
    let error = difference(&exact, &factored);
    assert!(error <= 1e-12, "relative error {error:e}");
}

/// As λ grows, directions with exact damping become `V/λ`.
#[test]
fn great_damping_leaves_the_gradient() {
    let damping = 1e9;
    let exact = KfacSettings { damping, damping_form: DampingForm::Exact, ..SETTINGS };
    let found = played::<f64>(&Device::cpu(), exact, &[Phase::Step]);
    for ((found, [.., weight, bias]), layer) in found[0].0.iter().zip(&steps(1)[0]).zip(&LAYERS) {
        let bias = bias.iter().map(|x| if layer.bias { *x } else { 0.0 });
        for (found, v) in found.iter().zip(weight.iter().copied().chain(bias)) {
            assert!((found * damping - v).abs() <= 1e-6 * (1.0 + v.abs()), "{found} and {v}");
        }
    }
}

/// Factors that begin as the identity keep the share β of it in every observation.
#[test]
fn factors_begin_as_the_identity() {
    for damping_form in [DampingForm::Factored, DampingForm::Exact] {
        let settings = KfacSettings { initial: InitialFactors::Identity, damping_form, ..SETTINGS };
        compare(settings, &[Phase::Step; 3]);
        // Where β is nearly 1, they hardly leave it.
        let settings = KfacSettings { beta: 1.0 - 1e-9, damping: 1.0, ..settings };
        let found = played::<f64>(&Device::cpu(), settings, &[Phase::Step]);
        let by = if damping_form == DampingForm::Exact { 2.0 } else { 4.0 };
        for (found, [_, _, weight, _]) in found[0].0.iter().zip(&steps(1)[0]) {
            for (found, v) in found.iter().zip(weight) {
                assert!((found * by - v).abs() <= 1e-5 * (1.0 + v.abs()), "{found} and {v}");
            }
        }
    }
    let settings = KfacSettings { initial: InitialFactors::Identity, beta: 1.0, ..SETTINGS };
    let refused = Kfac::<f32>::new(&Device::cpu(), &LAYERS, settings).err().unwrap().to_string();
    assert_eq!(refused, "factor 0: its count inf is not a finite number of at least 0");
}

/// Damping that is set anew holds for the next directions with exact damping, for the next inversion else.
#[test]
fn another_damping_holds_when_it_is_said_to() {
    let layer = Linear { inputs: 1, outputs: 1, bias: false };
    for device in those() {
        for (damping_form, at_once) in [(DampingForm::Exact, true), (DampingForm::Factored, false)] {
            let settings = KfacSettings { damping: 1.0, damping_form, ..SETTINGS };
            let (x, g) = (placed::<f32>(device, &[1.0]), placed::<f32>(device, &[1.0]));
            let observation = Observation {
                inputs: Inputs::rows(MatRef::new(x.view(), 1, 1).unwrap()),
                output_gradients: Some(Inputs::rows(MatRef::new(g.view(), 1, 1).unwrap())),
            };
            let kfac = Kfac::<f32>::new(device, &[layer], settings).unwrap();
            let mut kfac = kfac.observe(vec![observation]).and_then(Kfac::<f32, Observed>::invert).unwrap();
            let direction = |kfac: &mut Kfac<f32, Inverted>| {
                let mut u = Buffer::<f32>::zeros(device, 1).unwrap();
                let gradient = LayerGradient { weight: MatRef::new(x.view(), 1, 1).unwrap(), bias: None };
                let to = LayerDirection { weight: MatMut::new(u.view_mut(), 1, 1).unwrap(), bias: None };
                kfac.precondition(&[gradient], &mut [to]).unwrap();
                u.to_vec().unwrap()[0]
            };
            let damped = if at_once { [0.5, 0.1] } else { [0.25, 0.0625] };
            let is = |found: f32, expected: f32| assert!((found - expected).abs() <= 1e-6, "{found}, not {expected}");
            is(direction(&mut kfac), damped[0]);
            kfac.set_damping(9.0).unwrap();
            is(direction(&mut kfac), damped[usize::from(at_once)]);
            kfac.invert().unwrap();
            is(direction(&mut kfac), damped[1]);
            assert!(kfac.set_damping(-1.0).is_err() && kfac.settings().damping == 9.0);
            let reports = kfac.reports().unwrap();
            let is_exact = |report: &FactorReport| matches!(report, FactorReport::Eigenbasis(_));
            assert!(reports.len() == 2 && reports.iter().all(|report| is_exact(report) == at_once));
        }
    }
}

/// Inverses are used for as many steps as the settings say, and are those of all that was observed.
#[test]
fn inverses_are_used_again() {
    let twice = KfacSettings { inverse_every: 2, ..SETTINGS };
    let reused = compare(twice, &[Phase::Step; 4]);
    let by_hand = [Phase::Step, Phase::Precondition];
    let expected = played::<f64>(&Device::cpu(), SETTINGS, &by_hand);
    assert!(reused[1].0 == expected[1].0, "the second step takes new inverses");
    let always = played::<f64>(&Device::cpu(), SETTINGS, &[Phase::Step; 4]);
    assert!(reused[1].0 != always[1].0 && reused[2].0 == always[2].0 && reused[3].0 != always[3].0);
    let observed = played::<f64>(&Device::cpu(), SETTINGS, &[Phase::Step, Phase::Observe, Phase::Step]);
    assert!(observed[1].0 == always[2].0, "an observation alone counts");
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = Device::cpu();
    let new = |settings| Kfac::<f32>::new(&device, &LAYERS[..1], settings);
    let refused = |error: Option<gradus::Error>| error.unwrap().to_string();
    assert_eq!(
        refused(new(KfacSettings { inverse_every: 0, ..SETTINGS }).err()),
        "K-FAC: inverses cannot be used for 0 steps"
    );
    assert_eq!(refused(new(KfacSettings { beta: 2.0, ..SETTINGS }).err()), "factor 0: beta = 2 is outside [0, 1]");
    assert_eq!(
        refused(new(KfacSettings { damping: -1.0, ..SETTINGS }).err()),
        "block 0: its damping -1 is not a finite number of at least 0"
    );
    let exact = KfacSettings { damping_form: DampingForm::Exact, damping: -1.0, ..SETTINGS };
    assert_eq!(refused(new(exact).err()), "epilogue: damping = -1 is not a finite number of at least 0");
    let kappa = KfacSettings { kl_clip: Some(0.0), ..SETTINGS };
    assert_eq!(refused(new(kappa).err()), "KL clip: kappa = 0 is not a positive number");
    let x = [1.0_f32; 40];
    let observation = |columns| Observation {
        inputs: Inputs::rows(MatRef::new(&x[..], 40 / columns, columns).unwrap()),
        output_gradients: None,
    };
    let both = new(SETTINGS).unwrap().observe(vec![observation(20)]);
    assert_eq!(refused(both.err()), "K-FAC: layer 0 needs output gradients");
    let foof = || new(KfacSettings { curvature: Curvature::Inputs, ..SETTINGS }).unwrap();
    assert_eq!(refused(foof().observe(vec![observation(10)]).err()), "factor 0: it has 20 features and the inputs 10");
    assert_eq!(refused(foof().observe(vec![]).err()), "inputs: there are 0 for 1 factor");
}
