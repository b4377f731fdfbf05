//! What there is of a tensor, the reference that steps it, and the comparison of two, bit for bit.

use std::fmt::Debug;

use bytemuck::{bytes_of, cast_slice};
use gradus::element::{Dtype, Element, Real};
use gradus::optim::{Array, Group, Listed, State};
use gradus::rules::{Record, Rule};

/// Everything that a step reads and writes of a tensor, beside the gradient.
#[derive(Clone)]
pub struct Content<P: Element> {
    pub parameter: Vec<P>,
    pub states: Vec<Vec<P::Real>>,
    pub carry: Vec<f64>,
    pub steps: u64,
}

impl<P: Element> Content<P> {
    /// A tensor that has not been stepped by a rule.
    pub fn new<R: Rule>(parameter: Vec<P>) -> Self {
        let zeros = vec![P::Real::from_f64(0.0); parameter.len()];
        Self {
            parameter,
            states: vec![zeros; R::State::<P::Real>::NAMES.len()],
            carry: vec![0.0; R::Carry::NAMES.len()],
            steps: 0,
        }
    }

    /// A tensor as an optimizer has it.
    pub fn of<R: Rule>(state: &State, tensor: &Listed, parameter: Vec<P>) -> Self {
        let get = |what: &str| {
            let name = format!("tensor.{}.{}.{what}", tensor.id, tensor.first);
            state.get(&name).unwrap_or_else(|| panic!("the state has no {name}"))
        };
        Self {
            parameter,
            states: R::State::<P::Real>::NAMES.iter().map(|name| reals(get(&format!("state.{name}")))).collect(),
            carry: R::Carry::NAMES.iter().map(|name| reals::<f64>(get(&format!("carry.{name}")))[0]).collect(),
            steps: match get("steps") {
                Array::U64(steps) => steps[0],
                other => panic!("a counter is {other:?}"),
            },
        }
    }

    /// The reference: one step of the rule, an element after the other.
    pub fn step<R: Rule, G: Element<Real = P::Real>>(&mut self, group: &Group<R>, gradient: &[G]) {
        self.steps += 1;
        let mut carry = R::Carry::from_fn(|k| self.carry[k]);
        let scalars = R::tick(&group.rule.hyper(), self.steps, &mut carry);
        let scalars = R::Scalars::from_fn(|k| P::Real::from_f64(*scalars.nth(k)));
        for (k, carried) in self.carry.iter_mut().enumerate() {
            *carried = *carry.nth(k);
        }
        for (i, (p, g)) in self.parameter.iter_mut().zip(gradient).enumerate() {
            let g = if group.maximize { -g.load() } else { g.load() };
            let mut state = R::State::from_fn(|k| self.states[k][i]);
            *p = P::store(R::update(&scalars, p.load(), g, &mut state));
            for (k, states) in self.states.iter_mut().enumerate() {
                states[i] = *state.nth(k);
            }
        }
    }

    /// Panics where the two differ; a NaN equals a NaN.
    pub fn assert_same<R: Rule>(&self, expected: &Self, place: &dyn Fn() -> String) {
        assert_eq!(self.steps, expected.steps, "steps of {}", place());
        same("parameter", &self.parameter, &expected.parameter, place);
        for (k, name) in R::State::<P::Real>::NAMES.iter().enumerate() {
            same(&format!("state.{name}"), &self.states[k], &expected.states[k], place);
        }
        for (k, name) in R::Carry::NAMES.iter().enumerate() {
            same(&format!("carry.{name}"), &self.carry[k..=k], &expected.carry[k..=k], place);
        }
    }
}

/// Panics at the first element whose bits differ; a NaN equals a NaN.
pub fn same<T: Element>(array: &str, actual: &[T], expected: &[T], place: &dyn Fn() -> String) {
    assert_eq!(actual.len(), expected.len(), "elements in {array} of {}", place());
    if cast_slice::<T, u8>(actual) == cast_slice::<T, u8>(expected) {
        return;
    }
    let differ = |i: &usize| actual[*i].load().bits() != expected[*i].load().bits();
    if let Some(i) = (0..actual.len()).find(differ) {
        panic!("{array}[{i}] of {}: {}, not {}", place(), hex(actual[i]), hex(expected[i]));
    }
}

fn hex<T: Element + Debug>(value: T) -> String {
    let digits: String = bytes_of(&value).iter().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits} ({value:?})")
}

fn reals<T: Real>(array: &Array) -> Vec<T> {
    match array {
        Array::F32(values) if T::DTYPE == Dtype::F32 => cast_slice(values).to_vec(),
        Array::F64(values) if T::DTYPE == Dtype::F64 => cast_slice(values).to_vec(),
        other => panic!("an array of {} is {other:?}", T::DTYPE),
    }
}
