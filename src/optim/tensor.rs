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
}
