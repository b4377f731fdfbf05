//! Settings that no file here has, against the rules' formulas written as plain loops.

use serde_json::{Value as Json, json};

use super::file::File;
use super::{Run, check};

/// A file of three elements and eight steps of `update(t, p, g, state)`.
fn file(method: &str, hyper: Json, update: impl Fn(i32, f64, f64, &mut [f64; 2]) -> f64) -> File {
    file_with_states(method, hyper, update)
}

/// The same with any number of states.
pub fn file_with_states<const STATES: usize>(
    method: &str,
    hyper: Json,
    update: impl Fn(i32, f64, f64, &mut [f64; STATES]) -> f64,
) -> File {
    let start = [0.5, -1.25, 0.0];
    let gradient = |t: i32| [0, 1, 2].map(|i| f64::from(7 * t + 3 * i).sin() + 0.25 * f64::from(i));
    let (mut p, mut state) = (start, [[0.0; STATES]; 3]);
    let mut step = |t| {
        let g = gradient(t);
        p = [0, 1, 2].map(|i| update(t, p[i], g[i], &mut state[i]));
        p
    };
    let params: Vec<_> = (1..=8).map(&mut step).collect();
    let grads: Vec<_> = (1..=8).map(gradient).collect();
    let json = json!({
        "method": method, "hyper": hyper, "dtype": "f64", "shape": [3], "param0": start, "grads": grads, "params": params,
    });
    File::new(&format!("{method} {hyper}"), json).expect("an object is a file")
}

pub fn assert_agrees(file: &File) {
    for run in Run::all() {
        let method = super::methods::built(file.method()).expect("the method is built");
        if let Err(error) = check(file, method, &run) {
            panic!("{}: {error}", file.name);
        }
    }
}

/// The gradient as it is to be descended.
pub fn descended(maximize: bool, g: f64) -> f64 {
    if maximize { -g } else { g }
}

#[test]
fn sgd() {
    let lr = 0.1;
    for (momentum, dampening, nesterov) in
        [(0.0, 0.0, false), (0.0, 0.5, false), (0.9, 0.0, false), (0.9, 0.3, false), (0.9, 0.0, true)]
    {
        for (weight_decay, maximize) in [(0.0, true), (0.2, false), (0.2, true)] {
            let hyper = json!({
                "lr": lr, "momentum": momentum, "dampening": dampening, "nesterov": nesterov,
                "weight_decay": weight_decay, "maximize": maximize,
            });
            assert_agrees(&file("sgd_formula", hyper, |t, p, g, [buffer, _]| {
                let d = descended(maximize, g) + weight_decay * p;
                if momentum == 0.0 {
                    return p - lr * d;
                }
                *buffer = if t == 1 { d } else { momentum * *buffer + (1.0 - dampening) * d };
                p - lr * if nesterov { d + momentum * *buffer } else { *buffer }
            }));
        }
    }
}

#[test]
fn adam() {
    let (lr, [beta1, beta2], eps) = (0.05, [0.8, 0.95], 1e-3);
    for method in ["adam", "adamw"] {
        for (weight_decay, maximize) in [(0.0, true), (0.2, false), (0.2, true)] {
            let hyper = json!({
                "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            });
            assert_agrees(&file(method, hyper, |t, p, g, [m, v]| {
                let (l2, kept) =
                    if method == "adam" { (weight_decay * p, p) } else { (0.0, p - lr * weight_decay * p) };
                let d = descended(maximize, g) + l2;
                *m = beta1 * *m + (1.0 - beta1) * d;
                *v = beta2 * *v + (1.0 - beta2) * d * d;
                let (m, v) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
                kept - lr * m / (v.sqrt() + eps)
            }));
        }
    }
}

#[test]
fn lion() {
    let (lr, [beta1, beta2]) = (0.05, [0.8, 0.95]);
    for (weight_decay, decouple) in [(0.2, false), (0.2, true)] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "weight_decay": weight_decay, "weight_decouple": decouple,
        });
        assert_agrees(&file("lion", hyper, |_, p, g, [m, _]| {
            let (d, kept) = if decouple { (g, p - lr * weight_decay * p) } else { (g + weight_decay * p, p) };
            let direction = beta1 * *m + (1.0 - beta1) * d;
            *m = beta2 * *m + (1.0 - beta2) * d;
            kept - lr * direction.signum()
        }));
    }
}
