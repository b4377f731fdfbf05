//! The tables of a step as the kernels read them. Twins of the structs in `kernels/core/chunk.cuh`.

use crate::backend::{Bound, CHUNK, CHUNK_PHASE, Slot};
use crate::cuda::THREADS;
use crate::cuda::chunks::{chunks_of, phase};
use crate::element::{Element, Real};
use crate::rules::{Form, Record};
use crate::step;

/// The flag of a row whose tensor has a gradient.
const HAS_GRADIENT: u64 = 1;
/// The flag of a row whose arrays share their element phase modulo a run: runs are aligned in each.
pub(super) const IN_PHASE: u64 = 2;
/// The flag of a row whose states are not touched.
const IS_STATELESS: u64 = 4;

/// Words of a row of the tensor table: parameter, gradient, extra, length, first, id, group and flags, arrays around the
/// rule, state arrays, of which there is room for one at least.
const fn row_words(states: usize) -> usize {
    7 + step::ARRAYS.len() + if states == 0 { 1 } else { states }
}

/// Elements of a gradient that a block draws at a time, to shared memory.
const TILE: usize = 2048;
/// Bytes of shared memory behind them.
const ROOM: usize = 8320;

/// Bytes of shared memory of a block that draws its gradient.
pub(super) const fn shared_bytes<T: Real>() -> u32 {
    (TILE * size_of::<T>() + ROOM) as u32
}

/// Words of a module's layout.
pub(super) const LAYOUT: usize = 12;

/// What a rule's module must say of itself: chunk, threads, sizes of both tables' rows in bytes, the numbers of settings,
/// carried scalars and scalars with those around the rule, the number of state arrays, the momentum's position counted
/// from 1, what the rule reads beside the gradient, and the elements and the bytes behind them of a gradient that is drawn.
pub(super) fn layout(rule: &Form) -> [u32; LAYOUT] {
    let states = rule.states.len();
    [
        CHUNK as usize,
        THREADS as usize,
        16,
        8 * row_words(states),
        step::Hyper::<f64>::NAMES.len() + rule.hyper.len(),
        step::Carry::<f64>::NAMES.len() + rule.carry.len(),
        step::Scalars::<f32>::NAMES.len() + rule.scalars,
        states,
        rule.momentum.map_or(0, |position| position + 1),
        rule.extra as usize,
        TILE,
        ROOM,
    ]
    .map(|size| size as u32)
}

/// The addresses of the arrays that an optimizer keeps of a tensor.
pub(super) struct Kept {
    /// Those of [`step::ARRAYS`] that the group asks for.
    pub(super) around: [Option<u64>; step::ARRAYS.len()],
    /// The rule's states; `None` where the group makes no use of them.
    pub(super) states: Option<Vec<u64>>,
}

/// A tensor's row of the tensor table, for a rule of `states` state arrays; it is stepped if it has a gradient, or if that is drawn.
pub(super) fn row<P: Element, G: Element>(
    slot: &Slot,
    bound: &Bound,
    kept: &Kept,
    states: usize,
    is_drawn: bool,
) -> Vec<u64> {
    let run = 16 / size_of::<P::Real>() as u64;
    let in_phase = |of: u64| of % run == phase::<P>(bound.parameter) % run;
    let reals = kept.around.iter().flatten().chain(kept.states.iter().flatten());
    let shared = [bound.gradient, bound.extra].into_iter().flatten().all(|address| in_phase(phase::<G>(address)))
        && reals.into_iter().all(|&address| in_phase(phase::<P::Real>(address)));
    let flag = |holds: bool, flag: u64| if holds { flag } else { 0 };
    let has_gradient = is_drawn || bound.gradient.is_some();
    let flags = flag(has_gradient, HAS_GRADIENT)
        | flag(has_gradient && shared, IN_PHASE)
        | flag(kept.states.is_none(), IS_STATELESS);
    let mut row = Vec::with_capacity(row_words(states));
    row.extend([bound.parameter, bound.gradient.unwrap_or(0), bound.extra.unwrap_or(0)]);
    row.extend([slot.length, slot.first, slot.id, slot.group as u64 | flags << 32]);
    row.extend(kept.around.map(|address| address.unwrap_or(0)));
    row.extend(kept.states.iter().flatten());
    row.resize(row_words(states), 0);
    row
}

/// The rows of a tensor in the chunk table: none where it has no gradient.
pub(super) fn chunk_rows<P: Element>(
    tensor: usize,
    slot: &Slot,
    bound: &Bound,
    is_drawn: bool,
) -> impl Iterator<Item = [u64; 2]> {
    let has_gradient = is_drawn || bound.gradient.is_some();
    chunks_of::<P>(tensor, if has_gradient { slot.length } else { 0 }, bound.parameter)
}

/// Elements of one allocation for the state arrays of a tensor, each in the parameter's phase modulo [`CHUNK_PHASE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct StateLayout {
    /// Elements from the start of an array to the start of the next.
    pub(super) stride: usize,
    /// Elements before the first array.
    pub(super) phase: usize,
}

impl StateLayout {
    /// The layout for a parameter of `length` elements at a phase.
    pub(super) fn new(length: u64, phase: u64) -> Self {
        Self { stride: (length + CHUNK_PHASE).next_multiple_of(64) as usize, phase: phase as usize }
    }

    /// Position of the first element of an array.
    pub(super) fn start(&self, array: usize) -> usize {
        array * self.stride + self.phase
    }

    /// Address of an array in an allocation.
    pub(super) fn address<T: Real>(&self, allocation: u64, array: usize) -> u64 {
        allocation + (self.start(array) * size_of::<T>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    const SLOT: Slot = Slot { id: 9, length: 3 * CHUNK, first: 7, group: 2 };

    #[test]
    fn a_row_names_arrays_group_and_flags() {
        let bound = Bound { parameter: 0x1008, gradient: Some(0x2018), extra: None };
        let kept = || Kept { around: [None; 3], states: Some(vec![0x3000 + 4 * 4, 0x4000 + 4 * 8]) };
        let row = |bound: Bound, kept: Kept| row::<bf16, bf16>(&SLOT, &bound, &kept, 2, false);
        let usual = row(bound, kept());
        assert_eq!(usual, [0x1008, 0x2018, 0, 3 * CHUNK, 7, 9, 2 | 3 << 32, 0, 0, 0, 0x3010, 0x4020]);
        assert_eq!(usual.len(), row_words(2));
        let out_of_phase = row(Bound { gradient: Some(0x201a), ..bound }, kept());
        assert_eq!(out_of_phase[6], 2 | 1 << 32);
        let missing = row(Bound { gradient: None, ..bound }, kept());
        assert_eq!((missing[1], missing[6]), (0, 2));
        let drawn = super::row::<bf16, bf16>(&SLOT, &Bound { gradient: None, ..bound }, &kept(), 2, true);
        assert_eq!((drawn[1], drawn[6]), (0, 2 | 3 << 32));
        let surrounded =
            row(Bound { extra: Some(0x5018), ..bound }, Kept { around: [Some(0x6010), None, None], ..kept() });
        assert_eq!((surrounded[2], surrounded[6], surrounded[7]), (0x5018, 2 | 3 << 32, 0x6010));
        let beside = row(Bound { extra: Some(0x501a), ..bound }, kept());
        assert_eq!(beside[6], 2 | 1 << 32);
        let stateless = row(bound, Kept { states: None, ..kept() });
        assert_eq!((stateless[6], &stateless[10..]), (2 | 7 << 32, &[0, 0][..]));
    }

    #[test]
    fn chunks_begin_at_multiples_of_16_elements_of_memory() {
        let bound = Bound { parameter: 0x1008, gradient: Some(0x2018), extra: None };
        let rows: Vec<_> = chunk_rows::<bf16>(5, &SLOT, &bound, false).collect();
        let lengths: Vec<u64> = rows.iter().map(|row| row[0] >> 32).collect();
        assert_eq!(lengths, [CHUNK - 4, CHUNK, CHUNK, 4]);
        assert!(rows.iter().all(|row| row[0] & 0xffff_ffff == 5));
        assert!(rows[1..].iter().all(|row| (0x1008 / 2 + row[1]) % 16 == 0));
        let missing = Bound { gradient: None, ..bound };
        assert_eq!(chunk_rows::<bf16>(5, &SLOT, &missing, false).count(), 0);
        assert_eq!(chunk_rows::<bf16>(5, &SLOT, &missing, true).count(), 4);
    }

    #[test]
    fn state_arrays_stand_in_the_parameters_phase() {
        let layout = StateLayout::new(1000, phase::<bf16>(0x1008));
        for array in 0..3 {
            let address = layout.address::<f32>(0x1000, array);
            assert_eq!(phase::<f32>(address), 4);
            assert!(array == 0 || address >= layout.address::<f32>(0x1000, array - 1) + 4000);
        }
    }

    macro_rules! embedded_kernels {
        ($($module:ident::$Rule:ident { $($alias:ident: $preset:expr),* },)*) => {
            $(#[test]
            fn $module() {
                embedded(&Form::of::<crate::rules::$Rule>());
            })*
        };
    }

    /// Every rule's embedded PTX has the tables' layout and a kernel of every pair.
    mod the_embedded_kernels_of {
        use super::*;
        use crate::cuda::optim::step::{drawn_name, tick_name, update_name};

        crate::for_each_rule!(embedded_kernels);

        macro_rules! update_names {
            ($(($parameter:ident, $gradient:ident),)*) => {
                fn update_names(rule: &Form) -> Vec<String> {
                    use half::{bf16, f16};
                    vec![$(update_name::<$parameter, $gradient>(rule), drawn_name::<$parameter>(rule)),*]
                }
            };
        }
        crate::for_each_pair!(update_names);

        fn embedded(rule: &Form) {
            let text = crate::cuda::modules::text(rule.name);
            assert_eq!(layout_in(text, &format!("{}_layout", rule.name)), layout(rule));
            for kernel in [tick_name::<f32>(rule), tick_name::<f64>(rule)].into_iter().chain(update_names(rule)) {
                assert!(text.contains(&format!(".entry {kernel}(")), "no {kernel} in {}.ptx", rule.name);
            }
        }

        /// The words of a constant, which PTX writes as bytes without the zeros at its end.
        fn layout_in(text: &str, symbol: &str) -> [u32; LAYOUT] {
            let declared = format!("{symbol}[{}] = {{", 4 * LAYOUT);
            let (_, rest) = text.split_once(&declared).unwrap_or_else(|| panic!("no '{declared}'"));
            let (values, _) = rest.split_once('}').unwrap_or_default();
            let mut bytes = [0; 4 * LAYOUT];
            for (byte, value) in bytes.iter_mut().zip(values.split(',')) {
                *byte = value.trim().parse().unwrap_or_else(|error| panic!("'{value}' in {symbol}: {error}"));
            }
            std::array::from_fn(|word| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * word + byte])))
        }
    }
}
