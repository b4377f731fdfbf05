//! Steps beside those of the published formulas.

use gradus::element::{Element, Real};
use gradus::lopt::Form;

use crate::common::devices::cpus;
use crate::model::{Model, network, settings, tensors};
use crate::reference::Reference;

/// Every rank to 5, square or not, with axes of 1, the largest axis at any place; a scalar; nothing.
const SHAPES: &[&[usize]] = &[
    &[],
    &[7],
    &[1],
    &[0, 3],
    &[3, 5],
    &[5, 3],
    &[4, 4],
    &[1, 9],
    &[9, 1],
    &[1, 1],
    &[2, 5, 3],
    &[5, 2, 3],
    &[3, 2, 5],
    &[4, 4, 4],
    &[6, 4, 3, 3],
    &[3, 3, 4, 6],
    &[5, 2, 3, 4],
    &[2, 7, 3, 6],
    &[1, 1, 3, 1],
    &[2, 3, 2, 4, 2],
    &[7, 6, 6, 6],
    // More than a segment along each axis, and than a chunk.
    &[300, 17],
    &[17, 300],
    &[5000],
];

/// The greatest difference after some steps, relative to what has been moved in the tensor.
fn error<P: Element>(hidden: usize, form: Form, shapes: &[&[usize]], steps: u64) -> f64 {
    let device = cpus().last().unwrap();
    let mut model = Model::<P>::new(device, hidden, form, shapes);
    let mut reference = Reference::new(settings(form), &network(hidden, form), shapes);
    let begin = tensors(shapes, 1);
    let mut expected = begin.clone();
    let mut worst = 0.0_f64;
    for step in 0..steps {
        let gradients = tensors(shapes, 100 + step);
        model.step(&gradients);
        reference.step(&mut expected, &gradients);
    }
    for ((found, expected), begin) in model.elements().iter().zip(&expected).zip(&begin) {
        let moved = expected.iter().zip(begin).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        for (found, expected) in found.iter().zip(expected) {
            worst = worst.max((found.load().to_f64() - expected).abs() / moved);
        }
    }
    assert_eq!(model.optimizer.steps().unwrap(), steps);
    worst
}

#[test]
fn f64_steps_are_those_of_the_formulas() {
    // Those that are not small come once.
    for (hidden, form, shapes) in
        [(4, Form::SmallFc, SHAPES), (5, Form::Star, &SHAPES[..21]), (32, Form::SmallFc, &SHAPES[..21])]
    {
        let worst = error::<f64>(hidden, form, shapes, 3);
        assert!(worst < 1e-12, "{hidden} neurons, {form:?}: {worst:e}");
    }
}

/// f32 has 24 bits, and the networks add up a hundred products of about 1: 1e-4 of the distance is asked for.
#[test]
fn f32_steps_are_near_those_of_the_formulas() {
    for (hidden, form) in [(4, Form::SmallFc), (5, Form::Star), (64, Form::SmallFc)] {
        let worst = error::<f32>(hidden, form, &SHAPES[..21], 3);
        assert!(worst < 1e-4, "{hidden} neurons, {form:?}: {worst:e}");
    }
}
