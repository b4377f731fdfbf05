//! Steps by a gradient that is drawn where it is used.

use gradus::Device;
use gradus::element::{Dtype, Element};
use gradus::es::{Distribution, Estimate, Estimator, Term};
use gradus::optim::Tensor;
use rayon::ThreadPoolBuilder;
use steppers::Stepped;

use crate::common::devices::{cpus, devices};
use crate::common::subjects::{Property, Subject};
use crate::grids::CHUNK;
use crate::lockstep::{Lockstep, groups};

/// Tensors of several chunks and of few elements: how many, the place of the first among a tensor's, and the group. Parts of the
/// gradient are drawn from a counter on, which begins every fourth element of the tensor, or of signs every 128th; offsets in memory
/// are all kinds.
const TENSORS: [(usize, u64, usize); 9] = [
    (CHUNK + 9, 8, 0),
    (5000, 127, 1),
    (4097, 1, 2),
    (2050, (1 << 40) - 2050, 0),
    (0, 0, 0),
    (1, 3, 1),
    (3, 2, 0),
    (64, 2, 2),
    (700, 5, 1),
];

/// Terms none of which is like another.
fn terms(count: usize, from: u64) -> Vec<Term> {
    let term = |i: u64| Term {
        coefficient: if i.is_multiple_of(2) { 0.3 } else { -0.7 } / (i + 1) as f64,
        seed: 0x0123_4567_89ab_cdef ^ (i << 60),
        step: from + 1000 * i,
        pair: 5 + 7 * i,
    };
    (0..count as u64).map(term).collect()
}

/// A step gives the bits of the reference with what an estimator writes, whatever the distribution and the number of terms.
pub struct Drawn;

impl Property for Drawn {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        // The gradient's type does not matter.
        if P::DTYPE != G::DTYPE {
            return;
        }
        let steps: Vec<(Distribution, Vec<Term>)> = vec![
            (Distribution::Normal, terms(2, 7)),
            (Distribution::Rademacher, terms(9, 20)),
            (Distribution::Uniform, terms(1, 1 << 33)),
            (Distribution::Hadamard, terms(3, 30)),
        ];
        // The instruction sets of the CPU part where parts are drawn, which is the same for every type of parameter.
        let skipped = if P::DTYPE == Dtype::F32 { 0 } else { cpus().len() - 1 };
        for device in &devices()[skipped..] {
            let mut lockstep = Lockstep::<P, G>::new(subject, device, &groups(subject));
            for (size, first, group) in TENSORS {
                lockstep.add_shard(size, first, group);
            }
            for (step, (distribution, terms)) in steps.iter().enumerate() {
                let estimate = Estimate { distribution: *distribution, terms };
                lockstep.step_estimate(estimate);
                lockstep.check(&format!("{} steps, of which the last drew {estimate:?}", step + 1));
                // Tables for arrays and tables for what is drawn come one after another.
                if step == 1 {
                    lockstep.step();
                    lockstep.check("a step with arrays between two that draw");
                }
            }
        }
    }
}

/// Any number of threads gives the bits of the reference.
pub struct DrawnByThreads;

impl Property for DrawnByThreads {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        if (P::DTYPE, G::DTYPE) != (Dtype::F32, Dtype::F32) {
            return;
        }
        for (threads, count) in [(1, 2), (3, 2), (3, 0)] {
            let terms = terms(count, 7);
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut lockstep = Lockstep::<P, G>::new(subject, &Device::cpu(), &groups(subject));
            lockstep.add_shard(5 * CHUNK + 77, 61, 0);
            pool.install(|| lockstep.step_estimate(Estimate { distribution: Distribution::Normal, terms: &terms }));
            lockstep.check(&format!("a step by {count} terms with {threads} threads"));
        }
    }
}

/// What an estimator writes for a tensor, on the CPU.
pub fn written<P: Element>(tensor: Tensor, estimate: Estimate<'_>) -> Vec<P::Real> {
    let mut estimator = Estimator::<P::Real>::new(&cpus()[0], estimate.distribution, &[tensor]).unwrap();
    let mut gradient = vec![bytemuck::Zeroable::zeroed(); estimator.tensors()[0].length as usize];
    estimator.write(estimate.terms, &mut [(&mut gradient).into()]).unwrap();
    gradient
}
