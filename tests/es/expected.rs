//! Tensors of many lengths and places, and what perturbing them must give, computed one element at a time.

use gradus::element::{Element, Real};
use gradus::es::{Distribution, Rounding, Target, Term};
use gradus::rng::{Address, Purpose, key, philox4x32};
use half::bf16;

use crate::common::memory::Guarded;
use crate::model::{Model, Place};

const CHUNK: usize = 16384;

/// Every way in which memory and noise can lie to each other, and every length that ends somewhere else.
pub fn places() -> Vec<Place> {
    let mut places = vec![
        (0, 0, 3 * CHUNK + 77, 0, 0),
        (1, 0, 8192, 8, 8),
        (2, 8, 4096, 0, 0),
        (3, 136, 9001, 8, 8),
        (4, 5, 4999, 5, 5),
        (5, 124, 2 * CHUNK, 12, 4),
        (6, 3, 1003, 0, 0),
        (7, 0, 1003, 1, 0),
        (u64::from(u32::MAX), (1 << 34) + 4, 515, 4, 4),
        (9, (1 << 40) - 300, 300, 4, 4),
        (10, (1 << 34) - 2048, 4096, 0, 0),
    ];
    places.extend([0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 31, 33, 64, 127, 128, 130].map(|n| (100 + n as u64, 0, n, 0, 0)));
    places
}

/// Of the numbers of terms, those that a distribution is tested with: rows go through the code of signs, and take one number of terms
/// that travel with a launch and one that do not.
pub fn counts(distribution: Distribution, all: &[usize]) -> &[usize] {
    if distribution == Distribution::Hadamard { &[2, 9] } else { all }
}

/// What a call must write for the tensors of a model at these places.
pub fn expected<P: Element<Real = Q::Real>, Q: Target<P>>(
    model: &Model<P, Q>,
    places: &[Place],
    terms: &[Term],
    rounding: Rounding,
) -> Vec<Vec<Q>> {
    let distribution = model.plan.distribution();
    let tensors = places.iter().zip(&model.from);
    let one = |(&(id, first, ..), from): (&Place, &Guarded<P>)| {
        let elements = from.elements().into_iter().zip(first..);
        elements.map(|(x, element)| rounded(sum(x, id, element, distribution, terms), id, element, rounding)).collect()
    };
    tensors.map(one).collect()
}

fn sum<P: Element>(x: P, id: u64, element: u64, distribution: Distribution, terms: &[Term]) -> P::Real {
    terms.iter().fold(x.load(), |x, term| {
        let number = number(distribution, term, id, element);
        P::Real::from_f64(term.coefficient).fma(P::Real::from_f64(f64::from(number)), x)
    })
}

/// The noise of a term in an element. Rows are made by their definition of the noise of the first pair of their group.
pub fn number(distribution: Distribution, term: &Term, id: u64, element: u64) -> f32 {
    let of = |distribution: Distribution, pair: u64| {
        let address = Address::new(Purpose::PERTURBATION, term.step, id, pair).unwrap();
        distribution.number(term.seed, &address, element).unwrap()
    };
    if distribution != Distribution::Hadamard {
        return of(distribution, term.pair);
    }
    let (group, row) = (term.pair / 128, term.pair % 128);
    let sign = if (row & (element % 128)).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
    sign * of(Distribution::Rademacher, 128 * group)
}

/// The nearest value, or that below or above in magnitude with the probability by which the sum is nearer the other.
fn rounded<Q: Element>(x: Q::Real, id: u64, element: u64, rounding: Rounding) -> Q {
    let Rounding::Stochastic { seed, step } = rounding else { return Q::store(x) };
    let address = Address::new(Purpose::PARAMETER_ROUNDING, step, id, 0).unwrap();
    let words = philox4x32(address.counter(element / 8 * 4).unwrap(), key(seed));
    let halves = words.map(|word| [word & 0xffff, word >> 16]).concat();
    let value = x.to_f64() as f32;
    let below = bf16::from_bits((value.to_bits() >> 16) as u16);
    if !value.is_finite() {
        return Q::store(x);
    }
    let share = (value.to_bits() & 0xffff) + halves[(element % 8) as usize];
    let chosen = if share >= 1 << 16 { bf16::from_bits(below.to_bits() + 1) } else { below };
    Q::store(Q::Real::from_f64(chosen.to_f64()))
}
