//! Exponential natural evolution strategies: against their formulas, with an exponential of its own; what they find.

use gradus::es::{Xnes, XnesSettings};

use crate::search::{ellipsoid, normal, says};

/// `a·b` of matrices [d×d].
fn product(d: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
    let one = |k: usize| (0..d).map(|j| a[k / d * d + j] * b[j * d + k % d]).sum();
    (0..d * d).map(one).collect()
}

fn identity(d: usize) -> Vec<f64> {
    (0..d * d).map(|k| f64::from(k % (d + 1) == 0)).collect()
}

/// The series of the exponential.
fn exponential(d: usize, of: &[f64]) -> Vec<f64> {
    let (mut sum, mut power) = (identity(d), identity(d));
    for k in 1..60 {
        power = product(d, &power, of).iter().map(|x| x / f64::from(k)).collect();
        sum.iter_mut().zip(&power).for_each(|(sum, x)| *sum += x);
    }
    sum
}

#[test]
fn runs_follow_the_formulas() {
    const D: usize = 5;
    let settings = XnesSettings {
        population: Some(6),
        scale_rate: Some(0.4),
        shape_rate: Some(0.7),
        mean_rate: 0.9,
        ..XnesSettings::new(0.3, 77)
    };
    let mut m = vec![1.0, -1.0, 0.5, 2.0, 0.0];
    let mut search = Xnes::new(settings, &m).unwrap();
    let mut a: Vec<f64> = identity(D).iter().map(|x| 0.3 * x).collect();
    // ln 4 - ln 1, ln 4 - ln 2 and ln 4 - ln 3 are positive; the library's are rounded to f32.
    let logs = [4.0_f64.ln(), 2.0_f64.ln(), 4.0_f64.ln() - 3.0_f64.ln()];
    let sum: f64 = logs.iter().sum();
    let of_place = |place: usize| -f64::from((1.0 / 6.0 - logs.get(place).unwrap_or(&0.0) / sum) as f32);
    for generation in 0..4 {
        let losses = [0.5, -2.0, 3.0, f64::NAN, 0.25, 1.0];
        let utilities = [2, 0, 4, 5, 1, 3].map(of_place);
        let noise = |member: u64| (0..D as u64).map(|e| normal::<f64>(77, generation, 0, member, e)).collect();
        let z: Vec<Vec<f64>> = (0..6).map(noise).collect();
        for (member, z) in z.iter().enumerate() {
            let found = search.member(member).unwrap();
            for i in 0..D {
                let expected = m[i] + (0..D).map(|j| a[i * D + j] * z[j]).sum::<f64>();
                assert!((found[i] - expected).abs() < 1e-12);
            }
        }
        search.tell(&losses).unwrap();
        let g: Vec<f64> = (0..D * D)
            .map(|k| {
                let (i, j) = (k / D, k % D);
                utilities.iter().zip(&z).map(|(u, z)| u * (z[i] * z[j] - f64::from(i == j))).sum()
            })
            .collect();
        let trace: f64 = (0..D).map(|i| g[i * D + i]).sum::<f64>() / D as f64;
        let exponent: Vec<f64> = (0..D * D)
            .map(|k| {
                let on_diagonal = f64::from(k % (D + 1) == 0);
                0.7 / 2.0 * (g[k] - trace * on_diagonal) + 0.4 / 2.0 * trace * on_diagonal
            })
            .collect();
        let along: Vec<f64> = (0..D).map(|j| utilities.iter().zip(&z).map(|(u, z)| 0.9 * u * z[j]).sum()).collect();
        m = (0..D).map(|i| m[i] + (0..D).map(|j| a[i * D + j] * along[j]).sum::<f64>()).collect();
        a = product(D, &a, &exponential(D, &exponent));
        for (found, expected) in search.mean().iter().zip(&m).chain(search.factor().iter().zip(&a)) {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        }
    }
}

/// An ellipsoid whose axes lie along no coordinate: each coordinate is turned with the next.
fn turned(x: &[f64]) -> f64 {
    let mut x = x.to_vec();
    for i in 0..x.len() - 1 {
        (x[i], x[i + 1]) = (0.6 * x[i] - 0.8 * x[i + 1], 0.8 * x[i] + 0.6 * x[i + 1]);
    }
    ellipsoid(&x)
}

#[test]
fn covariances_are_learnt() {
    for loss in [ellipsoid, turned] {
        let mut search = Xnes::new(XnesSettings::new(1.0, 5), &[1.0; 6]).unwrap();
        assert_eq!(search.population(), 9);
        while search.generation() < 2000 && loss(search.mean()) > 1e-10 {
            let losses: Vec<f64> = (0..9).map(|member| loss(&search.member(member).unwrap())).collect();
            search.tell(&losses).unwrap();
        }
        assert!(search.generation() < 2000);
    }
}

#[test]
fn a_search_goes_on_from_its_distribution() {
    let settings = XnesSettings::new(0.5, 9);
    let mut whole = Xnes::new(settings, &[0.5, -2.0, 1.0]).unwrap();
    let losses: Vec<f64> = (0..whole.population()).map(|i| (i * i % 5) as f64).collect();
    whole.tell(&losses).unwrap();
    let mut resumed = Xnes::new(settings, &[0.0; 3]).unwrap();
    resumed.restore(whole.mean(), whole.factor(), whole.generation()).unwrap();
    whole.tell(&losses).unwrap();
    resumed.tell(&losses).unwrap();
    assert_eq!((whole.mean(), whole.factor()), (resumed.mean(), resumed.factor()));
    says(resumed.restore(&[0.0; 2], &[0.0; 9], 1), "the mean has 2 elements but that of the search has 3");
    says(resumed.restore(&[0.0; 3], &[0.0; 6], 1), "the factor has 6 elements but that of the search has 9");
    says(resumed.restore(&[f64::NAN; 3], &[0.0; 9], 1), "xNES: NaN is not finite");
}

#[test]
fn what_does_not_fit_is_refused() {
    let new = |settings, mean: &[f64]| Xnes::new(settings, mean);
    let usual = XnesSettings::new(1.0, 5);
    says(new(usual, &[]), "xNES: 0 coordinates are none or more than 1024");
    says(new(usual, &[0.0; 1025]), "xNES: 1025 coordinates are none or more than 1024");
    says(new(usual, &[0.0, f64::INFINITY]), "xNES: the coordinate inf of the mean is not finite");
    says(new(XnesSettings::new(0.0, 5), &[0.0]), "xNES: sigma = 0 is not a positive number");
    says(new(XnesSettings { population: Some(0), ..usual }, &[0.0]), "xNES: 0 members are none or more than 1048576");
    let rate = XnesSettings { shape_rate: Some(-1.0), ..usual };
    says(new(rate, &[0.0]), "xNES: shape_rate = -1 is not a number of at least 0");
    let mut search = new(usual, &[0.0, 1.0]).unwrap();
    assert_eq!(search.population(), 6);
    // (9 + 3 ln 2)/(5·2·√2).
    assert!((search.settings().scale_rate.unwrap() - 0.783435).abs() < 1e-5);
    says(search.member(6), "xNES: there is no member 6 of 6");
    says(search.tell(&[1.0; 5]), "the list of losses has 5 elements but that of members has 6");
    assert_eq!((search.generation(), search.mean()), (0, &[0.0, 1.0][..]));
}
