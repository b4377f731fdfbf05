//! Several tensors in one optimizer: each steps as if it were alone, whatever there is beside it.

use gradus::Device;
use gradus::element::Element;
use rayon::ThreadPoolBuilder;
use steppers::Stepped;

use crate::common::devices::devices;
use crate::common::subjects::{Property, Subject};
use crate::grids::CHUNK;
use crate::lockstep::{Lockstep, groups};

/// Short ones, an empty one, and one of several chunks.
const SIZES: [usize; 9] = [5, 2 * CHUNK + 9, 0, 1, 64, 130, CHUNK, 3, 700];

/// Any number of threads gives the bits of the reference.
pub struct Threads;

impl Property for Threads {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for threads in [1, 2, 3, 8] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut lockstep = Lockstep::<P, G>::with_sizes(subject, &Device::cpu(), &SIZES);
            pool.install(|| {
                lockstep.step();
                lockstep.step();
            });
            lockstep.check(&format!("two steps with {threads} threads"));
        }
    }
}

/// Many tensors of several groups step like one at a time.
pub struct Many;

impl Property for Many {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = Lockstep::<P, G>::new(subject, device, &groups(subject));
            for (position, size) in SIZES.into_iter().chain((0..300).map(|size| size % 37)).enumerate() {
                lockstep.add(size, position % 3);
            }
            for _ in 0..3 {
                lockstep.step();
            }
            lockstep.check("three steps of many tensors");
        }
    }
}

/// The same tensors in another order step to the same bits.
pub struct Order;

impl Property for Order {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut forth = Lockstep::<P, G>::with_sizes(subject, device, &SIZES);
            let mut back = Lockstep::<P, G>::with_sizes(subject, device, &[]);
            for tensor in forth.tensors.iter().rev() {
                back.add_copy(tensor);
            }
            for _ in 0..3 {
                let gradients = forth.gradients();
                forth.step_with(&gradients);
                back.step_with(&gradients.into_iter().rev().collect());
            }
            forth.check("three steps");
            back.check("three steps in reverse order");
            for (forth, back) in forth.tensors.iter().zip(back.tensors.iter().rev()) {
                back.expected.assert_same(&forth.expected, &|| "the reference in reverse order".to_owned());
            }
        }
    }
}

/// An optimizer steps without tensors, and with tensors without elements.
pub struct Empty;

impl Property for Empty {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = Lockstep::<P, G>::with_sizes(subject, device, &[]);
            lockstep.step();
            lockstep.check("a step without tensors");
            lockstep.resume_on(device);
            lockstep.add(0, 0);
            lockstep.step();
            lockstep.check("a step of an empty tensor");
            lockstep.add(0, 0);
            lockstep.add(6, 0);
            lockstep.step_with(&vec![Some(vec![]), None, None]);
            lockstep.check("a step in which no element has a gradient");
            lockstep.step();
            lockstep.resume_on(device);
            lockstep.step();
            lockstep.check("a step of six elements behind two empty tensors");
        }
    }
}

/// A tensor without a gradient keeps its elements, states and counter, and goes on later as if the step had not been.
pub struct Missing;

impl Property for Missing {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for device in devices() {
            let mut lockstep = Lockstep::<P, G>::with_sizes(subject, device, &[70, 33, CHUNK + 5, 12]);
            for (step, missing) in [&[][..], &[1], &[0, 2], &[0, 1, 2, 3], &[3], &[]].into_iter().enumerate() {
                let mut gradients = lockstep.gradients();
                for &position in missing {
                    gradients[position] = None;
                }
                lockstep.step_with(&gradients);
                lockstep.check(&format!("step {step}, in which tensors {missing:?} had no gradient"));
            }
            let counters = [0, 1, 2, 3].map(|position| lockstep.optimizer.tensor_steps(position).unwrap());
            assert_eq!((lockstep.optimizer.steps().unwrap(), counters), (6, [4, 4, 4, 4]));
        }
    }
}
