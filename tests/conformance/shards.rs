//! Shards of a tensor, each with the tensor's id and its first element, step to the bits of the whole.

use std::ops::Range;

use gradus::element::Element;
use gradus::optim::{Group, Tensor};
use gradus::{Device, ErrorKind};
use steppers::Stepped;

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::common::subjects::{Property, Subject, label};
use crate::content::Content;
use crate::grids::CHUNK;

/// A tensor that is split at any element steps like the whole.
pub struct Shards;

impl Property for Shards {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        let numbers = &mut Numbers::new(seed());
        for (size, splits) in [
            (70, (1..70).map(|split| vec![split]).collect()),
            (70, (0..20).map(|_| drawn_splits(70, 5, numbers)).collect()),
            (CHUNK + 100, [1, 64, 101, CHUNK - 1, CHUNK, CHUNK + 1].map(|split| vec![split]).to_vec()),
            (2 * CHUNK + 30, vec![drawn_splits(2 * CHUNK + 30, 3, numbers)]),
        ] {
            let parameter: Vec<P> = numbers.numbers(size);
            let gradients = [numbers.numbers(size), numbers.numbers(size)];
            for device in devices() {
                let whole = stepped::<P, G>(subject, device, &parameter, &gradients, &[]);
                for splits in &splits {
                    let parts = stepped::<P, G>(subject, device, &parameter, &gradients, splits);
                    let label = || format!("{}, {size} elements split at {splits:?}", label::<P, G>(subject, device));
                    joined(parts).assert_same(&whole[0], &label);
                }
            }
        }
    }
}

/// An empty shard begins where another one does: an optimizer that takes both saves both.
pub struct EmptyShards;

impl Property for EmptyShards {
    fn check<P: Stepped<G>, G: Element<Real = P::Real>>(subject: &'static Subject) {
        for lengths in [[0, 70], [70, 0]] {
            let label = || format!("{}, shards of {lengths:?} elements at 0", label::<P, G>(subject, &Device::cpu()));
            let mut optimizer = P::stepper(&Group::new(subject.default()), &Device::cpu()).unwrap();
            optimizer.add(Tensor::new(lengths[0]).id(7)).unwrap();
            match optimizer.add(Tensor::new(lengths[1]).id(7)) {
                Err(refused) => assert!(matches!(refused.kind(), ErrorKind::Listed { .. }), "{}: {refused}", label()),
                Ok(_) => {
                    let state = optimizer.state().unwrap();
                    assert_eq!(optimizer.load_state(&state), Ok(()), "{}", label());
                }
            }
        }
    }
}

fn drawn_splits(size: usize, count: usize, numbers: &mut Numbers) -> Vec<usize> {
    let mut splits: Vec<_> = (0..count).map(|_| 1 + numbers.below(size - 1)).collect();
    splits.sort_unstable();
    splits.dedup();
    splits
}

/// The shards of a tensor after a step for each gradient, in the order of their elements; the optimizer takes them in
/// reverse.
fn stepped<P: Stepped<G>, G: Element<Real = P::Real>>(
    subject: &'static Subject,
    device: &Device,
    parameter: &[P],
    gradients: &[Vec<G>],
    splits: &[usize],
) -> Vec<Content<P>> {
    let bounds: Vec<usize> = [&[0], splits, &[parameter.len()]].concat();
    let ranges: Vec<Range<usize>> = bounds.windows(2).rev().map(|ends| ends[0]..ends[1]).collect();
    let mut optimizer = P::stepper(&Group::new(subject.default()), device).unwrap();
    for range in &ranges {
        optimizer.add(Tensor::new(range.len()).id(7).first(range.start as u64)).unwrap();
    }
    let placed = |range: &Range<usize>| Guarded::new(device, &parameter[range.clone()], range.start % 16);
    let mut memory: Vec<_> = ranges.iter().map(placed).collect();
    for gradient in gradients {
        let gradient = Guarded::new(device, gradient, 3);
        let mut parameters: Vec<_> = memory.iter_mut().map(Guarded::view_mut).collect();
        let views: Vec<_> = ranges.iter().map(|range| Some(gradient.view_of(range.clone()))).collect();
        optimizer.step(&mut parameters, &views).unwrap();
    }
    let state = optimizer.state().unwrap();
    let contents = optimizer.tensors().iter().zip(memory);
    contents.map(|(shard, memory)| Content::of(subject, &state, shard, memory.elements())).rev().collect()
}

/// The whole tensor of its shards.
fn joined<P: Element>(shards: Vec<Content<P>>) -> Content<P> {
    let join = |mut whole: Content<P>, shard: Content<P>| {
        assert_eq!((&whole.carry, whole.steps), (&shard.carry, shard.steps));
        whole.parameter.extend(shard.parameter);
        for (whole, shard) in whole.states.iter_mut().zip(shard.states) {
            whole.extend(shard);
        }
        whole
    };
    shards.into_iter().reduce(join).expect("a tensor has at least one shard")
}
