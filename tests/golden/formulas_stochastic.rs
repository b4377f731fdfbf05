//! The same for SUPER-ADAM, THEO POULA and losing momentum.

use gradus::optim::{Array, Group, Optimizer, Tensor};
use gradus::rules::{AnyRule, LosingMomentum, SuperAdam};
use gradus::{Buffer, Device};
use serde_json::json;
use steppers::Stepped;

use super::formulas_extras::{ELEMENTS, STEPS, assert_agrees, extra, gradient, trajectory};

#[test]
fn superadam() {
    let (rate, beta) = (0.05, 0.9);
    for (storm, scale, offset, gain, eps, weight_decay, maximize) in [
        (false, 1.0, 3.0, 0.5, 1e-2, 0.0, false),
        (false, 2.0, 0.0, 0.25, 1e-3, 0.2, true),
        (false, 1.5, 0.0, 1.0, 1e-2, 0.1, false), // the first weight is above 1
        (true, 1.0, 3.0, 0.5, 1e-2, 0.0, true),
        (true, 2.0, 8.0, 0.25, 1e-2, 0.2, false),
        (true, 2.0, 0.0, 9.0, 1e-2, 0.1, true), // all weights are 0.99
    ] {
        let method = if storm { "superadam_storm" } else { "superadam_momentum" };
        let mut hyper = json!({
            "k": scale, "m": offset, "c": gain, "beta": beta, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize, "coord_glob_H": false,
        });
        hyper[if maximize { "gamma" } else { "lr" }] = rate.into();
        let rule = SuperAdam { lr: rate, scale, offset, gain, beta, eps, weight_decay, storm, bias_correction: true };
        let (mut m, mut v) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        let params = trajectory(super_adam_step(&rule, maximize, |_| true, &mut m, &mut v));
        let previous: Vec<_> = (1..=STEPS).map(extra).collect();
        // The estimate of STORM leaves the penalty out.
        let mut fields = vec![("state", json!({ "exp_avg": m, "exp_avg_sq": v }))];
        if storm {
            fields.push(("grads_prev_point", json!(previous)));
        }
        assert_agrees(method, &hyper, &fields, params);
    }
}

/// The reference's rule; `given` tells which steps have a gradient at the previous point.
fn super_adam_step<'a>(
    rule: &'a SuperAdam,
    maximize: bool,
    given: impl Fn(usize) -> bool + 'a,
    m: &'a mut [f64; ELEMENTS],
    v: &'a mut [f64; ELEMENTS],
) -> impl FnMut(usize, usize, f64, f64) -> f64 + 'a {
    let sign = if maximize { -1.0 } else { 1.0 };
    let SuperAdam { lr, scale, offset, gain, beta, eps, weight_decay, storm, bias_correction } = *rule;
    move |t, i, p, g| {
        let penalised = sign * g + weight_decay * p;
        v[i] = beta * v[i] + (1.0 - beta) * penalised * penalised;
        let root = if storm { (offset + t as f64).cbrt() } else { (offset + t as f64).sqrt() };
        let mut direction;
        if storm {
            let before = scale / (offset + t as f64 - 1.0).cbrt();
            let a = (gain * before * before).min(0.99);
            let carried = if t == 1 || !given(t) { 0.0 } else { (1.0 - a) * (m[i] - sign * extra(t)[i]) };
            m[i] = sign * g + carried;
            direction = m[i] + weight_decay * p;
        } else {
            let a = gain * scale / root;
            m[i] = (1.0 - a) * m[i] + a * penalised;
            direction = m[i];
        }
        let bias = if bias_correction { 1.0 - beta.powi(t as i32) } else { 1.0 };
        direction /= v[i].sqrt() / bias.sqrt() + eps;
        p - lr * scale / root * direction
    }
}

/// Steps without a gradient at the previous point, and the paper's second moment, which no file can have.
#[test]
fn superadam_of_the_paper_and_without_second_gradients() {
    for (storm, bias_correction, every) in [(true, true, 3), (true, false, 2), (false, false, STEPS + 1)] {
        let rule = SuperAdam {
            lr: 0.05,
            scale: 2.0,
            offset: 1.0,
            gain: 0.125,
            beta: 0.9,
            eps: 1e-2,
            weight_decay: 0.1,
            storm,
            bias_correction,
        };
        let given = |t: usize| t.is_multiple_of(every);
        let (mut m, mut v) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        let expected = trajectory(super_adam_step(&rule, false, given, &mut m, &mut v));
        let stepped = stepped(Group::new(rule.into()), given);
        assert_near(&stepped, &expected);
    }
}

#[test]
fn theopoula() {
    for (lr, beta, eps, weight_decay, maximize) in [
        (0.05_f64, Some(20.0), 1e-3, 0.0, false),
        (0.05, Some(20.0), 0.1, 0.2, true),
        (2.0, Some(300.0), 1.0, 0.1, false),
        (0.05, Some(1.0), 1e-2, 0.2, false), // no noise
        (0.05, None, 1e-2, 0.0, true),
    ] {
        let hyper = json!({
            "lr": lr, "beta": beta, "eps": eps, "eta": 0, "r": 2, "weight_decay": weight_decay, "maximize": maximize,
        });
        let noise: Vec<_> = (1..=STEPS).map(extra).collect();
        let params = trajectory(|t, i, p, g| {
            let g = if maximize { -g } else { g } + weight_decay * p;
            let boost = 1.0 + lr.sqrt() / (eps + g.abs());
            let drawn = match beta {
                Some(1.0) => 0.0,
                _ => (2.0 * lr / beta.unwrap_or(1e14)).sqrt() * extra(t)[i],
            };
            p - lr * g * boost / (1.0 + lr.sqrt() * g.abs()) + drawn
        });
        assert_agrees("theopoula", &hyper, &[("noise", json!(noise))], params);
    }
}

/// The form in which the two equations stand for each other: `m (V - V₀) = -h g - α h V`, solved by bisection.
#[test]
fn losing_momentum() {
    for (lr, damping, mass, decay, power, weight_decay, maximize) in [
        (0.25, 1.0, 1.0, 0.75, 0.0, 0.0, false),
        (0.25, 0.5, 2.0, 1.0, 1.5, 0.2, true),
        (0.125, 2.0, 0.5, 0.5, 0.5, 0.1, false),
        (0.25, 1.0, 1.0, 0.0, 0.0, 0.2, false),
        (0.25, 4.0, 0.0, 1.0, 0.0, 0.0, true),
    ] {
        let rule = LosingMomentum { lr, damping, mass, decay, power, weight_decay };
        let mut velocity = [0.0; ELEMENTS];
        let mut update = |t: usize, i: usize, p: f64, g: f64| {
            let g = if maximize { -g } else { g } + weight_decay * p;
            let mass = mass * f64::powi(decay, t as i32 - 1) * (t as f64).powf(-power);
            let residual = |v: f64| mass * (v - velocity[i]) + lr * g + damping * lr * v;
            let (mut low, mut high) = (-100.0, 100.0);
            for _ in 0..100 {
                let middle = 0.5 * (low + high);
                *(if residual(middle) < 0.0 { &mut low } else { &mut high }) = middle;
            }
            velocity[i] = 0.5 * (low + high);
            p + lr * velocity[i]
        };
        let expected = trajectory(&mut update);
        let group = Group::new(AnyRule::from(rule)).maximize(maximize);
        assert_near(&stepped(group, |_| false), &expected);
    }
}

/// Without a rate nothing moves, and a mass that is gone divides nothing by 0.
#[test]
fn losing_momentum_stands_still_without_a_rate() {
    let rule = LosingMomentum { lr: 0.0, decay: 0.0, ..LosingMomentum::default() };
    let mut optimizer = Optimizer::<LosingMomentum>::new(&Device::cpu(), rule).unwrap();
    optimizer.add(Tensor::new(1)).unwrap();
    let (mut weight, gradient) = (vec![1.0_f32], vec![1.0_f32]);
    for _ in 0..3 {
        optimizer.step(&mut [(&mut weight).into()], &[Some((&gradient).into())]).unwrap();
    }
    assert_eq!(weight, [1.0]);
    let state = optimizer.state().unwrap();
    assert_eq!(state.get("tensor.0.0.state.velocity"), Some(&Array::F32(vec![0.0])));
}

/// The parameters after each step of a rule, which is given the other number in some steps.
fn stepped(group: Group<AnyRule>, given: impl Fn(usize) -> bool) -> Vec<[f64; ELEMENTS]> {
    let device = Device::cpu();
    let placed = |values: [f64; ELEMENTS]| Buffer::from_slice(&device, &values).unwrap();
    let mut optimizer = f64::stepper(&group, &device).unwrap();
    optimizer.add(Tensor::new(ELEMENTS)).unwrap();
    let mut parameter = placed(super::formulas_extras::START);
    let step = |t| {
        let (gradient, other) = (placed(gradient(t)), given(t).then(|| placed(extra(t))));
        let (parameters, gradients) = (&mut [parameter.view_mut()], &[Some(gradient.view())]);
        match &other {
            Some(other) => optimizer.step_with(parameters, gradients, &[Some(other.view())]).unwrap(),
            None => optimizer.step(parameters, gradients).unwrap(),
        }
        let values = parameter.to_vec().unwrap();
        [0, 1, 2].map(|i| values[i])
    };
    (1..=STEPS).map(step).collect()
}

fn assert_near(given: &[[f64; ELEMENTS]], expected: &[[f64; ELEMENTS]]) {
    for (t, (given, expected)) in given.iter().zip(expected).enumerate() {
        for (given, expected) in given.iter().zip(expected) {
            assert!((given - expected).abs() <= 1e-12, "step {}: {given}, not {expected}", t + 1);
        }
    }
}
