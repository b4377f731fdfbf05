//! Plays a file through the public API and measures how far it is from what the file says.

use gradus::element::Real;
use gradus::optim::{Array, State, Stepper, Tensor};
use gradus::rules::{AnyRule, by_name};
use gradus::{Buffer, Device};
use steppers::Stepped;

use super::file::File;
use super::methods::Method;
use super::wrappers::Wrappers;

/// Where an array differs most from what a file says.
pub struct Difference {
    pub error: f64,
    pub place: String,
    pub given: f64,
    pub expected: f64,
}

impl Difference {
    /// Errors: arrays of other lengths.
    pub fn greatest(place: &str, given: &[f64], expected: &[f64]) -> Result<Self, String> {
        same_length(place, given.len(), expected.len())?;
        let of = |element: usize| {
            let (given, expected) = (given[element], expected[element]);
            let error = if given == expected { 0.0 } else { (given - expected).abs() / expected.abs().max(1.0) };
            let error = if error.is_nan() { f64::INFINITY } else { error };
            Self { error, place: format!("{place}, element {element},"), given, expected }
        };
        let worst = (0..given.len()).map(of).max_by(|a, b| a.error.total_cmp(&b.error));
        worst.ok_or_else(|| format!("{place} has no elements"))
    }
}

/// The rule of a file, stepping one tensor.
struct Player<T: Stepped<T> + Real> {
    rule: AnyRule,
    wrappers: Wrappers,
    optimizer: Box<dyn Stepper<T, T>>,
    parameter: Buffer<T>,
    device: Device,
}

/// Steps through a file and compares the parameters after every step, and the states that the method names: those that the
/// file has of each step after every step, the others after the last one.
pub fn play<T: Stepped<T> + Real>(file: &File, method: &Method, device: &Device) -> Result<Vec<Difference>, String> {
    let start = file.array("param0")?;
    let (gradients, parameters) = (file.arrays("grads")?, file.arrays("params")?);
    same_length("param0", start.len(), file.length()?)?;
    if gradients.len() != parameters.len() {
        return Err(format!("there are {} gradients and {} parameters", gradients.len(), parameters.len()));
    }
    let extras = file.extras(gradients.len())?;
    let states = states(file, method, gradients.len())?;

    let mut player = Player::<T>::new(file, method, device, &start)?;
    player.wrappers.check_extras(&extras)?;
    let mut differences = Vec::new();
    for (step, (gradient, expected)) in gradients.iter().zip(&parameters).enumerate() {
        same_length(&format!("grads {step}"), gradient.len(), start.len())?;
        let given = player.step(gradient, extras[step].as_deref())?;
        differences.push(Difference::greatest(&format!("params {step}"), &given, expected)?);
        for (theirs, ours, by_step) in &states {
            let place = if is_by_step(theirs) { format!("state {theirs} {step}") } else { format!("state {theirs}") };
            match &by_step[step] {
                Expected::Array(expected) => {
                    differences.push(Difference::greatest(&place, &player.state(ours)?, expected)?);
                }
                Expected::NoneYet if player.has(ours)? => return Err(format!("{place} is null, but there is one")),
                Expected::NoneYet | Expected::Unknown => {}
            }
        }
    }
    Ok(differences)
}

/// What a file says of a state after a step.
#[derive(Clone)]
enum Expected {
    Unknown,
    /// There is no such state yet.
    NoneYet,
    Array(Vec<f64>),
}

/// Whether a file has this state of each step.
fn is_by_step(theirs: &str) -> bool {
    theirs == "theta" || theirs.ends_with("_per_step")
}

type States = Vec<(&'static str, &'static str, Vec<Expected>)>;

/// The states that both the method and the file name, with what is expected after each step.
fn states(file: &File, method: &Method, steps: usize) -> Result<States, String> {
    let mut states = Vec::new();
    for &(theirs, ours) in method.state {
        let mut by_step = vec![Expected::Unknown; steps];
        if is_by_step(theirs) {
            let Some(expected) = file.state_by_step(theirs)? else { continue };
            if expected.len() != steps {
                return Err(format!("state {theirs} has {} steps, not {steps}", expected.len()));
            }
            by_step = expected.into_iter().map(|array| array.map_or(Expected::NoneYet, Expected::Array)).collect();
        } else if let (Some(expected), Some(last)) = (file.state(theirs)?, by_step.last_mut()) {
            *last = Expected::Array(expected);
        }
        states.push((theirs, ours, by_step));
    }
    Ok(states)
}

impl Wrappers {
    /// Errors: second gradients in other steps than the hyperparameters say.
    fn check_extras(&self, extras: &[Option<Vec<f64>>]) -> Result<(), String> {
        let Some(every) = self.second_every else { return Ok(()) };
        let wrong = |step: &usize| extras[*step].is_some() != (*step as u64).is_multiple_of(every);
        match (0..extras.len()).find(wrong) {
            None => Ok(()),
            Some(step) => Err(format!("one second gradient in {every} steps is wrong of step {step}")),
        }
    }
}

impl<T: Stepped<T> + Real> Player<T> {
    fn new(file: &File, method: &Method, device: &Device, start: &[f64]) -> Result<Self, String> {
        let mut hyper = file.hyper()?;
        let maximize = hyper.switch("maximize")?.unwrap_or(false);
        let (settings, wrappers) = (method.settings)(hyper)?.finish()?;
        let rule = by_name(method.rule, &settings).map_err(explain)?;
        let mut optimizer = T::stepper(&wrappers.group(rule).maximize(maximize), device).map_err(explain)?;
        optimizer.add(Tensor::new(start.len())).map_err(explain)?;
        let parameter = placed(device, start)?;
        Ok(Self { rule, wrappers, optimizer, parameter, device: device.clone() })
    }

    /// Takes a step and returns what the file calls `params`.
    fn step(&mut self, gradient: &[f64], extra: Option<&[f64]>) -> Result<Vec<f64>, String> {
        let weights = self.wrappers.averages_weights;
        if weights {
            self.parameter = placed(&self.device, gradient)?;
        }
        let gradient = placed(&self.device, &if weights { vec![0.0; gradient.len()] } else { gradient.to_vec() })?;
        let extra = extra.map(|extra| placed(&self.device, extra)).transpose()?;
        let (parameters, gradients) = (&mut [self.parameter.view_mut()], &[Some(gradient.view())]);
        match extra {
            None => self.optimizer.step(parameters, gradients),
            Some(extra) => self.optimizer.step_with(parameters, gradients, &[Some(extra.view())]),
        }
        .map_err(explain)?;
        if weights { self.state("average") } else { self.parameters() }
    }

    fn parameters(&self) -> Result<Vec<f64>, String> {
        Ok(wide(self.parameter.to_vec().map_err(explain)?))
    }

    /// A state by the name that a method has for it: `average`, `evaluation` (the point to evaluate the model at), or
    /// the end of an array's name in a saved state, be it a rule's or of what surrounds one.
    fn state(&self, name: &str) -> Result<Vec<f64>, String> {
        match name {
            "average" => Ok(wide(self.optimizer.averages(0).map_err(explain)?)),
            "evaluation" => self.evaluation(),
            _ => array(&self.optimizer.state().map_err(explain)?, name),
        }
    }

    fn evaluation(&self) -> Result<Vec<f64>, String> {
        let (name, weight) = self.rule.evaluation().ok_or("the rule is evaluated at its parameters")?;
        let state = self.state(name)?;
        Ok(self.parameters()?.into_iter().zip(state).map(|(p, x)| p + weight * (x - p)).collect())
    }

    /// Whether there is a state of this name, or only memory for it.
    fn has(&self, name: &str) -> Result<bool, String> {
        Ok(name != "average" || self.state("carry.averaged")? != [0.0])
    }
}

pub fn array(state: &State, name: &str) -> Result<Vec<f64>, String> {
    let found = ["tensor.0.0.state.", "tensor.0.0."].iter().find_map(|stem| state.get(&format!("{stem}{name}")));
    match found {
        Some(Array::F64(values)) => Ok(values.clone()),
        Some(Array::F32(values)) => Ok(values.iter().copied().map(f64::from).collect()),
        _ => Err(format!("the state has no array '{name}' of f32 or f64")),
    }
}

pub fn same_length(what: &str, given: usize, expected: usize) -> Result<(), String> {
    if given == expected { Ok(()) } else { Err(format!("{what} has {given} elements, not {expected}")) }
}

pub fn placed<T: Real>(device: &Device, values: &[f64]) -> Result<Buffer<T>, String> {
    let rounded: Vec<T> = values.iter().copied().map(T::from_f64).collect();
    Buffer::from_slice(device, &rounded).map_err(explain)
}

pub fn wide<T: Real>(values: Vec<T>) -> Vec<f64> {
    values.into_iter().map(T::to_f64).collect()
}

pub fn explain(error: gradus::Error) -> String {
    error.to_string()
}
