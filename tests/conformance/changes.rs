//! Changes between steps: tensors that come and go, groups and settings that change.

use gradus::element::Element;
use gradus::optim::Group;
use steppers::Stepped;

use crate::common::devices::devices;
use crate::common::subjects::{Property, Subject};
use crate::lockstep::{Lockstep, groups};

/// Adding and removing tensors leaves the others as they are; a new one begins with no steps and states of zero.
pub struct Tensors;

impl Property for Tensors {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = Lockstep::<P, G>::with_sizes(subject, device, &[40, 7, 65, 130]);
            lockstep.step();
            lockstep.step();
            lockstep.remove(1);
            lockstep.check("a removal");
            lockstep.step();
            lockstep.check("a removal and a step");
            lockstep.add(7, 0);
            lockstep.check("an addition");
            lockstep.step();
            lockstep.remove(0);
            lockstep.remove(2);
            lockstep.add(90, 0);
            lockstep.add(3, 0);
            lockstep.step();
            lockstep.check("removals, additions and a step");
            for _ in 0..lockstep.tensors.len() {
                lockstep.remove(0);
            }
            lockstep.step();
            lockstep.add(50, 0);
            lockstep.step();
            lockstep.check("the removal of all tensors, an addition and a step");
        }
    }
}

/// A tensor that moves steps with the settings of its new group, from its own state and counter.
pub struct Regrouped;

impl Property for Regrouped {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = Lockstep::<P, G>::new(subject, device, &groups(subject));
            for group in [0, 0, 1, 2] {
                lockstep.add(77, group);
            }
            lockstep.step();
            for (position, group) in [(0, 1), (3, 0), (1, 2), (0, 0)] {
                lockstep.regroup(position, group);
                lockstep.step();
                lockstep.check(&format!("a move of tensor {position} to group {group} and a step"));
            }
        }
    }
}

/// New settings hold from the next step on; states and counters stay.
pub struct Settings;

impl Property for Settings {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let [first, second, third] = groups(subject).try_into().unwrap_or_else(|_| unreachable!("three groups"));
            let mut lockstep = Lockstep::<P, G>::new(subject, device, &[first, second]);
            lockstep.add(66, 0);
            lockstep.add(20, 1);
            lockstep.step();
            lockstep.set_group(0, third);
            lockstep.step();
            lockstep.check("other settings and a step");
            lockstep.add_group(first);
            lockstep.add(31, 2);
            lockstep.step();
            lockstep.check("a third group and a step");
            if subject.settings.contains(&"lr") {
                lockstep.set_lr(None, 0.375).unwrap();
                lockstep.step();
                lockstep.check("another rate and a step");
                lockstep.set_lr(Some(1), 0.0625).unwrap();
                lockstep.step();
                lockstep.check("another rate of one group and a step");
            }
        }
    }
}

/// Maximising is minimising along the negated gradients.
pub struct Maximized;

impl Property for Maximized {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let descent = Group::new(subject.default());
            let mut down = Lockstep::<P, G>::new(subject, device, &[descent]);
            let mut up = Lockstep::<P, G>::new(subject, device, &[descent.maximize(true)]);
            down.add(99, 0);
            up.add(99, 0);
            for _ in 0..3 {
                let gradients = down.gradients();
                let negated = |x: &G| G::store(-x.load());
                down.step_with(&gradients);
                up.step_with(&gradients.iter().map(|g| Some(g.as_ref()?.iter().map(negated).collect())).collect());
            }
            up.check("three steps of maximising");
            let (down, up) = (&down.tensors[0], &up.tensors[0]);
            up.expected.assert_same(&down.expected, &|| format!("{} along negated gradients", subject.name));
        }
    }
}
