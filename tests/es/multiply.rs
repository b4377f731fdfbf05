//! Rows multiplied by noises of low rank: to the bit as the documentation says, on every device.

use gradus::Buffer;
use gradus::element::{Element, Real};
use gradus::es::{Distribution, LowRank, Matrix, Target, Term};
use gradus::rng::{Address, Purpose};
use half::{bf16, f16};

use crate::common::data::{Numbers, seed};
use crate::common::devices::devices;
use crate::common::memory::Guarded;
use crate::low_rank::noise_of;
use crate::model::{same, terms};

/// Rows by the noises of a matrix, as the documentation says: sums in 128 lanes, halved; then column by column.
#[allow(clippy::too_many_arguments, reason = "all that a product depends on")]
fn products<P: Element>(
    (id, firsts, sizes): (u64, [u64; 2], [usize; 2]),
    side: usize,
    (distribution, rank): (Distribution, usize),
    terms: &[Term],
    x: &[P],
    y: &[P],
) -> Vec<P> {
    let [inner, outer] = [sizes[side], sizes[1 - side]];
    let rows = y.len() / outer / terms.len();
    let mut result = Vec::new();
    for ((j, term), y) in terms.iter().enumerate().zip(y.chunks(rows * outer)) {
        let address = Address::new(Purpose::FACTORS, term.step, id, term.pair).unwrap();
        let number = |side: usize, k: u64, i: usize| {
            let element = (2 * k + side as u64) * (1 << 33) + firsts[side] + i as u64;
            P::Real::from_f64(distribution.number(term.seed, &address, element).unwrap().into())
        };
        let a = P::Real::from_f64(term.coefficient / (rank as f64).sqrt());
        for (row, y) in y.chunks(outer).enumerate() {
            let x = &x[(j * rows + row) * inner..][..inner];
            let mut y: Vec<P::Real> = y.iter().map(|y| y.load()).collect();
            for k in 0..rank as u64 {
                let mut lanes = [P::Real::from_f64(0.0); 128];
                for (i, x) in x.iter().enumerate() {
                    let lane = &mut lanes[(firsts[side] as usize + i) % 128];
                    *lane = x.load().fma(number(side, k, i), *lane);
                }
                for half in [64, 32, 16, 8, 4, 2, 1] {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                }
                for (i, y) in y.iter_mut().enumerate() {
                    *y = (a * number(1 - side, k, i)).fma(lanes[0], *y);
                }
            }
            result.extend(y.into_iter().map(P::store));
        }
    }
    result
}

fn multiplied<P: Target<P>>() {
    const PLANS: [(Distribution, usize); 3] =
        [(Distribution::Normal, 1), (Distribution::Hadamard, 3), (Distribution::Uniform, 9)];
    // Sides that end inside counters and spans, and groups of rows that do not fill a block.
    let sizes = [([0, 0], [33, 65], 3, 2), ([5, 1021], [130, 1100], 1, 17), ([2, 126], [1, 4], 9, 5)];
    for (plan, (firsts, sizes, members, rows)) in PLANS.into_iter().cycle().zip(sizes.into_iter().cycle()).take(4) {
        let (distribution, rank) = plan;
        for side in [0, 1] {
            let mut numbers = Numbers::new(seed());
            let x: Vec<P> = numbers.numbers(members * rows * sizes[side]);
            let y: Vec<P> = numbers.numbers(members * rows * sizes[1 - side]);
            let expected = [products((4, firsts, sizes), side, plan, &terms(members), &x, &y)];
            let matrix = Matrix::new(sizes[0], sizes[1]).id(4).first(firsts[0], firsts[1]);
            for device in devices() {
                let mut noise = LowRank::<P>::new(device, distribution, rank, &[Matrix::new(1, 1), matrix]).unwrap();
                let (x, mut y) = (Guarded::new(device, &x, 3), Guarded::new(device, &y, 1));
                let multiply = if side == 0 { LowRank::multiply } else { LowRank::multiply_transposed };
                multiply(&mut noise, 1, &terms(members), &x.view(), &mut y.view_mut()).unwrap();
                let what =
                    format!("{sizes:?} from side {side}, {distribution:?} of rank {rank}, {} on {device}", P::DTYPE);
                same(&[y.elements()], &expected, &what);
            }
        }
    }
}

#[test]
fn rows_are_multiplied() {
    multiplied::<f64>();
    multiplied::<f32>();
    multiplied::<bf16>();
    multiplied::<f16>();
}

/// `x·W` and the product with the noise are that with the perturbed matrix, but for rounding.
#[test]
fn products_are_those_with_the_noise() {
    const SIDES: [usize; 2] = [40, 70];
    let matrix = Matrix::new(SIDES[0], SIDES[1]);
    for device in devices() {
        let noise = noise_of(device, Distribution::Normal, 3, matrix, SIDES[0] * SIDES[1], &terms(1));
        let mut plan = LowRank::<f32>::new(device, Distribution::Normal, 3, &[matrix]).unwrap();
        let rows: Vec<f32> = Numbers::new(seed()).numbers(SIDES[0]);
        let x = Buffer::from_slice(device, &rows).unwrap();
        let mut y = Buffer::<f32>::zeros(device, SIDES[1]).unwrap();
        plan.multiply(0, &terms(1), &x.view(), &mut y.view_mut()).unwrap();
        for (j, y) in y.to_vec().unwrap().into_iter().enumerate() {
            let expected: f64 =
                rows.iter().zip(noise.chunks(SIDES[1])).map(|(x, e)| f64::from(*x) * f64::from(e[j])).sum();
            assert!((f64::from(y) - expected).abs() < 1e-5 * SIDES[0] as f64, "{y} for {expected} on {device}");
        }
    }
}
