//! The same bits on every device, whatever the type, the shapes and the tensors beside.

use gradus::element::Element;
use gradus::lopt::{Form, Network};
use gradus::optim::Array;
use half::{bf16, f16};

use crate::common::devices::{cpus, devices};
use crate::model::{Model, network, settings, tensors};

/// Small ones of every rank, one with more means of rows than a warp has lanes; more than a segment along either axis, with inner axes and without; more than a chunk.
const SHAPES: &[&[usize]] = &[
    &[],
    &[0],
    &[7],
    &[3, 5],
    &[5, 3],
    &[1, 9],
    &[9, 1],
    &[5, 2, 3],
    &[6, 4, 3, 3],
    &[3, 3, 4, 6],
    &[5, 2, 3, 4],
    &[2, 7, 3, 6],
    &[7, 6, 6, 6],
    &[300, 3],
    &[3, 300],
    &[2, 290, 3],
    &[4200],
    &[3, 1400],
];

fn bits<P: Element>(found: &[Vec<P>]) -> Vec<&[u8]> {
    found.iter().map(|tensor| bytemuck::cast_slice(tensor)).collect()
}

/// Steps on every device; the bits of the first are those of the others.
fn same<P: Element>(hidden: usize, form: Form, shapes: &[&[usize]]) {
    let mut expected: Option<Vec<Vec<P>>> = None;
    for device in devices() {
        let mut model = Model::<P>::new(device, hidden, form, shapes);
        (0..2).for_each(|step| model.step(&tensors(shapes, 100 + step)));
        let found = model.elements();
        let expected = expected.get_or_insert_with(|| found.clone());
        for (tensor, (found, expected)) in bits(&found).iter().zip(bits(expected)).enumerate() {
            let what = format!("tensor {:?} as {}, {hidden} neurons, {form:?}", shapes[tensor], P::DTYPE);
            assert!(*found == expected, "{what} on {device}: other bits than on {}", devices()[0]);
        }
    }
}

#[test]
fn f32_has_the_same_bits() {
    same::<f32>(3, Form::SmallFc, SHAPES);
    same::<f32>(4, Form::Star, &SHAPES[..16]);
}

#[test]
fn f64_has_the_same_bits() {
    same::<f64>(3, Form::SmallFc, &SHAPES[..16]);
    same::<f64>(2, Form::Star, &SHAPES[..13]);
}

#[test]
fn halves_have_the_same_bits() {
    same::<bf16>(2, Form::SmallFc, &SHAPES[..16]);
    same::<f16>(2, Form::Star, &SHAPES[..13]);
}

/// Rows whose mean is of more than a block has lanes, and more chunks than a warp has.
#[test]
fn large_tensors_have_the_same_bits() {
    let axes: &[usize] = &[257, 526];
    let [expected, found] = [cpus().last().unwrap(), devices().last().unwrap()].map(|device| {
        let mut model = Model::<f32>::new(device, 1, Form::SmallFc, &[axes]);
        model.step(&tensors(&[axes], 100));
        model.elements()
    });
    assert!(bits(&found) == bits(&expected));
}

/// Up to the most neurons, and at every remainder of the groups in which kernels take them.
#[test]
fn any_number_of_neurons_has_the_same_bits() {
    for hidden in [1, 5, 8, 9, 15, 32, 33, 64] {
        same::<f32>(hidden, Form::SmallFc, &[&[5, 3], &[2]]);
        same::<f64>(hidden, Form::Star, &[&[3, 4]]);
    }
}

/// The exponential of a learned decay is the crate's own: the same on every machine. Behind a step with the gradient 1 a momentum is
/// the share of what is new.
#[test]
fn decays_have_the_same_bits_on_every_machine() {
    let mut model = Model::<f64>::new(&cpus()[0], 1, Form::SmallFc, &[&[]]);
    for k in 0..200_u16 {
        let delta = 0.25 + f32::from(k) / 512.0;
        let mut parameters = network(1, Form::SmallFc).parameters().to_vec();
        let position = parameters.len() - 7;
        parameters[position] = delta;
        let network = Network::new(1, Form::SmallFc, parameters).unwrap();
        model.optimizer.set(settings(Form::SmallFc), &network).unwrap();
        model.optimizer.reset().unwrap();
        model.step(&[vec![1.0]]);
        let beta = 1.0 - (1.0 - 0.9) * gradus::fmath::exp(10.0 * f64::from(delta));
        let state = model.optimizer.state().unwrap();
        assert_eq!(state.get("tensor.0.m0"), Some(&Array::F64(vec![1.0 - beta])), "delta {delta}");
    }
}

/// A tensor's bits do not depend on the others, nor on a network that was there before.
#[test]
fn tensors_do_not_see_each_other() {
    let shapes: &[&[usize]] = &[&[6, 5], &[9], &[4, 3, 2]];
    for device in devices() {
        let mut all = Model::<f32>::new(device, 4, Form::SmallFc, shapes);
        let mut one = Model::<f32>::new(device, 9, Form::SmallFc, &shapes[..1]);
        one.optimizer.set(settings(Form::SmallFc), &network(4, Form::SmallFc)).unwrap();
        for step in 0..2 {
            let gradients = tensors(shapes, step);
            all.step(&gradients);
            one.step(&gradients[..1]);
        }
        assert!(all.elements()[0] == one.elements()[0], "{device}");
    }
}

/// Behind a reset comes the first step.
#[test]
fn a_reset_forgets() {
    let shapes: &[&[usize]] = &[&[6, 5], &[9]];
    for device in devices() {
        let mut once = Model::<f32>::new(device, 3, Form::SmallFc, shapes);
        let mut twice = Model::<f32>::new(device, 3, Form::SmallFc, shapes);
        twice.step(&tensors(shapes, 7));
        twice.optimizer.reset().unwrap();
        assert_eq!(twice.optimizer.steps().unwrap(), 0);
        twice.parameters = crate::model::guarded(device, &tensors(shapes, 1), 0);
        once.step(&tensors(shapes, 8));
        twice.step(&tensors(shapes, 8));
        assert!(once.elements() == twice.elements(), "{device}");
    }
}

/// What is not finite is seen: a NaN reaches all of its tensor, and no other.
#[test]
fn a_nan_stays_in_its_tensor() {
    let shapes: &[&[usize]] = &[&[6, 5], &[9]];
    for device in devices() {
        let mut model = Model::<f32>::new(device, 3, Form::SmallFc, shapes);
        let mut gradients = tensors(shapes, 2);
        gradients[0][7] = f64::NAN;
        model.step(&gradients);
        let [nan, whole] = &model.elements()[..] else { unreachable!() };
        assert!(nan.iter().all(|x| x.is_nan()) && whole.iter().all(|x| x.is_finite()), "{device}");
    }
}
