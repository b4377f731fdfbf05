//! Integer noises of low rank: to the bit as their numbers say, on every device; that they are taken away again; votes; products.

use gradus::es::{Distribution, Lattice, LatticeLowRank, LatticeTerm, Matrix, Term, Vote};
use gradus::rng::{Address, Purpose};
use gradus::{Buffer, Device, Error, View, ViewMut};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::lattice::lattice_terms;
use crate::low_rank::{PLACES, Place, matrices};
use crate::model::{same, terms};

/// Numbers of column k of a factor of a term: A where the side is 0, B where it is 1, which holds for some steps.
fn factor(
    (distribution, hold): (Distribution, u64),
    &LatticeTerm { term, .. }: &LatticeTerm,
    id: u64,
    side: u64,
    k: u64,
    rows: std::ops::Range<u64>,
) -> Vec<i128> {
    let step = if side == 0 { term.step } else { term.step / hold * hold };
    let address = Address::new(Purpose::FACTORS, step, id, term.pair).unwrap();
    let number = |row: u64| distribution.number(term.seed, &address, ((2 * k + side) << 33) + row).unwrap();
    let quantised = |row: u64| (term.coefficient as f32 * number(row)).round_ties_even().clamp(-127.0, 127.0) as i128;
    rows.map(quantised).collect()
}

/// `⌊x/2ˢ + ½⌋`.
fn divided(x: i128, shift: u32) -> i128 {
    let divisor = 1 << shift;
    (2 * x + divisor).div_euclid(2 * divisor)
}

/// The sums `Σ m·E` of a matrix.
fn sums(
    drawn: (Distribution, u64),
    (rank, shift): (usize, u32),
    terms: &[LatticeTerm],
    &(id, [row, column], [rows, columns], ..): &Place,
) -> Vec<i128> {
    let mut sums = vec![0; rows * columns];
    for term in terms {
        let mut products = vec![0; rows * columns];
        for k in 0..rank as u64 {
            let left = factor(drawn, term, id, 0, k, row..row + rows as u64);
            let right = factor(drawn, term, id, 1, k, column..column + columns as u64);
            products.iter_mut().enumerate().for_each(|(i, x)| *x += left[i / columns] * right[i % columns]);
        }
        sums.iter_mut().zip(products).for_each(|(z, x)| *z += i128::from(term.multiplier) * divided(x, shift));
    }
    sums
}

fn weights<I: Lattice>() -> Vec<Vec<I>> {
    let mut numbers = Numbers::new(seed());
    let mut weight = || I::store((numbers.unit() * 4_294_967_295.0) as u32 as i32);
    PLACES.iter().map(|(_, _, [rows, columns], ..)| (0..rows * columns).map(|_| weight()).collect()).collect()
}

fn memory<I: Lattice>(device: &Device, weights: &[Vec<I>], offset: impl Fn(&Place) -> usize) -> Vec<Guarded<I>> {
    weights.iter().zip(&PLACES).map(|(weights, place)| Guarded::new(device, weights, offset(place))).collect()
}

fn views<I: Lattice>(memory: &mut [Guarded<I>]) -> Vec<ViewMut<'_, I>> {
    memory.iter_mut().map(Guarded::view_mut).collect()
}

fn elements<I: Lattice>(memory: &[Guarded<I>]) -> Vec<Vec<I>> {
    memory.iter().map(Guarded::elements).collect()
}

/// Distributions, ranks, numbers of terms and shifts.
const CASES: [(Distribution, usize, usize, u32); 7] = [
    (Distribution::Normal, 1, 0, 0),
    (Distribution::Normal, 1, 9, 4),
    (Distribution::Normal, 3, 4, 7),
    (Distribution::Rademacher, 17, 2, 0),
    (Distribution::Uniform, 5, 1, 20),
    (Distribution::Normal, 64, 1, 3),
    (Distribution::Hadamard, 2, 9, 1),
];

/// Written from elsewhere, in place, and taken away again.
fn added<I: Lattice>() {
    let from = weights::<I>();
    for (distribution, rank, count, shift) in CASES {
        let terms = lattice_terms(count);
        let expected: Vec<Vec<I>> = (PLACES.iter().zip(&from))
            .map(|(place, from)| {
                let sums = sums((distribution, 7), (rank, shift), &terms, place);
                from.iter().zip(sums).map(|(x, z)| I::store((i128::from(x.load()) + z) as i32)).collect()
            })
            .collect();
        let back: Vec<LatticeTerm> = terms.iter().rev().map(|term| term.times(-1)).collect();
        for device in devices() {
            let what =
                format!("{count} terms of rank {rank} of {distribution:?} / 2^{shift} as {} on {device}", I::NAME);
            let mut noise = LatticeLowRank::<I>::new(device, distribution, rank, &matrices(&PLACES)).unwrap();
            noise.set_shift(shift).unwrap();
            noise.set_hold(7).unwrap();
            let mut old = memory(device, &from, |place| place.3);
            let ones: Vec<Vec<I>> = from.iter().map(|x| vec![I::store(1); x.len()]).collect();
            let mut to = memory(device, &ones, |place| place.4);
            let read: Vec<View<'_, I>> = old.iter().map(Guarded::view).collect();
            noise.write(&terms, &read, &mut views(&mut to)).unwrap();
            same(&elements(&to), &expected, &what);
            noise.apply(&terms, &mut views(&mut old)).unwrap();
            same(&elements(&old), &expected, &format!("{what}, in place"));
            noise.apply(&back, &mut views(&mut old)).unwrap();
            same(&elements(&old), &from, &format!("{what}, taken away"));
        }
    }
}

#[test]
fn bytes_move_and_come_back() {
    added::<i8>();
}

#[test]
fn words_move_and_come_back() {
    added::<i16>();
    added::<i32>();
}

#[test]
fn a_thousand_cycles_leave_the_weights() {
    for device in devices() {
        let mut noise = LatticeLowRank::<i8>::new(device, Distribution::Normal, 2, &[Matrix::new(9, 13)]).unwrap();
        noise.set_shift(5).unwrap();
        let start: Vec<i8> = (0..117).map(|k| (k * 37 % 256) as u8 as i8).collect();
        let mut weights = Buffer::from_slice(device, &start).unwrap();
        for step in 0..1000 {
            let term = Term { coefficient: 16.0, seed: 7, step, pair: 0 };
            for multiplier in [1, -2, 1] {
                noise.apply(&[LatticeTerm { multiplier, term }], &mut [weights.view_mut()]).unwrap();
            }
        }
        assert_eq!(weights.to_vec().unwrap(), start, "on {device}");
    }
}

fn voted<I: Lattice>(limit: u32) {
    let from = weights::<I>();
    for (distribution, rank, threshold) in
        [(Distribution::Normal, 1, 700), (Distribution::Rademacher, 3, 512), (Distribution::Uniform, 2, 1)]
    {
        // Votes of pairs: for or against.
        let vote = |(k, term): (usize, Term)| LatticeTerm {
            multiplier: [1, -1, -1, 0][k % 4],
            term: Term { coefficient: 16.0, ..term },
        };
        let terms: Vec<LatticeTerm> = terms(11).into_iter().enumerate().map(vote).collect();
        let (most, edge) = (i128::from(threshold), i128::from(limit));
        let moved = |x: &I, z: i128| {
            let x = i128::from(x.load());
            let step = if z >= most && x < edge { 1 } else { 0 } - if z <= -most && x > -edge { 1 } else { 0 };
            I::store((x + step) as i32)
        };
        let expected: Vec<Vec<I>> = (PLACES.iter().zip(&from))
            .map(|(place, from)| {
                let sums = sums((distribution, 1), (rank, 0), &terms, place);
                from.iter().zip(sums).map(|(x, z)| moved(x, z)).collect()
            })
            .collect();
        assert_ne!(expected, from);
        for device in devices() {
            let mut noise = LatticeLowRank::<I>::new(device, distribution, rank, &matrices(&PLACES)).unwrap();
            noise.set_shift(9).unwrap();
            let mut weights = memory(device, &from, |place| place.4);
            noise.vote(&terms, Vote { threshold, limit }, &mut views(&mut weights)).unwrap();
            let what = format!("votes of rank {rank} of {distribution:?} as {} on {device}", I::NAME);
            same(&elements(&weights), &expected, &what);
        }
    }
}

#[test]
fn votes_move_by_one() {
    voted::<i8>(100);
    voted::<i16>(30_000);
    voted::<i32>(1 << 30);
}

/// Rows of bytes by the noises of a matrix, number by number.
fn products(
    drawn: (Distribution, u64),
    (rank, shift): (usize, u32),
    terms: &[LatticeTerm],
    (id, firsts, sizes): (u64, [u64; 2], [usize; 2]),
    side: usize,
    x: &[i8],
    y: &[i32],
) -> Vec<i32> {
    let [inner, outer] = [sizes[side], sizes[1 - side]];
    let rows = y.len() / outer / terms.len();
    let mut result = Vec::new();
    for ((j, term), y) in terms.iter().enumerate().zip(y.chunks(rows * outer)) {
        let columns = |side: usize| -> Vec<Vec<i128>> {
            let range = firsts[side]..firsts[side] + sizes[side] as u64;
            (0..rank as u64).map(|k| factor(drawn, term, id, side as u64, k, range.clone())).collect()
        };
        let (of_inner, of_outer) = (columns(side), columns(1 - side));
        for (row, y) in y.chunks(outer).enumerate() {
            let x = &x[(j * rows + row) * inner..][..inner];
            let sums: Vec<i128> =
                of_inner.iter().map(|a| a.iter().zip(x).map(|(a, x)| a * i128::from(*x)).sum()).collect();
            result.extend(y.iter().enumerate().map(|(i, y)| {
                let whole: i128 = sums.iter().zip(&of_outer).map(|(sum, b)| sum * b[i]).sum();
                (i128::from(*y) + i128::from(term.multiplier) * divided(whole, shift)) as i32
            }));
        }
    }
    result
}

#[test]
fn rows_are_multiplied() {
    let mut numbers = Numbers::new(seed());
    for (place, [rows, columns], offset) in
        [([0, 0], [64, 12], 0), ([3, 5], [2051, 7], 1), ([1020, 1023], [9, 1030], 3), ([0, 4], [4096, 4], 4)]
    {
        for (distribution, rank, count, group, shift) in [
            (Distribution::Normal, 1, 3, 2, 4),
            (Distribution::Rademacher, 2, 9, 1, 0),
            (Distribution::Uniform, 5, 1, 19, 11),
            (Distribution::Hadamard, 3, 2, 17, 1),
        ] {
            let terms = lattice_terms(count);
            for side in [0, 1] {
                let sizes = [rows, columns];
                let length = |side: usize| count * group * sizes[side];
                let x: Vec<i8> = (0..length(side)).map(|_| numbers.below(256) as u8 as i8).collect();
                let y: Vec<i32> = (0..length(1 - side)).map(|_| numbers.below(1 << 31) as i32).collect();
                let expected = products((distribution, 1), (rank, shift), &terms, (6, place, sizes), side, &x, &y);
                for device in devices() {
                    let matrix = Matrix::new(rows, columns).id(6).first(place[0], place[1]);
                    let mut noise = LatticeLowRank::<i8>::new(device, distribution, rank, &[matrix]).unwrap();
                    noise.set_shift(shift).unwrap();
                    let (of_x, mut of_y) = (Guarded::new(device, &x, offset), Guarded::new(device, &y, offset + 1));
                    let (read, mut to) = (of_x.view(), of_y.view_mut());
                    match side {
                        0 => noise.multiply(0, &terms, &read, &mut to),
                        _ => noise.multiply_transposed(0, &terms, &read, &mut to),
                    }
                    .unwrap();
                    let what =
                        format!("{group} rows of {count} terms of rank {rank}, {sizes:?}, side {side} on {device}");
                    same(&[of_y.elements()], std::slice::from_ref(&expected), &what);
                }
            }
        }
    }
}

/// Pairs are evaluated at products with their noises, and their votes move the weights towards others.
#[test]
fn integer_weights_are_trained() {
    const SIDE: usize = 6;
    const PAIRS: usize = 32;
    let device = &cpus()[0];
    let mut numbers = Numbers::new(seed());
    let target: Vec<i32> = (0..SIDE * SIDE).map(|_| numbers.below(41) as i32 - 20).collect();
    let x: Vec<i8> = (0..8 * SIDE).map(|_| numbers.below(15) as i8 - 7).collect();
    let by = |weights: &[i32]| -> Vec<i32> {
        let row = |x: &[i8], j: usize| x.iter().enumerate().map(|(i, x)| i32::from(*x) * weights[i * SIDE + j]).sum();
        x.chunks(SIDE).flat_map(|x| (0..SIDE).map(move |j| row(x, j))).collect()
    };
    let wanted = by(&target);
    let loss = |y: &[i32]| -> i64 { y.iter().zip(&wanted).map(|(y, w)| i64::from(y - w).pow(2)).sum() };
    let mut noise = LatticeLowRank::<i8>::new(device, Distribution::Normal, 1, &[Matrix::new(SIDE, SIDE)]).unwrap();
    noise.set_shift(7).unwrap();
    let mut weights = vec![0_i8; SIDE * SIDE];
    let loss_of = |weights: &[i8]| loss(&by(&weights.iter().map(|w| i32::from(*w)).collect::<Vec<_>>()));
    let start = loss_of(&weights);
    for step in 0..120 {
        let y = by(&weights.iter().map(|w| i32::from(*w)).collect::<Vec<_>>());
        let mut votes = Vec::new();
        for pair in 0..PAIRS as u64 {
            let term = Term { coefficient: 16.0, seed: 3, step, pair };
            let members = [1, -1].map(|multiplier| {
                let mut y = y.clone();
                let term = LatticeTerm { multiplier, term };
                noise.multiply(0, &[term], &(&x).into(), &mut (&mut y).into()).unwrap();
                loss(&y)
            });
            votes.push(LatticeTerm { multiplier: (members[1] - members[0]).signum() as i32, term });
        }
        let vote = Vote { threshold: 1000, limit: 100 };
        noise.vote(&votes, vote, &mut [(&mut weights).into()]).unwrap();
    }
    let end = loss_of(&weights);
    assert!(20 * end < start, "the loss went from {start} to {end}");
}

#[track_caller]
fn says<T>(result: Result<T, Error>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), message);
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let plan = |rank| LatticeLowRank::<i8>::new(device, Distribution::Normal, rank, &[Matrix::new(2, 3)]);
        says(plan(0), "low-rank noise: rank = 0 is not between 1 and 64");
        says(plan(65), "low-rank noise: rank = 65 is not between 1 and 64");
        let mut noise = plan(4).unwrap();
        says(noise.set_shift(21), "integer noise of low rank: shift = 21 is more than 20");
        says(noise.set_hold(0), "low-rank noise: a factor holds for 0 steps");
        let mut six = Buffer::from_slice(device, &[5_i8; 6]).unwrap();
        let mut five = Buffer::from_slice(device, &[5_i8; 5]).unwrap();
        let term =
            |multiplier, coefficient| LatticeTerm { multiplier, term: Term { coefficient, seed: 0, step: 0, pair: 0 } };
        says(noise.apply(&[], &mut [five.view_mut()]), "parameter 0 has 5 elements but matrix 0 has 6");
        says(noise.apply(&[], &mut []), "the number of parameters is 0 but that of tensors is 1");
        says(noise.apply(&[term(1, 1e39)], &mut [six.view_mut()]), "term 0: the coefficient 1e39 is not finite in f32");
        let vote = |threshold, limit| Vote { threshold, limit };
        let mut voted = |terms: &[LatticeTerm], vote| noise.vote(terms, vote, &mut [six.view_mut()]);
        says(voted(&[], vote(0, 100)), "integer votes: threshold = 0 is not between 1 and 2147483647");
        says(voted(&[], vote(1, 128)), "integer votes: limit = 128 is not between 1 and 127");
        says(
            voted(&[term(40_000, 1e6)], vote(1, 100)),
            "integer votes: their sum may be 2580640000, more than 2147483647",
        );
        assert_eq!(six.to_vec().unwrap(), [5; 6], "something was written on {device}");
    }
}
