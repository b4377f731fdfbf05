//! NaN, infinities, zeros, subnormal and huge values: they stay in their element, and every device treats them alike.

use gradus::element::{Element, Real};
use steppers::Stepped;

use crate::common::data::element;
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::common::subjects::{Property, Subject};
use crate::lockstep::Lockstep;

const SIZE: usize = 199;

/// Positions inside a block of 64, at its edges, and behind the last whole one.
const POSITIONS: [usize; 6] = [0, 17, 63, 64, 192, 198];

/// Beyond f16 and f32 some of them round to infinities and zeros, which the types have too.
const VALUES: [f64; 18] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    5e-324,
    1e-310,
    1e-45,
    -1e-40,
    6e-8,
    -5e-5,
    65504.0,
    1e19,
    -3e38,
    3.4e38,
    1e160,
    -1e300,
    f64::MAX,
];

/// The reference steps each element by itself: where its bits are met, a value has reached no other element.
pub struct Special;

impl Property for Special {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let sizes = [SIZE; VALUES.len()];
            let mut in_parameters = Lockstep::<P, G>::with_sizes(subject, device, &sizes);
            let mut in_gradients = Lockstep::<P, G>::with_sizes(subject, device, &sizes);
            for (k, tensor) in in_parameters.tensors.iter_mut().enumerate() {
                tensor.expected.parameter[POSITIONS[k % POSITIONS.len()]] = element(VALUES[k]);
                tensor.memory = Guarded::new(device, &tensor.expected.parameter, tensor.memory.offset());
            }
            let mut gradients = in_gradients.gradients();
            for (k, gradient) in gradients.iter_mut().flatten().enumerate() {
                gradient[POSITIONS[k % POSITIONS.len()]] = element(VALUES[k]);
            }
            in_gradients.step_with(&gradients);
            in_gradients.check("a step with special values among the gradients");
            for lockstep in [&mut in_parameters, &mut in_gradients] {
                lockstep.step();
                lockstep.step();
                lockstep.check("two steps behind special values");
                for tensor in &lockstep.tensors {
                    let spoilt = tensor.expected.parameter.iter().filter(|x| !finite(**x)).count();
                    assert!(spoilt <= 1, "{}: {spoilt} elements are not finite", subject.name);
                }
            }
        }
    }
}

fn finite<P: Element>(value: P) -> bool {
    value.load().to_f64().is_finite()
}
