//! Saving and loading: a run that is resumed is the run that was never stopped.

use gradus::element::Element;
use steppers::Stepped;

use crate::common::devices::devices;
use crate::common::subjects::{Property, Subject};
use crate::grids::CHUNK;
use crate::lockstep::{Lockstep, groups};

fn under_way<P: Stepped<G>, G: Element<Real = P::Real>>(
    subject: &'static Subject,
    device: &gradus::Device,
) -> Lockstep<P, G> {
    let mut lockstep = Lockstep::new(subject, device, &groups(subject));
    for (position, size) in [9, CHUNK + 3, 0, 65, 1].into_iter().enumerate() {
        lockstep.add(size, position % 3);
    }
    lockstep.step();
    let mut gradients = lockstep.gradients();
    gradients[3] = None;
    lockstep.step_with(&gradients);
    lockstep.add(20, 1); // a tensor that is saved before its first step
    lockstep
}

/// Save, load into a new optimizer, go on.
pub struct Resumed;

impl Property for Resumed {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = under_way::<P, G>(subject, device);
            lockstep.resume_on(device);
            lockstep.check("a resumption");
            lockstep.step();
            lockstep.step();
            lockstep.check("a resumption and two steps");
            lockstep.regroup(1, 2);
            lockstep.resume_on(device);
            lockstep.step();
            lockstep.check("a second resumption and a step");
        }
    }
}

/// What was saved on one device goes on on the next.
pub struct Moved;

impl Property for Moved {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let devices = devices();
        let mut lockstep = under_way::<P, G>(subject, &devices[0]);
        for device in devices.iter().rev() {
            lockstep.resume_on(device);
            lockstep.step();
            lockstep.check("a move from another device and a step");
        }
    }
}
