//! Residuals and errors of inverses over sizes and condition numbers.

use gradus::element::Real;
use gradus::linalg::{SpdSettings, Status};

use crate::common::data::{Numbers, full, seed};
use crate::common::devices::{cpus, devices};
use crate::matrices::Square;
use crate::spd::{Given, inverted};

const ORDERS: [usize; 15] = [1, 2, 3, 8, 31, 32, 33, 64, 100, 128, 200, 240, 256, 500, 1024];
const CONDITIONS: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/// The greatest residual that a healthy inverse has. The root, the reciprocal and the square that Cholesky's algorithm takes of a
/// single number, or of a multiple of the identity, leave up to 2.5/n: more than 6.4/64 where there are few rows.
fn most(order: usize) -> f64 {
    f64::max(6.4 / order.max(64) as f64, 2.0 / order as f64)
}

/// The greatest share of the bounds that was found: residual, error.
fn check<T: Real>(orders: &[usize], conditions: &[f64]) {
    let mut numbers = Numbers::new(seed());
    let mut given = Vec::new();
    let mut exact = Vec::new();
    for &order in orders {
        for &condition in conditions {
            let (elements, rounded) = Square::with_condition(order, condition, &mut numbers).rounded::<T>();
            exact.push((condition, rounded.inverse(), rounded));
            given.push(Given::new(elements, 0.0));
        }
    }
    let settings = SpdSettings { retries: 0, ..SpdSettings::default() };
    // The levels of the CPU are faer's own affair.
    let devices = devices().iter().skip(cpus().len() - 1);
    for device in devices {
        let (found, reports) = inverted(device, &given, settings, 0);
        let (mut worst_residual, mut worst_error) = (0.0_f64, 0.0_f64);
        for ((found, report), (condition, oracle, rounded)) in found.iter().zip(&reports).zip(&exact) {
            let order = rounded.order;
            let what = format!("order {order}, condition {condition:e}, {} on {device}", T::DTYPE);
            assert_eq!(report.status, Status::Inverted, "{what}");
            let found = Square { order, at: found.iter().map(|x| x.to_f64()).collect() };
            let residual = rounded.inverse_residual(&found, T::EPSILON) / most(order);
            assert!(residual <= 1.0, "{what}: the residual is {residual} of its bound");
            let error = found.minus(oracle).norm() / oracle.norm() / (10.0 * condition * T::EPSILON);
            assert!(error <= 1.0, "{what}: the error is {error} of its bound");
            worst_residual = worst_residual.max(residual);
            worst_error = worst_error.max(error);
        }
        println!("{} on {device}: residual at most {worst_residual:.3} of its bound, error {worst_error:.3}", T::DTYPE);
    }
}

#[test]
fn inverses_of_f32_are_accurate() {
    let conditions: &[f64] = if full() { &CONDITIONS } else { &[1.0, 1e3, 1e6] };
    check::<f32>(&ORDERS[..13], &CONDITIONS);
    check::<f32>(&ORDERS[13..], conditions);
}

/// The oracle computes in f64 as well: its own error is part of what is found.
#[test]
fn inverses_of_f64_are_accurate() {
    let (orders, conditions): (&[usize], &[f64]) =
        if full() { (&ORDERS, &CONDITIONS) } else { (&ORDERS[..13], &[1.0, 1e2, 1e6]) };
    check::<f64>(orders, conditions);
}
