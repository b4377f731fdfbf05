//! What every sum of noises over the tensors of a model is made from.

use super::{Adapting, Rounding, Term};
use crate::backend::{Slot, Span, check_spans};
use crate::device::{Device, Place};
use crate::element::{Element, Scalar};
use crate::error::Result;
use crate::memory::{View, ViewMut};
use crate::optim::check::{count, length, same_place_as};
use crate::optim::{List, Listed, Tensor};
use crate::rng::{Address, Distribution, Purpose};

/// The tensors of a model on a device, and the noise that is summed there.
pub(super) struct Plan {
    place: Place,
    pub(super) distribution: Distribution,
    list: List,
}

impl Plan {
    pub(super) fn new(device: &Device, distribution: Distribution, tensors: &[Tensor]) -> Result<Self> {
        let mut list = List::default();
        for &tensor in tensors {
            let listed = list.listed(tensor)?;
            Address::new(Purpose::PERTURBATION, 0, listed.id, 0)?.covers(listed.first, listed.length)?;
            list.push(listed);
        }
        Ok(Self { place: device.place(), distribution, list })
    }

    pub(super) fn tensors(&self) -> &[Listed] {
        &self.list.tensors
    }

    pub(super) fn slots(&self) -> Vec<Slot> {
        self.list.tensors.iter().map(Listed::slot).collect()
    }

    /// Errors: views that are read that are not those of the tensors.
    pub(super) fn read<P: Scalar>(&self, all: &'static str, each: &str, views: &[View<'_, P>]) -> Result<()> {
        self.fits(all, each, views.iter().map(|view| (view.len(), view.place())))
    }

    /// Errors: views that are written that are not those of the tensors.
    pub(super) fn written<P: Scalar>(&self, all: &'static str, each: &str, views: &[ViewMut<'_, P>]) -> Result<()> {
        self.fits(all, each, views.iter().map(|view| (view.len(), view.place())))
    }

    /// Errors: a place that is not the plan's.
    pub(super) fn is_there(&self, what: impl FnOnce() -> String, place: Place) -> Result<()> {
        same_place_as("the plan", what, place, self.place)
    }

    fn fits(&self, all: &'static str, each: &str, views: impl ExactSizeIterator<Item = (usize, Place)>) -> Result<()> {
        count(all, views.len(), self.list.tensors.len())?;
        for (position, (tensor, (given, place))) in self.list.tensors.iter().zip(views).enumerate() {
            let name = || format!("{each} {position}");
            length(given, tensor.length, || (name(), format!("tensor {position}")))?;
            self.is_there(name, place)?;
        }
        Ok(())
    }
}

/// What a sum is added to, or what is written beside it.
pub(crate) enum Beside<'a, 'v, P: Element> {
    /// What is written is what the sum is added to; then `P` is `Q`.
    Itself,
    /// The sum is added to these.
    Parameters(&'a [View<'v, P>]),
    /// The sum is written alone.
    Nothing,
    /// The sum is written alone, and the squares of its terms, with factors of their own, are summed to these.
    Squares(&'a [f64], &'a mut [ViewMut<'v, P>]),
    /// Neither that sum nor the one of squares, with such factors, is written: what is written are means, and these are their
    /// deviations, which both sums adapt.
    Deviations(&'a [f64], Adapting, &'a mut [ViewMut<'v, P>]),
}

/// [`Beside`] without its contents, or a population.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Itself,
    Parameters,
    Nothing,
    Squares,
    /// Parameters, to which every member's sum is added in a row of its own.
    Population,
    Deviations,
}

impl<'a, P: Element> Beside<'a, '_, P> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Itself => Kind::Itself,
            Self::Parameters(_) => Kind::Parameters,
            Self::Nothing => Kind::Nothing,
            Self::Squares(..) => Kind::Squares,
            Self::Deviations(..) => Kind::Deviations,
        }
    }

    /// How deviations adapt, if there are any.
    #[cfg(feature = "cuda")]
    pub(crate) fn adapting(&self) -> Option<Adapting> {
        if let Self::Deviations(_, adapting, _) = self { Some(*adapting) } else { None }
    }

    /// The factors of the squares, if there are any.
    pub(crate) fn factors(&self) -> &'a [f64] {
        match self {
            Self::Squares(factors, _) | Self::Deviations(factors, ..) => factors,
            _ => &[],
        }
    }
}

/// Looks for memory that is not aligned, and for memory that is written and used otherwise, where `bound` has the address of
/// what stands beside each tensor, if anything does, and the address that is written, which has `rows` rows of the tensor's length.
pub(crate) fn check_memory<P: Scalar, Q: Scalar>(
    slots: &[Slot],
    bound: &[[u64; 2]],
    kind: Kind,
    rows: u64,
) -> Result<()> {
    let mut spans = Vec::with_capacity(2 * slots.len());
    for (position, (slot, &[other, to])) in slots.iter().zip(bound).enumerate() {
        let name = match kind {
            Kind::Itself => "parameter",
            Kind::Parameters => "target",
            Kind::Population => "tile",
            Kind::Nothing | Kind::Squares => "estimate",
            Kind::Deviations => "mean",
        };
        spans.push(Span::written::<Q>(name, position, to, slot.length.saturating_mul(rows)));
        match kind {
            Kind::Itself | Kind::Nothing => {}
            Kind::Parameters | Kind::Population => {
                spans.push(Span::read::<P>("parameter", position, other, slot.length))
            }
            Kind::Squares => spans.push(Span::written::<P>("sum of squares", position, other, slot.length)),
            Kind::Deviations => spans.push(Span::written::<P>("deviation", position, other, slot.length)),
        }
    }
    check_spans(spans)
}

/// Tensors on a device. The caller has checked every argument but addresses.
pub(crate) trait SumsBackend<P: Element, Q: Element>: Send {
    /// Sums the terms, tensor by tensor.
    fn sum(
        &mut self,
        terms: &[Term],
        rounding: Rounding,
        beside: Beside<'_, '_, P>,
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()>;

    /// Adds the terms of each member, of which there is one at least, to the parameters, row by row.
    fn tile(
        &mut self,
        members: &[&[Term]],
        rounding: Rounding,
        from: &[View<'_, P>],
        to: &mut [ViewMut<'_, Q>],
    ) -> Result<()>;
}
