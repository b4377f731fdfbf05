//! What both backends do for an optimizer, and how a tensor is cut into the chunks they share.

use std::ops::Range;

use crate::element::{Element, Real};
use crate::error::{ErrorKind, Result};
use crate::es::Estimate;
use crate::memory::{View, ViewMut};
use crate::rules::{Form, Record};
use crate::step;

/// Elements of a chunk: the unit of work of a CUDA block and of a CPU task, and of every partial sum.
pub(crate) const CHUNK: u64 = 16384;

/// Chunks begin at multiples of this many elements of memory, which fill whole sectors (32 bytes) of every type: no two
/// chunks share a sector, and on CUDA neither do two requests of a chunk.
#[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "ordinary memory is cut at phase 0"))]
pub(crate) const CHUNK_PHASE: u64 = 16;

/// The chunks of a tensor of `length` elements whose first element lies `phase` elements behind a multiple of
/// [`CHUNK_PHASE`] in memory: every chunk but the first begins at such a multiple.
#[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "ordinary memory is cut at phase 0"))]
pub(crate) fn chunks(length: u64, phase: u64) -> impl Iterator<Item = Range<u64>> {
    let bound = move |chunk: u64| (chunk * CHUNK).saturating_sub(phase).min(length);
    let count = if length == 0 { 0 } else { (length + phase).div_ceil(CHUNK) };
    (0..count).map(move |chunk| bound(chunk)..bound(chunk + 1))
}

/// What a backend knows of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The tensor's id.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "no rule asks where its element stands"))]
    pub(crate) id: u64,
    /// Elements.
    pub(crate) length: u64,
    /// Position of the first element in the tensor that this is a shard of.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "no rule asks where its element stands"))]
    pub(crate) first: u64,
    /// The group whose settings hold for the tensor.
    pub(crate) group: usize,
}

/// What a backend keeps of a tensor from step to step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorState<T: Real> {
    /// Steps taken.
    pub(crate) steps: u64,
    /// What is carried around the rule, then the rule's `Carry`.
    pub(crate) carry: Vec<f64>,
    /// The rule's state arrays, in the order of its `State`.
    pub(crate) states: Vec<Vec<T>>,
    /// The arrays of [`step::ARRAYS`] that its group asks for.
    pub(crate) around: [Option<Vec<T>>; step::ARRAYS.len()],
}

/// The addresses of a tensor's arguments in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) parameter: u64,
    pub(crate) gradient: Option<u64>,
    /// The rule's second gradient or noise.
    pub(crate) extra: Option<u64>,
}

/// The names of what is carried from step to step: around the rule, then by the rule.
pub(crate) fn carried(rule: &Form) -> impl Iterator<Item = &'static str> {
    step::Carry::<f64>::NAMES.iter().chain(rule.carry).copied()
}

/// The settings of a group, as numbers.
pub(crate) struct Settings {
    pub(crate) around: step::Hyper<f64>,
    pub(crate) rule: Vec<f64>,
    pub(crate) is_stateless: bool,
}

impl Settings {
    /// Of what surrounds a rule, and the rule's `Hyper` behind it.
    pub(crate) fn new(rule: &Form, row: &[f64]) -> Self {
        let (around, hyper) = row.split_at(step::Hyper::<f64>::NAMES.len());
        let is_stateless = rule.is_stateless(hyper);
        Self { around: step::Hyper::from_fn(|k| around[k]), rule: hyper.to_vec(), is_stateless }
    }
}

/// Looks for arguments of a step that are not aligned to their elements, and for two that share memory although one is
/// written.
pub(crate) fn check_memory<P: Element, G: Element>(slots: &[Slot], bound: &[Bound]) -> Result<()> {
    let mut spans = Vec::with_capacity(2 * slots.len());
    for (position, (slot, bound)) in slots.iter().zip(bound).enumerate() {
        spans.push(Span::parameter::<P>(position, bound.parameter, slot.length));
        spans.extend(bound.gradient.map(|gradient| Span::read::<G>("gradient", position, gradient, slot.length)));
        spans.extend(bound.extra.map(|extra| Span::read::<G>("extra", position, extra, slot.length)));
    }
    check_spans(spans)
}

/// Looks for means and parameters, each an address and a length, that are not aligned to their elements, and for means that
/// share memory with anything.
pub(crate) fn check_mean<P: Element>(means: &[(u64, usize)], parameters: &[(u64, usize)]) -> Result<()> {
    let means = means.iter().enumerate();
    let means =
        means.map(|(position, &(address, length))| Span::written::<P>("mean", position, address, length as u64));
    let parameters = parameters.iter().enumerate();
    let parameters = parameters
        .map(|(position, &(address, length))| Span::read::<P>("replica's parameter", position, address, length as u64));
    check_spans(means.chain(parameters).collect())
}

/// What a step writes, as messages call it.
const PARAMETER: &str = "parameter";

/// The memory of one argument of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u64,
    end: u64,
    element: u64,
    what: &'static str,
    position: usize,
    is_written: bool,
}

impl Span {
    /// `length` elements at an address that are written; messages call them by `what` and the position.
    pub(crate) fn written<T>(what: &'static str, position: usize, address: u64, length: u64) -> Self {
        let element = size_of::<T>() as u64;
        let end = address.saturating_add(length.saturating_mul(element));
        Self { start: address, end, element, what, position, is_written: true }
    }

    /// The same that are only read.
    pub(crate) fn read<T>(what: &'static str, position: usize, address: u64, length: u64) -> Self {
        Self { is_written: false, ..Self::written::<T>(what, position, address, length) }
    }

    /// The memory of a parameter.
    fn parameter<T>(position: usize, address: u64, length: u64) -> Self {
        Self::written::<T>(PARAMETER, position, address, length)
    }

    fn name(&self) -> String {
        format!("{} {}", self.what, self.position)
    }
}

/// Looks for spans that are not aligned to their elements, and for written ones that share memory with another.
pub(crate) fn check_spans(mut spans: Vec<Span>) -> Result<()> {
    spans.retain(|span| span.start < span.end);
    if let Some(span) = spans.iter().find(|span| span.start % span.element != 0) {
        return Err(ErrorKind::Misaligned { what: span.name(), address: span.start, alignment: span.element }.into());
    }
    spans.sort_unstable_by_key(|span| (span.start, !span.is_written, span.position));
    // The spans seen so far that reach farthest, written ones and all: a new span overlaps one only if it overlaps that.
    let mut farthest: Option<Span> = None;
    let mut farthest_written: Option<Span> = None;
    for span in spans {
        let other = if span.is_written { farthest } else { farthest_written };
        if let Some(other) = other.filter(|other| span.start < other.end) {
            return Err(ErrorKind::Overlap {
                first: other.name(),
                first_start: other.start,
                first_end: other.end,
                second: span.name(),
                second_start: span.start,
                second_end: span.end,
            }
            .into());
        }
        let reaches_farther = |old: &Option<Span>| old.is_none_or(|old| old.end < span.end);
        if reaches_farther(&farthest) {
            farthest = Some(span);
        }
        if span.is_written && reaches_farther(&farthest_written) {
            farthest_written = Some(span);
        }
    }
    Ok(())
}

/// The tensors of an optimizer on a device: their states, counters and the step itself.
///
/// The caller has checked every argument: positions, lengths, devices, overlap.
pub(crate) trait Backend<P: Element, G: Element>: Send {
    /// Adds a tensor with a state of zeros, behind the others.
    fn add(&mut self, slot: Slot) -> Result<()>;

    /// Removes the tensor at a position; those behind it move up.
    fn remove(&mut self, position: usize) -> Result<()>;

    /// Moves the tensor at a position to another group.
    fn regroup(&mut self, position: usize, group: usize) -> Result<()>;

    /// Sets what holds for each group: what surrounds the rule, then the rule's `Hyper`.
    fn set_groups(&mut self, groups: Vec<Vec<f64>>) -> Result<()>;

    /// Steps every tensor that has a gradient. `extras` stand in the order of the tensors, or there are none.
    fn step(
        &mut self,
        parameters: &mut [ViewMut<'_, P>],
        gradients: &[Option<View<'_, G>>],
        extras: &[Option<View<'_, G>>],
    ) -> Result<()>;

    /// Steps every tensor by a gradient that is drawn.
    fn step_estimate(&mut self, parameters: &mut [ViewMut<'_, P>], estimate: Estimate<'_>) -> Result<()>;

    /// Steps of the optimizer itself.
    fn steps(&self) -> Result<u64>;

    /// Sets the steps of the optimizer itself.
    fn set_steps(&mut self, steps: u64) -> Result<()>;

    /// What is kept of the tensor at a position.
    fn read(&self, position: usize) -> Result<TensorState<P::Real>>;

    /// Replaces what is kept of the tensor at a position.
    fn write(&mut self, position: usize, state: TensorState<P::Real>) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(spans: &[Span]) -> String {
        check_spans(spans.to_vec()).map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
    }

    #[test]
    fn shared_memory_is_refused_where_it_is_written() {
        let p = |position, address| Span::parameter::<f32>(position, address, 4);
        let g = |position, address| Span::read::<f32>("gradient", position, address, 4);
        assert_eq!(refused(&[p(0, 0x100), p(1, 0x110), g(0, 0x120), g(1, 0x120)]), "nothing");
        assert_eq!(
            refused(&[p(0, 0x100), p(1, 0x100)]),
            "parameter 0 (0x100 to 0x110) overlaps parameter 1 (0x100 to 0x110)"
        );
        assert_eq!(
            refused(&[p(3, 0x10c), p(1, 0x100)]),
            "parameter 1 (0x100 to 0x110) overlaps parameter 3 (0x10c to 0x11c)"
        );
        assert_eq!(
            refused(&[p(0, 0x100), g(0, 0x104)]),
            "parameter 0 (0x100 to 0x110) overlaps gradient 0 (0x104 to 0x114)"
        );
        assert_eq!(
            refused(&[g(0, 0x100), g(1, 0x108), p(0, 0x114)]),
            "gradient 1 (0x108 to 0x118) overlaps parameter 0 (0x114 to 0x124)"
        );
        let whole = Span::read::<f32>("gradient", 2, 0x100, 100);
        assert_eq!(
            refused(&[whole, g(1, 0x104), p(0, 0x180)]),
            "gradient 2 (0x100 to 0x290) overlaps parameter 0 (0x180 to 0x190)"
        );
        assert_eq!(refused(&[Span::parameter::<f32>(0, 0x100, 0), p(1, 0x100)]), "nothing");
        assert_eq!(
            refused(&[p(2, 0x102)]),
            "parameter 2 stands at 0x102, which is no multiple of its element's 4 bytes"
        );
    }

    #[test]
    fn chunks_cover_the_tensor_and_begin_aligned() {
        for length in [0, 1, 15, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK - 7, 1 << 40] {
            for phase in [0, 1, 15] {
                let mut end = 0;
                for (n, chunk) in chunks(length, phase).take(5).enumerate() {
                    assert_eq!(chunk.start, end);
                    assert!(chunk.end > chunk.start && chunk.end - chunk.start <= CHUNK);
                    assert!(n == 0 || (chunk.start + phase) % CHUNK_PHASE == 0);
                    end = chunk.end;
                }
                assert!(end == length || length > 4 * CHUNK, "{length} elements, phase {phase}: covered {end}");
            }
        }
    }
}
