//! Integer weights: what is added modulo the range, to the bit, on every device; that it is taken away again; votes.

use gradus::es::{Distribution, Lattice, LatticePerturbation, LatticeTerm, Term, Vote};
use gradus::optim::Tensor;
use gradus::{Buffer, Device, View, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::expected::{counts, number, places};
use crate::model::{Place, same, tensors, terms};

/// Those of [`places`] whose numbers are soon looked up one by one, and one of two chunks.
fn few_places() -> Vec<Place> {
    let mut places: Vec<Place> = places().into_iter().filter(|place| place.2 <= 1003).collect();
    places.push((30, 16, 20_000, 8, 24));
    places
}

/// So many terms, some of which are bounded, wrap around, or come to nothing.
pub fn lattice_terms(count: usize) -> Vec<LatticeTerm> {
    let multipliers = [1, -2, 3, i32::MAX, i32::MIN, 0, -1, 100, 7];
    let scales = [20.0, 0.6, -300.0, 2.5, 1e9, 40.0, 1e38, 0.01, -1.5];
    let terms = terms(count).into_iter().enumerate();
    terms
        .map(|(k, term)| LatticeTerm {
            multiplier: multipliers[k % 9],
            term: Term { coefficient: scales[k % 9], ..term },
        })
        .collect()
}

fn weights<I: Lattice>(numbers: &mut Numbers, count: usize) -> Vec<I> {
    (0..count).map(|_| I::store((numbers.unit() * 4_294_967_295.0) as u32 as i32)).collect()
}

/// The sum of the noises of an element.
fn sum<I: Lattice>(distribution: Distribution, terms: &[LatticeTerm], id: u64, element: u64) -> i128 {
    let one = |LatticeTerm { multiplier, term }: &LatticeTerm| {
        let noise = term.coefficient as f32 * number(distribution, term, id, element);
        let most = f64::from(I::MOST);
        i128::from(*multiplier) * f64::from(noise).round_ties_even().clamp(-most, most) as i128
    };
    terms.iter().map(one).sum()
}

struct Weights<I: Lattice> {
    plan: LatticePerturbation<I>,
    from: Vec<Guarded<I>>,
    to: Vec<Guarded<I>>,
}

impl<I: Lattice> Weights<I> {
    fn new(device: &Device, distribution: Distribution, places: &[Place]) -> Self {
        let mut numbers = Numbers::new(seed());
        let plan = LatticePerturbation::new(device, distribution, &tensors(places)).unwrap();
        let from = places.iter().map(|place| Guarded::new(device, &weights(&mut numbers, place.2), place.3)).collect();
        let to = places.iter().map(|place| Guarded::new(device, &vec![I::store(1); place.2], place.4)).collect();
        Self { plan, from, to }
    }

    fn write(&mut self, terms: &[LatticeTerm]) -> Vec<Vec<I>> {
        let from: Vec<View<'_, I>> = self.from.iter().map(Guarded::view).collect();
        let mut to: Vec<ViewMut<'_, I>> = self.to.iter_mut().map(Guarded::view_mut).collect();
        self.plan.write(terms, &from, &mut to).unwrap();
        self.to.iter().map(Guarded::elements).collect()
    }

    fn apply(&mut self, terms: &[LatticeTerm]) -> Vec<Vec<I>> {
        let mut views: Vec<ViewMut<'_, I>> = self.from.iter_mut().map(Guarded::view_mut).collect();
        self.plan.apply(terms, &mut views).unwrap();
        self.from.iter().map(Guarded::elements).collect()
    }

    fn vote(&mut self, terms: &[LatticeTerm], vote: Vote) -> Vec<Vec<I>> {
        let mut views: Vec<ViewMut<'_, I>> = self.from.iter_mut().map(Guarded::view_mut).collect();
        self.plan.vote(terms, vote, &mut views).unwrap();
        self.from.iter().map(Guarded::elements).collect()
    }

    /// What `of` makes of every weight and the sum of its noises.
    fn expected(&self, places: &[Place], terms: &[LatticeTerm], of: impl Fn(i32, i128) -> i128) -> Vec<Vec<I>> {
        let distribution = self.plan.distribution();
        let one = |(&(id, first, ..), from): (&Place, &Guarded<I>)| {
            let elements = from.elements().into_iter().zip(first..);
            elements.map(|(x, e)| I::store(of(x.load(), sum::<I>(distribution, terms, id, e)) as i32)).collect()
        };
        places.iter().zip(&self.from).map(one).collect()
    }
}

fn added<I: Lattice>() {
    let places = few_places();
    for distribution in Distribution::ALL {
        let reference = Weights::<I>::new(&devices()[0], distribution, &places);
        for &count in counts(distribution, &[0, 3, 9]) {
            let terms = lattice_terms(count);
            let expected = reference.expected(&places, &terms, |x, z| i128::from(x) + z);
            for device in devices() {
                let what = format!("{count} terms of {distribution:?} on {device}");
                let mut weights = Weights::<I>::new(device, distribution, &places);
                same(&weights.write(&terms), &expected, &what);
                same(&weights.apply(&terms), &expected, &format!("{what}, in place"));
            }
        }
    }
}

#[test]
fn i8_weights() {
    added::<i8>();
}

#[test]
fn i16_weights() {
    added::<i16>();
}

#[test]
fn i32_weights() {
    added::<i32>();
}

/// Whatever the weights, in any order and number of calls.
#[test]
fn noises_are_taken_away_again() {
    let places = [(3, 5, 3001, 5, 0), (4, 0, 64, 0, 0)];
    for device in devices() {
        for distribution in Distribution::ALL {
            let mut model = Weights::<i8>::new(device, distribution, &places);
            let before: Vec<_> = model.from.iter().map(Guarded::elements).collect();
            let terms = lattice_terms(12);
            assert!(model.apply(&terms) != before);
            let back: Vec<_> = terms.iter().rev().map(|term| term.times(-1)).collect();
            model.apply(&back[..1]);
            model.apply(&back[1..10]);
            same(&model.apply(&back[10..]), &before, &format!("{distribution:?} on {device}"));
        }
    }
}

/// MeZO with a learning rate of 0, a thousand steps in place.
#[test]
fn in_place_never_drifts() {
    fn cycles<I: Lattice>(device: &Device, count: usize, steps: u64) {
        let mut model = Weights::<I>::new(device, Distribution::Normal, &[(0, 0, count, 0, 0)]);
        let before = model.from[0].elements();
        for step in 0..steps {
            for multiplier in [1, -2, 1] {
                let term = Term { coefficient: 3.0, seed: 1, step, pair: 0 };
                model.plan.apply(&[LatticeTerm { multiplier, term }], &mut [model.from[0].view_mut()]).unwrap();
            }
        }
        assert!(model.from[0].elements() == before, "on {device}");
    }
    let [first, .., last] = devices() else { panic!("two devices at least") };
    cycles::<i8>(first, 2000, 1000);
    cycles::<i16>(first, 200, 1000);
    cycles::<i32>(first, 200, 1000);
    cycles::<i8>(last, 300, 100);
}

/// The weight that a signed noise of a coefficient makes of 0.
fn quantised<I: Lattice>(coefficient: f64) -> i32 {
    let device = &devices()[0];
    let mut plan = LatticePerturbation::<I>::new(device, Distribution::Rademacher, &[Tensor::new(1)]).unwrap();
    let mut weight = [I::store(0)];
    let term = Term { coefficient, seed: 1, step: 0, pair: 0 };
    plan.apply(&[LatticeTerm { multiplier: 1, term }], &mut [ViewMut::from(&mut weight[..])]).unwrap();
    weight[0].load().abs()
}

#[test]
fn noises_are_rounded_and_bounded() {
    for (coefficient, expected) in [(0.5, 0), (0.50001, 1), (1.5, 2), (2.5, 2), (-3.5, 4), (126.6, 127), (1e38, 127)] {
        assert_eq!(quantised::<i8>(coefficient), expected, "{coefficient}");
    }
    assert_eq!(quantised::<i16>(1e6), 32767);
    assert_eq!(quantised::<i32>(1e10), i32::MAX);
    assert_eq!(quantised::<i32>(-1e10), i32::MAX);
}

#[test]
fn weights_wrap() {
    let term = Term { coefficient: 1.0, seed: 1, step: 0, pair: 0 };
    for device in devices() {
        let mut plan = LatticePerturbation::<i8>::new(device, Distribution::Rademacher, &[Tensor::new(1)]).unwrap();
        let mut weight = Buffer::from_slice(device, &[0_i8]).unwrap();
        plan.apply(&[LatticeTerm { multiplier: 1, term }], &mut [weight.view_mut()]).unwrap();
        let sign = i32::from(weight.to_vec().unwrap()[0]);
        weight.write(&[127]).unwrap();
        plan.apply(&[LatticeTerm { multiplier: sign, term }], &mut [weight.view_mut()]).unwrap();
        assert_eq!(weight.to_vec().unwrap(), [-128]);
    }
}

/// A step where as many agree as the threshold says, and none out of the range.
fn voted<I: Lattice>() {
    let places = few_places();
    let votes = |count: usize| -> Vec<LatticeTerm> {
        let vote = |(k, term): (usize, Term)| LatticeTerm {
            multiplier: [1, -1, 2][k % 3],
            term: Term { coefficient: 1.25, ..term },
        };
        terms(count).into_iter().enumerate().map(vote).collect()
    };
    for (distribution, count, threshold) in
        [(Distribution::Rademacher, 5, 3), (Distribution::Normal, 9, 7), (Distribution::Uniform, 1, 1)]
    {
        let terms = votes(count);
        let limit = if count == 1 { i128::from(I::MOST) } else { 100 };
        for device in devices() {
            let mut model = Weights::<I>::new(device, distribution, &places);
            // Among the weights are all ends of the range and of the limit.
            for (memory, place) in model.from.iter_mut().zip(&places) {
                let mut weights = memory.elements();
                weights.iter_mut().enumerate().filter(|(k, _)| k % 8 > 0).for_each(|(k, x)| {
                    *x = I::store([0, I::MOST, -I::MOST, -I::MOST - 1, I::MOST - 1, 100, -100, 99][k % 8]);
                });
                *memory = Guarded::new(device, &weights, place.3);
            }
            let expected = model.expected(&places, &terms, |x, z| {
                let x = i128::from(x);
                let moved = if z.abs() >= threshold { x + z.signum() } else { x };
                if moved.abs() > limit && moved.abs() > x.abs() { x } else { moved }
            });
            let found = model.vote(&terms, Vote { threshold: threshold as u32, limit: limit as u32 });
            same(&found, &expected, &format!("{count} votes of {distribution:?} on {device}"));
        }
    }
}

#[test]
fn votes_move_weights_by_one() {
    voted::<i8>();
    voted::<i16>();
    voted::<i32>();
}

#[test]
fn a_shard_draws_what_the_whole_draws_there() {
    for device in devices() {
        let whole =
            Weights::<i8>::new(device, Distribution::Hadamard, &[(3, 0, 20_000, 0, 0)]).apply(&lattice_terms(3));
        for cut in [1, 8, 100, 16_384] {
            let places = [(3, 0, cut, 0, 0), (3, cut as u64, 20_000 - cut, cut % 16, 0)];
            let parts = Weights::<i8>::new(device, Distribution::Hadamard, &places).apply(&lattice_terms(3));
            same(&[parts.concat()], &whole, &format!("cut at {cut} on {device}"));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let mut plan = LatticePerturbation::<i8>::new(device, Distribution::Uniform, &[Tensor::new(4)]).unwrap();
        let mut memory = Buffer::from_slice(device, &[5_i8; 4]).unwrap();
        let mut three = Buffer::from_slice(device, &[5_i8; 3]).unwrap();
        let term = |coefficient| Term { coefficient, seed: 0, step: 0, pair: 0 };
        let one = |multiplier, coefficient| LatticeTerm { multiplier, term: term(coefficient) };
        let says = |error: gradus::Result<()>, message: &str| assert_eq!(error.unwrap_err().to_string(), message);
        says(plan.apply(&[], &mut []), "the number of parameters is 0 but that of tensors is 1");
        says(plan.apply(&[], &mut [three.view_mut()]), "parameter 0 has 3 elements but tensor 0 has 4");
        says(
            plan.write(&[], &[three.view()], &mut [memory.view_mut()]),
            "parameter 0 has 3 elements but tensor 0 has 4",
        );
        let mut apply = |terms: &[LatticeTerm]| plan.apply(terms, &mut [memory.view_mut()]);
        says(apply(&[one(1, f64::NAN)]), "term 0: the coefficient NaN is not finite");
        says(apply(&[one(1, 1.0), one(1, 1e39)]), "term 1: the coefficient 1e39 is not finite in f32");
        let mut within = |terms: &[LatticeTerm], threshold, limit| {
            plan.vote(terms, Vote { threshold, limit }, &mut [memory.view_mut()])
        };
        says(within(&[], 1, 0), "integer votes: limit = 0 is not between 1 and 127");
        says(within(&[], 1, 128), "integer votes: limit = 128 is not between 1 and 127");
        let mut vote = |terms: &[LatticeTerm], threshold| within(terms, threshold, 127);
        says(vote(&[], 0), "integer votes: threshold = 0 is not between 1 and 2147483647");
        says(vote(&[], 1 << 31), "integer votes: threshold = 2147483648 is not between 1 and 2147483647");
        let many = vec![one(1 << 24, 1.0); 20];
        says(vote(&many, 1), "integer votes: their sum may be 2348810240, more than 2147483647");
        assert!(vote(&many[..18], 1).is_ok());
        assert_eq!(three.to_vec().unwrap(), [5; 3]);
    }
}
