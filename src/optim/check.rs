//! What is wrong with the arguments of a step, before anything is touched.

use super::tensor::Listed;
use crate::device::Place;
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::{View, ViewMut};
use crate::rng::{Address, Purpose};
use crate::rules::{Extra, Form};

/// Counts, lengths and devices of a step's arguments.
pub(super) fn arguments<P: Element, G: Element>(
    place: Place,
    tensors: &[Listed],
    parameters: &[ViewMut<'_, P>],
    gradients: &[Option<View<'_, G>>],
) -> Result<()> {
    count("parameters", parameters.len(), tensors.len())?;
    count("gradients", gradients.len(), tensors.len())?;
    each(place, tensors, parameters, gradients)
}

/// Count, lengths and devices of the arguments of a step that are no gradients.
pub(super) fn parameters<P: Element>(place: Place, tensors: &[Listed], parameters: &[ViewMut<'_, P>]) -> Result<()> {
    count("parameters", parameters.len(), tensors.len())?;
    let mut each = tensors.iter().zip(parameters).enumerate();
    each.try_for_each(|(position, (tensor, parameter))| self::parameter(place, position, position, tensor, parameter))
}

/// Length and device of a parameter of a tensor, which is the one of that number.
fn parameter<P: Element>(
    place: Place,
    position: usize,
    number: usize,
    tensor: &Listed,
    parameter: &ViewMut<'_, P>,
) -> Result<()> {
    length(parameter.len(), tensor.length, || (format!("parameter {position}"), format!("tensor {number}")))?;
    same_place(|| format!("parameter {position}"), parameter.place(), place)
}

/// Lengths and devices of parameters and gradients, which stand copy by copy, in it tensor by tensor.
fn each<P: Element, G: Element>(
    place: Place,
    tensors: &[Listed],
    parameters: &[ViewMut<'_, P>],
    gradients: &[Option<View<'_, G>>],
) -> Result<()> {
    let listed = tensors.iter().enumerate().cycle();
    for (position, (((number, tensor), parameter), gradient)) in listed.zip(parameters).zip(gradients).enumerate() {
        self::parameter(place, position, number, tensor, parameter)?;
        read(place, "gradient", position, tensor, gradient)?;
    }
    Ok(())
}

/// The copies of tensors that a step takes.
#[derive(Clone, Copy)]
pub(crate) struct Copies<'a> {
    /// What a copy is called.
    pub(crate) copy: &'static str,
    pub(crate) copies: usize,
    pub(crate) tensors: &'a [Listed],
}

impl Copies<'_> {
    /// Counts, lengths and devices of the arguments of a step of several copies.
    pub(crate) fn arguments<P: Element, G: Element>(
        &self,
        place: Place,
        parameters: &[ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
    ) -> Result<()> {
        self.count("parameters", parameters.len())?;
        self.count("gradients", gradients.len())?;
        each(place, self.tensors, parameters, gradients)
    }

    /// Count, lengths and devices of what a step takes beside the gradients; `all` names it together, `each` one by one.
    pub(crate) fn extras<G: Element>(
        &self,
        all: &'static str,
        each: &str,
        place: Place,
        extras: &[Option<View<'_, G>>],
    ) -> Result<()> {
        self.count(all, extras.len())?;
        let mut tensors = self.tensors.iter().cycle().zip(extras).enumerate();
        tensors.try_for_each(|(position, (tensor, extra))| read(place, each, position, tensor, extra))
    }

    /// Errors: another number than the copies of all tensors.
    pub(crate) fn count(&self, what: &'static str, given: usize) -> Result<()> {
        let Self { copy, copies, tensors } = *self;
        if given == copies.saturating_mul(tensors.len()) {
            return Ok(());
        }
        Err(ErrorKind::Copies { what, given, copy, copies, tensors: tensors.len() }.into())
    }
}

/// Use, count, lengths and devices of what a step takes beside the gradients.
pub(super) fn extras<G: Element>(
    rule: &Form,
    place: Place,
    tensors: &[Listed],
    extras: &[Option<View<'_, G>>],
) -> Result<()> {
    let what = match rule.extra {
        Extra::None => return Err(ErrorKind::NoExtra { rule: rule.name, given: extras.len() }.into()),
        Extra::Second => ("second gradient", "second gradients"),
        Extra::Noise => ("noise", "arrays of noise"),
    };
    count(what.1, extras.len(), tensors.len())?;
    let mut each = tensors.iter().zip(extras).enumerate();
    each.try_for_each(|(position, (tensor, extra))| read(place, what.0, position, tensor, extra))
}

/// Whether every element for which a step must draw noise has an address.
pub(super) fn noise<G: Element>(
    rule: &Form,
    tensors: &[Listed],
    gradients: &[Option<View<'_, G>>],
    extras: &[Option<View<'_, G>>],
) -> Result<()> {
    if rule.extra != Extra::Noise {
        return Ok(());
    }
    for (position, (tensor, gradient)) in tensors.iter().zip(gradients).enumerate() {
        if gradient.is_some() && extras.get(position).is_none_or(Option::is_none) {
            has_noise(tensor)?;
        }
    }
    Ok(())
}

/// Errors where an element of the tensor has no address for noise.
pub(crate) fn has_noise(tensor: &Listed) -> Result<()> {
    Address::new(Purpose::GRADIENT_NOISE, 0, tensor.id, 0)?.covers(tensor.first, tensor.length)
}

/// Length and device of an array that a step may be given for a tensor.
fn read<G: Element>(
    place: Place,
    what: &str,
    position: usize,
    tensor: &Listed,
    array: &Option<View<'_, G>>,
) -> Result<()> {
    let Some(array) = array else { return Ok(()) };
    length(array.len(), tensor.length, || (format!("{what} {position}"), format!("parameter {position}")))?;
    same_place(|| format!("{what} {position}"), array.place(), place)
}

/// Errors: a length that is not that of something else; `names` are those of both.
pub(crate) fn length(given: usize, expected: u64, names: impl FnOnce() -> (String, String)) -> Result<()> {
    let given = given as u64;
    if given == expected {
        return Ok(());
    }
    let (what, other) = names();
    Err(ErrorKind::Length { what, given, other, expected }.into())
}

pub(crate) fn count(what: &'static str, given: usize, expected: usize) -> Result<()> {
    if given == expected { Ok(()) } else { Err(ErrorKind::Count { what, given, expected }.into()) }
}

pub(crate) fn same_place(what: impl FnOnce() -> String, given: Place, expected: Place) -> Result<()> {
    same_place_as("the optimizer", what, given, expected)
}

/// Errors: a place that is not that of something else.
pub(crate) fn same_place_as(other: &str, what: impl FnOnce() -> String, given: Place, expected: Place) -> Result<()> {
    if given == expected {
        return Ok(());
    }
    Err(ErrorKind::WrongDevice {
        what: what(),
        given: given.to_string(),
        other: other.to_owned(),
        expected: expected.to_string(),
    }
    .into())
}

/// The position that an argument gave, or an error that says how many there are.
pub(crate) fn position(what: &'static str, given: usize, count: usize) -> Result<usize> {
    if given < count { Ok(given) } else { Err(ErrorKind::NoSuch { what, given, count }.into()) }
}

/// A new tensor must be countable, and must not share its place with a tensor that is listed.
pub(super) fn not_listed(new: &Listed, tensors: &[Listed]) -> Result<()> {
    let Listed { id, first, length, .. } = *new;
    if first.checked_add(length).is_none() {
        return Err(ErrorKind::TooLong { id, first, length }.into());
    }
    // State is saved under id and first element: two tensors may not share both, even where one is empty.
    let shared = |old: &Listed| old.first == first || old.first < new.end() && first < old.end();
    match tensors.iter().enumerate().find(|(_, old)| old.id == id && shared(old)) {
        None => Ok(()),
        Some((position, old)) => Err(Error::from(ErrorKind::Listed {
            id,
            start: first,
            end: new.end(),
            other_start: old.first,
            other_end: old.end(),
            position,
        })),
    }
}
