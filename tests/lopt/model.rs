//! Networks, tensors and gradients to step with.

use gradus::Device;
use gradus::element::Element;
use gradus::lopt::{Form, Network, Settings, SmallFcLopt, Star};

use crate::common::data::{Numbers, element};
use crate::common::memory::Guarded;

/// A network of normal weights, each layer's outputs of about the size of its inputs.
pub fn network(hidden: usize, form: Form) -> Network {
    let mut numbers = Numbers::new(hidden as u64);
    let count = Network::parameter_count(hidden, form);
    let scale = |position: usize| match position {
        _ if position >= count - 7 => 0.02,
        _ if position < 40 * hidden => 39.0_f64.sqrt().recip(),
        _ => (hidden as f64).sqrt().recip(),
    };
    let parameters = (0..count).map(|position| (scale(position) * numbers.normal()) as f32).collect();
    Network::new(hidden, form, parameters).unwrap()
}

/// Settings with which every term of the step tells.
pub fn settings(form: Form) -> Settings {
    let star = Star { nominal_lr: 0.02, nominal_exp_mult: 0.2, decay_exp_mult: 0.3 };
    let star = (form == Form::Star).then_some(star);
    Settings { lr: 0.5, weight_decay: 0.1, step_mult: 0.1, exp_mult: 0.1, star, ..Settings::default() }
}

/// The numbers of tensors, each of another size.
pub fn tensors(shapes: &[&[usize]], seed: u64) -> Vec<Vec<f64>> {
    let mut numbers = Numbers::new(seed);
    let tensor = |(k, axes): (usize, &&[usize])| {
        let scale = 10.0_f64.powi(k as i32 % 4 - 2);
        (0..axes.iter().product()).map(|_| (scale * numbers.normal()) as f32 as f64).collect()
    };
    shapes.iter().enumerate().map(tensor).collect()
}

/// An optimizer with its parameters in memory of the device.
pub struct Model<P: Element> {
    pub optimizer: SmallFcLopt<P>,
    pub device: Device,
    pub parameters: Vec<Guarded<P>>,
}

pub fn guarded<P: Element>(device: &Device, tensors: &[Vec<f64>], offset: usize) -> Vec<Guarded<P>> {
    let one = |tensor: &Vec<f64>| Guarded::new(device, &tensor.iter().map(|x| element(*x)).collect::<Vec<P>>(), offset);
    tensors.iter().map(one).collect()
}

impl<P: Element> Model<P> {
    pub fn new(device: &Device, hidden: usize, form: Form, shapes: &[&[usize]]) -> Self {
        let optimizer = SmallFcLopt::new(device, settings(form), &network(hidden, form), shapes).unwrap();
        Self { optimizer, device: device.clone(), parameters: guarded(device, &tensors(shapes, 1), 3) }
    }

    pub fn step(&mut self, gradients: &[Vec<f64>]) {
        let gradients = guarded::<P>(&self.device, gradients, 1);
        let views: Vec<_> = gradients.iter().map(Guarded::view).collect();
        let mut parameters: Vec<_> = self.parameters.iter_mut().map(Guarded::view_mut).collect();
        self.optimizer.step(&mut parameters, &views).unwrap();
    }

    pub fn elements(&self) -> Vec<Vec<P>> {
        self.parameters.iter().map(Guarded::elements).collect()
    }
}
