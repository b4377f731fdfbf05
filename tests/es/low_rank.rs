//! Noises of low rank: to the bit as their numbers say, one at a time, on every device.

use gradus::element::{Element, Real};
use gradus::es::{Distribution, LowRank, Matrix, Target, Term};
use gradus::rng::{Address, Purpose};
use gradus::{Buffer, Device, Error, View, ViewMut};
use half::{bf16, f16};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::model::{same, terms};

/// A matrix: its id, its first row and column, its rows and columns, and where its memory is read and written, in elements behind
/// an aligned address.
pub type Place = (u64, [u64; 2], [usize; 2], usize, usize);

/// Shapes that end inside tiles, shards that begin inside them, and every way in which rows and memory can lie to each other.
pub const PLACES: [Place; 12] = [
    (0, [0, 0], [65, 132], 0, 0),
    (1, [0, 0], [7, 130], 0, 0),
    (2, [3, 5], [64, 31], 0, 0),
    (3, [60, 124], [8, 8], 4, 8),
    (4, [60, 124], [8, 8], 3, 4),
    (5, [60, 124], [8, 8], 4, 5),
    (6, [1, 2], [9, 300], 1, 2),
    (7, [0, 0], [130, 1], 0, 0),
    (u32::MAX as u64, [(1 << 33) - 2, (1 << 33) - 70], [2, 70], 0, 0),
    (9, [0, 0], [0, 5], 0, 0),
    (10, [0, 0], [5, 0], 0, 0),
    (11, [0, 0], [1, 1], 0, 0),
];

pub fn matrices(places: &[Place]) -> Vec<Matrix> {
    let matrix =
        |&(id, [row, column], [rows, columns], ..): &Place| Matrix::new(rows, columns).id(id).first(row, column);
    places.iter().map(matrix).collect()
}

fn memory<P: Element>(device: &Device, elements: &[Vec<P>], offset: impl Fn(&Place) -> usize) -> Vec<Guarded<P>> {
    elements.iter().zip(&PLACES).map(|(elements, place)| Guarded::new(device, elements, offset(place))).collect()
}

fn views<P: Element>(memory: &mut [Guarded<P>]) -> Vec<ViewMut<'_, P>> {
    memory.iter_mut().map(Guarded::view_mut).collect()
}

fn elements<P: Element>(memory: &[Guarded<P>]) -> Vec<Vec<P>> {
    memory.iter().map(Guarded::elements).collect()
}

fn parameters<P: Element>() -> Vec<Vec<P>> {
    let mut numbers = Numbers::new(seed());
    PLACES.iter().map(|(_, _, [rows, columns], ..)| numbers.numbers(rows * columns)).collect()
}

/// The noise of each matrix, number by number, added to what is there.
fn expected<P: Element<Real = Q::Real>, Q: Element>(
    from: &[Vec<P>],
    distribution: Distribution,
    rank: usize,
    hold: u64,
    terms: &[Term],
) -> Vec<Vec<Q>> {
    let one = |(&(id, [first_row, first_column], [rows, columns], ..), from): (&Place, &Vec<P>)| {
        // Column k of a factor of a term, from a row on.
        let factor = |term: &Term, step: u64, side: u64, first: u64, count: usize, k: u64| -> Vec<P::Real> {
            let address = Address::new(Purpose::FACTORS, step, id, term.pair).unwrap();
            let at = |row: u64| (2 * k + side) * (1 << 33) + row;
            let number = |row| distribution.number(term.seed, &address, at(row)).unwrap();
            (first..).take(count).map(|row| P::Real::from_f64(number(row).into())).collect()
        };
        let mut x: Vec<P::Real> = from.iter().map(|x| x.load()).collect();
        for term in terms {
            let a = P::Real::from_f64(term.coefficient / (rank as f64).sqrt());
            for k in 0..rank as u64 {
                let left = factor(term, term.step, 0, first_row, rows, k);
                let right = factor(term, term.step / hold * hold, 1, first_column, columns, k);
                for (i, x) in x.iter_mut().enumerate() {
                    *x = (a * left[i / columns]).fma(right[i % columns], *x);
                }
            }
        }
        x.into_iter().map(Q::store).collect()
    };
    PLACES.iter().zip(from).map(one).collect()
}

fn written<P: Element<Real = Q::Real>, Q: Target<P>>() {
    let from = parameters::<P>();
    for (distribution, rank, count) in [
        (Distribution::Normal, 1, 0),
        (Distribution::Normal, 1, 3),
        (Distribution::Normal, 3, 9),
        (Distribution::Rademacher, 2, 9),
        (Distribution::Uniform, 5, 1),
        (Distribution::Rademacher, 64, 1),
        (Distribution::Hadamard, 3, 9),
    ] {
        let expected = expected::<P, Q>(&from, distribution, rank, 7, &terms(count));
        for device in devices() {
            let mut noise = LowRank::<P, Q>::new(device, distribution, rank, &matrices(&PLACES)).unwrap();
            noise.set_hold(7).unwrap();
            let from = memory(device, &from, |place| place.3);
            let old: Vec<Vec<Q>> = expected.iter().map(|x| vec![Q::store(Q::Real::from_f64(777.0)); x.len()]).collect();
            let mut to = memory(device, &old, |place| place.4);
            let read: Vec<View<'_, P>> = from.iter().map(Guarded::view).collect();
            noise.write(&terms(count), &read, &mut views(&mut to)).unwrap();
            let what = format!("{count} terms of rank {rank} of {distribution:?}, {} to {}", P::DTYPE, Q::DTYPE);
            same(&elements(&to), &expected, &format!("{what} on {device}"));
        }
    }
}

#[test]
fn f64_as_f64() {
    written::<f64, f64>();
}

#[test]
fn f32_as_f32() {
    written::<f32, f32>();
}

#[test]
fn f32_as_halves() {
    written::<f32, bf16>();
    written::<f32, f16>();
}

#[test]
fn halves_as_halves() {
    written::<bf16, bf16>();
    written::<f16, f16>();
}

/// In place and alone, in turns, on the same memory.
fn applied<P: Target<P>>() {
    let from = parameters::<P>();
    let zeros: Vec<Vec<P>> = from.iter().map(|x| vec![P::zeroed(); x.len()]).collect();
    let distribution = Distribution::Normal;
    let (first, second) = (terms(3), &terms(12)[3..]);
    let once = expected::<P, P>(&from, distribution, 2, 1, &first);
    let twice = expected::<P, P>(&once, distribution, 2, 1, second);
    let alone = expected::<P, P>(&zeros, distribution, 2, 1, &first);
    for device in devices() {
        let mut noise = LowRank::<P>::new(device, distribution, 2, &matrices(&PLACES)).unwrap();
        let mut memory = memory(device, &from, |place| place.3);
        noise.apply(&first, &mut views(&mut memory)).unwrap();
        same(&elements(&memory), &once, &format!("once on {device}"));
        noise.apply(second, &mut views(&mut memory)).unwrap();
        same(&elements(&memory), &twice, &format!("twice on {device}"));
        noise.estimate(&first, &mut views(&mut memory)).unwrap();
        same(&elements(&memory), &alone, &format!("alone on {device}"));
        noise.estimate(&[], &mut views(&mut memory)).unwrap();
        same(&elements(&memory), &zeros, &format!("nothing on {device}"));
    }
}

#[test]
fn in_place_and_alone() {
    applied::<f64>();
    applied::<f32>();
    applied::<bf16>();
    applied::<f16>();
}

/// What a plan of one matrix writes for terms, alone.
pub fn noise_of(
    device: &Device,
    distribution: Distribution,
    rank: usize,
    matrix: Matrix,
    length: usize,
    terms: &[Term],
) -> Vec<f32> {
    let mut noise = LowRank::<f32>::new(device, distribution, rank, &[matrix]).unwrap();
    let mut to = Buffer::<f32>::zeros(device, length).unwrap();
    noise.estimate(terms, &mut [to.view_mut()]).unwrap();
    to.to_vec().unwrap()
}

/// A shard holds that part of the whole, whether cut by rows or by columns.
#[test]
fn shards_are_parts_of_the_whole() {
    const ROWS: usize = 150;
    const COLUMNS: usize = 260;
    for device in devices() {
        for distribution in Distribution::ALL {
            let noise = |matrix, length| noise_of(device, distribution, 2, matrix, length, &terms(2));
            let whole = noise(Matrix::new(ROWS, COLUMNS).id(5), ROWS * COLUMNS);
            for cut in [1, 64, 101, 128] {
                let rows = noise(Matrix::new(ROWS - cut, COLUMNS).id(5).first(cut as u64, 0), (ROWS - cut) * COLUMNS);
                assert!(rows == whole[cut * COLUMNS..], "rows from {cut} on, {distribution:?} on {device}");
                let columns =
                    noise(Matrix::new(ROWS, COLUMNS - cut).id(5).first(0, cut as u64), ROWS * (COLUMNS - cut));
                let expected: Vec<f32> = whole.chunks(COLUMNS).flat_map(|row| &row[cut..]).copied().collect();
                assert!(columns == expected, "columns from {cut} on, {distribution:?} on {device}");
            }
        }
    }
}

/// The noise of rank 4 begins with that of rank 1, of half its weight.
#[test]
fn ranks_are_nested() {
    let device = &cpus()[0];
    let of = |rank| noise_of(device, Distribution::Normal, rank, Matrix::new(64, 128).id(3), 64 * 128, &terms(1));
    let [one, four] = [of(1), of(4)].map(|noise| noise.into_iter().map(f64::from).collect::<Vec<_>>());
    let share = one.iter().zip(&four).map(|(x, y)| x * y).sum::<f64>() / one.iter().map(|x| x * x).sum::<f64>();
    assert!((share - 0.5).abs() < 0.1, "{share}");
}

/// Of mean 0 and variance 1, uncorrelated from place to place, and of kurtosis 3 + 6/r for normals.
#[test]
fn moments() {
    const SIDE: usize = 8;
    const PAIRS: u64 = 5000;
    let device = &cpus()[0];
    for (distribution, rank, kurtosis) in [
        (Distribution::Normal, 1, 9.0),
        (Distribution::Normal, 4, 4.5),
        (Distribution::Rademacher, 1, 1.0),
        (Distribution::Uniform, 2, (1.8 * 1.8 + 3.0) / 2.0),
    ] {
        let mut noise = LowRank::<f32>::new(device, distribution, rank, &[Matrix::new(SIDE, SIDE)]).unwrap();
        let mut to = Buffer::<f32>::zeros(device, SIDE * SIDE).unwrap();
        let mut sums = [0.0; 5];
        for pair in 0..PAIRS {
            noise.estimate(&[Term { coefficient: 1.0, seed: 11, step: 3, pair }], &mut [to.view_mut()]).unwrap();
            let x: Vec<f64> = to.to_vec().unwrap().into_iter().map(f64::from).collect();
            for (i, &e) in x.iter().enumerate() {
                let (right, below) = (x[i / SIDE * SIDE + (i + 1) % SIDE], x[(i + SIDE) % (SIDE * SIDE)]);
                for (sum, value) in sums.iter_mut().zip([e, e * e, e.powi(4), e * right, e * below]) {
                    *sum += value;
                }
            }
        }
        // The noises of different pairs are independent, the elements of one only uncorrelated.
        let count = (PAIRS as usize * SIDE * SIDE) as f64;
        let deviation = |variance: f64| 4.5 * (variance * (SIDE * SIDE) as f64 / count).sqrt();
        let [mean, variance, fourth, right, below] = sums.map(|sum| sum / count);
        let what = format!("{distribution:?} of rank {rank}");
        assert!(mean.abs() < deviation(1.0), "{what}: mean {mean}");
        assert!((variance - 1.0).abs() < deviation(kurtosis), "{what}: variance {variance}");
        assert!((fourth / kurtosis - 1.0).abs() < 0.35, "{what}: fourth moment {fourth}");
        for (correlation, to) in [(right, "right"), (below, "below")] {
            assert!(correlation.abs() < deviation(kurtosis), "{what}: correlation {correlation} to the {to}");
        }
    }
}

/// The estimate from antithetic pairs has the gradient of a quadratic as its mean.
#[test]
fn estimates_have_no_bias() {
    const ROWS: usize = 3;
    const COLUMNS: usize = 4;
    const N: u64 = 100_000;
    let device = &cpus()[0];
    let (gradient, curvature): (Vec<f64>, Vec<f64>) =
        (0..ROWS * COLUMNS).map(|i| (i as f64 / 5.0 - 1.0, 0.5 + (i % 3) as f64)).unzip();
    // Of θ = 0; in the difference of a pair the curvature cancels.
    let loss = |x: &[f32]| -> f64 {
        x.iter().zip(&gradient).zip(&curvature).map(|((&x, g), c)| f64::from(x) * (g + c * f64::from(x))).sum()
    };
    let mut noise = LowRank::<f32>::new(device, Distribution::Normal, 2, &[Matrix::new(ROWS, COLUMNS)]).unwrap();
    let mut at = Buffer::<f32>::zeros(device, ROWS * COLUMNS).unwrap();
    let (mut sums, mut squares) = (vec![0.0; ROWS * COLUMNS], vec![0.0; ROWS * COLUMNS]);
    let sigma = 0.1;
    for pair in 0..N {
        noise.estimate(&[Term { coefficient: sigma, seed: 2, step: 0, pair }], &mut [at.view_mut()]).unwrap();
        let above = at.to_vec().unwrap();
        let below: Vec<f32> = above.iter().map(|x| -x).collect();
        let slope = (loss(&above) - loss(&below)) / (2.0 * sigma);
        for ((sum, square), &e) in sums.iter_mut().zip(&mut squares).zip(&above) {
            let estimate = slope * f64::from(e) / sigma;
            *sum += estimate;
            *square += estimate * estimate;
        }
    }
    for (i, ((sum, square), gradient)) in sums.iter().zip(&squares).zip(&gradient).enumerate() {
        let mean = sum / N as f64;
        let deviation = ((square / N as f64 - mean * mean) / N as f64).sqrt();
        let z = (mean - gradient) / deviation;
        assert!(z.abs() < 4.5, "element {i}: {mean} for {gradient}, {z} deviations off");
    }
}

#[track_caller]
fn says<T>(result: Result<T, Error>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), message);
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    for device in devices() {
        let new = |rank, matrices: &[Matrix]| LowRank::<f32>::new(device, Distribution::Normal, rank, matrices);
        let matrix = Matrix::new(4, 6).id(3);
        for rank in [0, 65] {
            says(new(rank, &[matrix]), &format!("low-rank noise: rank = {rank} is not between 1 and 64"));
        }
        assert!(new(1, &[matrix, matrix.first(4, 0), matrix.first(0, 6), matrix.id(4)]).is_ok());
        says(
            new(1, &[matrix, matrix.first(3, 5)]),
            "low-rank noise: matrices 0 and 1 hold the same elements of the matrix of id 3",
        );
        says(
            new(1, &[matrix.first((1 << 33) - 3, 0)]),
            "low-rank noise: matrix 0 reaches row 8589934589 + 4, beyond the 33 bits of an address",
        );
        says(
            new(1, &[matrix.first(0, u64::MAX)]),
            "low-rank noise: matrix 0 reaches column 18446744073709551615 + 6, beyond the 33 bits of an address",
        );
        assert!(new(1, &[matrix.id(1 << 32)]).is_err());
        assert!(new(1, &[Matrix::new(1 << 32, 1 << 32)]).is_err());
        says(new(1, &[matrix]).unwrap().set_hold(0), "low-rank noise: a factor holds for 0 steps");
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    for device in devices() {
        let matrices = [Matrix::new(2, 2), Matrix::new(1, 3)];
        let mut noise = LowRank::<f32>::new(device, Distribution::Normal, 1, &matrices).unwrap();
        let mut memory = [4, 3, 3].map(|length| Buffer::from_slice(device, &vec![0.5_f32; length]).unwrap());
        let [four, three, other] = &mut memory;
        let term = terms(1)[0];
        says(noise.apply(&[term], &mut [four.view_mut()]), "the number of parameters is 1 but that of tensors is 2");
        let sizes = noise.estimate(&[term], &mut [three.view_mut(), other.view_mut()]);
        says(sizes, "estimate 0 has 3 elements but matrix 0 has 4");
        let from = noise.write(&[term], &[three.view()], &mut [four.view_mut(), other.view_mut()]);
        says(from, "the number of parameters is 1 but that of tensors is 2");
        let lengths = noise.multiply(0, &[term], &three.view(), &mut four.view_mut());
        says(lengths, "x has 3 elements but 1 rows for each of 1 terms has 2");
        let lengths = noise.multiply(1, &[term], &three.view(), &mut other.view_mut());
        says(lengths, "y has 3 elements but 3 rows for each of 1 terms has 9");
        says(
            noise.multiply(2, &[term], &three.view(), &mut other.view_mut()),
            "low-rank noise: there is no matrix 2 among 2",
        );
        let bad = Term { coefficient: f64::NAN, ..term };
        let nan = noise.apply(&[term, bad], &mut [four.view_mut(), three.view_mut()]);
        says(nan, "term 1: the coefficient NaN is not finite");
        assert!(memory.iter().all(|buffer| buffer.to_vec().unwrap().iter().all(|x| *x == 0.5)), "on {device}");
    }
}
