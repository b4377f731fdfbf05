//! What surrounds a rule, and rules that take another number beside the gradient, against plain loops: settings that no
//! file here has.

use serde_json::{Map, Value as Json, json};

use super::file::File;
use super::{Run, check};

pub const ELEMENTS: usize = 3;
pub const STEPS: usize = 8;
pub const START: [f64; ELEMENTS] = [0.5, -1.25, 0.0];

pub type Array = [f64; ELEMENTS];

/// The gradient of step `t`, counted from 1.
pub fn gradient(t: usize) -> Array {
    [0, 1, 2].map(|i| f64::from(7 * t as i32 + 3 * i).sin() + 0.25 * f64::from(i))
}

/// What step `t` is given beside the gradient.
pub fn extra(t: usize) -> Array {
    [0, 1, 2].map(|i| f64::from(5 * t as i32 + 2 * i).cos())
}

/// The parameters after each step of `update(t, i, p, g)`, where `i` counts elements.
pub fn trajectory(mut update: impl FnMut(usize, usize, f64, f64) -> f64) -> Vec<Array> {
    let mut p = START;
    let mut step = |t| {
        p = [0, 1, 2].map(|i| update(t, i, p[i], gradient(t)[i]));
        p
    };
    (1..=STEPS).map(&mut step).collect()
}

/// Plays a file of the arrays that a trajectory gives; `fields` are added to it.
pub fn assert_agrees(method: &str, hyper: &Json, fields: &[(&str, Json)], params: Vec<Array>) {
    let grads: Vec<Array> = (1..=STEPS).map(gradient).collect();
    let mut json = json!({
        "method": method, "hyper": hyper, "dtype": "f64", "shape": [ELEMENTS], "param0": START, "grads": grads,
        "params": params,
    });
    for (key, field) in fields {
        json[key] = field.clone();
    }
    let file = File::new(&format!("{method} {hyper}"), json).expect("an object is a file");
    for run in Run::all() {
        let method = super::methods::built(method).expect("the method is built");
        if let Err(error) = check(&file, method, &run) {
            panic!("{}: {error}", file.name);
        }
    }
}

#[test]
fn lookahead() {
    let (lr, mu, weight_decay) = (0.1, 0.9, 0.2);
    for (every, share, pullback) in
        [(3, 0.5, "none"), (3, 0.5, "reset"), (3, 0.6, "pullback"), (1, 0.8, "pullback"), (9, 0.8, "reset")]
    {
        let hyper = json!({
            "inner": "sgd", "lr": lr, "momentum": mu, "weight_decay": weight_decay, "k": every, "la_alpha": share,
            "pullback_momentum": pullback,
        });
        let (mut slow, mut buffer, mut before) = (START, [0.0; ELEMENTS], [0.0; ELEMENTS]);
        let params = trajectory(|t, i, p, g| {
            buffer[i] = mu * buffer[i] + g + weight_decay * p;
            let fast = p - lr * buffer[i];
            if !t.is_multiple_of(every) {
                return fast;
            }
            slow[i] = share * fast + (1.0 - share) * slow[i];
            match pullback {
                "pullback" => buffer[i] = share * buffer[i] + (1.0 - share) * before[i],
                "reset" => buffer[i] = 0.0,
                _ => {}
            }
            before[i] = buffer[i];
            slow[i]
        });
        assert_agrees("lookahead_sgd", &hyper, &[("state", json!({ "slow": slow }))], params);
    }
}

#[test]
fn gadam() {
    let (lr, [beta1, beta2], eps, weight_decay) = (0.05, [0.8, 0.95], 1e-3, 0.2);
    for (decoupled, start, every) in [(false, 3, 2), (true, 0, 1), (false, 2, 3), (true, 8, 1)] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "decoupled_wd": decoupled,
            "avg_start": start, "avg_freq": every,
        });
        let (mut m, mut v) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        let params = trajectory(|t, i, p, g| {
            let [bias1, bias2] = [beta1, beta2].map(|beta: f64| 1.0 - beta.powi(t as i32));
            let (l2, kept) = if decoupled { (0.0, p - lr * weight_decay * p) } else { (weight_decay * p, p) };
            m[i] = beta1 * m[i] + (1.0 - beta1) * (g + l2);
            v[i] = beta2 * v[i] + (1.0 - beta2) * (g + l2) * (g + l2);
            kept - lr * (m[i] / bias1) / ((v[i] / bias2).sqrt() + eps)
        });
        let mut collected = Vec::<Array>::new();
        let collect = |(t, p): (usize, &Array)| {
            collected.extend((t > start && (t - start).is_multiple_of(every)).then_some(*p));
            let count = collected.len() as f64;
            (count > 0.0).then(|| [0, 1, 2].map(|i| collected.iter().map(|p| p[i]).sum::<f64>() / count))
        };
        let averages: Vec<_> = (1..).zip(&params).map(collect).collect();
        let state = json!({ "avg_params_per_step": averages, "n_avg": collected.len() });
        assert_agrees("gadam", &hyper, &[("state", state)], params);
    }
}

#[test]
fn sophia_g() {
    let (lr, [beta1, beta2], rho) = (0.05, [0.8, 0.9], 0.5);
    for (weight_decay, batch_size, every, maximize) in
        [(0.0, Some(2.0), 1, false), (0.2, None, 3, false), (0.2, Some(0.5), 5, true), (0.1, Some(1.0), 1, true)]
    {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "rho": rho, "weight_decay": weight_decay, "bs": batch_size,
            "hess_every": every, "maximize": maximize,
        });
        let steps = (0..STEPS).step_by(every);
        let seconds: Map<String, Json> = steps.map(|step| (step.to_string(), json!(extra(step + 1)))).collect();
        let (mut m, mut h) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        let params = trajectory(|t, i, p, g| {
            if (t - 1).is_multiple_of(every) {
                h[i] = beta2 * h[i] + (1.0 - beta2) * extra(t)[i] * extra(t)[i];
            }
            m[i] = beta1 * m[i] + (1.0 - beta1) * if maximize { -g } else { g };
            let ratio = (m[i].abs() / (rho * batch_size.unwrap_or(5120.0) * h[i] + 1e-15)).min(1.0);
            p - lr * weight_decay * p - lr * m[i].signum() * ratio
        });
        let fields = [("hess_grads", Json::Object(seconds)), ("state", json!({ "exp_avg": m, "hessian": h }))];
        assert_agrees("sophia_g", &hyper, &fields, params);
    }
}

#[test]
fn schedule_free() {
    let (lr, [beta1, beta2], eps, weight_decay) = (0.05, [0.8, 0.95], 1e-3, 0.2);
    for (decay_at_z, warmup, r, power) in
        [(false, 4, 0.0, 2.0), (true, 0, 1.5, 0.0), (true, 3, 0.5, 1.0), (false, 9, 2.0, 3.0)]
    {
        for method in ["schedulefree_sgd", "schedulefree_adamw"] {
            let mut hyper = json!({
                "lr": lr, "weight_decay": weight_decay, "decay_at_z": decay_at_z, "warmup_steps": warmup, "r": r,
                "weight_lr_power": power,
            });
            if method == "schedulefree_sgd" {
                hyper["momentum"] = beta1.into();
            } else {
                hyper["betas"] = json!([beta1, beta2]);
                hyper["eps"] = eps.into();
            }
            let rate = |t: usize| if t < warmup { lr * t as f64 / warmup as f64 } else { lr };
            let weight = |t: usize| (t as f64).powf(r) * rate(t).powf(power);
            let (mut z, mut x, mut v) = (START, START, [0.0; ELEMENTS]);
            let mut evaluated = vec![START; STEPS];
            let params = trajectory(|t, i, y, g| {
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let root = (v[i] / (1.0 - beta2.powi(t as i32))).sqrt();
                let direction = if method == "schedulefree_sgd" { g } else { g / (root + eps) };
                z[i] -= rate(t) * (direction + weight_decay * if decay_at_z { z[i] } else { y });
                let c = weight(t) / (1..=t).map(weight).sum::<f64>();
                x[i] = (1.0 - c) * x[i] + c * z[i];
                evaluated[t - 1][i] = x[i];
                beta1 * x[i] + (1.0 - beta1) * z[i]
            });
            assert_agrees(method, &hyper, &[("state", json!({ "x_per_step": evaluated, "z_last": z }))], params);
        }
    }
}
