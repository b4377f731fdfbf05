//! Files of K-FAC and FOOF: one linear layer without a bias.

use gradus::element::Real;
use gradus::kfac::{Curvature, DampingForm, InitialFactors, Kfac, KfacSettings, Observation, Observed};
use gradus::linalg::{Inputs, LayerDirection, LayerGradient, Linear};
use gradus::optim::{Optimizer, Tensor};
use gradus::rules::{Pair, Sgd};
use gradus::{Buffer, Device, MatMut, MatRef};

use super::file::File;
use super::play::{Difference, explain, placed, wide};

/// What a file says of a step: the settings, and what stands before and behind the preconditioner.
struct Recipe {
    settings: KfacSettings,
    lr: f64,
    batch: usize,
    /// Of the gradients, before the preconditioner.
    momentum_before: f64,
    /// Of the directions, behind it.
    momentum: f64,
    /// What sums over the rows of inputs and of output gradients are multiplied by.
    scales: [f64; 2],
}

fn required<V>(value: Option<V>, key: &str) -> Result<V, String> {
    value.ok_or_else(|| format!("there is no {key}"))
}

/// Benzing's code: factors are sums over the batch, momentum stands before the inverses, and both are new every step.
pub fn heuristic<T: Pair<T> + Real>(file: &File, device: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    let lr = required(hyper.number("lr")?, "lr")?;
    let damping = required(hyper.number("damp")?, "damp")?;
    let beta = required(hyper.number("kf_m")?, "kf_m")?;
    let momentum_before = hyper.number("momentum")?.unwrap_or(0.0);
    let batch = required(hyper.count("batch")?, "batch")? as usize;
    let curvature = match hyper.name("optimizer")?.as_deref() {
        Some("kfac") => Curvature::InputsAndOutputs,
        Some("foof") => Curvature::Inputs,
        other => return Err(format!("optimizer = {other:?} is neither kfac nor foof")),
    };
    hyper.finish()?;
    let settings = KfacSettings { curvature, damping, beta, ..KfacSettings::default() };
    played::<T>(file, device, &Recipe { settings, lr, batch, momentum_before, momentum: 0.0, scales: [1.0; 2] })
}

/// GadamX' code: factors begin as the identity and are damped exactly, directions are clipped, and momentum stands behind them.
/// Output gradients are those of a mean over the batch.
pub fn kl_clip<T: Pair<T> + Real>(file: &File, device: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    let lr = required(hyper.number("lr")?, "lr")?;
    let momentum = hyper.number("momentum")?.unwrap_or(0.0);
    let beta = required(hyper.number("stat_decay")?, "stat_decay")?;
    let damping = required(hyper.number("damping")?, "damping")?;
    let kl_clip = required(hyper.number("kl_clip")?, "kl_clip")?;
    let batch = required(hyper.count("batch")?, "batch")? as usize;
    if let Some(every) = hyper.count("TCov")?.filter(|&every| every != 1) {
        return Err(format!("TCov = {every} is not 1"));
    }
    let inverse_every = hyper.count("TInv")?.unwrap_or(1);
    hyper.finish()?;
    let settings = KfacSettings {
        damping,
        damping_form: DampingForm::Exact,
        beta,
        initial: InitialFactors::Identity,
        inverse_every,
        kl_clip: Some(kl_clip),
        ..KfacSettings::default()
    };
    let scales = [1.0 / batch as f64, batch as f64];
    played::<T>(file, device, &Recipe { settings, lr, batch, momentum_before: 0.0, momentum, scales })
}

fn played<T: Pair<T> + Real>(file: &File, device: &Device, recipe: &Recipe) -> Result<Vec<Difference>, String> {
    let Recipe { settings, lr, batch, momentum_before, momentum, scales } = *recipe;
    let &[outputs, inputs] = &file.array("shape")?[..] else { return Err("the shape is no matrix's".to_owned()) };
    let layer = Linear { inputs: inputs as usize, outputs: outputs as usize, bias: false };
    let mut fresh = Kfac::<T>::new(device, &[layer], settings).map_err(explain)?;
    fresh.set_lr(lr).map_err(explain)?;
    let mut fresh = Some(fresh);
    let mut kfac = None;

    let start = file.array("param0")?;
    let mut parameter = placed::<T>(device, &start)?;
    let mut optimizer = Optimizer::<Sgd, T>::new(device, Sgd { lr, momentum, ..Sgd::default() }).map_err(explain)?;
    optimizer.add(Tensor::new(start.len())).map_err(explain)?;
    let mut direction = Buffer::<T>::zeros(device, start.len()).map_err(explain)?;
    let mut averaged = vec![0.0; start.len()];

    let (acts, outgrads) = (file.arrays("acts")?, file.arrays("outgrads")?);
    let (gradients, expected) = (file.arrays("grads")?, file.arrays("params")?);
    if [acts.len(), outgrads.len(), gradients.len()] != [expected.len(); 3] {
        return Err("acts, outgrads, grads and params differ in length".to_owned());
    }
    let mut differences = Vec::new();
    for (step, expected) in expected.iter().enumerate() {
        let (acts, outgrads) = (placed::<T>(device, &acts[step])?, placed::<T>(device, &outgrads[step])?);
        let outputs = || summed(&outgrads, batch, layer.outputs, scales[1]);
        let observation = Observation {
            inputs: summed(&acts, batch, layer.inputs, scales[0])?,
            output_gradients: (settings.curvature == Curvature::InputsAndOutputs).then(outputs).transpose()?,
        };
        averaged.iter_mut().zip(&gradients[step]).for_each(|(m, g)| *m = momentum_before * *m + g);
        let gradient = placed::<T>(device, &averaged)?;
        let matrix = MatRef::new(gradient.view(), layer.outputs, layer.inputs).map_err(explain)?;
        let gradient = [LayerGradient { weight: matrix, bias: None }];
        let weight = MatMut::new(direction.view_mut(), layer.outputs, layer.inputs).map_err(explain)?;
        let mut directions = [LayerDirection { weight, bias: None }];
        match &mut kfac {
            None => {
                let fresh = fresh.take().expect("the first step");
                let first = fresh.observe(vec![observation]).and_then(Kfac::<T, Observed>::invert);
                let kfac = kfac.insert(first.map_err(explain)?);
                kfac.precondition(&gradient, &mut directions).map_err(explain)?;
            }
            Some(kfac) => kfac.step(vec![observation], &gradient, &mut directions).map_err(explain)?,
        }
        optimizer.step(&mut [parameter.view_mut()], &[Some(direction.view())]).map_err(explain)?;
        let given = wide(parameter.to_vec().map_err(explain)?);
        differences.push(Difference::greatest(&format!("params {step}"), &given, expected)?);
    }
    Ok(differences)
}

/// The sum over the rows of a batch, scaled.
fn summed<T: Real>(rows: &Buffer<T>, batch: usize, columns: usize, scale: f64) -> Result<Inputs<'_, T>, String> {
    let matrix = MatRef::new(rows.view(), batch, columns).map_err(explain)?;
    Ok(Inputs::rows(matrix).scaled(scale))
}
