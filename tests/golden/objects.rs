//! Files of methods that are no rules, but step objects of their own.

use gradus::element::{Dtype, Real};
use gradus::ensemble::{Ensemble, EntropySgd, GtAdam, Method, Mixing, ReplicatedSgd};
use gradus::optim::Tensor;
use gradus::rules::{Pair, Value};
use gradus::{Buffer, Device};

use super::Run;
use super::file::{File, Hyper};
use super::kfac;
use super::play::{Difference, array, explain, placed, wide};
use super::unrolled::unrolled;

/// A step object that plays the files of a method.
pub struct Object {
    /// The method's name in the files.
    pub name: &'static str,
    single: Play,
    double: Play,
}

/// Steps through a file and compares what the file has of parameters and states.
type Play = fn(&File, &Device) -> Result<Vec<Difference>, String>;

impl Object {
    pub fn play(&self, file: &File, run: &Run) -> Result<Vec<Difference>, String> {
        let play = if run.dtype == Dtype::F64 { self.double } else { self.single };
        play(file, &run.device)
    }
}

/// Every method that has an object.
pub fn objects() -> &'static [Object] {
    &[
        Object { name: "replicated_sgd", single: replicated_sgd::<f32>, double: replicated_sgd::<f64> },
        Object { name: "entropy_sgd", single: entropy_sgd::<f32>, double: entropy_sgd::<f64> },
        Object { name: "foof", single: kfac::heuristic::<f32>, double: kfac::heuristic::<f64> },
        Object { name: "kfac_heuristic", single: kfac::heuristic::<f32>, double: kfac::heuristic::<f64> },
        Object { name: "kfac_klclip", single: kfac::kl_clip::<f32>, double: kfac::kl_clip::<f64> },
        Object { name: "es_antithetic", single: unrolled::<f32>, double: unrolled::<f64> },
        Object { name: "pes", single: unrolled::<f32>, double: unrolled::<f64> },
        Object { name: "gtadam", single: gt_adam::<f32>, double: gt_adam::<f64> },
    ]
}

/// What plays a method's files, if it has an object.
pub fn object(method: &str) -> Option<&'static Object> {
    objects().iter().find(|object| object.name == method)
}

/// The settings that the hyperparameters stand for. Errors: hyperparameters that nothing has read.
fn settings<M: Method>(hyper: Hyper) -> Result<M, String> {
    let (settings, _) = hyper.finish()?;
    let mut method = M::default();
    let mut set = |(key, value): (&str, Value)| method.set(key, &value).map_err(explain);
    settings.into_iter().try_for_each(&mut set)?;
    Ok(method)
}

/// Copies of one tensor.
struct Copies<T: Real> {
    device: Device,
    parameters: Vec<Buffer<T>>,
}

impl<T: Pair<T> + Real> Copies<T> {
    fn new(device: &Device, start: &[Vec<f64>]) -> Result<Self, String> {
        let parameters = start.iter().map(|start| placed(device, start)).collect::<Result<_, _>>()?;
        Ok(Self { device: device.clone(), parameters })
    }

    /// A step; the gradients stand copy by copy, or there are none.
    fn step<M: Method>(
        &mut self,
        ensemble: &mut Ensemble<M, T>,
        gradients: Option<&[f64]>,
    ) -> Result<Vec<f64>, String> {
        let length = self.parameters.first().map_or(1, Buffer::len);
        let copies = self.parameters.len();
        let gradients =
            gradients.map(|all| all.chunks(length).map(|g| placed(&self.device, g)).collect::<Result<Vec<_>, _>>());
        let gradients = gradients.transpose()?.unwrap_or_default();
        let views: Vec<_> = match gradients.len() {
            0 => (0..copies).map(|_| None).collect(),
            _ => gradients.iter().map(|gradient| Some(gradient.view())).collect(),
        };
        let mut parameters: Vec<_> = self.parameters.iter_mut().map(Buffer::view_mut).collect();
        ensemble.step(&mut parameters, &views).map_err(explain)?;
        let mut all = Vec::new();
        for parameter in &self.parameters {
            all.extend(wide(parameter.to_vec().map_err(explain)?));
        }
        Ok(all)
    }
}

fn replicated_sgd<T: Pair<T> + Real>(file: &File, device: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    if let Some(other) = hyper.name("mode")?.filter(|mode| mode != "paper") {
        return Err(format!("mode = '{other}' is not 'paper'"));
    }
    let method = settings::<ReplicatedSgd>(hyper.same(&["lr", "gamma", "gamma_growth"])?)?;
    let start = file.arrays("replica_param0")?;
    let length = start.first().map_or(0, Vec::len);
    let tensors = [Tensor::new(length)];
    let mut replicas = Ensemble::<ReplicatedSgd, T>::new(device, method, start.len(), &tensors).map_err(explain)?;
    let mut copies = Copies::<T>::new(device, &start)?;
    let mut differences = Vec::new();
    for (step, (gradients, expected)) in steps(file, "replica_grads")?.enumerate() {
        let given = copies.step(&mut replicas, Some(&gradients))?;
        differences.push(Difference::greatest(&format!("params {step}"), &given, &expected)?);
    }
    Ok(differences)
}

/// NVFlare's steps end with the gradient at the new parameters, those of the object begin with it: its first step has no
/// gradients, and one more makes the last tracker.
fn gt_adam<T: Pair<T> + Real>(file: &File, device: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    let agents = hyper.count("agents")?;
    let method = settings::<GtAdam>(hyper.same(&["lr", "beta1", "beta2", "eps"])?.renamed("G", "bound")?)?;
    let rows = file.arrays("W")?;
    if let Some(agents) = agents.filter(|&agents| agents != rows.len() as u64) {
        return Err(format!("agents is {agents}, but W is of {}", rows.len()));
    }
    let mixing = Mixing::new(rows.len(), &rows.concat()).map_err(explain)?;
    let start = file.arrays("agent_param0")?;
    let length = start.first().map_or(0, Vec::len);
    let mut agents = Ensemble::<GtAdam, T>::new(device, method, &mixing, &[Tensor::new(length)]).map_err(explain)?;
    let mut copies = Copies::<T>::new(device, &start)?;
    let mut differences = Vec::new();
    let mut before: Option<Vec<f64>> = None;
    for (step, (gradients, expected)) in steps(file, "agent_grads")?.enumerate() {
        let given = copies.step(&mut agents, before.as_deref())?;
        differences.push(Difference::greatest(&format!("params {step}"), &given, &expected)?);
        before = Some(gradients);
    }
    let mut compare = |name: &str, agents: &Ensemble<GtAdam, T>| -> Result<(), String> {
        let state = agents.state().map_err(explain)?;
        let given = (0..mixing.agents()).map(|agent| array(&state, &format!("copy.{agent}.{name}")));
        let given = given.collect::<Result<Vec<_>, _>>()?.concat();
        if let Some(expected) = file.state(name)? {
            differences.push(Difference::greatest(&format!("state {name}"), &given, &expected)?);
        }
        Ok(())
    };
    compare("m", &agents)?;
    compare("v", &agents)?;
    copies.step(&mut agents, before.as_deref())?;
    compare("tracker", &agents)?;
    Ok(differences)
}

/// The code's loops, each of which begins with a gradient at the anchor. Its γ stays as it is: `g1` is read and has no effect.
fn entropy_sgd<T: Pair<T> + Real>(file: &File, device: &Device) -> Result<Vec<Difference>, String> {
    let mut hyper = file.hyper()?;
    hyper.number("g1")?;
    let inner_steps = hyper.count("L")?.unwrap_or(0);
    let hyper = hyper.same(&["lr", "momentum", "weight_decay", "nesterov"])?.renamed("damp", "dampening")?;
    let hyper = hyper.renamed("eps", "noise")?.renamed("g0", "gamma")?;
    let method = EntropySgd { inner_steps, anchor_gradient: true, ..settings(hyper)? };
    let start = file.array("param0")?;
    let mut walker = Ensemble::<EntropySgd, T>::new(device, method, &[Tensor::new(start.len())]).map_err(explain)?;
    let mut parameter = placed::<T>(device, &start)?;

    let loops = file.arrays("params")?;
    let calls = inner_steps as usize + 1;
    let gradients = file.arrays("grads_all")?;
    let noise = if inner_steps == 0 { Vec::new() } else { file.arrays("noise")? };
    for (what, given, expected) in
        [("gradients", gradients.len(), loops.len() * calls), ("of noise", noise.len(), loops.len() * (calls - 1))]
    {
        if given != expected {
            return Err(format!("there are {given} {what}, not {expected} for {} loops", loops.len()));
        }
    }
    let means = file.state_by_step("mu_per_step")?;
    let (mut gradients, mut noise) = (gradients.iter(), noise.iter());
    let mut differences = Vec::new();
    for (step, expected) in loops.iter().enumerate() {
        for (call, gradient) in gradients.by_ref().take(calls).enumerate() {
            let gradient = placed::<T>(device, gradient)?;
            let noise = noise.by_ref().take(usize::from(call > 0)).map(|noise| placed::<T>(device, noise));
            let noise = noise.collect::<Result<Vec<_>, _>>()?;
            let noise = [noise.first().map(Buffer::view)];
            let stepped = walker.step_with(&mut [parameter.view_mut()], &[Some(gradient.view())], &noise);
            stepped.map_err(explain)?;
        }
        let given = wide(parameter.to_vec().map_err(explain)?);
        differences.push(Difference::greatest(&format!("params {step}"), &given, expected)?);
        if let Some(Some(expected)) = means.as_ref().and_then(|means| means.get(step)) {
            let given = array(&walker.state().map_err(explain)?, "copy.0.mean")?;
            differences.push(Difference::greatest(&format!("state mu_per_step {step}"), &given, expected)?);
        }
    }
    Ok(differences)
}

/// The gradients and the parameters of each step.
fn steps(file: &File, gradients: &str) -> Result<impl Iterator<Item = (Vec<f64>, Vec<f64>)>, String> {
    let (gradients, parameters) = (file.arrays(gradients)?, file.arrays("params")?);
    if gradients.len() != parameters.len() {
        return Err(format!("there are {} gradients and {} parameters", gradients.len(), parameters.len()));
    }
    Ok(gradients.into_iter().zip(parameters))
}
