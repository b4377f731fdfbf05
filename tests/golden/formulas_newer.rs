//! The same for Adan, AdEMAMix, ADOPT, INNA, Nesterov's accelerated gradient, Signum and the diagonal Levenberg-Marquardt.

use gradus::optim::{Optimizer, Tensor};
use gradus::rules::Sdlm;
use gradus::{Buffer, Device};
use serde_json::json;

use super::formulas::{assert_agrees, descended, file_with_states};

#[test]
fn adan() {
    let (lr, [beta1, beta2, beta3], eps) = (0.05, [0.8, 0.7, 0.95], 1e-3);
    for (weight_decay, no_prox, maximize) in [(0.2, true, false), (0.2, false, true), (0.2, true, true)] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2, beta3], "eps": eps, "weight_decay": weight_decay, "no_prox": no_prox,
            "maximize": maximize,
        });
        assert_agrees(&file_with_states("adan", hyper, |t, p, g, [m, v, n, previous]| {
            let g = descended(maximize, g);
            let d = if t == 1 { 0.0 } else { g - *previous };
            *previous = g;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * d;
            *n = beta3 * *n + (1.0 - beta3) * (g + beta2 * d).powi(2);
            let (m, v, n) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)), *n / (1.0 - beta3.powi(t)));
            let step = lr * (m + beta2 * v) / (n.sqrt() + eps);
            if no_prox { p - lr * weight_decay * p - step } else { (p - step) / (1.0 + lr * weight_decay) }
        }));
    }
}

#[test]
fn ademamix() {
    let (lr, [beta1, beta2, beta3], eps, alpha, weight_decay) = (0.05, [0.8, 0.95, 0.99], 1e-3, 3.0, 0.2);
    for (alpha_warmup, beta3_warmup, maximize) in [(0, 0, true), (5, 0, false), (0, 5, false), (20, 30, false)] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2, beta3], "eps": eps, "alpha": alpha, "weight_decay": weight_decay,
            "alpha_warmup": alpha_warmup, "beta3_warmup": beta3_warmup, "maximize": maximize,
        });
        assert_agrees(&file_with_states("ademamix", hyper, |t, p, g, [m, slow, v]| {
            let g = descended(maximize, g);
            let alpha = if t < alpha_warmup { alpha * f64::from(t) / f64::from(alpha_warmup) } else { alpha };
            let beta3 = if t < beta3_warmup {
                let half_life = |beta: f64| 0.5_f64.ln() / (beta + 1e-8).ln();
                let share = f64::from(t) / f64::from(beta3_warmup);
                0.5_f64.powf(1.0 / (half_life(beta1) + share * (half_life(beta3) - half_life(beta1))))
            } else {
                beta3
            };
            *m = beta1 * *m + (1.0 - beta1) * g;
            *slow = beta3 * *slow + (1.0 - beta3) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (m, v) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
            p - lr * ((m + alpha * *slow) / (v.sqrt() + eps) + weight_decay * p)
        }));
    }
}

#[test]
fn adopt() {
    let (lr, [beta1, beta2], weight_decay) = (0.05, [0.8, 0.95], 0.2);
    for (eps, clip, decouple, maximize) in [
        (1e-3, true, false, false),
        (1e-3, true, true, false),
        (1e-3, false, false, true),
        (1e-3, false, true, true),
        (0.4, false, true, false),
    ] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "clip": clip, "decouple": decouple,
            "maximize": maximize,
        });
        assert_agrees(&file_with_states("adopt", hyper, |t, p, g, [m, v]| {
            let d = descended(maximize, g) + if decouple { 0.0 } else { weight_decay * p };
            if t == 1 {
                *v = d * d;
                return p;
            }
            let limit = if clip { f64::from(t - 1).powf(0.25) } else { f64::INFINITY };
            let normed = (d / v.sqrt().max(eps)).clamp(-limit, limit);
            *m = beta1 * *m + (1.0 - beta1) * normed;
            *v = beta2 * *v + (1.0 - beta2) * d * d;
            p - if decouple { lr * weight_decay * p } else { 0.0 } - lr * *m
        }));
    }
}

/// The form of the paper, whose state is ψ.
#[test]
fn inna() {
    let (lr, alpha, beta) = (0.2, 0.7, 0.3);
    for (method, decaypower, weight_decay, maximize) in [
        ("inna", 0.25, 0.2, false),
        ("inna", 0.0, 0.2, true),
        ("inna_saddles_init", 0.5, 0.0, true),
        ("inna_saddles_init", 0.5, 0.2, false),
    ] {
        let hyper = json!({
            "lr": lr, "alpha": alpha, "beta": beta, "decaypower": decaypower, "weight_decay": weight_decay,
            "maximize": maximize,
        });
        assert_agrees(&file_with_states(method, hyper, |t, p, g, [psi]| {
            let g = descended(maximize, g);
            if t == 1 {
                let along = if method == "inna" { 0.0 } else { (beta * beta - beta) * g };
                *psi = (1.0 - alpha * beta) * p - along;
            }
            let lr = lr / f64::from(t).powf(decaypower);
            let inertia = (alpha - 1.0 / beta) * p + *psi / beta;
            *psi -= lr * inertia;
            p - lr * (inertia + beta * g + weight_decay * p)
        }));
    }
}

/// The form of the paper, whose states are the iterate and the velocity.
#[test]
fn nesterov() {
    let lr = 0.05;
    for (period, mu_max, weight_decay, maximize) in
        [(1, 0.99, 0.0, false), (1, 0.9, 0.2, true), (3, 0.7, 0.2, false), (2, 0.0, 0.0, false), (250, 0.99, 0.0, true)]
    {
        let hyper = json!({
            "lr": lr, "period": period, "mu_max": mu_max, "weight_decay": weight_decay, "maximize": maximize,
        });
        let mu = |step: i32| (1.0 - (-1.0 - f64::from(step / period + 1).log2()).exp2()).min(mu_max);
        assert_agrees(&file_with_states("nesterov_sutskever", hyper, |t, p, g, [theta, velocity]| {
            if t == 1 {
                *theta = p;
            }
            let g = descended(maximize, g) + weight_decay * p;
            *velocity = mu(t - 1) * *velocity - lr * g;
            *theta += *velocity;
            *theta + mu(t) * *velocity
        }));
    }
}

#[test]
fn signum() {
    let lr = 0.05;
    for (method, momentum) in [("signsgd", 0.0), ("signum", 0.8)] {
        for (weight_decay, decouple, maximize) in [(0.2, false, false), (0.2, true, true), (0.2, false, true)] {
            let hyper = json!({
                "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "weight_decouple": decouple,
                "maximize": maximize,
            });
            assert_agrees(&file_with_states(method, hyper, |_, p, g, [mean]| {
                let (d, kept) = if decouple { (0.0, p - lr * weight_decay * p) } else { (weight_decay * p, p) };
                *mean = momentum * *mean + (1.0 - momentum) * (descended(maximize, g) + d);
                kept - lr * mean.signum()
            }));
        }
    }
}

#[test]
fn sdlm() {
    let (lr, beta, damping) = (0.05, 0.75, 0.25);
    let device = Device::cpu();
    let mut optimizer = Optimizer::<Sdlm, f64>::new(&device, Sdlm { lr, beta, damping }).unwrap();
    optimizer.add(Tensor::new(2)).unwrap();
    let (mut p, mut h) = ([0.5, -1.25], [0.0; 2]);
    let mut parameter = Buffer::from_slice(&device, &p).unwrap();
    // A step without a curvature, one of an element without curvature, and one where it is negative.
    let curvatures = [None, Some([0.0, 2.0]), Some([0.5, 4.0]), None, Some([1.0, -8.0]), Some([2.0, 1.0])];
    for (t, curvature) in curvatures.into_iter().enumerate() {
        let g = [0.5 + t as f64, -1.0];
        let gradient = Buffer::from_slice(&device, &g).unwrap();
        let second = curvature.map(|curvature| Buffer::from_slice(&device, &curvature).unwrap());
        let second = second.as_ref().map(Buffer::view);
        optimizer.step_with(&mut [parameter.view_mut()], &[Some(gradient.view())], &[second]).unwrap();
        for i in 0..2 {
            if let Some(curvature) = curvature {
                let c: f64 = curvature[i];
                h[i] = if h[i] == 0.0 { c.abs() } else { beta * h[i] + (1.0 - beta) * c.abs() };
            }
            p[i] -= lr / (h[i] + damping) * g[i];
        }
        for (given, expected) in parameter.to_vec().unwrap().into_iter().zip(p) {
            assert!((given - expected).abs() <= 1e-14, "step {t}: {given}, not {expected}");
        }
    }
    let state = optimizer.state().unwrap();
    let Some(gradus::optim::Array::F64(kept)) = state.get("tensor.0.0.state.h") else { panic!("h is f64") };
    assert_eq!(kept, &h);
}
