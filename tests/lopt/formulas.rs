//! Steps beside those of the published formulas.

use gradus::element::{Element, Real};
use gradus::lopt::{Form, Network};

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

/// The greatest difference after a step with each of these gradients, relative to what has been moved in the tensor.
fn error<P: Element>(network: &Network, shapes: &[&[usize]], gradients: &[Vec<Vec<f64>>]) -> f64 {
    let device = cpus().last().unwrap();
    let (hidden, form) = (network.hidden(), network.form());
    let mut model = Model::<P>::new(device, hidden, form, shapes);
    model.optimizer.set(settings(form), network).unwrap();
    let mut reference = Reference::new(settings(form), network, shapes);
    let begin = tensors(shapes, 1);
    let mut expected = begin.clone();
    let mut worst = 0.0_f64;
    for gradients in gradients {
        model.step(gradients);
        reference.step(&mut expected, gradients);
    }
    for ((found, expected), begin) in model.elements().iter().zip(&expected).zip(&begin) {
        let moved = expected.iter().zip(begin).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        for (found, expected) in found.iter().zip(expected) {
            let found = found.load().to_f64();
            assert!(found.is_finite(), "{found}, not {expected}");
            worst = worst.max((found - expected).abs() / moved);
        }
    }
    assert_eq!(model.optimizer.steps().unwrap(), gradients.len() as u64);
    worst
}

/// Those of three steps.
fn gradients(shapes: &[&[usize]]) -> [Vec<Vec<f64>>; 3] {
    [100, 101, 102].map(|seed| tensors(shapes, seed))
}

#[test]
fn f64_steps_are_those_of_the_formulas() {
    // Those that are not small come once.
    for (hidden, form, shapes) in
        [(4, Form::SmallFc, SHAPES), (5, Form::Star, &SHAPES[..21]), (32, Form::SmallFc, &SHAPES[..21])]
    {
        let worst = error::<f64>(&network(hidden, form), shapes, &gradients(shapes));
        assert!(worst < 1e-12, "{hidden} neurons, {form:?}: {worst:e}");
    }
}

/// Decays that their deltas move below 0, where those of squares are clipped, and a row of zeros in the second step, whose share of
/// the factored squares is below its floor.
#[test]
fn clipped_decays_are_those_of_the_formulas() {
    let shapes: &[&[usize]] = &[&[4, 6], &[7], &[3, 5, 2]];
    let mut gradients = gradients(shapes);
    gradients[1][0][6..12].fill(0.0);
    for form in [Form::SmallFc, Form::Star] {
        let network = network(4, form);
        // From the end: three of the factored squares, that of the squares, three of the momenta.
        for (from_end, delta) in [(3, 0.3), (4, 0.75), (7, 0.3)] {
            let mut parameters = network.parameters().to_vec();
            let position = parameters.len() - from_end;
            parameters[position] = delta;
            let network = Network::new(4, form, parameters).unwrap();
            let worst = error::<f64>(&network, shapes, &gradients);
            assert!(worst < 1e-12, "{form:?}, decay {from_end} from the end: {worst:e}");
        }
    }
}

/// f32 has 24 bits, and the networks add up a hundred products of about 1: 1e-4 of the distance is asked for.
#[test]
fn f32_steps_are_near_those_of_the_formulas() {
    for (hidden, form) in [(4, Form::SmallFc), (5, Form::Star), (64, Form::SmallFc)] {
        let worst = error::<f32>(&network(hidden, form), &SHAPES[..21], &gradients(&SHAPES[..21]));
        assert!(worst < 1e-4, "{hidden} neurons, {form:?}: {worst:e}");
    }
}
