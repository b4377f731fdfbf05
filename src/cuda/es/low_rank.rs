//! Sums of noises of low rank, added to matrices or alone: one launch. Twin: `src/cpu/es/low_rank.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaSlice, DeviceRepr, PushKernelArg, SyncOnDrop};

use super::terms::{FEW, TERM, Terms};
use crate::cuda::address::{read, written};
use crate::cuda::modules::Kernel;
use crate::cuda::transfer::{not_capturing, uploaded};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element, Real};
use crate::error::{Error, Result};
use crate::es::{
    Distribution, FactoredTerm, Kind, LowRankBackend, MOST_RANK, Multiplication, SIDE_SHIFT, Shard, Side, Source,
    check_memory, check_multiplication,
};
use crate::memory::{View, ViewMut};

/// Rows and columns of a tile, which a block takes.
const TILE_ROWS: u64 = 64;
const TILE_COLUMNS: u64 = 128;
/// Elements of a pack, and the flags of a matrix whose rows have packs where its memory has them.
const PACK: u64 = 4;
const PACKED_FROM: u64 = 1;
const PACKED_TO: u64 = 2;

/// Rows that a block multiplies, and partial sums of a product.
const ROWS: u64 = 16;
const LANES: u32 = 128;

/// Rows and a noise that they are multiplied by, as the kernel takes them.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Product([u64; 8]);

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Product {}

/// Matrices in the memory of a CUDA device.
pub(crate) struct CudaLowRank<P: Element, Q: Element> {
    cuda: Cuda,
    sum: Kernel,
    multiply: Kernel,
    rank: u32,
    distribution: u32,
    shards: Vec<Shard>,
    tables: Option<Tables>,
    terms: Terms,
    /// Those of products.
    of_rows: Terms,
    types: PhantomData<(P, Q)>,
}

/// The tables of the last call. They hold until an address changes, or what stands there.
struct Tables {
    bound: Vec<[u64; 2]>,
    kind: Kind,
    matrices: CudaSlice<u64>,
    tiles: CudaSlice<u64>,
    tile_count: u32,
}

impl<P: Element<Real = Q::Real>, Q: Element> CudaLowRank<P, Q> {
    pub(crate) fn new(cuda: &Cuda, distribution: Distribution, rank: usize, shards: Vec<Shard>) -> Result<Self> {
        let layout = [TILE_ROWS as u32, TILE_COLUMNS as u32, THREADS, FEW as u32, SIDE_SHIFT];
        let module = modules::load(cuda, "low_rank", &layout)?;
        let sum = Kernel::of(cuda, &module, format!("low_rank_{}_{}", P::DTYPE, Q::DTYPE))?;
        let layout = [ROWS as u32, MOST_RANK as u32, LANES, THREADS, FEW as u32, SIDE_SHIFT];
        let module = modules::load(cuda, "low_rank_multiply", &layout)?;
        let multiply = Kernel::of(cuda, &module, format!("low_rank_multiply_{}", P::DTYPE))?;
        let distribution = match distribution {
            Distribution::Normal => 0,
            Distribution::Rademacher => 1,
            Distribution::Uniform => 2,
            Distribution::Hadamard => 3,
        };
        let rank = rank as u32;
        let (tables, terms, of_rows, types) = (None, Terms::default(), Terms::default(), PhantomData);
        Ok(Self { cuda: cuda.clone(), sum, multiply, rank, distribution, shards, tables, terms, of_rows, types })
    }

    /// Brings the tables up to date with the addresses of a call: what the sum is added to, and where it is written.
    fn bind(&mut self, bound: Vec<[u64; 2]>, kind: Kind) -> Result<()> {
        if self.tables.as_ref().is_some_and(|tables| tables.bound == bound && tables.kind == kind) {
            return Ok(());
        }
        let slots: Vec<_> = self.shards.iter().map(Shard::slot).collect();
        check_memory::<P, Q>(&slots, &bound, kind, 1)?;
        not_capturing(&self.cuda, "the addresses of matrices have changed")?;
        let (mut matrices, mut tiles) = (Vec::new(), Vec::new());
        for (position, (shard, &[other, to])) in self.shards.iter().zip(&bound).enumerate() {
            let Shard { id, rows, columns, first_row, first_column } = *shard;
            let from = if kind == Kind::Nothing { 0 } else { other };
            // Tiles begin at multiples of a pack of the whole matrix.
            let packs = |address: u64, element: usize| {
                [columns, first_column, address / element as u64].iter().all(|place| place % PACK == 0)
            };
            let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
            let flags = flag(from != 0 && packs(from, size_of::<P>()), PACKED_FROM)
                | flag(packs(to, size_of::<Q>()), PACKED_TO);
            matrices.extend([from, to, first_row, first_column, rows, columns, id | flags << 32]);
            if rows == 0 || columns == 0 {
                continue;
            }
            for row in first_row / TILE_ROWS..(first_row + rows).div_ceil(TILE_ROWS) {
                for column in first_column / TILE_COLUMNS..(first_column + columns).div_ceil(TILE_COLUMNS) {
                    tiles.extend([position as u64 | row << 32, column]);
                }
            }
        }
        let tile_count = (tiles.len() / 2) as u32;
        let (matrices, tiles) = (uploaded(&self.cuda, &matrices)?, uploaded(&self.cuda, &tiles)?);
        self.tables = Some(Tables { bound, kind, matrices, tiles, tile_count });
        Ok(())
    }
}

/// The words of terms whose numbers are `T`.
fn words<T: Real>(terms: &[FactoredTerm]) -> Result<Vec<u64>> {
    let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
    for term in terms {
        let [field, _, step] = term.address(Side::Left, 0)?.fields();
        let [_, _, right_step] = term.address(Side::Right, 0)?.fields();
        words.extend([term.seed, u64::from(field) | u64::from(step) << 32]);
        match T::DTYPE {
            Dtype::F64 => words.extend([right_step.into(), term.coefficient.to_bits()]),
            _ => words.push(u64::from(right_step) | u64::from((term.coefficient as f32).to_bits()) << 32),
        }
    }
    Ok(words)
}

impl<P: Element<Real = Q::Real>, Q: Element> LowRankBackend<P, Q> for CudaLowRank<P, Q> {
    fn sum(&mut self, terms: &[FactoredTerm], source: Source<'_, '_, P>, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        let cuda = self.cuda.clone();
        let kind = source.kind();
        let (few, many) = self.terms.bind(&cuda, words::<Q::Real>(terms)?, terms.len())?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let others: Vec<u64> = match source {
            Source::Parameters(from) => from.iter().map(|from| read(&cuda, from, &mut guards)).collect(),
            Source::Itself | Source::Zeros => Vec::new(),
        };
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let to = written(&cuda, to, &mut guards);
            bound.push([others.get(position).copied().unwrap_or(to), to]);
        }
        self.bind(bound, kind)?;

        let Some(tables) = self.tables.as_ref().filter(|tables| tables.tile_count > 0) else { return Ok(()) };
        let count = terms.len() as u32;
        let mut launch = cuda.stream().launch_builder(&self.sum.function);
        launch.arg(&tables.tiles).arg(&tables.matrices).arg(&many).arg(&count).arg(&few);
        launch.arg(&self.rank).arg(&self.distribution);
        // SAFETY: the contract of `low_rank_<from>_<to>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; as many terms as there are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(tables.tile_count)) };
        cuda.explain(launched.map(drop), || launch_of(&self.sum.name, tables.tile_count))
    }

    fn multiply(
        &mut self,
        terms: &[FactoredTerm],
        of: &Multiplication,
        x: &View<'_, P>,
        y: &mut ViewMut<'_, P>,
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let (x, y) = (read(&cuda, x, &mut guards), written(&cuda, y, &mut guards));
        check_multiplication::<P>(of, terms.len(), x, y)?;
        if of.rows == 0 || of.outer == 0 {
            return Ok(());
        }
        let (few, many) = self.of_rows.bind(&cuda, words::<P::Real>(terms)?, terms.len())?;
        let Multiplication { id, rows, inner, outer, first_inner, first_outer, inner_side } = *of;
        let is_right = u64::from(inner_side == Side::Right);
        let product = Product([x, y, rows, inner, outer, first_inner, first_outer, id | is_right << 32]);
        let blocks = terms.len() as u64 * rows.div_ceil(ROWS);
        let Ok(blocks) = i32::try_from(blocks) else {
            return Err(Error::setting(
                "low-rank noise",
                format!("{blocks} groups of {ROWS} rows are too many for a launch"),
            ));
        };
        let mut launch = cuda.stream().launch_builder(&self.multiply.function);
        launch.arg(&product).arg(&many).arg(&few).arg(&self.rank).arg(&self.distribution);
        // SAFETY: the contract of `low_rank_multiply_<type>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_multiplication` overlap and alignment; the views are borrowed until the launch is enqueued; as many terms as there
        // are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks as u32)) };
        cuda.explain(launched.map(drop), || launch_of(&self.multiply.name, blocks as u32))
    }
}
