//! The same for the rules that change Adam's second moment.

use serde_json::json;

use super::formulas::{assert_agrees, descended, file_with_states};

const BETAS: [f64; 2] = [0.8, 0.7];

#[test]
fn amsgrad() {
    let (lr, [beta1, beta2], eps) = (0.05, BETAS, 1e-3);
    for method in ["amsgrad", "amsgradw"] {
        for (weight_decay, maximize) in [(0.0, true), (0.2, false), (0.2, true)] {
            let hyper = json!({
                "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            });
            assert_agrees(&file_with_states(method, hyper, |t, p, g, [m, v, greatest]| {
                let decayed = lr * weight_decay * p;
                let (l2, kept) = if method == "amsgrad" { (weight_decay * p, p) } else { (0.0, p - decayed) };
                let d = descended(maximize, g) + l2;
                *m = beta1 * *m + (1.0 - beta1) * d;
                *v = beta2 * *v + (1.0 - beta2) * d * d;
                *greatest = greatest.max(*v);
                let (m, v) = (*m / (1.0 - beta1.powi(t)), *greatest / (1.0 - beta2.powi(t)));
                kept - lr * m / (v.sqrt() + eps)
            }));
        }
    }
}

#[test]
fn amsgrad_of_optax() {
    let (lr, [beta1, beta2], eps) = (0.05, BETAS, 1e-3);
    for (mu, nu, weight_decay, maximize) in [
        (None, None, 0.0, false),
        (Some(true), Some(true), 0.2, true),
        (Some(true), Some(false), 0.0, false),
        (Some(false), Some(true), 0.0, true),
        (Some(false), Some(false), 0.2, false),
    ] {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "bias_correction_mu": mu, "bias_correction_nu": nu,
            "weight_decay": weight_decay, "maximize": maximize,
        });
        assert_agrees(&file_with_states("amsgrad_paper", hyper, |t, p, g, [m, v, greatest]| {
            let corrected = |moment: f64, beta: f64, corrects: Option<bool>| {
                if corrects.unwrap_or(true) { moment / (1.0 - beta.powi(t)) } else { moment }
            };
            let d = descended(maximize, g) + weight_decay * p;
            *m = beta1 * *m + (1.0 - beta1) * d;
            *v = beta2 * *v + (1.0 - beta2) * d * d;
            *greatest = greatest.max(corrected(*v, beta2, nu));
            p - lr * corrected(*m, beta1, mu) / (greatest.sqrt() + eps)
        }));
    }
}

#[test]
fn padam() {
    let (lr, [beta1, beta2]) = (0.05, BETAS);
    for (partial, amsgrad, eps) in [
        (0.0, true, 1e-3),
        (0.125, true, 1e-3),
        (0.25, false, 0.3),
        (0.35, true, 0.0),
        (0.5, true, 1e-3),
        (0.5, false, 0.1),
    ] {
        for (method, decouple, weight_decay, maximize) in [
            ("padam", false, 0.0, true),
            ("padam", false, 0.2, false),
            ("gadamx", false, 0.2, true),
            ("gadamx", true, 0.2, false),
        ] {
            let mut hyper = json!({
                "lr": lr, "betas": [beta1, beta2], "eps": eps, "partial": partial, "amsgrad": amsgrad,
                "weight_decay": weight_decay, "maximize": maximize,
            });
            if method == "gadamx" {
                hyper["decoupled_wd"] = decouple.into();
            }
            assert_agrees(&file_with_states(method, hyper, |t, p, g, [m, v, greatest]| {
                let (l2, kept) = if decouple { (0.0, p - lr * weight_decay * p) } else { (weight_decay * p, p) };
                let d = descended(maximize, g) + l2;
                *m = beta1 * *m + (1.0 - beta1) * d;
                *v = beta2 * *v + (1.0 - beta2) * d * d;
                *greatest = greatest.max(*v);
                let root = if amsgrad { *greatest } else { *v }.sqrt() + eps;
                let lr = lr * (1.0 - beta2.powi(t)).sqrt() / (1.0 - beta1.powi(t));
                kept - lr * *m / root.powf(2.0 * partial)
            }));
        }
    }
}

/// What AdaBelief and ACProp have in common: switches, and weight decay in each of its forms.
struct Belief {
    rectify: bool,
    amsgrad: bool,
    decouple: bool,
    fixed: bool,
    beta2: f64,
    eps: f64,
    maximize: bool,
}

const LR: f64 = 0.05;
const BETA1: f64 = 0.8;
const WEIGHT_DECAY: f64 = 0.2;

impl Belief {
    /// Every pair of a form of the step and a form of decay. For 0.5 no step is rectified, for 0.95 those from the sixth on.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (rectify, amsgrad, beta2, eps) in [
            (false, false, 0.95, 1e-3),
            (false, true, 0.7, 0.2),
            (true, false, 0.95, 1e-3),
            (true, false, 0.5, 1e-3),
            (true, false, 0.9, 1e-16),
        ] {
            for (decouple, fixed, maximize) in
                [(true, false, false), (true, true, true), (false, false, true), (false, true, false)]
            {
                all.push(Self { rectify, amsgrad, decouple, fixed, beta2, eps, maximize });
            }
        }
        // A rectified step has no use for the greatest variance.
        all.push(Self {
            rectify: true,
            amsgrad: true,
            decouple: true,
            fixed: false,
            beta2: 0.9,
            eps: 0.0,
            maximize: false,
        });
        all
    }

    fn hyper(&self) -> serde_json::Value {
        json!({
            "lr": LR, "betas": [BETA1, self.beta2], "eps": self.eps, "weight_decay": WEIGHT_DECAY,
            "weight_decouple": self.decouple, "rectify": self.rectify, "amsgrad": self.amsgrad,
            "fixed_decay": self.fixed, "maximize": self.maximize,
        })
    }

    /// The gradient with the penalty, and the parameter that is left.
    fn decayed(&self, p: f64, g: f64) -> (f64, f64) {
        let g = descended(self.maximize, g);
        match (self.decouple, self.fixed) {
            (false, _) => (g + WEIGHT_DECAY * p, p),
            (true, false) => (g, p - LR * WEIGHT_DECAY * p),
            (true, true) => (g, p - WEIGHT_DECAY * p),
        }
    }

    fn bias1(t: i32) -> f64 {
        1.0 - BETA1.powi(t)
    }

    fn bias2(&self, t: i32) -> f64 {
        1.0 - self.beta2.powi(t)
    }

    /// The factor of a rectified step, without the correction of the mean; `None` where there is none.
    fn rectification(&self, t: i32) -> Option<f64> {
        let most = 2.0 / (1.0 - self.beta2) - 1.0;
        let length = most - 2.0 * f64::from(t) * self.beta2.powi(t) / self.bias2(t);
        let variance = (length - 4.0) / (most - 4.0) * (length - 2.0) / (most - 2.0) * most / length;
        (length >= 5.0).then(|| (self.bias2(t) * variance).sqrt())
    }
}

#[test]
fn adabelief() {
    for belief in Belief::all() {
        let Belief { rectify, amsgrad, beta2, eps, .. } = belief;
        assert_agrees(&file_with_states("adabelief", belief.hyper(), |t, p, g, [m, s, greatest]| {
            let (d, kept) = belief.decayed(p, g);
            *m = BETA1 * *m + (1.0 - BETA1) * d;
            *s = beta2 * *s + (1.0 - beta2) * (d - *m).powi(2) + eps;
            *greatest = greatest.max(*s);
            let mean = *m / Belief::bias1(t);
            match belief.rectification(t) {
                _ if !rectify => {
                    let variance = if amsgrad { *greatest } else { *s };
                    kept - LR * mean / ((variance / belief.bias2(t)).sqrt() + eps)
                }
                Some(factor) => kept - LR * factor * mean / (s.sqrt() + eps),
                None => kept - LR * mean,
            }
        }));
    }
}

#[test]
fn acprop() {
    for belief in Belief::all() {
        for momentum_update in [false, true] {
            let Belief { rectify, amsgrad, beta2, eps, .. } = belief;
            let mut hyper = belief.hyper();
            hyper["momentum_update"] = momentum_update.into();
            assert_agrees(&file_with_states("acprop", hyper, |t, p, g, [m, s, greatest]| {
                let (d, kept) = belief.decayed(p, g);
                *m = BETA1 * *m + (1.0 - BETA1) * d;
                if t > 1 || amsgrad {
                    *s += eps;
                }
                *greatest = greatest.max(*s);
                let before = *s;
                *s = beta2 * *s + (1.0 - beta2) * (d - *m).powi(2);
                let mean = *m / Belief::bias1(t);
                let direction = if momentum_update { mean } else { d };
                match belief.rectification(t) {
                    _ if t == 1 => kept - LR * mean,
                    _ if !rectify => {
                        let variance = if amsgrad { *greatest } else { before };
                        kept - LR * direction / ((variance / belief.bias2(t - 1)).sqrt() + eps)
                    }
                    Some(factor) => kept - LR * factor * direction / (before.sqrt() + eps),
                    None => kept - LR * mean,
                }
            }));
        }
    }
}

#[test]
fn diffgrad() {
    let (lr, [beta1, beta2]) = (0.05, BETAS);
    for (eps, weight_decay, decouple, maximize) in
        [(0.1, 0.0, false, true), (1e-3, 0.2, false, false), (1e-3, 0.2, true, false), (0.0, 0.2, false, true)]
    {
        let hyper = json!({
            "lr": lr, "betas": [beta1, beta2], "eps": eps, "weight_decay": weight_decay, "weight_decouple": decouple,
            "maximize": maximize,
        });
        assert_agrees(&file_with_states("diffgrad", hyper, |t, p, g, [m, v, before]| {
            let (l2, kept) = if decouple { (0.0, p - lr * weight_decay * p) } else { (weight_decay * p, p) };
            let d = descended(maximize, g) + l2;
            *m = beta1 * *m + (1.0 - beta1) * d;
            *v = beta2 * *v + (1.0 - beta2) * d * d;
            let friction = 1.0 / (1.0 + (-(*before - d).abs()).exp());
            *before = d;
            let lr = lr * (1.0 - beta2.powi(t)).sqrt() / (1.0 - beta1.powi(t));
            kept - lr * friction * *m / (v.sqrt() + eps)
        }));
    }
}

#[test]
fn aida() {
    let (lr, [beta1, beta2]) = (0.05, BETAS);
    for (power, q, eps) in
        [(2.0, 1.0, 1e-3), (1.0, 2.0, 0.1), (1.0, 1.0, 1e-3), (3.0, 0.5, 0.1), (1.5, 1.25, 0.0), (0.5, 0.75, 1e-3)]
    {
        for (eps_inside, weight_decay, maximize) in [
            (None, Some(0.2), false),
            (Some(false), Some(0.1), true),
            (Some(true), None, false),
            (Some(true), Some(0.2), true),
        ] {
            let hyper = json!({
                "lr": lr, "betas": [beta1, beta2], "eps": eps, "p": power, "q": q, "eps_inside": eps_inside,
                "weight_decay": weight_decay, "maximize": maximize,
            });
            assert_agrees(&file_with_states("aida_pq", hyper, |t, p, g, [m, r]| {
                let g = descended(maximize, g);
                *m = beta1 * *m + (1.0 - beta1) * g;
                *r = beta2 * *r + (1.0 - beta2) * g.abs().powf(power);
                let (m, r) = (*m / (1.0 - beta1.powi(t)), *r / (1.0 - beta2.powi(t)));
                let inside = eps_inside.unwrap_or(false);
                let denominator = if inside { (r + eps).powf(q / power) } else { r.powf(q / power) + eps };
                p - lr * weight_decay.unwrap_or(0.0) * p - lr * m.signum() * m.abs().powf(q) / denominator
            }));
        }
    }
}
