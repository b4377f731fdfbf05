//! Settings and cases that no golden file has, against plain loops in f64.

use gradus::Device;
use gradus::ensemble::{Ensemble, GtAdam, Mixing, ReplicatedSgd, Start};
use gradus::optim::Tensor;

const ELEMENTS: usize = 3;
const STEPS: usize = 7;

type Array = [f64; ELEMENTS];

/// A number for a step, a copy and an element.
fn number(t: usize, copy: usize, i: usize) -> f64 {
    f64::from(7 * t as i32 + 5 * copy as i32 + 3 * i as i32).sin() + 0.25 * i as f64
}

pub fn array(t: usize, copy: usize) -> Array {
    std::array::from_fn(|i| number(t, copy, i))
}

pub fn assert_close(what: &str, given: &[f64], expected: &[f64]) {
    assert_eq!(given.len(), expected.len(), "{what}");
    for (i, (given, expected)) in given.iter().zip(expected).enumerate() {
        let error = (given - expected).abs() / expected.abs().max(1.0);
        assert!(error <= 1e-13, "{what}, element {i}: {given}, not {expected}");
    }
}

#[test]
fn replicas() {
    for (copies, lr, gamma, growth) in
        [(1, 0.1, 3.0, 0.5), (2, 0.3, 0.0, 1.0), (3, 0.2, 0.7, 0.0), (5, 0.0, 1.0, 0.1), (5, 0.1, 0.4, 0.25)]
    {
        let method = ReplicatedSgd { lr, gamma, gamma_growth: growth };
        let tensors = [Tensor::new(ELEMENTS)];
        let mut ensemble = Ensemble::<ReplicatedSgd, f64>::new(&Device::cpu(), method, copies, &tensors).unwrap();
        let mut x: Vec<Array> = (0..copies).map(|copy| array(0, copy)).collect();
        let mut given = x.clone();
        for t in 1..=STEPS {
            // Replica 1 has no gradient in every third step.
            let has_gradient = |copy: usize| copy != 1 || !t.is_multiple_of(3);
            let gradients: Vec<Array> = (0..copies).map(|copy| array(t, copy)).collect();
            let mut parameters: Vec<_> = given.iter_mut().map(|x| x.as_mut_slice().into()).collect();
            let views = gradients.iter().enumerate().map(|(copy, g)| has_gradient(copy).then(|| g.as_slice().into()));
            ensemble.step(&mut parameters, &views.collect::<Vec<_>>()).unwrap();

            let old = x.clone();
            let pull = gamma * (1.0 + growth).powi(t as i32 - 1);
            for (copy, x) in x.iter_mut().enumerate().filter(|(copy, _)| has_gradient(*copy)) {
                for i in 0..ELEMENTS {
                    let mean = old.iter().map(|x| x[i]).sum::<f64>() / copies as f64;
                    x[i] -= lr * (gradients[copy][i] + pull * (old[copy][i] - mean));
                }
            }
            assert_close(&format!("{method:?} of {copies}, step {t}"), given.as_flattened(), x.as_flattened());
        }
    }
}

#[test]
fn the_mean_of_replicas() {
    let tensors = [Tensor::new(ELEMENTS), Tensor::new(ELEMENTS)];
    let method = ReplicatedSgd::default();
    let ensemble = Ensemble::<ReplicatedSgd, f64>::new(&Device::cpu(), method, 3, &tensors).unwrap();
    let x: Vec<Array> = (0..6).map(|position| array(1, position)).collect();
    let mut means = [[0.0; ELEMENTS]; 2];
    let views: Vec<_> = x.iter().map(|x| x.as_slice().into()).collect();
    let mut written: Vec<_> = means.iter_mut().map(|mean| mean.as_mut_slice().into()).collect();
    ensemble.mean(&views, &mut written).unwrap();
    for tensor in 0..2 {
        let expected: Array = std::array::from_fn(|i| (x[tensor][i] + x[tensor + 2][i] + x[tensor + 4][i]) / 3.0);
        assert_close(&format!("the mean of tensor {tensor}"), &means[tensor], &expected);
    }
}

/// The agents' form of the paper, and that of NVFlare: x first, the tracker with the gradient at the new x.
#[test]
fn agents() {
    let weights = [0.5, 0.3, 0.2, 0.2, 0.5, 0.3, 0.3, 0.2, 0.5];
    for (start, bound, eps, beta1, beta2) in [
        (Start::Gradient, 1e6, 1e-3, 0.9, 0.95),
        (Start::Mixing, 1e6, 1e-3, 0.8, 0.95),
        (Start::Gradient, 0.05, 1e-2, 0.0, 0.5),
        (Start::Mixing, 0.02, 1e-2, 0.9, 0.0),
    ] {
        let lr = 0.05;
        let method = GtAdam { lr, beta1, beta2, eps, bound, start };
        let mixing = Mixing::new(3, &weights).unwrap();
        let tensors = [Tensor::new(ELEMENTS)];
        let mut ensemble = Ensemble::<GtAdam, f64>::new(&Device::cpu(), method, &mixing, &tensors).unwrap();
        let mut given: Vec<Array> = (0..3).map(|agent| array(0, agent)).collect();
        let mut x = given.clone();
        let zeros = || vec![[0.0; ELEMENTS]; 3];
        let (mut s, mut m, mut v) = (zeros(), zeros(), zeros());
        // The gradient that each agent had last.
        let mut known = zeros();
        for t in 1..=STEPS {
            // Agent 2 keeps the gradient it had in every fourth step.
            let has_gradient = |agent: usize| agent != 2 || !t.is_multiple_of(4);
            let gradients: Vec<Array> = (0..3).map(|agent| array(t, agent)).collect();
            let mut parameters: Vec<_> = given.iter_mut().map(|x| x.as_mut_slice().into()).collect();
            let views = gradients.iter().enumerate().map(|(agent, g)| has_gradient(agent).then(|| g.as_slice().into()));
            ensemble.step(&mut parameters, &views.collect::<Vec<_>>()).unwrap();

            let mix =
                |of: &[Array], agent: usize, i: usize| (0..3).map(|j| weights[3 * agent + j] * of[j][i]).sum::<f64>();
            let (old_s, old_x) = (s.clone(), x.clone());
            for agent in 0..3 {
                for i in 0..ELEMENTS {
                    s[agent][i] = mix(&old_s, agent, i);
                    if has_gradient(agent) && (t > 1 || start == Start::Gradient) {
                        s[agent][i] += gradients[agent][i] - known[agent][i];
                        known[agent][i] = gradients[agent][i];
                    }
                    m[agent][i] = beta1 * m[agent][i] + (1.0 - beta1) * s[agent][i];
                    v[agent][i] = (beta2 * v[agent][i] + (1.0 - beta2) * s[agent][i].powi(2)).min(bound);
                    x[agent][i] = mix(&old_x, agent, i) - lr * m[agent][i] / (v[agent][i] + eps).sqrt();
                }
            }
            assert_close(&format!("{method:?}, step {t}"), given.as_flattened(), x.as_flattened());
            // Gradient tracking: the trackers' mean is that of the gradients.
            let sum = |of: &[Array]| std::array::from_fn::<f64, ELEMENTS, _>(|i| of.iter().map(|of| of[i]).sum());
            assert_close("the sum of the trackers", &sum(&s), &sum(&known));
        }
    }
}

/// What is not finite in an agent reaches its neighbours, and nobody else.
#[test]
fn a_weight_of_zero_keeps_infinities_away() {
    let mixing = Mixing::new(4, &super::subject::RING).unwrap();
    let method = GtAdam { start: Start::Gradient, ..GtAdam::default() };
    let mut ensemble = Ensemble::<GtAdam>::new(&Device::cpu(), method, &mixing, &[Tensor::new(1)]).unwrap();
    let mut x = [[f32::INFINITY], [1.0], [2.0], [3.0]];
    let g = [[f32::NAN], [0.0], [0.0], [0.0]];
    let mut parameters: Vec<_> = x.iter_mut().map(|x| x.as_mut_slice().into()).collect();
    ensemble.step(&mut parameters, &g.each_ref().map(|g| Some(g.as_slice().into()))).unwrap();
    assert!(!x[0][0].is_finite() && !x[1][0].is_finite() && !x[3][0].is_finite());
    assert_eq!(x[2][0], 0.25 + 1.0 + 0.75);
}
