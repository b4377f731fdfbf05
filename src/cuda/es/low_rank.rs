//! Sums of noises of low rank, added to matrices or alone: one launch. Twin: `src/cpu/es/low_rank.rs`.

use std::marker::PhantomData;

use cudarc::driver::{DeviceRepr, PushKernelArg, SyncOnDrop};

use super::terms::{FEW, TERM, Terms};
use super::tiles::{TILE_COLUMNS, TILE_ROWS, Tiles};
use crate::cuda::address::{read, written};
use crate::cuda::modules::Kernel;
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element, Real};
use crate::error::{Error, Result};
use crate::es::{
    Distribution, FactoredTerm, LowRankBackend, MOST_RANK, Multiplication, SIDE_SHIFT, Shard, Side, Source,
    check_multiplication,
};
use crate::memory::{View, ViewMut};

/// Rows that a block multiplies, and partial sums of a product.
pub(super) const ROWS: u64 = 16;
const LANES: u32 = 128;

/// Rows and a noise that they are multiplied by, as the kernels take them.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Product([u64; 8]);

impl Product {
    pub(super) fn new(of: &Multiplication, x: u64, y: u64) -> Self {
        let Multiplication { id, rows, inner, outer, first_inner, first_outer, inner_side } = *of;
        let is_right = u64::from(inner_side == Side::Right);
        Self([x, y, rows, inner, outer, first_inner, first_outer, id | is_right << 32])
    }
}

/// Blocks that multiply the rows of so many terms. Errors: more than a launch has.
pub(super) fn product_blocks(of: &Multiplication, terms: usize) -> Result<u32> {
    let blocks = terms as u64 * of.rows.div_ceil(ROWS);
    match i32::try_from(blocks) {
        Ok(blocks) => Ok(blocks as u32),
        Err(_) => {
            Err(Error::setting("low-rank noise", format!("{blocks} groups of {ROWS} rows are too many for a launch")))
        }
    }
}

/// What kernels that draw factors call a distribution: `kernels/es/term.cuh`.
pub(super) fn number_of(distribution: Distribution) -> u32 {
    match distribution {
        Distribution::Normal => 0,
        Distribution::Rademacher => 1,
        Distribution::Uniform => 2,
        Distribution::Hadamard => 3,
    }
}

/// The seed of a term's factors, and words 1 and 3 of the counter of element 0 of A.
pub(super) fn factor_words(term: &FactoredTerm) -> Result<[u64; 2]> {
    let [field, _, step] = term.address(Side::Left, 0)?.fields();
    Ok([term.seed, u64::from(field) | u64::from(step) << 32])
}

/// Word 3 of the counter of B.
pub(super) fn right_word(term: &FactoredTerm) -> Result<u32> {
    let [_, _, step] = term.address(Side::Right, 0)?.fields();
    Ok(step)
}

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
    tables: Option<Tiles>,
    terms: Terms,
    /// Those of products.
    of_rows: Terms,
    types: PhantomData<(P, Q)>,
}

impl<P: Element<Real = Q::Real>, Q: Element> CudaLowRank<P, Q> {
    pub(crate) fn new(cuda: &Cuda, distribution: Distribution, rank: usize, shards: Vec<Shard>) -> Result<Self> {
        let layout = [TILE_ROWS as u32, TILE_COLUMNS as u32, THREADS, FEW as u32, SIDE_SHIFT];
        let module = modules::load(cuda, "low_rank", &layout)?;
        let sum = Kernel::of(cuda, &module, format!("low_rank_{}_{}", P::DTYPE, Q::DTYPE))?;
        let layout = [ROWS as u32, MOST_RANK as u32, LANES, THREADS, FEW as u32, SIDE_SHIFT];
        let module = modules::load(cuda, "low_rank_multiply", &layout)?;
        let multiply = Kernel::of(cuda, &module, format!("low_rank_multiply_{}", P::DTYPE))?;
        let distribution = number_of(distribution);
        let rank = rank as u32;
        let (tables, terms, of_rows, types) = (None, Terms::default(), Terms::default(), PhantomData);
        Ok(Self { cuda: cuda.clone(), sum, multiply, rank, distribution, shards, tables, terms, of_rows, types })
    }
}

/// The words of terms whose numbers are `T`.
fn words<T: Real>(terms: &[FactoredTerm]) -> Result<Vec<u64>> {
    let mut words = Vec::with_capacity(TERM * terms.len().max(FEW));
    for term in terms {
        let right_step = right_word(term)?;
        words.extend(factor_words(term)?);
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
        let tables = Tiles::bind::<P, Q>(&mut self.tables, &cuda, &self.shards, bound, kind)?;
        let Some(tables) = tables else { return Ok(()) };
        let count = terms.len() as u32;
        let mut launch = cuda.stream().launch_builder(&self.sum.function);
        launch.arg(&tables.tiles).arg(&tables.matrices).arg(&many).arg(&count).arg(&few);
        launch.arg(&self.rank).arg(&self.distribution);
        // SAFETY: the contract of `low_rank_<from>_<to>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_memory` overlap and alignment, when the tables were made for these addresses; the views are borrowed until the
        // launch is enqueued; as many terms as there are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(tables.count)) };
        cuda.explain(launched.map(drop), || launch_of(&self.sum.name, tables.count))
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
        check_multiplication::<P, P>(of, terms.len(), x, y)?;
        if of.rows == 0 || of.outer == 0 {
            return Ok(());
        }
        let (few, many) = self.of_rows.bind(&cuda, words::<P::Real>(terms)?, terms.len())?;
        let product = Product::new(of, x, y);
        let blocks = product_blocks(of, terms.len())?;
        let mut launch = cuda.stream().launch_builder(&self.multiply.function);
        launch.arg(&product).arg(&many).arg(&few).arg(&self.rank).arg(&self.distribution);
        // SAFETY: the contract of `low_rank_multiply_<type>` in src/cuda/mod.rs. The caller has checked lengths and devices,
        // `check_multiplication` overlap and alignment; the views are borrowed until the launch is enqueued; as many terms as there
        // are were bound, in the one place or the other.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.multiply.name, blocks))
    }
}
