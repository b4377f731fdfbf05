//! Integer weights plus integer noises of low rank, votes of these, and rows multiplied by them: one launch each. Twins:
//! `src/cpu/es/lattice_low_rank.rs`.

use std::marker::PhantomData;

use cudarc::driver::{PushKernelArg, SyncOnDrop};

use super::low_rank::{Product, ROWS, factor_words, number_of, product_blocks, right_word};
use super::terms::{FEW, TERM, Terms};
use super::tiles::{TILE_COLUMNS, TILE_ROWS, Tiles};
use crate::cuda::address::{read, written};
use crate::cuda::modules::Kernel;
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::error::Result;
use crate::es::{
    Distribution, IntegerTerm, Kind, Lattice, LatticeLowRankBackend, MOST_NUMBER, MOST_RANK, Multiplication, Outcome,
    SIDE_SHIFT, Shard, check_multiplication,
};
use crate::memory::{View, ViewMut};

/// Matrices in the memory of a CUDA device.
pub(crate) struct CudaLatticeLowRank<I: Lattice> {
    cuda: Cuda,
    sum: Kernel,
    multiply: Kernel,
    rank: u32,
    distribution: u32,
    shards: Vec<Shard>,
    tables: Option<Tiles>,
    terms: Terms,
    /// Those of products.
    of_rows: Terms,
    types: PhantomData<I>,
}

impl<I: Lattice> CudaLatticeLowRank<I> {
    pub(crate) fn new(cuda: &Cuda, distribution: Distribution, rank: usize, shards: Vec<Shard>) -> Result<Self> {
        let tile = [TILE_ROWS as u32, TILE_COLUMNS as u32, THREADS, FEW as u32, SIDE_SHIFT];
        let layout = [&tile[..], &[ROWS as u32, MOST_RANK as u32, MOST_NUMBER as u32]].concat();
        let module = modules::load(cuda, "lattice_low_rank", &layout)?;
        let kernel = |name: &str| Kernel::of(cuda, &module, name.to_owned());
        Ok(Self {
            sum: kernel("lattice_low_rank")?,
            multiply: kernel("lattice_low_rank_multiply")?,
            cuda: cuda.clone(),
            rank: rank as u32,
            distribution: number_of(distribution),
            shards,
            tables: None,
            terms: Terms::default(),
            of_rows: Terms::default(),
            types: PhantomData,
        })
    }
}

fn words(terms: &[IntegerTerm]) -> Result<Vec<u64>> {
    let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
    for IntegerTerm { of, multiplier } in terms {
        let scale = (of.coefficient as f32).to_bits();
        words.extend(factor_words(of)?);
        words.extend([u64::from(right_word(of)?) | u64::from(scale) << 32, u64::from(*multiplier as u32)]);
    }
    Ok(words)
}

impl<I: Lattice> LatticeLowRankBackend<I> for CudaLatticeLowRank<I> {
    fn step(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        outcome: Outcome,
        from: Option<&[View<'_, I>]>,
        to: &mut [ViewMut<'_, I>],
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let (few, many) = self.terms.bind(&cuda, words(terms)?, terms.len())?;
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let kind = if from.is_some() { Kind::Parameters } else { Kind::Itself };
        let others: Vec<u64> = from.unwrap_or_default().iter().map(|from| read(&cuda, from, &mut guards)).collect();
        let mut bound = Vec::with_capacity(to.len());
        for (position, to) in to.iter_mut().enumerate() {
            let to = written(&cuda, to, &mut guards);
            bound.push([others.get(position).copied().unwrap_or(to), to]);
        }
        let tables = Tiles::bind::<I, I>(&mut self.tables, &cuda, &self.shards, bound, kind)?;
        let Some(tables) = tables else { return Ok(()) };

        let (count, bytes_shift) = (terms.len() as u32, size_of::<I>().ilog2());
        let (threshold, limit) = match outcome {
            Outcome::Added => (0, 0),
            Outcome::Voted { threshold, limit } => (threshold, limit),
        };
        let mut launch = cuda.stream().launch_builder(&self.sum.function);
        launch.arg(&tables.tiles).arg(&tables.matrices).arg(&many).arg(&count).arg(&few).arg(&self.rank);
        launch.arg(&self.distribution).arg(&shift).arg(&bytes_shift).arg(&threshold).arg(&limit);
        // SAFETY: the contract of `lattice_low_rank` in src/cuda/mod.rs. The caller has checked lengths and devices, `check_memory`
        // overlap and alignment, when the tables were made for these addresses; the views are borrowed until the launch is
        // enqueued; as many terms as there are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(tables.count)) };
        cuda.explain(launched.map(drop), || launch_of(&self.sum.name, tables.count))
    }

    fn multiply(
        &mut self,
        terms: &[IntegerTerm],
        shift: u32,
        of: &Multiplication,
        x: &View<'_, i8>,
        y: &mut ViewMut<'_, i32>,
    ) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let (x, y) = (read(&cuda, x, &mut guards), written(&cuda, y, &mut guards));
        check_multiplication::<i8, i32>(of, terms.len(), x, y)?;
        if of.rows == 0 || of.outer == 0 {
            return Ok(());
        }
        let (few, many) = self.of_rows.bind(&cuda, words(terms)?, terms.len())?;
        let (product, blocks) = (Product::new(of, x, y), product_blocks(of, terms.len())?);
        let mut launch = cuda.stream().launch_builder(&self.multiply.function);
        launch.arg(&product).arg(&many).arg(&few).arg(&self.rank).arg(&self.distribution).arg(&shift);
        // SAFETY: the contract of `lattice_low_rank_multiply` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_multiplication` overlap and alignment; the views are borrowed until the launch is enqueued; as many terms as there
        // are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.multiply.name, blocks))
    }
}
