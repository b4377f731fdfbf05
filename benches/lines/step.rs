use gradus::element::Element;
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::{Pair, Rule};
use gradus::{Buffer, Device};

use super::{Shape, values};

/// Steps by the rule's defaults. On CUDA each run waits for the device.
pub fn step<R: Rule, P: Pair<G>, G: Element<Real = P::Real>>(
    device: &Device,
    shape: Shape,
) -> impl FnMut() + use<R, P, G> {
    // The model first, as programs have it.
    let tensors = 0..shape.tensors;
    let parameter = |_| Buffer::from_slice(device, &values::<P>(shape.length)).expect("memory for the parameters");
    let mut parameters: Vec<_> = tensors.clone().map(parameter).collect();
    let gradient = |_| Buffer::from_slice(device, &values::<G>(shape.length)).expect("memory for the gradients");
    let gradients: Vec<_> = tensors.clone().map(gradient).collect();
    let mut optimizer = Optimizer::<R, P, G>::new(device, R::default()).expect("the defaults are valid");
    for _ in tensors {
        optimizer.add(Tensor::new(shape.length)).expect("memory for the states");
    }

    let waits = !matches!(device, Device::Cpu(_));
    let mut step = move || {
        let mut parameters: Vec<_> = parameters.iter_mut().map(Buffer::view_mut).collect();
        let gradients: Vec<_> = gradients.iter().map(|gradient| Some(gradient.view())).collect();
        optimizer.step(&mut parameters, &gradients).expect("arguments that fit");
        if waits {
            optimizer.steps().expect("a device that answers");
        }
    };
    step();
    step
}
