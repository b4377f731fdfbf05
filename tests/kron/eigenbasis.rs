//! Directions in eigenbases: every device against sums in f64, by the formula.

use gradus::element::{Dtype, Real};
use gradus::linalg::{
    EigenApply, EigenLayer, Eigenbases, Eigenbasis, Eigh, EighSettings, Epilogue, KlClip, LayerDirection,
    LayerGradient, Linear, Symmetric,
};
use gradus::{Buffer, Device, MatMut, MatRef};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::eigenlayers::{Arguments, EPILOGUES, Exact, LAYERS, Matrix, Stored, layers, stored};
use crate::matrices::Square;

/// The devices that differ in linear algebra: the CPU once, and CUDA.
fn those() -> impl Iterator<Item = &'static Device> {
    devices().iter().skip(cpus().len() - 1)
}

#[track_caller]
fn check(what: &str, found: &Matrix, expected: &Matrix, tolerance: f64) {
    let error = found.at.iter().zip(&expected.at).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt() / expected.norm();
    assert!(error <= tolerance, "{what}: relative error {error:e}");
}

/// Errors in the norm: 10⁻⁵ of f32, 10⁻¹³ of f64; of second moments a tenth of that.
fn directions<T: Real>() {
    let tolerance = if T::DTYPE == Dtype::F64 { 1e-13 } else { 1e-5 };
    for device in those() {
        if T::DTYPE == Dtype::F64 && !matches!(device, Device::Cpu(_)) {
            let refused = EigenApply::<T>::new(device, &LAYERS, EPILOGUES[0]).err().unwrap().to_string();
            assert_eq!(refused, "directions of f64: on CUDA there are none");
            continue;
        }
        for epilogue in EPILOGUES {
            let mut exact = Exact::all::<T>();
            let mut plan = EigenApply::<T>::new(device, &LAYERS, epilogue).unwrap();
            let mut stored = stored::<T>(device, &exact);
            for call in 1..=3 {
                Arguments::new(&mut stored, epilogue).apply(&mut plan).unwrap();
                assert_eq!(plan.clip_factor().unwrap(), 1.0);
                for (exact, stored) in exact.iter_mut().zip(&stored) {
                    let what = format!("{epilogue:?}, call {call}, {:?} on {device}", exact.layer);
                    check(&what, &stored.direction(), &exact.direction(epilogue, call), tolerance);
                    check(&what, &stored.moments(), &exact.moments, tolerance / 10.0);
                }
            }
        }
    }
}

#[test]
fn directions_of_f32() {
    directions::<f32>();
}

#[test]
fn directions_of_f64() {
    directions::<f64>();
}

/// The numbers of an epilogue can be changed, and Adam's updates begin where they are said to.
#[test]
fn another_epilogue_holds_from_the_next_call_on() {
    for device in those() {
        for before in EPILOGUES {
            let after = match before {
                Epilogue::Damped { .. } => Epilogue::Damped { damping: 2.0 },
                Epilogue::Power { exponent, .. } => Epilogue::Power { damping: 2.0, exponent: exponent / 2.0 },
                Epilogue::SecondMoments { .. } => Epilogue::SecondMoments { beta: 0.5, damping: 2.0 },
                Epilogue::Adam { .. } => Epilogue::Adam { beta: 0.5, epsilon: 2.0, updates: 0 },
            };
            let mut exact = Exact::all::<f32>();
            let mut plan = EigenApply::<f32>::new(device, &LAYERS, before).unwrap();
            let mut stored = stored::<f32>(device, &exact);
            Arguments::new(&mut stored, before).apply(&mut plan).unwrap();
            plan.set_epilogue(after).unwrap();
            assert_eq!(plan.epilogue(), &after);
            Arguments::new(&mut stored, after).apply(&mut plan).unwrap();
            for (exact, stored) in exact.iter_mut().zip(&stored) {
                exact.direction(before, 1);
                let expected = exact.direction(after, 1);
                check(&format!("{after:?} on {device}"), &stored.direction(), &expected, 1e-5);
            }
        }
    }
}

#[test]
fn directions_are_clipped() {
    for device in those() {
        for epilogue in EPILOGUES {
            let mut exact = Exact::all::<f32>();
            let expected: Vec<Matrix> = exact.iter_mut().map(|exact| exact.direction(epilogue, 1)).collect();
            let products = expected.iter().zip(&exact).map(|(u, exact)| (&u.at, &exact.gradient.at));
            let inner: f64 = products.flat_map(|(u, v)| u.iter().zip(v)).map(|(u, v)| u * v).sum();
            let clip = |kappa: f64| KlClip { kappa: kappa * inner * 0.01, lr: 0.1 };
            for (clip, factor) in [(Some(clip(0.25)), 0.5), (Some(clip(4.0)), 1.0), (None, 1.0)] {
                let mut plan = EigenApply::<f32>::new(device, &LAYERS, epilogue).unwrap();
                plan.set_clip(clip).unwrap();
                let mut stored = stored::<f32>(device, &Exact::all::<f32>());
                Arguments::new(&mut stored, epilogue).apply(&mut plan).unwrap();
                let found = plan.clip_factor().unwrap();
                assert!((found - factor).abs() < 1e-5, "{epilogue:?}, {clip:?}: ν = {found} on {device}");
                for (expected, stored) in expected.iter().zip(&stored) {
                    let at = expected.at.iter().map(|u| u * factor).collect();
                    let expected = Matrix { at, ..expected.clone() };
                    check(&format!("{clip:?} on {device}"), &stored.direction(), &expected, 2e-5);
                }
            }
        }
    }
}

/// A layer gets the same bits alone, in another order and beside others.
#[test]
fn company_and_order_change_no_bit() {
    for device in those() {
        for epilogue in EPILOGUES {
            let bits = |exact: &[Exact], gaps: &[usize]| -> Vec<[Vec<f64>; 2]> {
                let mut plan = EigenApply::<f32>::new(device, &layers(exact), epilogue).unwrap();
                let mut stored: Vec<_> =
                    exact.iter().zip(gaps).map(|(exact, gap)| Stored::<f32>::new(device, exact, *gap)).collect();
                Arguments::new(&mut stored, epilogue).apply(&mut plan).unwrap();
                stored.iter().map(|stored| [stored.direction().at, stored.moments().at]).collect()
            };
            let all = Exact::all::<f32>();
            let expected = bits(&all, &[0; 6]);
            let reversed: Vec<Exact> = all.iter().rev().cloned().collect();
            let mut found = bits(&reversed, &[5, 0, 3, 1, 4, 2]);
            found.reverse();
            assert!(found == expected, "{epilogue:?}: in reverse on {device}");
            for (exact, expected) in all.iter().zip(&expected) {
                let found = bits(std::slice::from_ref(exact), &[0]);
                assert!(found[0] == *expected, "{epilogue:?}: {:?} alone on {device}", exact.layer);
            }
        }
    }
}

/// With the eigendecompositions of its factors, a damped direction solves `G·U·A + λ·U = V`.
#[test]
fn a_damped_direction_solves_its_equation() {
    const DAMPING: f64 = 0.01;
    let layer = Linear { inputs: 50, outputs: 30, bias: false };
    let orders = [layer.outputs, layer.inputs];
    let mut numbers = Numbers::new(seed());
    let factors = orders.map(|order| Square::with_condition(order, 100.0, &mut numbers).rounded::<f32>());
    let gradient = Matrix::normal::<f32>(layer.outputs, layer.inputs, &mut numbers);
    for device in those() {
        let placed = |values: &[f32]| Buffer::from_slice(device, values).unwrap();
        let zeros = |length: usize| Buffer::<f32>::zeros(device, length).unwrap();
        let sources = factors.each_ref().map(|(factor, _)| placed(factor));
        let (mut vectors, mut values) = (orders.map(|order| zeros(order * order)), orders.map(zeros));
        let source = |k: usize| MatRef::new(sources[k].view(), orders[k], orders[k]).and_then(Symmetric::full).unwrap();
        let to = vectors.iter_mut().zip(orders).map(|(to, order)| MatMut::new(to.view_mut(), order, order).unwrap());
        let mut to: Vec<_> = to.collect();
        let mut to_values: Vec<_> = values.iter_mut().map(Buffer::view_mut).collect();
        let mut eigh = Eigh::<f32>::new(device, &orders, EighSettings::default()).unwrap();
        eigh.decompose(&[source(0), source(1)], &mut to, &mut to_values).unwrap();

        let basis = |k: usize| {
            let vectors: &Buffer<f32> = &vectors[k];
            let vectors = MatRef::new(vectors.view(), orders[k], orders[k]).unwrap();
            Eigenbasis { vectors, values: values[k].view() }
        };
        let v = placed(&gradient.at.iter().map(|x| *x as f32).collect::<Vec<_>>());
        let mut u = zeros(layer.outputs * layer.inputs);
        let weight = MatRef::new(v.view(), layer.outputs, layer.inputs).unwrap();
        let to = MatMut::new(u.view_mut(), layer.outputs, layer.inputs).unwrap();
        let bases = Eigenbases { left: Some(basis(0)), right: basis(1) };
        let mut plan = EigenApply::<f32>::new(
            device,
            &[EigenLayer { linear: layer, left: true }],
            Epilogue::Damped { damping: DAMPING },
        )
        .unwrap();
        let direction = LayerDirection { weight: to, bias: None };
        plan.apply(&[bases], &mut [], &[LayerGradient { weight, bias: None }], &mut [direction]).unwrap();

        let u: Vec<f64> = u.to_vec().unwrap().into_iter().map(f64::from).collect();
        let u = Matrix { columns: layer.inputs, at: u };
        let [g, a] = factors.each_ref().map(|(_, exact)| Matrix { columns: exact.order, at: exact.at.clone() });
        let mut found = g.times(&u).times(&a);
        found.at.iter_mut().zip(&u.at).for_each(|(x, u)| *x += DAMPING * u);
        check(&format!("{device}"), &found, &gradient, 1e-4);
    }
}

#[test]
fn epilogues_outside_their_ranges_are_refused() {
    let new = |epilogue| EigenApply::<f32>::new(&Device::cpu(), &LAYERS, epilogue);
    let damping = "is not a finite number of at least 0";
    for (epilogue, message) in [
        (Epilogue::Damped { damping: -1.0 }, format!("damping = -1 {damping}")),
        (Epilogue::Damped { damping: f64::NAN }, format!("damping = NaN {damping}")),
        (Epilogue::Power { damping: f64::INFINITY, exponent: -0.5 }, format!("damping = inf {damping}")),
        (Epilogue::Power { damping: 0.1, exponent: f64::NAN }, "exponent = NaN is not finite".to_owned()),
        (Epilogue::SecondMoments { beta: 1.5, damping: 0.1 }, "beta = 1.5 is outside [0, 1]".to_owned()),
        (Epilogue::SecondMoments { beta: 1.0, damping: -0.1 }, format!("damping = -0.1 {damping}")),
        (Epilogue::Adam { beta: 1.0, epsilon: 0.1, updates: 0 }, "beta = 1 is outside [0, 1)".to_owned()),
        (Epilogue::Adam { beta: 0.5, epsilon: -0.1, updates: 0 }, format!("epsilon = -0.1 {damping}")),
    ] {
        assert_eq!(new(epilogue).err().unwrap().to_string(), format!("epilogue: {message}"));
    }
    let mut plan = new(Epilogue::Damped { damping: 0.5 }).unwrap();
    assert!(plan.set_epilogue(Epilogue::Damped { damping: -0.5 }).is_err());
    assert_eq!(
        plan.set_epilogue(EPILOGUES[1]).unwrap_err().to_string(),
        "epilogue: Power { damping: 0.05, exponent: -0.25 } is of another kind than Damped { damping: 0.5 }"
    );
    assert_eq!(plan.epilogue(), &Epilogue::Damped { damping: 0.5 });
    assert_eq!(
        plan.set_clip(Some(KlClip { kappa: 1.0, lr: 0.0 })).unwrap_err().to_string(),
        "KL clip: lr = 0 is not a positive number"
    );
    let layer = EigenLayer { linear: Linear { inputs: 0, outputs: 2, bias: true }, left: true };
    assert_eq!(
        EigenApply::<f32>::new(&Device::cpu(), &[layer], EPILOGUES[0]).err().unwrap().to_string(),
        "layer 0: 0 inputs and 2 outputs are not 1 to 2²⁰"
    );
}

/// What is refused touches nothing.
#[test]
fn arguments_that_do_not_fit_are_refused() {
    let layer = EigenLayer { linear: Linear { inputs: 4, outputs: 3, bias: true }, left: true };
    let epilogue = Epilogue::SecondMoments { beta: 0.5, damping: 0.1 };
    for device in those() {
        let exact = [Exact::new::<f32>(layer, &mut Numbers::new(seed()))];
        let mut plan = EigenApply::<f32>::new(device, &[layer], epilogue).unwrap();
        let before = stored::<f32>(device, &exact);
        let mut given = stored::<f32>(device, &exact);
        let spare = Guarded::new(device, &[1.0_f32; 25], 0);
        let mut room = Guarded::new(device, &[1.0_f32; 15], 0);
        let elsewhere = [1.0_f32; 25];
        let matrix = |rows, columns| MatRef::new(spare.view_of(0..rows * columns), rows, columns).unwrap();
        macro_rules! refused {
            ($message:expr, |$arguments:ident| $change:expr) => {{
                let mut $arguments = Arguments::new(&mut given, epilogue);
                $change;
                assert_eq!($arguments.apply(&mut plan).unwrap_err().to_string(), $message, "on {device}");
            }};
        }
        refused!("bases: there are 0 for 1 layer", |all| all.bases.clear());
        refused!("gradients: there are 0 for 1 layer", |all| all.gradients.clear());
        refused!("directions: there are 0 for 1 layer", |all| all.directions.clear());
        refused!("moments: there are 0 for 1 layer", |all| all.moments.clear());
        let basis = "basis is 4×4 and must be";
        refused!(format!("layer 0: its right {basis} 5×5"), |all| all.bases[0].right.vectors = matrix(4, 4));
        refused!(format!("layer 0: its left {basis} 3×3"), |all| {
            all.bases[0].left.as_mut().unwrap().vectors = matrix(4, 4);
        });
        refused!("layer 0: it has no left basis and must have one", |all| all.bases[0].left = None);
        let values = "basis has 2 eigenvalues and must have";
        refused!(format!("layer 0: its right {values} 5"), |all| all.bases[0].right.values = spare.view_of(0..2));
        refused!(format!("layer 0: its left {values} 3"), |all| {
            all.bases[0].left.as_mut().unwrap().values = spare.view_of(0..2);
        });
        refused!("layer 0: its second moment is 3×4 and must be 3×5", |all| {
            all.moments[0] = MatMut::new(room.view_mut(), 3, 4).unwrap();
        });
        refused!("layer 0: its gradient is 3×5 and must be 3×4", |all| all.gradients[0].weight = matrix(3, 5));
        refused!("layer 0: its direction is 3×5 and must be 3×4", |all| {
            all.directions[0].weight = MatMut::new(room.view_mut(), 3, 5).unwrap();
        });
        let bias = "of its bias has none and must have 3 elements";
        refused!(format!("layer 0: the gradient {bias}"), |all| all.gradients[0].bias = None);
        refused!(format!("layer 0: the direction {bias}"), |all| all.directions[0].bias = None);
        if !matches!(device, Device::Cpu(_)) {
            let place = "layer 0: its memory is on cpu and the plan on cuda:0";
            let far = MatRef::new(&elsewhere[..], 5, 5).unwrap();
            refused!(place, |all| all.bases[0].right.vectors = far);
            refused!(place, |all| all.bases[0].right.values = (&elsewhere[..5]).into());
            refused!(place, |all| all.gradients[0].bias = Some((&elsewhere[..3]).into()));
        }
        #[cfg(feature = "cuda")]
        if !matches!(device, Device::Cpu(_)) {
            let mut error = |moments: u64, gradient: u64| {
                // SAFETY: what is refused is not touched, wherever it is said to stand.
                let (moments, gradient) = unsafe {
                    (gradus::ViewMut::from_device_ptr(moments, 15, 0), gradus::View::from_device_ptr(gradient, 12, 0))
                };
                let mut all = Arguments::new(&mut given, epilogue);
                all.moments[0] = MatMut::new(moments, 3, 5).unwrap();
                all.gradients[0].weight = MatRef::new(gradient, 3, 4).unwrap();
                all.apply(&mut plan).unwrap_err().to_string()
            };
            let overlap = error(1 << 40, (1 << 40) + 56);
            assert!(overlap.starts_with("second moments 0 (0x10000000000 to 0x1000000003c) overlaps"), "{overlap}");
            let misaligned = error(1 << 40, (1 << 41) + 2);
            assert!(misaligned.starts_with("argument of layer 0 stands at 0x20000000002"), "{misaligned}");
        }
        for (given, before) in given.iter().zip(&before) {
            assert!(given.direction().at == before.direction().at && given.moments().at == before.moments().at);
        }
        let right = EigenApply::<f32>::new(device, &[EigenLayer { left: false, ..layer }], epilogue);
        assert_eq!(
            Arguments::new(&mut given, epilogue).apply(&mut right.unwrap()).unwrap_err().to_string(),
            "layer 0: it has a left basis and must have none"
        );
        let damped = EigenApply::<f32>::new(device, &[layer], EPILOGUES[0]);
        assert_eq!(
            Arguments::new(&mut given, epilogue).apply(&mut damped.unwrap()).unwrap_err().to_string(),
            "moments: there are 1 and the epilogue takes none"
        );
        Arguments::new(&mut given, epilogue).apply(&mut plan).unwrap();
        EigenApply::<f32>::new(device, &[], epilogue).unwrap().apply(&[], &mut [], &[], &mut []).unwrap();
    }
}
