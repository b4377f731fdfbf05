use super::Symmetric;
use crate::device::{Device, Place};
use crate::element::Real;
use crate::error::{ErrorKind, Result};

/// The greatest order of a block: positions of elements stay within 64 bits and those of tiles within 32.
pub(super) const MOST: usize = 1 << 20;

/// A block of an [`SpdInverse`](super::SpdInverse) or an [`SpdFactor`](super::SpdFactor): its size and its damping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// The number of rows, that of a border included; 1 to 2²⁰.
    pub order: usize,
    /// `λ`, which `set_damping` changes; finite, at least 0.
    pub damping: f64,
    /// `None`: `λ·1` is added to the block (Tikhonov). `Some(other)`: the block and that other one are the factors of a Kronecker
    /// product that is to be damped by `λ`, and `√λ·√((tr A/order A) / (tr B/order B))·1` is added, with the block `A` and the
    /// other `B` (Martens and Grosse 2015, section 6.3). A ratio of traces that is no positive number counts as 1.
    pub balanced_with: Option<usize>,
}

impl Block {
    /// A block that `damping·1` is added to.
    pub fn new(order: usize, damping: f64) -> Self {
        Self { order, damping, balanced_with: None }
    }
}

/// What holds for all blocks of an [`SpdInverse`](super::SpdInverse) or an [`SpdFactor`](super::SpdFactor).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpdSettings {
    /// Attempts after the first, at most; at most 30.
    pub retries: u32,
    /// By how much the damping grows from attempt to attempt; more than 1. It becomes the machine's epsilon times the mean of the
    /// diagonal at least, so that a block that is not damped at first is.
    pub growth: f64,
    /// How much two elements that should be equal may differ, in means of the diagonal; at least 0.
    pub tolerance: f64,
}

/// Three retries with ten times the damping each; halves that differ by up to 10⁻⁴ of the mean of the diagonal.
impl Default for SpdSettings {
    fn default() -> Self {
        Self { retries: 3, growth: 10.0, tolerance: 1e-4 }
    }
}

impl SpdSettings {
    fn check(&self) -> Result<()> {
        let Self { retries, growth, tolerance } = *self;
        let refused = |message| refuse("settings".to_owned(), message);
        if retries > 30 {
            return refused(format!("{retries} retries are more than 30"));
        }
        if !(growth > 1.0 && growth.is_finite()) {
            return refused(format!("growth = {growth} is not a finite number above 1"));
        }
        if !(0.0..f64::INFINITY).contains(&tolerance) {
            return refused(format!("tolerance = {tolerance} is not a finite number of at least 0"));
        }
        Ok(())
    }
}

/// What a backend knows of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) order: usize,
    /// The block that balances its damping; itself where none does.
    pub(crate) partner: usize,
}

/// The blocks of a plan, and what is asked of arguments for them.
pub(super) struct Blocks {
    place: Place,
    pub(super) list: Vec<Block>,
}

impl Blocks {
    pub(super) fn new(device: &Device, blocks: &[Block], settings: &SpdSettings) -> Result<Self> {
        settings.check()?;
        for (position, block) in blocks.iter().enumerate() {
            let refused = |message| refuse(format!("block {position}"), message);
            if block.order == 0 || block.order > MOST {
                return refused(format!("its order {} is outside 1 to {MOST}", block.order));
            }
            if let Some(partner) = block.balanced_with
                && (partner >= blocks.len() || partner == position)
            {
                return refused(format!("it cannot be balanced with block {partner} of {}", blocks.len()));
            }
        }
        Ok(Self { place: device.place(), list: blocks.to_vec() })
    }

    pub(super) fn jobs(&self) -> Vec<Job> {
        let job = |(position, block): (usize, &Block)| Job {
            order: block.order,
            partner: block.balanced_with.unwrap_or(position),
        };
        self.list.iter().enumerate().map(job).collect()
    }

    pub(super) fn dampings(&self) -> Vec<f64> {
        self.list.iter().map(|block| block.damping).collect()
    }

    /// Sets what `set` could set as well.
    pub(super) fn set_damping(&mut self, lambdas: &[f64], set: impl FnOnce(&[f64]) -> Result<()>) -> Result<()> {
        self.same_number("dampings", lambdas.len())?;
        if let Some(position) = lambdas.iter().position(|lambda| !(0.0..f64::INFINITY).contains(lambda)) {
            let message = format!("its damping {} is not a finite number of at least 0", lambdas[position]);
            return refuse(format!("block {position}"), message);
        }
        set(lambdas)?;
        for (block, lambda) in self.list.iter_mut().zip(lambdas) {
            block.damping = *lambda;
        }
        Ok(())
    }

    pub(super) fn same_number(&self, what: &str, given: usize) -> Result<()> {
        let expected = self.list.len();
        if given == expected {
            return Ok(());
        }
        refuse(what.to_owned(), format!("there are {given} for {}", crate::error::count(expected as u64, "block")))
    }

    pub(super) fn check_source<T: Real>(&self, position: usize, source: &Symmetric<'_, T>) -> Result<()> {
        let order = self.list[position].order;
        if source.order() != order {
            let message = format!("its order is {order} and the source's {}", source.order());
            return refuse(format!("block {position}"), message);
        }
        source.places().try_for_each(|place| self.check_place(position, place))
    }

    pub(super) fn check_place(&self, position: usize, other: Place) -> Result<()> {
        if other == self.place {
            return Ok(());
        }
        refuse(format!("block {position}"), format!("its memory is on {other} and the plan on {}", self.place))
    }
}

/// The error of a call that does not fit its plan.
pub(super) fn refuse<T>(what: String, message: String) -> Result<T> {
    Err(ErrorKind::Matrices { what, message }.into())
}
