use super::check;
use crate::backend::Slot;
use crate::error::Result;

/// A tensor, or a shard of one, that an optimizer steps.
///
/// Its identity is its id and the range of elements it holds of the tensor of that id: a shard steps to the bits of the
/// whole, and state is saved under them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub(super) length: u64,
    pub(super) group: usize,
    pub(super) id: Option<u64>,
    pub(super) first: u64,
}

impl Tensor {
    /// A whole tensor of `length` elements, in group 0; its id becomes one more than the greatest
    /// that a tensor of the optimizer has had.
    pub fn new(length: usize) -> Self {
        Self { length: length as u64, group: 0, id: None, first: 0 }
    }

    /// Puts the tensor into a group.
    pub fn group(mut self, group: usize) -> Self {
        self.group = group;
        self
    }

    /// Gives the tensor an id: the same in every run, and on every machine that holds a shard of it.
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes it a shard that begins at element `first` of the whole tensor.
    pub fn first(mut self, first: u64) -> Self {
        self.first = first;
        self
    }
}

/// A tensor as an optimizer lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The id, unique but for shards of one tensor.
    pub id: u64,
    /// Position of the first element in the whole tensor.
    pub first: u64,
    /// Elements.
    pub length: u64,
    /// The group whose settings hold for it.
    pub group: usize,
}

impl Listed {
    /// One behind the last element's position in the whole tensor.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.length)
    }

    /// The tensor as a backend knows it.
    pub(crate) fn slot(&self) -> Slot {
        let Self { id, first, length, group } = *self;
        Slot { id, length, first, group }
    }
}

/// The tensors of an optimizer, in the order in which a step takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) tensors: Vec<Listed>,
    /// Of all tensors there ever were.
    greatest_id: Option<u64>,
}

impl List {
    /// How a new tensor would be listed, its group taken as it is.
    ///
    /// Errors: elements that another tensor of the same id holds, or that begin where another begins.
    pub(crate) fn listed(&self, tensor: Tensor) -> Result<Listed> {
        let Tensor { length, group, id, first } = tensor;
        let listed = Listed { id: id.unwrap_or_else(|| self.free_id()), first, length, group };
        check::not_listed(&listed, &self.tensors)?;
        Ok(listed)
    }

    /// Lists a tensor behind the others.
    pub(crate) fn push(&mut self, listed: Listed) {
        self.greatest_id = self.greatest_id.max(Some(listed.id));
        self.tensors.push(listed);
    }

    /// The id after the greatest so far; where there is none, the least that no tensor has.
    fn free_id(&self) -> u64 {
        let next = self.greatest_id.map_or(Some(0), |id| id.checked_add(1));
        let unused = |id: &u64| self.tensors.iter().all(|tensor| tensor.id != *id);
        next.or_else(|| (0..).find(unused)).unwrap_or_default()
    }
}
