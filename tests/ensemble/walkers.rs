//! Entropy-SGD against plain loops: every setting, and where the noise comes from.

use gradus::Device;
use gradus::ensemble::{Ensemble, EntropySgd};
use gradus::noise::normals;
use gradus::optim::Tensor;
use gradus::rng::{Address, Purpose};

use super::formulas::{array, assert_close};

type Array = [f64; 3];

/// What a walker remembers, written as the algorithm is: loops inside a loop.
struct Plain {
    method: EntropySgd,
    outer: Option<Array>,
    loops: i32,
}

impl Plain {
    fn momentum(&self, buffer: &mut f64, d: f64) -> f64 {
        let EntropySgd { momentum, dampening, nesterov, .. } = self.method;
        if momentum == 0.0 {
            return d;
        }
        *buffer = momentum * *buffer + (1.0 - dampening) * d;
        if nesterov { d + momentum * *buffer } else { *buffer }
    }

    /// A whole loop. `gradient` and `noise` are of a call, counted from 1; the parameters after each call go to `after`.
    fn run(
        &mut self,
        mut x: Array,
        first_call: usize,
        has_gradient: impl Fn(usize) -> bool,
        after: &mut Vec<Array>,
    ) -> Array {
        let m = self.method;
        let gamma = m.gamma * (1.0 + m.gamma_growth).powi(self.loops);
        self.loops += 1;
        let mut call = first_call;
        let outer_start = |call: usize| if has_gradient(call) { array(call, 0) } else { [0.0; 3] };
        let mut outer = *self.outer.get_or_insert_with(|| outer_start(call));
        let (mut w, mut mean, mut inner) = (x, x, [0.0; 3]);
        if m.anchor_gradient && m.inner_steps > 0 {
            after.push(w);
            call += 1;
        }
        for _ in 0..m.inner_steps {
            for i in 0..3 {
                if has_gradient(call) {
                    let mut d = self.momentum(&mut inner[i], array(call, 0)[i] + m.weight_decay * w[i]);
                    d += gamma * (w[i] - x[i]) + m.noise / (0.5 * m.inner_lr).sqrt() * array(call, 1)[i];
                    if !m.nesterov {
                        inner[i] = d;
                    }
                    w[i] -= m.inner_lr * d;
                }
                mean[i] = m.averaging * mean[i] + (1.0 - m.averaging) * w[i];
            }
            after.push(w);
            call += 1;
        }
        if m.inner_steps == 0 {
            after.push(w);
        }
        let scale = if m.outer_gamma { gamma } else { 1.0 };
        for i in 0..3 {
            let away = if m.inner_steps > 0 { scale * (x[i] - mean[i]) } else { array(call, 0)[i] };
            if m.inner_steps > 0 || has_gradient(call) {
                x[i] -= m.lr * self.momentum(&mut outer[i], away + m.weight_decay * x[i]);
            }
        }
        self.outer = Some(outer);
        *after.last_mut().unwrap() = x;
        x
    }
}

#[test]
fn every_setting() {
    let usual = EntropySgd { lr: 0.6, noise: 0.1, gamma: 0.4, inner_steps: 3, ..EntropySgd::default() };
    let heavy = EntropySgd { momentum: 0.8, dampening: 0.2, weight_decay: 0.1, ..usual };
    for method in [
        usual,
        EntropySgd { weight_decay: 0.2, averaging: 0.5, inner_lr: 0.02, ..usual },
        EntropySgd { gamma_growth: 0.3, outer_gamma: true, ..usual },
        EntropySgd { anchor_gradient: true, gamma_growth: 0.3, ..usual },
        EntropySgd { nesterov: false, ..usual },
        heavy,
        EntropySgd { nesterov: false, ..heavy },
        EntropySgd { nesterov: false, anchor_gradient: true, outer_gamma: true, ..heavy },
        EntropySgd { inner_steps: 1, ..heavy },
        EntropySgd { inner_steps: 1, anchor_gradient: true, ..heavy },
        EntropySgd { inner_steps: 0, ..heavy },
        EntropySgd { inner_steps: 0, anchor_gradient: true, nesterov: false, ..heavy },
        EntropySgd { inner_steps: 0, ..usual },
        EntropySgd { noise: 0.0, averaging: 0.0, gamma: 0.0, ..heavy },
    ] {
        for missing in [0, 2, 5] {
            let has_gradient = |call: usize| call != missing;
            let start = array(0, 0);
            let mut expected = Vec::new();
            let mut plain = Plain { method, outer: None, loops: 0 };
            let mut x = start;
            for _ in 0..4 {
                x = plain.run(x, expected.len() + 1, has_gradient, &mut expected);
            }
            let calls = expected.len() / 4;
            let mut walker = Ensemble::<EntropySgd, f64>::new(&Device::cpu(), method, &[Tensor::new(3)]).unwrap();
            let mut given = start;
            for (call, expected) in (1..).zip(&expected) {
                let (g, noise) = (array(call, 0), array(call, 1));
                let gradient = has_gradient(call).then(|| g.as_slice().into());
                let stepped =
                    walker.step_with(&mut [given.as_mut_slice().into()], &[gradient], &[Some(noise.as_slice().into())]);
                stepped.unwrap();
                assert_close(&format!("{method:?} without gradient {missing}, call {call}"), &given, expected);
                assert_eq!(walker.at_anchor().unwrap(), call.is_multiple_of(calls), "{method:?}, call {call}");
            }
        }
    }
}

/// What is drawn is the normals of purpose, step, id, element and seed.
#[test]
fn drawn_noise_stands_at_its_address() {
    const FIRST: u64 = 1021;
    let method = EntropySgd { inner_steps: 2, seed: 77, noise: 0.5, ..EntropySgd::default() };
    let tensors = [Tensor::new(500).id(9).first(FIRST)];
    let device = Device::cpu();
    let build = || Ensemble::<EntropySgd>::new(&device, method, &tensors).unwrap();
    let (mut drawing, mut given) = (build(), build());
    let g = vec![0.25_f32; 500];
    let (mut p, mut q) = (vec![1.0_f32; 500], vec![1.0_f32; 500]);
    for step in 1..=5 {
        drawing.step(&mut [(&mut p).into()], &[Some((&g).into())]).unwrap();
        let mut noise = vec![0.0; 500];
        let address = Address::new(Purpose::GRADIENT_NOISE, step, 9, 0).unwrap();
        normals(&device, 77, &address, FIRST, (&mut noise).into()).unwrap();
        given.step_with(&mut [(&mut q).into()], &[Some((&g).into())], &[Some((&noise).into())]).unwrap();
        assert_eq!(p, q, "step {step}");
    }
}
