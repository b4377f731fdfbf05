use std::hint::black_box;

use gradus::element::{Element, Real};
use gradus::rules::{AdamW, Lion, Rule, Sgd};

use super::{Arrays, Shape};

/// A rule written as its paper has it: a plain loop over a tensor, compiled for the target's baseline.
///
/// It calls nothing of gradus but the conversions of types, nor a fused multiply-add, which is slow without dispatch.
pub type Formula<P, G> = fn(&mut Arrays<P, G>);

/// The rule so written, where somebody has done it.
pub fn formula<R: Rule, P: Element, G: Element<Real = P::Real>>() -> Option<Formula<P, G>> {
    match R::NAME {
        AdamW::NAME => Some(adamw),
        Lion::NAME => Some(lion),
        Sgd::NAME => Some(sgd),
        _ => None,
    }
}

/// Runs a formula on one thread.
pub fn naive<R: Rule, P: Element, G: Element>(formula: Formula<P, G>, shape: Shape) -> impl FnMut() {
    let mut tensors = Arrays::<P, G>::of::<R>(shape);
    let mut naive = move || black_box(&mut tensors).iter_mut().for_each(formula);
    naive();
    naive
}

fn adamw<P: Element, G: Element<Real = P::Real>>(tensor: &mut Arrays<P, G>) {
    let AdamW { lr, beta1, beta2, eps, weight_decay, .. } = AdamW::default();
    let (bias1, bias2) = (real::<P>(1.0 - beta1), real::<P>(1.0 - beta2));
    let [lr, beta1, beta2, eps, weight_decay, one] = [lr, beta1, beta2, eps, weight_decay, 1.0].map(real::<P>);
    let [m, v] = &mut tensor.states[..] else { unreachable!("AdamW has two states") };
    for (((p, g), m), v) in tensor.parameter.iter_mut().zip(&tensor.gradient).zip(m).zip(v) {
        let (x, g) = (p.load(), g.load());
        *m = beta1 * *m + (one - beta1) * g;
        *v = beta2 * *v + (one - beta2) * g * g;
        *p = P::store(x - lr * (*m / bias1 / ((*v / bias2).sqrt() + eps) + weight_decay * x));
    }
}

fn lion<P: Element, G: Element<Real = P::Real>>(tensor: &mut Arrays<P, G>) {
    let Lion { lr, beta1, beta2, weight_decay, .. } = Lion::default();
    let [lr, beta1, beta2, weight_decay, zero, one] = [lr, beta1, beta2, weight_decay, 0.0, 1.0].map(real::<P>);
    let [m] = &mut tensor.states[..] else { unreachable!("Lion has one state") };
    for ((p, g), m) in tensor.parameter.iter_mut().zip(&tensor.gradient).zip(m) {
        let (x, g) = (p.load(), g.load());
        let u = beta1 * *m + (one - beta1) * g;
        let sign = if u > zero {
            one
        } else if u < zero {
            -one
        } else {
            zero
        };
        *m = beta2 * *m + (one - beta2) * g;
        *p = P::store(x - lr * (sign + weight_decay * x));
    }
}

fn sgd<P: Element, G: Element<Real = P::Real>>(tensor: &mut Arrays<P, G>) {
    let [lr, momentum] = [Sgd::default().lr, Sgd::default().momentum].map(real::<P>);
    let [b] = &mut tensor.states[..] else { unreachable!("SGD has one state") };
    for ((p, g), b) in tensor.parameter.iter_mut().zip(&tensor.gradient).zip(b) {
        *b = momentum * *b + g.load();
        *p = P::store(p.load() - lr * *b);
    }
}

fn real<E: Element>(value: f64) -> E::Real {
    E::Real::from_f64(value)
}
