//! What there is of a tensor, the reference that steps it, and the comparison of two, bit for bit.

use std::fmt::Debug;

use bytemuck::{bytes_of, cast_slice};
use gradus::element::{Dtype, Element, Real};
use gradus::fmath::fma;
use gradus::optim::{Array, Average, Group, Listed, Lookahead, Momentum, State};
use gradus::rng::{Address, Purpose, key, normal, philox4x32};
use gradus::rules::{AnyRule, Extra};

use crate::common::subjects::{Given, Subject};

/// Everything that a step reads and writes of a tensor, beside the gradient.
#[derive(Clone)]
pub struct Content<P: Element> {
    subject: &'static Subject,
    pub parameter: Vec<P>,
    pub states: Vec<Vec<P::Real>>,
    pub carry: Vec<f64>,
    pub steps: u64,
    /// Its address, which noise is drawn from.
    pub id: u64,
    pub first: u64,
    around: Around<P::Real>,
}

/// What is kept of a tensor for an average and for Lookahead.
#[derive(Clone, Debug, PartialEq)]
struct Around<T> {
    collected: f64,
    average: Option<Vec<T>>,
    slow_begun: bool,
    slow: Option<Vec<T>>,
    momentum: Option<Vec<T>>,
}

impl<P: Element> Content<P> {
    /// A tensor that has not been stepped by a rule.
    pub fn new(subject: &'static Subject, parameter: Vec<P>) -> Self {
        let zeros = vec![P::Real::from_f64(0.0); parameter.len()];
        Self {
            subject,
            parameter,
            states: vec![zeros; subject.states.len()],
            carry: vec![0.0; subject.carry.len()],
            steps: 0,
            id: 0,
            first: 0,
            around: Around { collected: 0.0, average: None, slow_begun: false, slow: None, momentum: None },
        }
    }

    /// The same tensor with another address.
    pub fn at(self, id: u64, first: u64) -> Self {
        Self { id, first, ..self }
    }

    /// The same tensor with the arrays that a group asks for, and no others.
    pub fn in_group(mut self, group: &Group<AnyRule>) -> Self {
        self.fit(group);
        self
    }

    /// Begins the arrays that a group asks for, and drops the others.
    pub fn fit(&mut self, group: &Group<AnyRule>) {
        let zeros = || vec![P::Real::from_f64(0.0); self.parameter.len()];
        let pulls = group.lookahead.is_some_and(|lookahead| lookahead.momentum == Momentum::Pullback);
        let Around { collected, average, slow_begun, slow, momentum } = &mut self.around;
        for (array, wanted) in
            [(&mut *average, group.average.is_some()), (slow, group.lookahead.is_some()), (momentum, pulls)]
        {
            match wanted {
                true => drop(array.get_or_insert_with(zeros)),
                false => *array = None,
            }
        }
        *collected = if group.average.is_some() { *collected } else { 0.0 };
        *slow_begun = *slow_begun && group.lookahead.is_some();
    }

    /// A tensor as an optimizer has it.
    pub fn of(subject: &'static Subject, state: &State, tensor: &Listed, parameter: Vec<P>) -> Self {
        let get = |what: &str| {
            let name = format!("tensor.{}.{}.{what}", tensor.id, tensor.first);
            state.get(&name).unwrap_or_else(|| panic!("the state has no {name}"))
        };
        let optional = |what: &str| state.get(&format!("tensor.{}.{}.{what}", tensor.id, tensor.first)).map(reals);
        Self {
            subject,
            parameter,
            states: subject.states.iter().map(|name| reals(get(&format!("state.{name}")))).collect(),
            carry: subject.carry.iter().map(|name| reals::<f64>(get(&format!("carry.{name}")))[0]).collect(),
            steps: match get("steps") {
                Array::U64(steps) => steps[0],
                other => panic!("a counter is {other:?}"),
            },
            id: tensor.id,
            first: tensor.first,
            around: Around {
                collected: reals::<f64>(get("carry.averaged"))[0],
                average: optional("average"),
                slow_begun: reals::<f64>(get("carry.slow_begun"))[0] != 0.0,
                slow: optional("slow"),
                momentum: optional("momentum"),
            },
        }
    }

    /// The reference: one step of the rule, an element after the other, and of what surrounds it; `step` is the optimizer's.
    pub fn step<G: Element<Real = P::Real>>(
        &mut self,
        group: &Group<AnyRule>,
        step: u64,
        gradient: &[G],
        extra: Option<&[G]>,
    ) {
        self.steps += 1;
        self.begin_lookahead(group);
        let mut hyper = (self.subject.hyper)(&group.rule);
        let is_stateless = (self.subject.is_stateless)(&hyper);
        (self.subject.scale_lr)(&mut hyper, group.schedule.factor(step));
        let scalars = (self.subject.tick)(&hyper, self.steps, &mut self.carry);
        let scalars: Vec<P::Real> = scalars.into_iter().map(P::Real::from_f64).collect();
        let update = self.subject.update::<P::Real>();
        let noise = Address::new(Purpose::GRADIENT_NOISE, self.steps, self.id, 0).unwrap();
        let zero = P::Real::from_f64(0.0);
        let mut state = vec![zero; self.states.len()];
        for (i, (p, g)) in self.parameter.iter_mut().zip(gradient).enumerate() {
            let descended = |g: G| if group.maximize { -g.load() } else { g.load() };
            let other = match (self.subject.extra, extra) {
                (Extra::Second, Some(extra)) => descended(extra[i]),
                (Extra::Noise, Some(extra)) => extra[i].load(),
                (Extra::Noise, None) => {
                    let element = self.first + i as u64;
                    let words = philox4x32(noise.counter(element).unwrap(), key(group.seed));
                    P::Real::from_f64(f64::from(normal(words[(element % 4) as usize])))
                }
                _ => zero,
            };
            let given = Given { gradient: descended(*g), other, is_given: extra.is_some() };
            for (state, states) in state.iter_mut().zip(&self.states) {
                *state = if is_stateless { zero } else { states[i] };
            }
            *p = P::store(update(&scalars, p.load(), given, &mut state));
            if !is_stateless {
                for (states, new) in self.states.iter_mut().zip(&state) {
                    states[i] = *new;
                }
            }
        }
        self.synchronise(group);
        self.collect(group);
    }

    fn begin_lookahead(&mut self, group: &Group<AnyRule>) {
        if group.lookahead.is_some() && !self.around.slow_begun {
            self.around.slow = Some(self.parameter.iter().map(|p| p.load()).collect());
            self.around.slow_begun = true;
        }
    }

    fn synchronise(&mut self, group: &Group<AnyRule>) {
        let Some(Lookahead { every, share, momentum, .. }) = group.lookahead else { return };
        if !self.steps.is_multiple_of(every) {
            return;
        }
        let [zero, alpha, rest] = [0.0, share, 1.0 - share].map(P::Real::from_f64);
        for (slow, p) in self.around.slow.iter_mut().flatten().zip(&mut self.parameter) {
            *slow = fma(alpha, p.load() - *slow, *slow);
            *p = P::store(*slow);
        }
        let stateless = (self.subject.is_stateless)(&(self.subject.hyper)(&group.rule));
        let Some(position) = self.subject.momentum.filter(|_| !stateless) else { return };
        match momentum {
            Momentum::Keep => {}
            Momentum::Reset => self.states[position].fill(zero),
            Momentum::Pullback => {
                for (before, m) in self.around.momentum.iter_mut().flatten().zip(&mut self.states[position]) {
                    *m = fma(alpha, *m, rest * *before);
                    *before = *m;
                }
            }
        }
    }

    fn collect(&mut self, group: &Group<AnyRule>) {
        let Some(Average { decay, start, every, .. }) = group.average else { return };
        if self.steps < start || !(self.steps - start).is_multiple_of(every) {
            return;
        }
        self.around.collected += 1.0;
        let weight = decay.map_or(1.0 / self.around.collected, |decay| 1.0 - decay);
        let weight = P::Real::from_f64(weight);
        for (average, p) in self.around.average.iter_mut().flatten().zip(&self.parameter) {
            let p = p.load();
            *average = if self.around.collected == 1.0 { p } else { fma(weight, p - *average, *average) };
        }
    }

    /// Panics where the two differ; a NaN equals a NaN.
    pub fn assert_same(&self, expected: &Self, place: &dyn Fn() -> String) {
        assert_eq!(self.steps, expected.steps, "steps of {}", place());
        same("parameter", &self.parameter, &expected.parameter, place);
        for (k, name) in self.subject.states.iter().enumerate() {
            same(&format!("state.{name}"), &self.states[k], &expected.states[k], place);
        }
        for (k, name) in self.subject.carry.iter().enumerate() {
            same(&format!("carry.{name}"), &self.carry[k..=k], &expected.carry[k..=k], place);
        }
        let (ours, theirs) = (&self.around, &expected.around);
        assert_eq!((ours.collected, ours.slow_begun), (theirs.collected, theirs.slow_begun), "averages of {}", place());
        for (name, ours, theirs) in [
            ("average", &ours.average, &theirs.average),
            ("slow", &ours.slow, &theirs.slow),
            ("momentum", &ours.momentum, &theirs.momentum),
        ] {
            assert_eq!(ours.is_some(), theirs.is_some(), "whether there is {name} of {}", place());
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                same(name, ours, theirs, place);
            }
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
