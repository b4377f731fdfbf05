//! Sizes and offsets: one tensor at a time, around every edge of a run, a block and a chunk, at every alignment.

use std::ops::Range;

use gradus::Device;
use gradus::element::Element;
use gradus::optim::{Group, Tensor};
use gradus::rules::{AnyRule, Extra};
use steppers::Stepped;

use crate::common::data::{Numbers, full, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::common::subjects::{Property, Subject, every_setting, label};
use crate::content::{Content, same};
use crate::covering::pairwise;

/// Elements of a chunk: the unit of work of a CUDA block and of a CPU task.
pub const CHUNK: usize = 16384;

/// Around the runs of 2, 4 and 8 elements that a thread takes, the blocks of 64, and the chunks.
const SIZES: [usize; 16] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 63];

/// Offsets of 0 to 16 elements: every alignment of the widest access, and one more.
const OFFSETS: usize = 17;

/// Parameters, and two gradients that the steps take in turn.
struct Data<P, G> {
    parameter: Vec<P>,
    gradients: [Vec<G>; 2],
    steps: usize,
}

impl<P: Element, G: Element<Real = P::Real>> Data<P, G> {
    fn new(size: usize, steps: usize, numbers: &mut Numbers) -> Self {
        let parameter = numbers.numbers(size);
        Self { parameter, gradients: [numbers.numbers(size), numbers.numbers(size)], steps }
    }

    /// What becomes of the first `count` tensors of an optimizer: the same of each, unless the rule draws noise.
    fn expected(&self, subject: &'static Subject, rule: AnyRule, count: usize) -> Vec<Content<P>> {
        let stepped = |id: usize| {
            let mut content = Content::new(subject, self.parameter.clone()).at(id as u64, 0);
            for step in 0..self.steps {
                content.step(&Group::new(rule), 1 + step as u64, &self.gradients[step % 2], None);
            }
            content
        };
        match subject.extra {
            Extra::Noise => (0..count).map(stepped).collect(),
            Extra::None | Extra::Second => vec![stepped(0); count],
        }
    }

    /// Steps a tensor for each two offsets, and compares each with what is expected. One optimizer takes all offsets of
    /// the gradient.
    fn check(
        &self,
        subject: &'static Subject,
        rule: AnyRule,
        device: &Device,
        offsets: [Range<usize>; 2],
        expected: &[Content<P>],
    ) where
        P: Stepped<G>,
    {
        let [of_parameter, of_gradient] = offsets;
        let place = |p: usize, g: usize| {
            let (label, size, seed) = (label::<P, G>(subject, device), self.parameter.len(), seed());
            format!("{label}, {size} elements, parameter at offset {p}, gradient at {g}, {rule:?}, seed {seed}")
        };
        let placed = |g: usize| self.gradients.each_ref().map(|gradient| Guarded::new(device, gradient, g));
        let gradients: Vec<_> = of_gradient.clone().map(placed).collect();
        for p in of_parameter {
            let mut optimizer = P::stepper(&Group::new(rule), device).unwrap();
            let mut parameters = Vec::new();
            for _ in of_gradient.clone() {
                optimizer.add(Tensor::new(self.parameter.len())).unwrap();
                parameters.push(Guarded::new(device, &self.parameter, p));
            }
            for step in 0..self.steps {
                let mut written: Vec<_> = parameters.iter_mut().map(Guarded::view_mut).collect();
                let read: Vec<_> = gradients.iter().map(|turns| Some(turns[step % 2].view())).collect();
                optimizer.step(&mut written, &read).unwrap();
            }
            let state = optimizer.state().unwrap();
            let tensors = optimizer.tensors().iter().zip(expected);
            for ((g, parameter), (tensor, expected)) in of_gradient.clone().zip(&parameters).zip(tensors) {
                let actual = Content::of(subject, &state, tensor, parameter.elements());
                actual.assert_same(expected, &|| place(p, g));
            }
        }
        for (g, turns) in of_gradient.zip(&gradients) {
            for (turn, gradient) in turns.iter().zip(&self.gradients) {
                same("gradient", &turn.elements(), gradient, &|| place(0, g));
            }
        }
    }
}

/// Every two of a setting, a size, an offset of the parameter, one of the gradient and a device occur together: all sizes and
/// offsets for AdamW and Lion, some for the others, whose loops are the same, and all for all rules where everything is asked
/// for.
pub struct Pairwise;

/// Of [`SIZES`], those that meet every kind of end.
const SOME_SIZES: [usize; 6] = [1, 5, 9, 64, 65, CHUNK + 1];

/// Of the offsets, those in and out of phase in every type.
const SOME_OFFSETS: [usize; 5] = [0, 1, 4, 6, 15];

impl Property for Pairwise {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let (settings, devices) = (every_setting(subject), devices());
        let numbers = &mut Numbers::new(seed());
        let (sizes, offsets) = if full() || matches!(subject.name, "adamw" | "lion") {
            (SIZES.to_vec(), (0..OFFSETS).collect())
        } else {
            (SOME_SIZES.to_vec(), SOME_OFFSETS.to_vec())
        };
        let levels = [settings.len(), sizes.len(), offsets.len(), offsets.len(), devices.len()];
        for [setting, size, p, g, device] in pairwise(levels, numbers) {
            let (p, g) = (offsets[p], offsets[g]);
            let data = Data::<P, G>::new(sizes[size], 3, numbers);
            let expected = data.expected(subject, settings[setting], 1);
            data.check(subject, settings[setting], &devices[device], [p..p + 1, g..g + 1], &expected);
        }
    }
}

/// Every offset of the parameter with every offset of the gradient on every device, with the defaults: at every size up to
/// two chunks for AdamW and Lion, at two sizes for the others, whose loops are the same, and at all sizes for all rules
/// where everything is asked for. Two steps, each with a gradient of its own: the second begins with what the first has written.
pub struct InFull;

impl Property for InFull {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let sizes = match subject.name {
            _ if full() => SIZES.to_vec(),
            "adamw" | "lion" => SIZES.into_iter().filter(|&size| size <= CHUNK + 1).collect(),
            _ => vec![9, 65],
        };
        let numbers = &mut Numbers::new(seed());
        for size in sizes {
            let data = Data::<P, G>::new(size, 2, numbers);
            let expected = data.expected(subject, subject.default(), OFFSETS);
            for device in devices() {
                data.check(subject, subject.default(), device, [0..OFFSETS, 0..OFFSETS], &expected);
            }
        }
    }
}
