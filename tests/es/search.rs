//! Search distributions, on every device: their members and what they become, to the bit; what they find.

use gradus::element::{Element, Real};
use gradus::es::{Adaptation, Distribution, Search, SearchSettings, Shaping};
use gradus::fmath::{exp, fma};
use gradus::optim::{State, Tensor};
use gradus::rng::{Address, Purpose};
use gradus::{Buffer, Device, ViewMut};
use half::{bf16, f16};

use crate::common::data::{Numbers, seed};
use crate::common::devices::{cpus, devices};
use crate::common::memory::Guarded;
use crate::expected::places;
use crate::model::{Place, same, tensors};

pub const PGPE: Adaptation = Adaptation::Pgpe { mean_rate: 0.5, deviation_rate: 0.3, most: 0.2, shaping: None };
pub const ANTITHETIC: Adaptation = Adaptation::Snes { mean_rate: 0.9, deviation_rate: Some(0.4), is_antithetic: true };

pub fn settings(adaptation: Adaptation, population: usize) -> SearchSettings {
    SearchSettings { adaptation, sigma: 0.5, population: Some(population), seed: 0x0123_4567_89ab_cdef }
}

/// Places of every kind, short enough to look up each number.
fn short() -> Vec<Place> {
    places().into_iter().filter(|place| place.2 <= 9001).collect()
}

/// A search with some mean and deviations.
pub fn search<Q: Element>(device: &Device, settings: SearchSettings, places: &[Place]) -> Search<Q> {
    let mut search = Search::new(device, settings, &tensors(places)).unwrap();
    let mut numbers = Numbers::new(seed());
    for (tensor, place) in places.iter().enumerate() {
        search.set_mean(tensor, &numbers.numbers::<Q::Real>(place.2)).unwrap();
        let deviation: Vec<_> = (0..place.2).map(|_| Q::Real::from_f64(0.1 + numbers.unit())).collect();
        search.set_deviation(tensor, &deviation).unwrap();
    }
    search
}

/// Means and deviations, tensor by tensor.
pub type Found<T> = [Vec<Vec<T>>; 2];

pub fn distribution<Q: Element>(search: &Search<Q>) -> Found<Q::Real> {
    let tensors = 0..search.tensors().len();
    let means = tensors.clone().map(|tensor| search.mean(tensor).unwrap().to_vec().unwrap());
    [means.collect(), tensors.map(|tensor| search.deviation(tensor).unwrap().to_vec().unwrap()).collect()]
}

pub fn normal<T: Real>(seed: u64, step: u64, id: u64, pair: u64, element: u64) -> T {
    let address = Address::new(Purpose::PERTURBATION, step, id, pair).unwrap();
    T::from_f64(Distribution::Normal.number(seed, &address, element).unwrap().into())
}

/// What a function makes of the mean and the deviation of each element, and of its tensor's id and its place there.
fn each<Q: Element, T: Element>(
    [means, deviations]: &Found<Q::Real>,
    places: &[Place],
    of: impl Fn(Q::Real, Q::Real, u64, u64) -> T,
) -> Vec<Vec<T>> {
    let tensor = |tensor: usize| {
        let (id, first, ..) = places[tensor];
        let elements = means[tensor].iter().zip(&deviations[tensor]).zip(first..);
        elements.map(|((m, s), element)| of(*m, *s, id, element)).collect()
    };
    (0..places.len()).map(tensor).collect()
}

fn members<Q: Element>() {
    let places = short();
    for (adaptation, member, sign, pair) in [(Adaptation::SNES, 5, 1.0, 5), (PGPE, 4, 1.0, 2), (PGPE, 5, -1.0, 2)] {
        let settings = settings(adaptation, 6);
        let before = distribution(&search::<Q>(&cpus()[0], settings, &places));
        let expected = each::<Q, Q>(&before, &places, |m, s, id, element| {
            Q::store(s.fma(Q::Real::from_f64(sign) * normal::<Q::Real>(settings.seed, 0, id, pair, element), m))
        });
        let means = each::<Q, Q>(&before, &places, |m, _, _, _| Q::store(m));
        for device in devices() {
            let mut search = search::<Q>(device, settings, &places);
            let full =
                |place: &Place| Guarded::new(device, &vec![Q::store(Q::Real::from_f64(777.0)); place.2], place.4);
            let mut memory: Vec<_> = places.iter().map(full).collect();
            let mut write = |member: Option<usize>| -> Vec<Vec<Q>> {
                let mut views: Vec<ViewMut<'_, Q>> = memory.iter_mut().map(Guarded::view_mut).collect();
                match member {
                    Some(member) => search.member(member, &mut views).unwrap(),
                    None => search.write_mean(&mut views).unwrap(),
                }
                memory.iter().map(Guarded::elements).collect()
            };
            same(&write(Some(member)), &expected, &format!("member {member} as {} on {device}", Q::DTYPE));
            same(&write(None), &means, &format!("the mean as {} on {device}", Q::DTYPE));
        }
    }
}

#[test]
fn members_are_what_their_addresses_say() {
    members::<f32>();
    members::<f64>();
}

#[test]
fn members_are_rounded_once() {
    members::<bf16>();
    members::<f16>();
}

/// Losses of six members, the fourth of which failed.
pub const LOSSES: [f64; 6] = [0.5, -2.0, 3.0, f64::NAN, 0.25, 1.0];

/// Coefficient of each noise and factor of its square, by the formulas.
fn coefficients(adaptation: Adaptation) -> Vec<[f64; 2]> {
    // ln 4 - ln 1, ln 4 - ln 2 and ln 4 - ln 3 are positive.
    let logs = [4.0_f64.ln(), 2.0_f64.ln(), 4.0_f64.ln() - 3.0_f64.ln()];
    let sum: f64 = logs.iter().sum();
    let of_place = |place: usize| f64::from((1.0 / 6.0 - logs.get(place).unwrap_or(&0.0) / sum) as f32);
    let utilities = [2, 0, 4, 5, 1, 3].map(|place| -of_place(place));
    match adaptation {
        Adaptation::Snes { mean_rate, deviation_rate: Some(rate), is_antithetic: false } => {
            utilities.iter().map(|u| [mean_rate * u, rate / 2.0 * u]).collect()
        }
        Adaptation::Snes { mean_rate, deviation_rate: Some(rate), .. } => {
            let pairs = utilities.chunks(2);
            pairs.map(|u| [mean_rate * (u[0] - u[1]), rate / 2.0 * (u[0] + u[1])]).collect()
        }
        // The second pair has failed; the mean of the others is -0.0625.
        Adaptation::Pgpe { mean_rate, deviation_rate, .. } => [[2.5, -1.5], [0.0, 0.0], [-0.75, 1.25]]
            .map(|[apart, sum]| {
                let above = if apart == 0.0 { 0.0 } else { sum / 2.0 + 0.0625 };
                [-mean_rate / 2.0 * (apart / 2.0), -deviation_rate / 2.0 * above]
            })
            .to_vec(),
        _ => unreachable!(),
    }
}

const ADAPTATIONS: [Adaptation; 3] =
    [Adaptation::Snes { mean_rate: 0.9, deviation_rate: Some(0.4), is_antithetic: false }, ANTITHETIC, PGPE];

/// The element's new mean and deviation in f64, summed the way the formula says it.
fn in_f64(adaptation: Adaptation, coefficients: &[[f64; 2]], numbers: &[f64], m: f64, s: f64) -> [f64; 2] {
    let sum: f64 = coefficients.iter().zip(numbers).map(|([a, _], z)| a * z).sum();
    let change: f64 = coefficients.iter().zip(numbers).map(|([_, b], z)| b * (z * z - 1.0)).sum();
    let grown =
        if let Adaptation::Pgpe { most, .. } = adaptation { 1.0 + change.clamp(-most, most) } else { change.exp() };
    [m + s * sum, s * grown]
}

#[test]
fn distributions_follow_the_formulas() {
    let places = short();
    for adaptation in ADAPTATIONS {
        let settings = settings(adaptation, 6);
        let coefficients = coefficients(adaptation);
        let mut search = search::<f64>(&cpus()[0], settings, &places);
        // The second of two generations has other noise.
        for generation in 0..2 {
            let before = distribution(&search);
            search.tell(&LOSSES).unwrap();
            let after = distribution(&search);
            for (k, after) in after.iter().enumerate() {
                let expected = each::<f64, f64>(&before, &places, |m, s, id, element| {
                    let number = |pair| normal::<f64>(settings.seed, generation, id, pair, element);
                    let numbers: Vec<f64> = (0..coefficients.len() as u64).map(number).collect();
                    in_f64(adaptation, &coefficients, &numbers, m, s)[k]
                });
                for (found, expected) in after.iter().flatten().zip(expected.iter().flatten()) {
                    let bound = 1e-12 * expected.abs().max(1.0);
                    assert!((found - expected).abs() <= bound, "{adaptation:?}: {found}, not {expected}");
                }
            }
        }
        assert_eq!(search.generation(), 2);
    }
}

/// Each element as its numbers say, one at a time, rounded where the contract rounds.
fn rounded<T: Real>(adaptation: Adaptation, coefficients: &[[f64; 2]], numbers: &[T], m: T, s: T) -> [T; 2] {
    let used = || coefficients.iter().zip(numbers).filter(|(numbers, _)| **numbers != [0.0, 0.0]);
    let zero = T::from_f64(0.0);
    let sum = used().fold(zero, |sum, ([a, _], z)| fma(T::from_f64(*a), *z, sum));
    let squares = used().fold(zero, |sum, ([_, b], z)| fma(T::from_f64(*b), *z * *z, sum));
    let change = squares - T::from_f64(used().map(|([_, b], _)| b).sum());
    let mean = fma(s, sum, m);
    if let Adaptation::Pgpe { most, .. } = adaptation {
        let bounded = change.to_f64().clamp(-most, most);
        return [mean, fma(s, T::from_f64(bounded), s)];
    }
    [mean, s * exp(change)]
}

fn adapted<Q: Element>() {
    let places = short();
    for adaptation in ADAPTATIONS {
        let settings = settings(adaptation, 6);
        let coefficients = coefficients(adaptation);
        let before = distribution(&search::<Q>(&cpus()[0], settings, &places));
        let expected = [0, 1].map(|k| {
            each::<Q, Q::Real>(&before, &places, |m, s, id, element| {
                let number = |pair| normal(settings.seed, 0, id, pair, element);
                let numbers: Vec<Q::Real> = (0..coefficients.len() as u64).map(number).collect();
                rounded(adaptation, &coefficients, &numbers, m, s)[k]
            })
        });
        for device in devices() {
            let mut search = search::<Q>(device, settings, &places);
            search.tell(&LOSSES).unwrap();
            let found = distribution(&search);
            same(&found[0], &expected[0], &format!("means of {adaptation:?} as {} on {device}", Q::DTYPE));
            same(&found[1], &expected[1], &format!("deviations of {adaptation:?} as {} on {device}", Q::DTYPE));
        }
    }
}

#[test]
fn distributions_adapt_to_the_bit() {
    adapted::<f32>();
    adapted::<f64>();
}

/// More members than terms travel with a launch, longer tensors than a chunk, generation after generation.
#[test]
fn runs_are_the_same_on_every_device() {
    let places = [(0, 0, 40_000, 0, 0), (3, 2, 101, 0, 1)];
    let losses: Vec<f64> = (0..14).map(|i| f64::from(i * i % 11)).collect();
    let runs = devices().iter().map(|device| {
        let mut search = search::<bf16>(device, settings(Adaptation::SNES, 14), &places);
        (0..2).for_each(|_| search.tell(&losses).unwrap());
        distribution(&search)
    });
    let runs: Vec<_> = runs.collect();
    for run in &runs {
        same(&run[0], &runs[0][0], "means");
        same(&run[1], &runs[0][1], "deviations");
    }
}

/// Generations until the mean's loss is below a bound.
pub fn generations(search: &mut Search<f64>, bound: f64, most: u64, loss: impl Fn(&[f64]) -> f64) -> u64 {
    let mut x = vec![0.0; search.tensors()[0].length as usize];
    while search.generation() < most {
        let mut losses = Vec::new();
        for member in 0..search.population() {
            search.member(member, &mut [x.as_mut_slice().into()]).unwrap();
            losses.push(loss(&x));
        }
        search.tell(&losses).unwrap();
        if loss(&search.mean(0).unwrap().to_vec().unwrap()) < bound {
            break;
        }
    }
    search.generation()
}

/// The ellipsoid of the papers: axes between 1 and 1000.
pub fn ellipsoid(x: &[f64]) -> f64 {
    let last = (x.len() - 1) as f64;
    x.iter().enumerate().map(|(i, x)| (1000.0_f64.powf(i as f64 / last) * x).powi(2)).sum()
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

pub fn at_one(adaptation: Adaptation, population: Option<usize>, sigma: f64, elements: usize) -> Search<f64> {
    let settings = SearchSettings { adaptation, sigma, population, seed: 5 };
    let mut search = Search::new(&cpus()[0], settings, &[Tensor::new(elements)]).unwrap();
    search.set_mean(0, &vec![1.0; elements]).unwrap();
    search
}

#[test]
fn snes_learns_the_scales_of_an_ellipsoid() {
    for is_antithetic in [false, true] {
        let adaptation = Adaptation::Snes { mean_rate: 1.0, deviation_rate: None, is_antithetic };
        let mut search = at_one(adaptation, None, 1.0, 10);
        assert_eq!(search.population(), 10);
        let needed = generations(&mut search, 1e-10, 3000, ellipsoid);
        assert!(needed < 3000, "antithetic: {is_antithetic}");
        let deviation = search.deviation(0).unwrap().to_vec().unwrap();
        assert!(deviation[0] > 50.0 * deviation[9], "{deviation:?}");
    }
}

#[test]
fn pgpe_descends() {
    let adaptation =
        Adaptation::Pgpe { mean_rate: 1.0, deviation_rate: 0.1, most: 0.2, shaping: Some(Shaping::CentredRanks) };
    let needed = generations(&mut at_one(adaptation, Some(40), 0.3, 10), 1e-4, 3000, sphere);
    assert!(needed < 3000);
    let adaptation = Adaptation::Pgpe { mean_rate: 0.5, deviation_rate: 0.02, most: 0.2, shaping: None };
    let needed = generations(&mut at_one(adaptation, Some(40), 0.3, 10), 1e-4, 3000, sphere);
    assert!(needed < 3000);
}

/// Ranks do not change under a function that keeps the order, even where f32 could not tell the losses apart.
#[test]
fn only_the_order_of_losses_matters_to_snes() {
    let places = [(0, 0, 50, 0, 0)];
    let losses = [3.0, 1.0, 2.0, 0.0, 2.0, 5.0];
    let run = |of: &dyn Fn(f64) -> f64| {
        let mut search = search::<f64>(&cpus()[0], settings(Adaptation::SNES, 6), &places);
        search.tell(&losses.map(of)).unwrap();
        distribution(&search)
    };
    let expected = run(&|loss| loss);
    let reversed = run(&|loss| -loss);
    assert!(reversed != expected);
    for (what, of) in [
        ("1 + 10⁻¹² loss", &(|loss: f64| 1.0 + 1e-12 * loss) as &dyn Fn(f64) -> f64),
        ("e^(100 loss)", &|loss| (100.0 * loss).exp()),
        ("what is not a number", &|loss| if loss == 5.0 { f64::NAN } else { loss }),
        ("infinities", &|loss| {
            if loss == 5.0 {
                f64::INFINITY
            } else if loss == 0.0 {
                f64::NEG_INFINITY
            } else {
                loss
            }
        }),
    ] {
        assert!(run(of) == expected, "{what}");
    }
}

/// Equal losses tell nothing, and so does a lone member.
#[test]
fn nothing_told_is_nothing_changed() {
    let places = [(0, 0, 50, 0, 0)];
    for device in devices() {
        for (adaptation, losses) in
            [(Adaptation::SNES, vec![2.0; 6]), (Adaptation::SNES, vec![2.0]), (PGPE, vec![f64::NAN; 4])]
        {
            let mut search = search::<f32>(device, settings(adaptation, losses.len()), &places);
            let before = distribution(&search);
            search.tell(&losses).unwrap();
            assert!(distribution(&search) == before, "{adaptation:?} on {device}");
            assert_eq!(search.generation(), 1);
        }
    }
}

#[test]
fn a_search_goes_on_where_it_was_saved() {
    for device in devices() {
        for adaptation in ADAPTATIONS {
            let places = [(2, 4, 60, 0, 0), (7, 0, 5, 0, 0)];
            let mut whole = search::<f32>(device, settings(adaptation, 6), &places);
            whole.tell(&LOSSES).unwrap();
            let bytes = whole.state().unwrap().to_bytes();
            let other = SearchSettings { seed: 1, sigma: 3.0, ..settings(adaptation, 6) };
            let mut resumed = Search::<f32>::new(device, other, &tensors(&places)).unwrap();
            resumed.load_state(&State::from_bytes(&bytes).unwrap()).unwrap();
            assert_eq!((resumed.generation(), resumed.settings().seed), (1, whole.settings().seed));
            whole.tell(&LOSSES).unwrap();
            resumed.tell(&LOSSES).unwrap();
            assert!(distribution(&whole) == distribution(&resumed), "{adaptation:?} on {device}");
        }
    }
}

/// Two shards become what the whole becomes.
#[test]
fn shards_search_as_one() {
    let whole = [(5, 0, 100, 0, 0)];
    let parts = [(5, 0, 37, 0, 0), (5, 37, 63, 0, 0)];
    for device in devices() {
        let [whole, parts] = [&whole[..], &parts].map(|places| {
            let mut search = Search::<f32>::new(device, settings(ADAPTATIONS[0], 6), &tensors(places)).unwrap();
            search.tell(&LOSSES).unwrap();
            let mut memory: Vec<_> =
                places.iter().map(|place| Buffer::<f32>::zeros(device, place.2).unwrap()).collect();
            let mut views: Vec<_> = memory.iter_mut().map(Buffer::view_mut).collect();
            search.member(3, &mut views).unwrap();
            let members: Vec<Vec<f32>> = memory.iter().map(|memory| memory.to_vec().unwrap()).collect();
            [members.concat(), distribution(&search)[1].concat()]
        });
        assert!(whole == parts, "{device}");
    }
}

#[track_caller]
pub fn says<T>(result: gradus::Result<T>, message: &str) {
    assert_eq!(result.map(drop).unwrap_err().to_string(), message);
}

#[test]
fn the_papers_numbers_are_the_defaults() {
    let population = |elements| {
        let settings = SearchSettings { population: None, ..settings(Adaptation::SNES, 1) };
        Search::<f32>::new(&cpus()[0], settings, &[Tensor::new(elements)]).unwrap().population()
    };
    assert_eq!([0, 1, 2, 10, 100, 1000].map(population), [4, 4, 6, 10, 17, 24]);
    // (3 + ln 10) / (5 √10).
    let rate = 0.335_366_5;
    let run = |deviation_rate| {
        let adaptation = Adaptation::Snes { mean_rate: 1.0, deviation_rate, is_antithetic: false };
        let mut search = search::<f64>(&cpus()[0], settings(adaptation, 6), &[(0, 0, 10, 0, 0)]);
        search.tell(&LOSSES).unwrap();
        distribution(&search)[1].concat()
    };
    for (found, expected) in run(None).iter().zip(run(Some(rate))) {
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }
}
