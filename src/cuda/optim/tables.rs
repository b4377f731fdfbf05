//! The tables of a step as the kernels read them. Twins of the structs in `kernels/core/chunk.cuh`.

use crate::backend::{Bound, CHUNK, CHUNK_PHASE, Slot, chunks};
use crate::element::{Element, Real};
use crate::rules::{Record, Rule};

/// Threads of a block.
pub(super) const THREADS: u32 = 256;

/// The flag of a row whose tensor has a gradient.
const HAS_GRADIENT: u64 = 1;
/// The flag of a row whose arrays share their element phase.
const IN_PHASE: u64 = 2;

/// Words of a row of the tensor table: parameter, gradient, length, first, group and flags, state arrays.
const fn row_words(states: usize) -> usize {
    5 + states
}

/// What a rule's module must say of itself: chunk, threads, sizes of both tables' rows in bytes, and the numbers of
/// settings, carried scalars, scalars and state arrays.
pub(super) fn layout<R: Rule>() -> [u32; 8] {
    let states = R::State::<f32>::NAMES.len();
    [
        CHUNK as usize,
        THREADS as usize,
        16,
        8 * row_words(states),
        R::Hyper::NAMES.len(),
        R::Carry::NAMES.len(),
        R::Scalars::<f32>::NAMES.len(),
        states,
    ]
    .map(|size| size as u32)
}

/// Elements between a multiple of [`CHUNK_PHASE`] elements and an address.
pub(super) fn phase<T: Element>(address: u64) -> u64 {
    address / size_of::<T>() as u64 % CHUNK_PHASE
}

/// A tensor's row of the tensor table. `states` are the addresses of its state arrays.
pub(super) fn row<P: Element, G: Element>(slot: &Slot, bound: &Bound, states: &[u64]) -> Vec<u64> {
    let run = 16 / size_of::<P::Real>() as u64;
    let in_phase = |of: u64| of % run == phase::<P>(bound.parameter) % run;
    let flags = match bound.gradient {
        None => 0,
        Some(gradient) => {
            let shared =
                in_phase(phase::<G>(gradient)) && states.iter().all(|&state| in_phase(phase::<P::Real>(state)));
            HAS_GRADIENT | if shared { IN_PHASE } else { 0 }
        }
    };
    let mut row = Vec::with_capacity(row_words(states.len()));
    row.extend([
        bound.parameter,
        bound.gradient.unwrap_or(0),
        slot.length,
        slot.first,
        slot.group as u64 | flags << 32,
    ]);
    row.extend(states);
    row
}

/// The rows of a tensor in the chunk table: none where it has no gradient.
pub(super) fn chunk_rows<P: Element>(tensor: usize, slot: &Slot, bound: &Bound) -> impl Iterator<Item = [u64; 2]> {
    let length = if bound.gradient.is_some() { slot.length } else { 0 };
    chunks(length, phase::<P>(bound.parameter))
        .map(move |chunk| [tensor as u64 | (chunk.end - chunk.start) << 32, chunk.start])
}

/// Elements of one allocation for the state arrays of a tensor, each in the parameter's phase.
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

    const SLOT: Slot = Slot { length: 3 * CHUNK, first: 7, group: 2 };

    #[test]
    fn a_row_names_arrays_group_and_flags() {
        let bound = Bound { parameter: 0x1008, gradient: Some(0x2018) };
        let states = [0x3000 + 4 * 4, 0x4000 + 4 * 8];
        let row = row::<bf16, bf16>(&SLOT, &bound, &states);
        assert_eq!(row, [0x1008, 0x2018, 3 * CHUNK, 7, 2 | 3 << 32, 0x3010, 0x4020]);
        let out_of_phase = super::row::<bf16, bf16>(&SLOT, &Bound { gradient: Some(0x201a), ..bound }, &states);
        assert_eq!(out_of_phase[4], 2 | 1 << 32);
        let missing = super::row::<bf16, bf16>(&SLOT, &Bound { gradient: None, ..bound }, &states);
        assert_eq!((missing[1], missing[4]), (0, 2));
    }

    #[test]
    fn chunks_begin_at_multiples_of_16_elements_of_memory() {
        let bound = Bound { parameter: 0x1008, gradient: Some(0x2018) };
        let rows: Vec<_> = chunk_rows::<bf16>(5, &SLOT, &bound).collect();
        let lengths: Vec<u64> = rows.iter().map(|row| row[0] >> 32).collect();
        assert_eq!(lengths, [CHUNK - 4, CHUNK, CHUNK, 4]);
        assert!(rows.iter().all(|row| row[0] & 0xffff_ffff == 5));
        assert!(rows[1..].iter().all(|row| (0x1008 / 2 + row[1]) % 16 == 0));
        assert_eq!(chunk_rows::<bf16>(5, &SLOT, &Bound { gradient: None, ..bound }).count(), 0);
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
                embedded::<crate::rules::$Rule>();
            })*
        };
    }

    /// Every rule's embedded PTX has the tables' layout and a kernel of every pair.
    mod the_embedded_kernels_of {
        use super::*;
        use crate::cuda::optim::step::{tick_name, update_name};

        crate::for_each_rule!(embedded_kernels);

        macro_rules! update_names {
            ($(($parameter:ident, $gradient:ident),)*) => {
                fn update_names<R: Rule>() -> Vec<String> {
                    use half::{bf16, f16};
                    vec![$(update_name::<R, $parameter, $gradient>()),*]
                }
            };
        }
        crate::for_each_pair!(update_names);

        fn embedded<R: Rule>() {
            let text = crate::cuda::modules::text(R::NAME);
            assert_eq!(layout_in(text, &format!("{}_layout", R::NAME)), layout::<R>());
            for kernel in [tick_name::<R, f32>(), tick_name::<R, f64>()].into_iter().chain(update_names::<R>()) {
                assert!(text.contains(&format!(".entry {kernel}(")), "no {kernel} in {}.ptx", R::NAME);
            }
        }

        /// The words of a constant, which PTX writes as bytes without the zeros at its end.
        fn layout_in(text: &str, symbol: &str) -> [u32; 8] {
            let declared = format!("{symbol}[32] = {{");
            let (_, rest) = text.split_once(&declared).unwrap_or_else(|| panic!("no '{declared}'"));
            let (values, _) = rest.split_once('}').unwrap_or_default();
            let mut bytes = [0; 32];
            for (byte, value) in bytes.iter_mut().zip(values.split(',')) {
                *byte = value.trim().parse().unwrap_or_else(|error| panic!("'{value}' in {symbol}: {error}"));
            }
            std::array::from_fn(|word| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * word + byte])))
        }
    }
}
