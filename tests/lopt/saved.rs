//! What is kept from step to step, saved and loaded.

use gradus::element::Element;
use gradus::lopt::Form;
use gradus::optim::State;
use half::bf16;

use crate::common::devices::devices;
use crate::model::{Model, guarded, tensors};

const SHAPES: &[&[usize]] = &[&[], &[7], &[0], &[5, 3], &[3, 5], &[2, 4, 3], &[300, 2]];

/// A run that is saved on one device and goes on on another is the run that was never stopped.
fn resumed<P: Element>() {
    let gradients: Vec<_> = (0..3).map(|step| tensors(SHAPES, 100 + step)).collect();
    for (position, device) in devices().iter().enumerate() {
        let mut whole = Model::<P>::new(device, 3, Form::SmallFc, SHAPES);
        whole.step(&gradients[0]);
        let bytes = whole.optimizer.state().unwrap().to_bytes();
        let parameters: Vec<Vec<f64>> = whole
            .elements()
            .iter()
            .map(|tensor| tensor.iter().map(|x| gradus::element::Real::to_f64(x.load())).collect())
            .collect();
        gradients[1..].iter().for_each(|gradients| whole.step(gradients));

        let other = &devices()[(position + 1) % devices().len()];
        let mut resumed = Model::<P>::new(other, 3, Form::SmallFc, SHAPES);
        resumed.parameters = guarded(other, &parameters, 0);
        resumed.optimizer.load_state(&State::from_bytes(&bytes).unwrap()).unwrap();
        gradients[1..].iter().for_each(|gradients| resumed.step(gradients));
        assert!(resumed.elements() == whole.elements(), "{} saved on {device}, resumed on {other}", P::DTYPE);
        assert_eq!(resumed.optimizer.state().unwrap(), whole.optimizer.state().unwrap());
        assert_eq!(resumed.optimizer.steps().unwrap(), 3);
    }
}

#[test]
fn a_resumed_run_is_the_run() {
    resumed::<f32>();
    resumed::<f64>();
    resumed::<bf16>();
}

#[test]
fn states_that_do_not_fit_are_refused() {
    for device in devices() {
        let model = |shapes: &[&[usize]]| Model::<f32>::new(device, 2, Form::SmallFc, shapes);
        let says = |from: &[&[usize]], to: &[&[usize]], message: &str| {
            let mut to = model(to);
            let before = to.optimizer.state().unwrap();
            let error = to.optimizer.load_state(&model(from).optimizer.state().unwrap()).unwrap_err();
            assert_eq!(error.to_string(), format!("saved state: {message}"));
            assert_eq!(to.optimizer.state().unwrap(), before);
        };
        says(&[&[3]], &[&[4]], "'tensor.0.m0' is f32 of 3 elements, not f32 of 4");
        says(&[&[4]], &[&[2, 2]], "there is no array 'tensor.0.row0'");
    }
}
