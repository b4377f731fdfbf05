//! What is refused, with nothing written.

use gradus::lopt::{Form, Settings, SmallFcLopt, Star};
use gradus::{Buffer, Error};

use crate::common::devices::devices;
use crate::model::network;

#[track_caller]
fn says<T>(result: Result<T, Error>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), message);
}

#[test]
fn settings_out_of_range_are_refused() {
    let new = |settings: Settings, form| SmallFcLopt::<f32>::new(&devices()[0], settings, &network(2, form), &[&[2]]);
    let good = Settings::default();
    says(new(Settings { lr: f64::NAN, ..good }, Form::SmallFc), "SmallFcLopt: lr = NaN is outside [0, ∞)");
    says(new(Settings { lr: -1.0, ..good }, Form::SmallFc), "SmallFcLopt: lr = -1 is outside [0, ∞)");
    says(
        new(Settings { step_mult: f64::INFINITY, ..good }, Form::SmallFc),
        "SmallFcLopt: step_mult = inf is outside (-∞, ∞)",
    );
    says(new(Settings { rms_decay: 1.0, ..good }, Form::SmallFc), "SmallFcLopt: rms_decay = 1 is outside [0, 1)");
    says(
        new(Settings { adafactor_decays: [0.9, -0.1, 0.9], ..good }, Form::SmallFc),
        "SmallFcLopt: adafactor_decays = -0.1 is outside [0, 1)",
    );
    let star = Settings { star: Some(Star { nominal_lr: -1.0, ..Star::default() }), ..good };
    says(new(star, Form::Star), "SmallFcLopt: nominal_lr = -1 is outside [0, ∞)");
    says(new(good, Form::Star), "SmallFcLopt: the network is Star but the settings are those of SmallFc");
    says(
        new(Settings { star: Some(Star::default()), ..good }, Form::SmallFc),
        "SmallFcLopt: the network is SmallFc but the settings are those of Star",
    );
    assert!(new(Settings { step_mult: -1.0, ..good }, Form::SmallFc).is_ok());
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for device in devices() {
        let mut optimizer =
            SmallFcLopt::<f32>::new(device, Settings::default(), &network(2, Form::SmallFc), &[&[2, 2], &[3]]).unwrap();
        let buffer = |length: usize| Buffer::from_slice(device, &vec![0.5_f32; length]).unwrap();
        let ([mut four, mut three, mut five], [g, h]) = ([buffer(4), buffer(3), buffer(5)], [buffer(4), buffer(3)]);
        let gradients = [g.view(), h.view()];
        says(
            optimizer.step(&mut [four.view_mut()], &gradients),
            "the number of parameters is 1 but that of tensors is 2",
        );
        says(
            optimizer.step(&mut [four.view_mut(), three.view_mut()], &gradients[..1]),
            "the number of gradients is 1 but that of tensors is 2",
        );
        says(
            optimizer.step(&mut [four.view_mut(), five.view_mut()], &gradients),
            "parameter 1 has 5 elements but tensor 1 has 3",
        );
        says(
            optimizer.step(&mut [four.view_mut(), three.view_mut()], &[h.view(), h.view()]),
            "gradient 0 has 3 elements but tensor 0 has 4",
        );
        says(
            optimizer.set(Settings { lr: -1.0, ..Settings::default() }, &network(2, Form::SmallFc)),
            "SmallFcLopt: lr = -1 is outside [0, ∞)",
        );
        assert_eq!(optimizer.steps().unwrap(), 0);
        assert_eq!(optimizer.settings().lr, 1.0);
        assert!(four.to_vec().unwrap() == [0.5; 4] && three.to_vec().unwrap() == [0.5; 3], "{device}");
    }
}

#[test]
fn memory_that_is_shared_is_refused() {
    let device = &devices()[0];
    let mut optimizer =
        SmallFcLopt::<f32>::new(device, Settings::default(), &network(2, Form::SmallFc), &[&[4]]).unwrap();
    let mut memory = [0.5_f32; 8];
    // SAFETY: the call must refuse the overlap before it reads or writes.
    let (parameter, gradient) = unsafe {
        let first = memory.as_mut_ptr();
        (std::slice::from_raw_parts_mut(first, 4), std::slice::from_raw_parts(first.add(2), 4))
    };
    let error = optimizer.step(&mut [parameter.into()], &[gradient.into()]).unwrap_err().to_string();
    assert!(error.starts_with("parameter 0 (") && error.contains(") overlaps gradient 0 ("), "{error}");
    assert_eq!((optimizer.steps().unwrap(), memory), (0, [0.5; 8]));
}

#[test]
fn other_devices_memory_is_refused() {
    let [first, .., last] = devices() else { return };
    if first.shares_memory_with(last) {
        return;
    }
    let mut optimizer =
        SmallFcLopt::<f32>::new(last, Settings::default(), &network(2, Form::SmallFc), &[&[4]]).unwrap();
    let (mut memory, gradient) = (Buffer::<f32>::zeros(first, 4).unwrap(), Buffer::<f32>::zeros(last, 4).unwrap());
    says(
        optimizer.step(&mut [memory.view_mut()], &[gradient.view()]),
        "parameter 0 is on cpu but the optimizer is on cuda:0",
    );
}
