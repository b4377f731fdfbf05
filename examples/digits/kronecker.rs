//! K-FAC and FOOF: gradients are made into directions, with which SGD steps.

use gradus::kfac::{Curvature, Inverted, Kfac, KfacSettings, Observation};
use gradus::linalg::{Inputs, LayerDirection, LayerGradient, Linear};
use gradus::rules::{AnyRule, Value, by_name};
use gradus::{Buffer, Device, Error, MatMut, MatRef, Result};
use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::data::Digit;
use crate::network::{Network, Shown};

/// The methods, by the names they are asked for.
pub const NAMES: [&str; 2] = ["kfac", "foof"];

/// The settings of a method, and the rule that steps with its directions. `None`: there is no such method.
///
/// Errors: a setting that neither has.
pub fn method(name: &str, settings: &[(&str, Value)]) -> std::result::Result<Option<(KfacSettings, AnyRule)>, String> {
    let curvature = match name {
        "kfac" => Curvature::InputsAndOutputs,
        "foof" => Curvature::Inputs,
        _ => return Ok(None),
    };
    let mut method = KfacSettings { curvature, ..KfacSettings::default() };
    let mut of_rule = Vec::new();
    for (key, value) in settings {
        match (*key, value) {
            ("damping", Value::Number(damping)) => method.damping = *damping,
            ("beta", Value::Number(beta)) => method.beta = *beta,
            ("inverse_every", Value::Number(steps)) => method.inverse_every = *steps as u64,
            ("kl_clip", Value::Number(kappa)) => method.kl_clip = Some(*kappa),
            _ => of_rule.push((*key, value.clone())),
        }
    }
    let rule = by_name("sgd", &of_rule);
    let own = "of a Kronecker method: damping, beta, inverse_every, kl_clip";
    rule.map(|rule| Some((method, rule))).map_err(|error| format!("{error}; {own}"))
}

/// A layer's numbers on the device, each matrix with a row for each output.
struct Layer {
    shape: Linear,
    gradient: [Buffer<f32>; 2],
    direction: [Buffer<f32>; 2],
}

/// Makes directions of gradients.
pub struct Preconditioner {
    device: Device,
    fresh: Option<Kfac<f32>>,
    kfac: Option<Kfac<f32, Inverted>>,
    curvature: Curvature,
    layers: Vec<Layer>,
    rng: Pcg64,
}

impl Preconditioner {
    pub fn new(device: &Device, settings: KfacSettings, lr: f64, network: &Network, seed: u64) -> Result<Self> {
        let shapes = network.shapes().map(|[inputs, outputs]| Linear { inputs, outputs, bias: true });
        let mut kfac = Kfac::new(device, &shapes, settings)?;
        kfac.set_lr(lr)?;
        let layer = |shape: Linear| {
            let zeros = |length| Buffer::zeros(device, length);
            let pair = || Ok::<_, Error>([zeros(shape.inputs * shape.outputs)?, zeros(shape.outputs)?]);
            Ok(Layer { shape, gradient: pair()?, direction: pair()? })
        };
        Ok(Self {
            device: device.clone(),
            fresh: Some(kfac),
            kfac: None,
            curvature: settings.curvature,
            layers: shapes.into_iter().map(layer).collect::<Result<_>>()?,
            rng: Pcg64::seed_from_u64(!seed),
        })
    }

    /// Replaces the gradient of a batch by its direction.
    pub fn direct(&mut self, network: &Network, batch: &[&Digit], gradient: &mut Network) -> Result<()> {
        let shown = network.show_on_sampled_labels(batch, &mut self.rng);
        let mut rows = Vec::new();
        for Shown { inputs, output_gradients } in &shown {
            let upload = |rows: &[f32]| Buffer::from_slice(&self.device, rows);
            rows.push([upload(inputs)?, upload(output_gradients)?]);
        }
        let mut observations = Vec::new();
        for (layer, [inputs, output_gradients]) in self.layers.iter().zip(&rows) {
            let outputs = || matrix(output_gradients, batch.len(), layer.shape.outputs).map(Inputs::rows);
            observations.push(Observation {
                inputs: Inputs::rows(matrix(inputs, batch.len(), layer.shape.inputs)?),
                output_gradients: (self.curvature == Curvature::InputsAndOutputs).then(outputs).transpose()?,
            });
        }

        for (layer, [weights, biases]) in self.layers.iter_mut().zip(gradient.layers_mut()) {
            layer.gradient[0].write(&transposed(weights, layer.shape.outputs))?;
            layer.gradient[1].write(biases)?;
        }
        let mut gradients = Vec::new();
        let mut directions = Vec::new();
        for Layer { shape, gradient: [weight, bias], direction: [to_weight, to_bias] } in &mut self.layers {
            let weight = matrix(weight, shape.outputs, shape.inputs)?;
            gradients.push(LayerGradient { weight, bias: Some(bias.view()) });
            let weight = MatMut::new(to_weight.view_mut(), shape.outputs, shape.inputs)?;
            directions.push(LayerDirection { weight, bias: Some(to_bias.view_mut()) });
        }
        match (&mut self.kfac, self.fresh.take()) {
            (Some(kfac), _) => kfac.step(observations, &gradients, &mut directions)?,
            (kfac, Some(fresh)) => {
                kfac.insert(fresh.observe(observations)?.invert()?).precondition(&gradients, &mut directions)?;
            }
            (None, None) => unreachable!("the first step failed and was not the last"),
        }
        for (layer, [weights, biases]) in self.layers.iter().zip(gradient.layers_mut()) {
            weights.copy_from_slice(&transposed(&layer.direction[0].to_vec()?, layer.shape.inputs));
            layer.direction[1].read(biases)?;
        }
        Ok(())
    }
}

fn matrix(buffer: &Buffer<f32>, rows: usize, columns: usize) -> Result<MatRef<'_, f32>> {
    MatRef::new(buffer.view(), rows, columns)
}

/// The transpose of a matrix of so many columns.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns).copied()).collect()
}
