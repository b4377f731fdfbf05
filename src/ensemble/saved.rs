//! An ensemble's state as named arrays.

use std::collections::BTreeMap;

use super::{Ensemble, Method, Saved};
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::optim::{Array, Listed, State};
use crate::rules::{Pair, Record};

/// The settings as numbers.
pub(super) fn numbers<M: Method>(method: &M) -> Vec<f64> {
    let hyper = method.hyper();
    (0..M::Hyper::NAMES.len()).map(|k| *hyper.nth(k)).collect()
}

/// The names of the state arrays, in the order of [`Saved::states`], with their lengths.
fn names<M: Method>(method: &M, tensors: &[Listed], copies: usize) -> impl Iterator<Item = (String, u64)> {
    let kept = &M::STATES[..method.kept()];
    tensors.iter().flat_map(move |Listed { id, first, length, .. }| {
        let of_copy = move |copy| kept.iter().map(move |name| format!("tensor.{id}.{first}.copy.{copy}.{name}"));
        (0..copies).flat_map(of_copy).map(|name| (name, *length))
    })
}

pub(super) fn state<M: Method, P: Pair<G>, G: Element<Real = P::Real>>(
    ensemble: &Ensemble<M, P, G>,
    saved: Saved<P::Real>,
) -> State {
    let Ensemble { method, copies, weights, list, .. } = ensemble;
    let mut arrays = BTreeMap::from([("steps".to_owned(), Array::U64(vec![saved.steps]))]);
    for (name, value) in M::Hyper::NAMES.iter().zip(numbers(method)) {
        arrays.insert(format!("setting.{name}"), Array::F64(vec![value]));
    }
    if !weights.is_empty() {
        arrays.insert("mixing".to_owned(), Array::F64(weights.clone()));
    }
    for ((name, _), values) in names(method, &list.tensors, *copies).zip(saved.states) {
        arrays.insert(name, Array::of(values));
    }
    State::new::<P::Real>(M::NAME, arrays)
}

/// The settings and what is kept, as the ensemble takes them.
pub(super) fn read<M: Method, P: Pair<G>, G: Element<Real = P::Real>>(
    ensemble: &Ensemble<M, P, G>,
    state: &State,
) -> Result<(M, Saved<P::Real>)> {
    let Ensemble { method, copies, weights, list, .. } = ensemble;
    let mut reader = state.reader::<P::Real>(M::NAME)?;
    let steps = reader.count("steps")?;
    let mut settings = Vec::new();
    for (name, expected) in M::Hyper::NAMES.iter().zip(numbers(method)) {
        let [given] = reader.values::<f64>(&format!("setting.{name}"), 1)?[..] else {
            unreachable!("one number was asked for")
        };
        if given != expected && *name != "lr" {
            return Err(wrong(format!("its {name} is {given} but the ensemble's is {expected}")));
        }
        settings.push(given);
    }
    let method = M::from_hyper(&M::Hyper::from_fn(|k| settings[k]))?;
    method.check()?;
    if !weights.is_empty() && reader.values::<f64>("mixing", weights.len() as u64)? != *weights {
        return Err(wrong("its mixing matrix is not the ensemble's".to_owned()));
    }
    let states = names(&method, &list.tensors, *copies).map(|(name, length)| reader.values(&name, length));
    let states = states.collect::<Result<_>>()?;
    reader.finish()?;
    Ok((method, Saved { steps, states }))
}

fn wrong(message: String) -> Error {
    ErrorKind::State { message }.into()
}
