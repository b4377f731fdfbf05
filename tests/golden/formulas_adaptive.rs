//! The same for Adagrad, Adadelta, RMSprop, AdaMax, NAdam and RAdam: by the files' names of settings, and by the rules' own
//! where no file can say it.

use gradus::optim::{Group, Tensor};
use gradus::rules::{Value, by_name};
use gradus::{Buffer, Device};
use serde_json::json;
use steppers::Stepped;

use super::file::File;
use super::formulas::{assert_agrees, descended, file_with_states};
use super::methods::Method;
use super::{Run, check};

/// The rules with their own names of settings.
const OWN: &[Method] = &[
    Method {
        name: "adagrad",
        rule: "adagrad",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "lr_decay", "initial_accumulator_value", "eps", "weight_decay"])?;
            hyper.same(&["eps_placement", "decay"])
        },
        state: &[],
    },
    Method {
        name: "adadelta",
        rule: "adadelta",
        settings: |hyper| hyper.same(&["lr", "rho", "eps", "weight_decay", "decay"]),
        state: &[],
    },
    Method {
        name: "rmsprop",
        rule: "rmsprop",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "alpha", "eps", "eps_placement", "centered", "momentum"])?;
            hyper.same(&["initial_scale", "weight_decay", "decay"])
        },
        state: &[],
    },
    Method {
        name: "adamax",
        rule: "adamax",
        settings: |hyper| hyper.same(&["lr", "beta1", "beta2", "eps", "weight_decay", "decay"]),
        state: &[],
    },
    Method {
        name: "radam",
        rule: "radam",
        settings: |hyper| {
            let hyper = hyper.same(&["lr", "beta1", "beta2", "eps", "threshold", "plain_steps"])?;
            hyper.same(&["weight_decay", "decay"])
        },
        state: &[],
    },
];

/// The same as `assert_agrees`, by the rule's own names of settings.
fn assert_own_agrees(file: &File) {
    let method = OWN.iter().find(|method| method.name == file.method()).expect("the rule is in the table");
    for run in Run::all() {
        if let Err(error) = check(file, method, &run) {
            panic!("{}: {error}", file.name);
        }
    }
}

/// What weight decay adds to the gradient, and what it leaves of the parameter at a rate.
fn decayed(decouple: bool, lr: f64, weight_decay: f64, p: f64) -> (f64, f64) {
    if decouple { (0.0, p - lr * weight_decay * p) } else { (weight_decay * p, p) }
}

#[test]
fn adagrad() {
    let lr = 0.1;
    for (lr_decay, start, eps, weight_decay, maximize) in
        [(0.0, 0.0, 1e-10, 0.2, false), (0.3, 0.25, 1e-3, 0.0, true), (2.0, 0.5, 0.4, 0.2, true)]
    {
        let update = |inside: bool, decouple: bool| {
            move |t: i32, p: f64, g: f64, [sum]: &mut [f64; 1]| {
                let lr = lr / (1.0 + lr_decay * f64::from(t - 1));
                let (l2, kept) = decayed(decouple, lr, weight_decay, p);
                let g = descended(maximize, g) + l2;
                *sum += g * g + if t == 1 { start } else { 0.0 };
                kept - lr * g / if inside { (*sum + eps).sqrt() } else { sum.sqrt() + eps }
            }
        };
        let hyper = json!({
            "lr": lr, "lr_decay": lr_decay, "initial_accumulator_value": start, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize,
        });
        assert_agrees(&file_with_states("adagrad", hyper.clone(), update(false, false)));
        for (inside, decouple) in [(true, false), (false, true), (true, true)] {
            let mut own = hyper.clone();
            own["eps_placement"] = if inside { "inside" } else { "outside" }.into();
            own["decay"] = if decouple { "decoupled" } else { "l2" }.into();
            assert_own_agrees(&file_with_states("adagrad", own, update(inside, decouple)));
        }
    }
}

#[test]
fn adadelta() {
    for (lr, rho, eps, weight_decay, maximize) in
        [(1.0, 0.7, 1e-2, 0.2, false), (0.3, 0.95, 1e-4, 0.0, true), (0.3, 0.0, 1.0, 0.2, true)]
    {
        let update = |decouple: bool| {
            move |_: i32, p: f64, g: f64, [v, u]: &mut [f64; 2]| {
                let (l2, kept) = decayed(decouple, lr, weight_decay, p);
                let g = descended(maximize, g) + l2;
                *v = rho * *v + (1.0 - rho) * g * g;
                let step = (*u + eps).sqrt() / (*v + eps).sqrt() * g;
                *u = rho * *u + (1.0 - rho) * step * step;
                kept - lr * step
            }
        };
        let hyper = json!({ "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize });
        assert_agrees(&file_with_states("adadelta", hyper.clone(), update(false)));
        let mut own = hyper;
        own["decay"] = "decoupled".into();
        assert_own_agrees(&file_with_states("adadelta", own, update(true)));
    }
}

#[test]
fn rmsprop() {
    let (lr, alpha) = (0.05, 0.8);
    for (eps, centered, momentum, start, weight_decay, maximize) in [
        (1e-3, false, 0.0, 0.0, 0.2, false),
        (1e-3, false, 0.7, 0.5, 0.0, true),
        (1e-3, true, 0.0, 0.5, 0.2, true),
        (0.3, true, 0.7, 0.0, 0.2, false),
    ] {
        let update = |inside: bool, decouple: bool| {
            move |t: i32, p: f64, g: f64, [v, mean, buffer]: &mut [f64; 3]| {
                let (l2, kept) = decayed(decouple, lr, weight_decay, p);
                let g = descended(maximize, g) + l2;
                if t == 1 {
                    *v = start;
                }
                *v = alpha * *v + (1.0 - alpha) * g * g;
                *mean = alpha * *mean + (1.0 - alpha) * g;
                let square = if centered { *v - *mean * *mean } else { *v };
                let direction = g / if inside { (square + eps).sqrt() } else { square.sqrt() + eps };
                if momentum == 0.0 {
                    return kept - lr * direction;
                }
                *buffer = momentum * *buffer + direction;
                kept - lr * *buffer
            }
        };
        let mut hyper = json!({
            "lr": lr, "eps": eps, "centered": centered, "momentum": momentum, "initial_scale": start,
            "weight_decay": weight_decay, "maximize": maximize,
        });
        let mut of_optax = hyper.clone();
        of_optax["decay"] = alpha.into();
        assert_agrees(&file_with_states("rmsprop_eps_inside", of_optax, update(true, false)));
        hyper["alpha"] = alpha.into();
        assert_agrees(&file_with_states("rmsprop_eps_inside", hyper.clone(), update(true, false)));
        assert_agrees(&file_with_states("rmsprop", hyper.clone(), update(false, false)));
        for (inside, decouple) in [(false, true), (true, true)] {
            hyper["eps_placement"] = if inside { "inside" } else { "outside" }.into();
            hyper["decay"] = if decouple { "decoupled" } else { "l2" }.into();
            assert_own_agrees(&file_with_states("rmsprop", hyper.clone(), update(inside, decouple)));
        }
    }
}

/// What a file does not say has the default of the library that its method is of.
#[test]
fn rmsprop_has_the_defaults_of_its_library() {
    for (method, alpha, inside) in [("rmsprop", 0.99, false), ("rmsprop_eps_inside", 0.9, true)] {
        assert_agrees(&file_with_states(method, json!({ "lr": 0.05 }), |_, p, g, [v]| {
            *v = alpha * *v + (1.0 - alpha) * g * g;
            p - 0.05 * g / if inside { (*v + 1e-8).sqrt() } else { v.sqrt() + 1e-8 }
        }));
    }
}

#[test]
fn adamax() {
    let (lr, [beta1, beta2]) = (0.05, [0.8, 0.6]);
    for (eps, weight_decay, maximize) in [(1e-3, 0.2, false), (0.3, 0.0, true), (0.0, 0.2, true)] {
        let update = |decouple: bool| {
            move |t: i32, p: f64, g: f64, [m, u]: &mut [f64; 2]| {
                let (l2, kept) = decayed(decouple, lr, weight_decay, p);
                let g = descended(maximize, g) + l2;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *u = (beta2 * *u).max(g.abs() + eps);
                kept - lr / (1.0 - beta1.powi(t)) * *m / *u
            }
        };
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
        });
        assert_agrees(&file_with_states("adamax", hyper, update(false)));
        let own = json!({
            "lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay, "decay": "decoupled",
            "maximize": maximize,
        });
        assert_own_agrees(&file_with_states("adamax", own, update(true)));
    }
}

#[test]
fn nadam() {
    let (lr, [beta1, beta2], eps) = (0.05, [0.8, 0.95], 1e-3);
    for (psi, weight_decay, decouple, maximize) in
        [(4e-3, 0.2, false, false), (1.0, 0.2, true, false), (0.0, 0.0, false, true), (25.0, 0.2, true, true)]
    {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "momentum_decay": psi, "weight_decay": weight_decay,
            "decoupled_weight_decay": decouple, "maximize": maximize,
        });
        let mu = |t: i32| beta1 * (1.0 - 0.5 * 0.96_f64.powf(f64::from(t) * psi));
        assert_agrees(&file_with_states("nadam", hyper, |t, p, g, [m, v]| {
            let (l2, kept) = decayed(decouple, lr, weight_decay, p);
            let g = descended(maximize, g) + l2;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let product: f64 = (1..=t).map(mu).product();
            let ahead = (1.0 - mu(t)) * g / (1.0 - product) + mu(t + 1) * *m / (1.0 - product * mu(t + 1));
            kept - lr * ahead / ((*v / (1.0 - beta2.powi(t))).sqrt() + eps)
        }));
    }
}

/// A momentum without a schedule: the form of optax.
#[test]
fn nadam_of_a_constant_momentum() {
    let (lr, [beta1, beta2], eps) = (0.05, [0.8, 0.95], 1e-3);
    let hyper = json!({ "lr": lr, "betas": [beta1, beta2], "eps": eps, "momentum_decay": 1e6 });
    assert_agrees(&file_with_states("nadam", hyper, |t, p, g, [m, v]| {
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        let ahead = beta1 * *m / (1.0 - beta1.powi(t + 1)) + (1.0 - beta1) * g / (1.0 - beta1.powi(t));
        p - lr * ahead / ((*v / (1.0 - beta2.powi(t))).sqrt() + eps)
    }));
}

#[test]
fn radam() {
    let (lr, beta1, eps) = (0.05, 0.8, 1e-3);
    for (beta2, threshold, plain_steps, weight_decay, decouple, maximize) in [
        (0.95, 5.0, true, 0.2, false, false),
        (0.95, 5.0, true, 0.2, true, true),
        (0.6, 5.0, true, 0.2, true, false),
        (0.0, 5.0, true, 0.0, false, false),
        (0.95, 4.0, true, 0.2, false, true),
        (0.95, 6.5, false, 0.2, true, false),
        (0.95, 4.0, false, 0.2, false, false),
    ] {
        let mut hyper = json!({ "lr": lr, "eps": eps, "weight_decay": weight_decay, "maximize": maximize });
        let by_own_names = threshold != 5.0 || !plain_steps;
        if by_own_names {
            hyper["beta1"] = beta1.into();
            hyper["beta2"] = beta2.into();
            hyper["threshold"] = threshold.into();
            hyper["plain_steps"] = plain_steps.into();
            hyper["decay"] = if decouple { "decoupled" } else { "l2" }.into();
        } else {
            hyper["betas"] = json!([beta1, beta2]);
            hyper["decoupled_weight_decay"] = decouple.into();
        }
        let file = file_with_states("radam", hyper, |t, p, g, [m, v]| {
            let (l2, kept) = decayed(decouple, lr, weight_decay, p);
            let g = descended(maximize, g) + l2;
            let [bias1, bias2] = [beta1, beta2].map(|beta: f64| 1.0 - beta.powi(t));
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let longest = (1.0 + beta2) / (1.0 - beta2);
            let length = longest - 2.0 * f64::from(t) * beta2.powi(t) / bias2;
            let share = |length: f64| (length - 4.0) * (length - 2.0) / length;
            if length > threshold {
                let rectified = (share(length) / share(longest)).sqrt();
                kept - lr * rectified * bias2.sqrt() * (*m / bias1) / (v.sqrt() + eps)
            } else if plain_steps {
                kept - lr * *m / bias1
            } else {
                kept
            }
        });
        if by_own_names { assert_own_agrees(&file) } else { assert_agrees(&file) }
    }
}

/// Where the parameters of a rule are that starts at zeros and has had the same gradients in every step.
fn after_steps(rule: &str, settings: &[(&str, Value)], gradients: &[f32], steps: usize) -> Vec<f32> {
    let device = Device::cpu();
    let rule = by_name(rule, settings).unwrap();
    let mut optimizer = f32::stepper(&Group::new(rule), &device).unwrap();
    optimizer.add(Tensor::new(gradients.len())).unwrap();
    let mut parameter = Buffer::from_slice(&device, &vec![0.0; gradients.len()]).unwrap();
    let gradients = Buffer::from_slice(&device, gradients).unwrap();
    for _ in 0..steps {
        optimizer.step(&mut [parameter.view_mut()], &[Some(gradients.view())]).unwrap();
    }
    parameter.to_vec().unwrap()
}

#[test]
fn without_eps_an_element_without_gradients_stays() {
    for (rule, placement) in [
        ("adagrad", Some("outside")),
        ("adagrad", Some("inside")),
        ("rmsprop", Some("outside")),
        ("rmsprop", Some("inside")),
        ("adamax", None),
    ] {
        let mut settings = vec![("eps", 0.0.into())];
        settings.extend(placement.map(|placement| ("eps_placement", placement.into())));
        let [still, down, up] = after_steps(rule, &settings, &[0.0, 0.5, -0.5], 3)[..] else {
            panic!("three elements")
        };
        assert!(still == 0.0 && down < 0.0 && up == -down, "{rule}: {still}, {down}, {up}");
    }
}

/// The mean square of equal gradients is the square of their mean, but for rounding, and may come out below it.
#[test]
fn rmsprop_has_no_variance_below_zero() {
    let gradients: Vec<f32> = (1..=64).map(|i| i as f32 / 7.0).collect();
    let settings = [("centered", true.into()), ("alpha", 0.5.into()), ("eps", 1.0.into()), ("lr", 0.01.into())];
    for (p, g) in after_steps("rmsprop", &settings, &gradients, 50).into_iter().zip(gradients) {
        assert!(p < 0.0, "gradients of {g} have led to {p}");
    }
}
