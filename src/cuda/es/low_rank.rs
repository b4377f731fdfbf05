//! Sums of noises of low rank, added to matrices or alone: one launch. Twin: `src/cpu/es/low_rank.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg, SyncOnDrop};

use crate::cuda::address::{read, written};
use crate::cuda::es::terms::{FEW, Few, TERM, Terms};
use crate::cuda::transfer::{not_capturing, uploaded};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element};
use crate::error::Result;
use crate::es::{Distribution, FactoredTerm, Kind, LowRankBackend, SIDE_SHIFT, Shard, Side, Source, check_memory};
use crate::memory::ViewMut;

/// Rows and columns of a tile, which a block takes.
const TILE_ROWS: u64 = 64;
const TILE_COLUMNS: u64 = 128;
/// Elements of a pack, and the flags of a matrix whose rows have packs where its memory has them.
const PACK: u64 = 4;
const PACKED_FROM: u64 = 1;
const PACKED_TO: u64 = 2;

/// Matrices in the memory of a CUDA device.
pub(crate) struct CudaLowRank<P: Element, Q: Element> {
    cuda: Cuda,
    name: String,
    kernel: CudaFunction,
    rank: u32,
    distribution: u32,
    shards: Vec<Shard>,
    tables: Option<Tables>,
    terms: Terms,
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
        let name = format!("low_rank_{}_{}", P::DTYPE, Q::DTYPE);
        let kernel = modules::function(cuda, &module, &name)?;
        let distribution = match distribution {
            Distribution::Normal => 0,
            Distribution::Rademacher => 1,
            Distribution::Uniform => 2,
        };
        let rank = rank as u32;
        let (tables, terms, types) = (None, Terms::default(), PhantomData);
        Ok(Self { cuda: cuda.clone(), name, kernel, rank, distribution, shards, tables, terms, types })
    }

    /// Brings the tables up to date with the addresses of a call: what the sum is added to, and where it is written.
    fn bind(&mut self, bound: Vec<[u64; 2]>, kind: Kind) -> Result<()> {
        if self.tables.as_ref().is_some_and(|tables| tables.bound == bound && tables.kind == kind) {
            return Ok(());
        }
        let slots: Vec<_> = self.shards.iter().map(Shard::slot).collect();
        check_memory::<P, Q>(&slots, &bound, kind)?;
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

    /// The terms' words, and where they lie on the device if they are many.
    fn bind_terms(&mut self, terms: &[FactoredTerm]) -> Result<(Few, u64)> {
        let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
        for term in terms {
            let [field, _, step] = term.address(Side::Left, 0)?.fields();
            let [_, _, right_step] = term.address(Side::Right, 0)?.fields();
            words.extend([term.seed, u64::from(field) | u64::from(step) << 32]);
            match Q::Real::DTYPE {
                Dtype::F64 => words.extend([right_step.into(), term.coefficient.to_bits()]),
                _ => words.push(u64::from(right_step) | u64::from((term.coefficient as f32).to_bits()) << 32),
            }
        }
        self.terms.bind(&self.cuda, words, terms.len())
    }
}

impl<P: Element<Real = Q::Real>, Q: Element> LowRankBackend<P, Q> for CudaLowRank<P, Q> {
    fn sum(&mut self, terms: &[FactoredTerm], source: Source<'_, '_, P>, to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        let cuda = self.cuda.clone();
        let kind = source.kind();
        let (few, many) = self.bind_terms(terms)?;
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
        let mut launch = cuda.stream().launch_builder(&self.kernel);
        launch.arg(&tables.tiles).arg(&tables.matrices).arg(&many).arg(&count).arg(&few);
        launch.arg(&self.rank).arg(&self.distribution);
        // SAFETY: the contract of `low_rank_<from>_<to>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; `bind_terms` wrote as many terms as there are, into the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(tables.tile_count)) };
        cuda.explain(launched.map(drop), || launch_of(&self.name, tables.tile_count))
    }
}
