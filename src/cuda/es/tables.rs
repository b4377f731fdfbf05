//! The tables of a launch over tensors for which noise is drawn.

use cudarc::driver::{CudaSlice, DeviceRepr};

use crate::backend::Slot;
use crate::cuda::address::own;
use crate::cuda::chunks::{chunks_of, count_chunks};
use crate::cuda::transfer::{Table, not_capturing, uploaded};
use crate::device::Cuda;
use crate::element::Scalar;
use crate::error::Result;
use crate::es::{Distribution, Kind, Term, check_memory};

/// Terms that travel with a launch.
pub(in crate::cuda) const FEW: usize = 8;
/// The most words of a term.
pub(super) const TERM: usize = 4;
/// Elements of a pack, and the flag of a row whose arrays and noise have packs of so many that begin together.
const PACKED: [(u64, u64); 2] = [(4, 1), (8, 2)];

/// The tables of the last call. They hold until an address changes, or what stands there.
#[derive(Default)]
pub(super) struct Tensors(pub(super) Option<Tables>);

pub(super) struct Tables {
    bound: Vec<[u64; 2]>,
    kind: Kind,
    rows: u64,
    pub(super) tensors: CudaSlice<u64>,
    pub(super) chunks: CudaSlice<u64>,
    pub(super) chunk_count: usize,
}

impl Tensors {
    /// Brings the tables up to date with the addresses of a call: what stands beside each tensor, and where so many
    /// rows of it are written.
    pub(super) fn bind<P: Scalar, Q: Scalar>(
        &mut self,
        cuda: &Cuda,
        slots: &[Slot],
        bound: Vec<[u64; 2]>,
        kind: Kind,
        rows: u64,
    ) -> Result<()> {
        let stands = |tables: &Tables| tables.bound == bound && tables.kind == kind && tables.rows == rows;
        if !self.0.as_ref().is_some_and(stands) {
            self.0 = Some(Tables::new::<P, Q>(cuda, slots, bound, kind, rows)?);
        }
        Ok(())
    }
}

impl Tables {
    fn new<P: Scalar, Q: Scalar>(
        cuda: &Cuda,
        slots: &[Slot],
        bound: Vec<[u64; 2]>,
        kind: Kind,
        rows: u64,
    ) -> Result<Self> {
        check_memory::<P, Q>(slots, &bound, kind, rows)?;
        not_capturing(cuda, "the addresses of tensors have changed")?;
        let (mut tensors, mut chunks) = (Vec::new(), Vec::new());
        for (position, (slot, &[other, to])) in slots.iter().zip(&bound).enumerate() {
            let places = [other / size_of::<P>() as u64, to / size_of::<Q>() as u64, slot.first];
            let together = |pack: u64| places.iter().all(|place| place % pack == places[0] % pack);
            let flags: u64 = PACKED.iter().filter(|(pack, _)| together(*pack)).map(|(_, flag)| flag).sum();
            tensors.extend([other, to, slot.first, slot.id | flags << 32, slot.length]);
            chunks.extend(chunks_of::<Q>(position, slot.length, to).flatten());
        }
        let chunk_count = count_chunks(&mut chunks);
        let (tensors, chunks) = (uploaded(cuda, &tensors)?, uploaded(cuda, &chunks)?);
        Ok(Self { bound, kind, rows, tensors, chunks, chunk_count })
    }
}

/// Terms as a parameter of a kernel, which takes [`FEW`] of its kind: the others are behind what it reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Few([u64; FEW * TERM]);

impl Few {
    /// Where the terms are in memory.
    pub(super) const NONE: Self = Self([0; FEW * TERM]);
}

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Few {}

/// The terms of the last call that had many.
#[derive(Default)]
pub(super) struct Terms(Option<Table>);

impl Terms {
    /// The words of so many terms, and where they lie on the device if they are many.
    pub(super) fn bind(&mut self, cuda: &Cuda, count: usize, mut words: Vec<u64>) -> Result<(Few, u64)> {
        if count <= FEW {
            words.resize(TERM * FEW, 0);
            return Ok((Few(std::array::from_fn(|k| words[k])), 0));
        }
        Ok((Few::NONE, self.hold(cuda, words)?))
    }

    /// Where the words of terms lie on the device, and behind them the number of the first term of each member of a population,
    /// and that of all terms.
    pub(super) fn bind_members(&mut self, cuda: &Cuda, mut words: Vec<u64>, firsts: &[u32]) -> Result<[u64; 2]> {
        let bytes = 8 * words.len() as u64;
        words.extend(firsts.chunks(2).map(|two| u64::from(two[0]) | u64::from(two.get(1).copied().unwrap_or(0)) << 32));
        let terms = self.hold(cuda, words)?;
        Ok([terms, terms + bytes])
    }

    fn hold(&mut self, cuda: &Cuda, words: Vec<u64>) -> Result<u64> {
        let table = match &mut self.0 {
            Some(table) if table.memory.len() >= words.len() => table,
            many => {
                not_capturing(cuda, "there are more terms than before")?;
                many.insert(Table::new(cuda, words.len().next_power_of_two())?)
            }
        };
        table.hold(cuda, words, "the terms have changed")?;
        Ok(own(cuda, &table.memory))
    }
}

/// The seed of a term's noise, and words 1 and 3 of its counter of element 0, with the mark of the distribution.
pub(super) fn noise_words(term: &Term, distribution: Distribution) -> Result<[u64; 2]> {
    let [field, _, step] = term.address(0)?.fields();
    Ok([term.seed, u64::from(field | distribution.mark()) | u64::from(step) << 32])
}
