//! What surrounds a rule, and rules that take another number beside the gradient, against plain loops: settings that no
//! file here has.

use serde_json::{Value as Json, json};

use super::file::File;
use super::{Run, check};

const ELEMENTS: usize = 3;
const STEPS: usize = 8;
const START: [f64; ELEMENTS] = [0.5, -1.25, 0.0];

type Array = [f64; ELEMENTS];

/// The gradient of step `t`, counted from 1.
fn gradient(t: usize) -> Array {
    [0, 1, 2].map(|i| f64::from(7 * t as i32 + 3 * i).sin() + 0.25 * f64::from(i))
}

/// Plays a file of the arrays that a trajectory gives; `fields` are added to it.
fn assert_agrees(method: &str, hyper: &Json, fields: &[(&str, Json)], params: Vec<Array>) {
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
        let (mut p, mut slow) = (START, START);
        let (mut buffer, mut before) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
        let mut step = |t: usize| {
            for i in 0..ELEMENTS {
                buffer[i] = mu * buffer[i] + gradient(t)[i] + weight_decay * p[i];
                p[i] -= lr * buffer[i];
                if t.is_multiple_of(every) {
                    p[i] = share * p[i] + (1.0 - share) * slow[i];
                    slow[i] = p[i];
                    match pullback {
                        "pullback" => buffer[i] = share * buffer[i] + (1.0 - share) * before[i],
                        "reset" => buffer[i] = 0.0,
                        _ => {}
                    }
                    before[i] = buffer[i];
                }
            }
            p
        };
        let params = (1..=STEPS).map(&mut step).collect();
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
        let (mut p, mut m, mut v) = (START, [0.0; ELEMENTS], [0.0; ELEMENTS]);
        let (mut collected, mut averages) = (Vec::<Array>::new(), Vec::new());
        let mut step = |t: usize| {
            let [bias1, bias2] = [beta1, beta2].map(|beta: f64| 1.0 - beta.powi(t as i32));
            for i in 0..ELEMENTS {
                let d = gradient(t)[i] + if decoupled { 0.0 } else { weight_decay * p[i] };
                m[i] = beta1 * m[i] + (1.0 - beta1) * d;
                v[i] = beta2 * v[i] + (1.0 - beta2) * d * d;
                p[i] -= if decoupled { lr * weight_decay * p[i] } else { 0.0 };
                p[i] -= lr * (m[i] / bias1) / ((v[i] / bias2).sqrt() + eps);
            }
            if t > start && (t - start).is_multiple_of(every) {
                collected.push(p);
            }
            let count = collected.len() as f64;
            let mean = |i: usize| collected.iter().map(|p| p[i]).sum::<f64>() / count;
            averages.push((count > 0.0).then(|| [0, 1, 2].map(mean)));
            p
        };
        let params = (1..=STEPS).map(&mut step).collect();
        let state = json!({ "avg_params_per_step": averages, "n_avg": collected.len() });
        assert_agrees("gadam", &hyper, &[("state", state)], params);
    }
}
