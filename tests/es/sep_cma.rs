//! Separable CMA-ES: against its formulas, written down once more; to the bit on every device; what it finds.

use gradus::element::Element;
use gradus::es::{Adaptation, Search, SearchSettings};
use gradus::optim::{Array, State, Tensor};
use gradus::{Buffer, ViewMut};
use half::{bf16, f16};

use crate::common::devices::{cpus, devices};
use crate::model::{Place, same, tensors};
use crate::search::{LOSSES, at_one, distribution, ellipsoid, generations, normal, says, search, settings};

/// The constants of the paper for `d` elements and `n` members.
struct Constants {
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_cov: f64,
    chi: f64,
}

fn constants(d: f64, n: usize) -> Constants {
    let logs: Vec<f64> = (1..=n / 2).map(|rank| ((n as f64 + 1.0) / 2.0).ln() - (rank as f64).ln()).collect();
    let sum: f64 = logs.iter().sum();
    let weights: Vec<f64> = logs.iter().map(|log| log / sum).collect();
    let mu_eff = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
    let c_sigma = (mu_eff + 2.0) / (d + mu_eff + 3.0);
    let rank_mu = ((2.0 * mu_eff - 1.0) / ((d + 2.0) * (d + 2.0) + mu_eff)).min(1.0);
    let rank_one = 2.0 / ((d + 2.0_f64.sqrt()) * (d + 2.0_f64.sqrt()));
    let c_cov = (rank_one / mu_eff + (1.0 - 1.0 / mu_eff) * rank_mu) * (d + 2.0) / 3.0;
    Constants {
        weights,
        mu_eff,
        c_sigma,
        d_sigma: 1.0 + c_sigma + 2.0 * (((mu_eff - 1.0) / (d + 1.0)).sqrt() - 1.0).max(0.0),
        c_c: 4.0 / (d + 4.0),
        c_cov: c_cov.min(1.0),
        chi: d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d)),
    }
}

/// What pycma tells at its start of 10, 20 and 40 dimensions: `(5_w,10) (mu_w=3.2,w_1=45%)`, `(6_w,12) (mu_w=3.7,w_1=40%)` and
/// `(7_w,15) (mu_w=4.5,w_1=34%)`.
#[test]
fn the_reference_has_the_usual_numbers() {
    for (d, n, mu_eff, first) in [(10.0, 10, 3.2, 0.45), (20.0, 12, 3.7, 0.40), (40.0, 15, 4.5, 0.34)] {
        let constants = constants(d, n);
        assert!((constants.mu_eff - mu_eff).abs() < 0.06, "{}", constants.mu_eff);
        assert!((constants.weights[0] - first).abs() < 0.01, "{}", constants.weights[0]);
    }
    // The expected norm is √2·Γ((d + 1)/2)/Γ(d/2): √(2/π) for d = 1, 3.0843 for d = 10.
    for (d, expected) in [(1.0, 0.79788), (10.0, 3.0843)] {
        assert!((constants(d, 10).chi - expected).abs() < 1e-3);
    }
}

/// The algorithm over one flat vector, by the paper's letters.
struct Reference {
    constants: Constants,
    m: Vec<f64>,
    c: Vec<f64>,
    p_sigma: Vec<f64>,
    p_c: Vec<f64>,
    sigma: f64,
    generation: u64,
    /// Generations whose path was too long.
    stalls: u32,
}

impl Reference {
    fn new(m: Vec<f64>, sigma: f64, n: usize) -> Self {
        let zeros = vec![0.0; m.len()];
        let constants = constants(m.len() as f64, n);
        let c = vec![1.0; m.len()];
        Self { constants, m, c, p_sigma: zeros.clone(), p_c: zeros, sigma, generation: 0, stalls: 0 }
    }

    /// `z[i]` has the noise of member i, `order` the members from the best on.
    #[allow(clippy::needless_range_loop, reason = "the letters of the paper have indices")]
    fn tell(&mut self, z: &[Vec<f64>], order: &[usize]) {
        let Constants { weights, mu_eff, c_sigma, d_sigma, c_c, c_cov, chi } = &self.constants;
        // The library's weights are rounded to f32.
        let weights: Vec<f64> = weights.iter().map(|w| f64::from(*w as f32)).collect();
        let d = self.m.len();
        let mean_of = |of: &dyn Fn(f64) -> f64, e: usize| -> f64 {
            weights.iter().zip(order).map(|(w, &member)| w * of(z[member][e])).sum()
        };
        let z_w: Vec<f64> = (0..d).map(|e| mean_of(&|z| z, e)).collect();
        let z2_w: Vec<f64> = (0..d).map(|e| mean_of(&|z| z * z, e)).collect();
        for e in 0..d {
            self.m[e] += self.sigma * self.c[e].sqrt() * z_w[e];
            self.p_sigma[e] = (1.0 - c_sigma) * self.p_sigma[e] + (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt() * z_w[e];
        }
        let norm = self.p_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        let started = (1.0 - (1.0 - c_sigma).powf(2.0 * (self.generation as f64 + 1.0))).sqrt();
        let h = if norm / started < (1.4 + 2.0 / (d as f64 + 1.0)) * chi { 1.0 } else { 0.0 };
        self.stalls += u32::from(h == 0.0);
        self.sigma *= (c_sigma / d_sigma * (norm / chi - 1.0)).exp();
        for e in 0..d {
            let y_w = self.c[e].sqrt() * z_w[e];
            self.p_c[e] = (1.0 - c_c) * self.p_c[e] + h * (c_c * (2.0 - c_c) * mu_eff).sqrt() * y_w;
            self.c[e] = (1.0 - c_cov) * self.c[e]
                + c_cov / mu_eff * self.p_c[e] * self.p_c[e]
                + c_cov * (1.0 - 1.0 / mu_eff) * self.c[e] * z2_w[e];
        }
        self.generation += 1;
    }
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {found}, not {expected}");
    }
}

#[test]
fn runs_follow_the_formulas() {
    // Two tensors, one of them a shard, searched as one vector.
    let places: [(u64, u64, usize); 2] = [(0, 0, 9), (3, 5, 6)];
    let list: Vec<Tensor> = places.iter().map(|&(id, first, n)| Tensor::new(n).id(id).first(first)).collect();
    let settings = SearchSettings { adaptation: Adaptation::SepCmaEs, sigma: 0.3, population: None, seed: 77 };
    let mut search = Search::<f64>::new(&cpus()[0], settings, &list).unwrap();
    let n = search.population();
    assert_eq!(n, 12);
    let m: Vec<f64> = (0..15).map(|i| 2.0 - f64::from(i) / 5.0).collect();
    search.set_mean(0, &m[..9]).unwrap();
    search.set_mean(1, &m[9..]).unwrap();
    // Others are told the same for a while.
    let mut others: Vec<_> = devices()[1..]
        .iter()
        .map(|device| {
            let mut other = Search::<f64>::new(device, settings, &list).unwrap();
            other.set_mean(0, &m[..9]).unwrap();
            other.set_mean(1, &m[9..]).unwrap();
            other
        })
        .collect();
    let mut reference = Reference::new(m, 0.3, n);
    // Linear at first, so that the path grows too long, then the ellipsoid, which turns it.
    for generation in 0..40 {
        let loss = |x: &[f64]| if generation < 25 { x.iter().sum() } else { ellipsoid(x) };
        let mut losses = Vec::new();
        for member in 0..n {
            let (mut a, mut b) = ([0.0; 9], [0.0; 6]);
            search.member(member, &mut [a.as_mut_slice().into(), b.as_mut_slice().into()]).unwrap();
            losses.push(loss(&[&a[..], &b].concat()));
        }
        search.tell(&losses).unwrap();
        if generation < 8 {
            others.iter_mut().for_each(|other| other.tell(&losses).unwrap());
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let of_member = |member: usize| {
            let of_tensor = |&(id, first, length): &(u64, u64, usize)| {
                (first..).take(length).map(move |e| normal::<f64>(77, generation, id, member as u64, e))
            };
            places.iter().flat_map(of_tensor).collect::<Vec<f64>>()
        };
        reference.tell(&(0..n).map(of_member).collect::<Vec<_>>(), &order);
        let [means, deviations] = distribution(&search);
        near(&means.concat(), &reference.m, "mean");
        let expected: Vec<f64> = reference.c.iter().map(|c| reference.sigma * c.sqrt()).collect();
        near(&deviations.concat(), &expected, "deviation");
        if generation == 7 {
            assert!(reference.stalls > 0, "no path has been too long");
            let state = search.state().unwrap();
            assert!(others.iter().all(|other| other.state().unwrap() == state), "a device has another state");
        }
    }
    assert!((1..39).contains(&reference.stalls), "{} of 40 generations stalled", reference.stalls);
}

/// Three generations on tensors of several chunks and none.
fn adapted<Q: Element>() {
    let places: [Place; 4] = [(0, 0, 40_000, 0, 0), (3, 2, 101, 0, 1), (4, 0, 0, 0, 0), (5, 0, 16384, 0, 0)];
    let runs: Vec<_> = devices()
        .iter()
        .map(|device| {
            let mut search = search::<Q>(device, settings(Adaptation::SepCmaEs, 6), &places);
            for generation in 0..3 {
                let mut losses = LOSSES;
                losses.rotate_left(generation);
                search.tell(&losses).unwrap();
            }
            let mut members: Vec<Buffer<Q>> =
                places.iter().map(|place| Buffer::zeros(device, place.2).unwrap()).collect();
            let mut views: Vec<ViewMut<'_, Q>> = members.iter_mut().map(Buffer::view_mut).collect();
            search.member(5, &mut views).unwrap();
            let members: Vec<Vec<Q>> = members.iter().map(|member| member.to_vec().unwrap()).collect();
            (distribution(&search), members, search.state().unwrap())
        })
        .collect();
    for (device, run) in devices().iter().zip(&runs) {
        same(&run.0[0], &runs[0].0[0], &format!("means as {} on {device}", Q::DTYPE));
        same(&run.0[1], &runs[0].0[1], &format!("deviations as {} on {device}", Q::DTYPE));
        same(&run.1, &runs[0].1, &format!("members as {} on {device}", Q::DTYPE));
        assert!(run.2 == runs[0].2, "the state as {} on {device}", Q::DTYPE);
    }
}

#[test]
fn runs_are_the_same_on_every_device() {
    adapted::<f32>();
    adapted::<f64>();
    adapted::<bf16>();
    adapted::<f16>();
}

#[test]
fn the_scales_of_an_ellipsoid_are_learnt() {
    let mut search = at_one(Adaptation::SepCmaEs, None, 1.0, 10);
    let needed = generations(&mut search, 1e-10, 1000, ellipsoid);
    assert!(needed < 500, "{needed} generations");
    let deviation = search.deviation(0).unwrap().to_vec().unwrap();
    let ratio = deviation[0] / deviation[9];
    assert!((200.0..5000.0).contains(&ratio), "{ratio}, not about 1000");
}

#[test]
fn a_search_goes_on_where_it_was_saved() {
    for device in devices() {
        let places = [(2, 4, 60, 0, 0), (7, 0, 5, 0, 0)];
        let mut whole = search::<f32>(device, settings(Adaptation::SepCmaEs, 6), &places);
        (0..2).for_each(|_| whole.tell(&LOSSES).unwrap());
        let bytes = whole.state().unwrap().to_bytes();
        let other = SearchSettings { seed: 1, sigma: 3.0, ..settings(Adaptation::SepCmaEs, 6) };
        let mut resumed = Search::<f32>::new(device, other, &tensors(&places)).unwrap();
        resumed.load_state(&State::from_bytes(&bytes).unwrap()).unwrap();
        (0..2).for_each(|_| whole.tell(&LOSSES).unwrap());
        (0..2).for_each(|_| resumed.tell(&LOSSES).unwrap());
        assert!(whole.state().unwrap() == resumed.state().unwrap(), "{device}");
    }
}

/// Deviations that are set stand behind the variances; where one is 0, the element stays.
#[test]
fn deviations_may_be_set() {
    for device in devices() {
        let mut search = Search::<f64>::new(device, settings(Adaptation::SepCmaEs, 6), &[Tensor::new(3)]).unwrap();
        search.set_mean(0, &[1.0, 2.0, 3.0]).unwrap();
        search.set_deviation(0, &[0.25, 4.0, 0.0]).unwrap();
        assert_eq!(distribution(&search)[1], [[0.25, 4.0, 0.0]]);
        search.tell(&LOSSES).unwrap();
        let [means, deviations] = distribution(&search);
        let ratio = deviations[0][1] / deviations[0][0];
        assert!(means[0][2] == 3.0 && deviations[0][2] == 0.0 && (4.0..64.0).contains(&ratio), "{device}: {ratio}");
    }
}

/// So they may be when paths have grown, whose tensor begins anew, but no other.
#[test]
fn deviations_may_be_set_in_any_generation() {
    for device in devices() {
        let list = [Tensor::new(3), Tensor::new(2).id(1)];
        let mut search = Search::<f64>::new(device, settings(Adaptation::SepCmaEs, 6), &list).unwrap();
        (0..4).for_each(|_| search.tell(&LOSSES).unwrap());
        let path = |search: &Search<f64>, id: u32| {
            let state = search.state().unwrap();
            let Some(Array::F64(path)) = state.get(&format!("tensor.{id}.0.variance_path")) else { unreachable!() };
            path.clone()
        };
        let other = path(&search, 1);
        assert!(other.iter().chain(&path(&search, 0)).all(|p| *p != 0.0), "{device}");
        search.set_deviation(0, &[0.25, 1e-6, 0.0]).unwrap();
        assert_eq!((path(&search, 0), path(&search, 1)), (vec![0.0; 3], other), "{device}");
        let before = distribution(&search)[0][0].clone();
        for generation in 0..3 {
            search.tell(&LOSSES).unwrap();
            let [means, deviations] = distribution(&search).map(|of_tensors| of_tensors[0].clone());
            assert!(means[2] == before[2] && deviations[2] == 0.0, "{device}: {means:?}, {deviations:?}");
            let moved = (means[1] - before[1]).abs();
            assert!(
                generation > 0 || (1e-7..1e-5).contains(&deviations[1]) && moved < 1e-5,
                "{device}: {deviations:?}"
            );
        }
    }
}

/// Where losses are equal, members rank in their order.
#[test]
fn equal_losses_rank_by_their_members() {
    let state = |losses: [f64; 6]| {
        let mut search = search::<f64>(&cpus()[0], settings(Adaptation::SepCmaEs, 6), &[(0, 0, 50, 0, 0)]);
        search.tell(&losses).unwrap();
        search.state().unwrap()
    };
    const NAN: f64 = f64::NAN;
    for (losses, ranks) in [
        ([2.0; 6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ([NAN; 6], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ([1.0, 0.0, 1.0, 0.0, 1.0, 0.0], [3.0, 0.0, 4.0, 1.0, 5.0, 2.0]),
        ([NAN, f64::INFINITY, NAN, f64::INFINITY, -0.0, 0.0], [4.0, 2.0, 5.0, 3.0, 0.0, 1.0]),
    ] {
        assert!(state(losses) == state(ranks), "{losses:?}");
    }
}

/// Where all losses are equal, the best half are any half, and σ has no reason to grow or to shrink.
#[test]
fn on_a_flat_loss_the_step_size_stays() {
    let logs = [0, 1, 2, 3, 4, 5, 6, 7].map(|seed| {
        let settings = SearchSettings { seed, sigma: 1.0, ..settings(Adaptation::SepCmaEs, 10) };
        let mut search = Search::<f64>::new(&cpus()[0], settings, &[Tensor::new(10)]).unwrap();
        (0..100).for_each(|_| search.tell(&[3.0; 10]).unwrap());
        let state = search.state().unwrap();
        let Some(Array::F64(sigma)) = state.get("sigma") else { unreachable!() };
        sigma[0].ln()
    });
    let mean = logs.iter().sum::<f64>() / 8.0;
    assert!(mean > 0.1_f64.ln() && mean < 10.0_f64.ln(), "logarithms {logs:?} of the step sizes");
}

/// However many members there are, and however near to the mean the best of them, variances stay positive.
#[test]
fn many_members_leave_no_variance_below_zero() {
    let mut search = Search::<f64>::new(&cpus()[0], settings(Adaptation::SepCmaEs, 4000), &[Tensor::new(20)]).unwrap();
    let mut x = [0.0; 20];
    for _ in 0..3 {
        let mut losses = Vec::new();
        for member in 0..4000 {
            search.member(member, &mut [x.as_mut_slice().into()]).unwrap();
            losses.push(x.iter().map(|x| x * x).sum());
        }
        search.tell(&losses).unwrap();
    }
    let deviations = distribution(&search)[1].concat();
    assert!(deviations.iter().all(|s| *s > 0.0 && *s < 0.5), "{deviations:?}");
}

#[test]
fn a_lone_member_is_refused() {
    let lone = Search::<f32>::new(&cpus()[0], settings(Adaptation::SepCmaEs, 1), &[Tensor::new(4)]);
    says(lone, "search: one member has no better half");
}
