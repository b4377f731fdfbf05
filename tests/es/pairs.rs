//! What losses of antithetic pairs make of their noises.

use gradus::es::{Pairs, Shaping, Term, Weighting};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn pairs(count: usize) -> Pairs {
    Pairs { sigma: 0.25, seed: 3, step: 9, count }
}

/// The pair and the coefficient of each term.
fn coefficients(losses: &[[f64; 2]], weighting: Weighting) -> Vec<(u64, f64)> {
    let terms = pairs(losses.len()).terms(losses, weighting).unwrap();
    assert!(terms.iter().all(|term| (term.seed, term.step) == (3, 9)));
    terms.into_iter().map(|Term { pair, coefficient, .. }| (pair, coefficient)).collect()
}

#[test]
fn members_are_on_both_sides() {
    let term = |coefficient| Term { coefficient, seed: 3, step: 9, pair: 5 };
    assert_eq!(pairs(8).members(5), [term(0.25), term(-0.25)]);
}

#[test]
fn differences() {
    let losses = [[3.0, 1.0], [1.0, 1.0], [0.0, 1.0]];
    // 1 / (2·0.25·3).
    assert_eq!(coefficients(&losses, Weighting::Differences), [(0, 2.0 / 1.5), (2, -1.0 / 1.5)]);
    // Three are no numbers: the mean is that of one.
    let losses = [[NAN, 1.0], [1.0, INF], [3.0, 1.0], [-INF, -INF]];
    assert_eq!(coefficients(&losses, Weighting::Differences), [(2, 4.0)]);
    assert_eq!(coefficients(&[[NAN, NAN]], Weighting::Differences), []);
}

/// Of the ranks 0 to 3, the worst being one that is no number.
#[test]
fn ranks() {
    let found = coefficients(&[[5.0, 1.0], [2.0, NAN]], Weighting::Shaped(Shaping::CentredRanks));
    let third = f64::from(1.0_f32 / 6.0);
    assert_eq!(found, [(0, third + 0.5), (1, -third - 0.5)]);
    assert_eq!(coefficients(&[[7.0; 2]; 3], Weighting::Shaped(Shaping::NesUtilities)), []);
}

#[test]
fn the_best_directions_of_ars() {
    // Of the pairs with the least better losses, 1 and 3: 0, 4, 1, 3, whose deviation is √2.5.
    let losses = [[2.0, 2.5], [4.0, 0.0], [NAN, -9.0], [1.0, 3.0], [INF, -9.0]];
    let root = 2.5_f64.sqrt();
    assert_eq!(coefficients(&losses, Weighting::Ars { top: 2 }), [(1, 4.0 / (2.0 * root)), (3, -2.0 / (2.0 * root))]);
    // Three are numbers.
    assert_eq!(coefficients(&losses, Weighting::Ars { top: 5 }).len(), 3);
    // Of equal ones the first.
    let found = coefficients(&[[1.0, 2.0], [2.0, 1.0]], Weighting::Ars { top: 1 });
    assert_eq!(found, [(0, -2.0)]);
    assert_eq!(coefficients(&[[1.0, 1.0], [1.0, 1.0]], Weighting::Ars { top: 2 }), []);
    assert_eq!(coefficients(&[[NAN, 1.0]], Weighting::Ars { top: 1 }), []);
}

#[test]
fn votes() {
    let losses = [[2.0, 1.0], [1.0, 1.0], [-INF, 1.0], [NAN, 1.0]];
    assert_eq!(coefficients(&losses, Weighting::Signs), [(0, 0.25), (2, -0.25)]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let says = |pairs: Pairs, losses: &[[f64; 2]], weighting: Weighting, message: &str| {
        assert_eq!(pairs.terms(losses, weighting).unwrap_err().to_string(), message);
    };
    let two = [[1.0, 2.0]; 2];
    let all = Weighting::Differences;
    says(Pairs { sigma: 0.0, ..pairs(2) }, &two, all, "antithetic pairs: sigma = 0 is not a positive number");
    says(Pairs { sigma: NAN, ..pairs(2) }, &two, all, "antithetic pairs: sigma = NaN is not a positive number");
    says(pairs(0), &[], all, "antithetic pairs: 0 pairs are none or more than 1048576");
    says(pairs(3), &two, all, "the list of losses has 2 elements but that of pairs has 3");
    says(pairs(2), &two, Weighting::Ars { top: 0 }, "antithetic pairs: the best 0 pairs show nothing");
    let groups = Weighting::Shaped(Shaping::GroupZScore { group: 3, epsilon: 0.0 });
    says(pairs(2), &two, groups, "shaping: 4 losses are no whole number of groups of 3");
}
