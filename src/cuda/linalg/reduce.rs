//! Numbers of matrices. Twin: `src/cpu/linalg/reduce.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::products::{Items, TILE_ROWS, tiles, unsupported};
use super::tables::{ITEM, word};
use super::tiles::TILE_THREADS;
use crate::cuda::transfer::{Table, zeros};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::linalg::{Operand, ReduceBackend, Reduction};
use crate::memory::ViewMut;

/// Words of a row of the table. Twin of the struct in `kernels/linalg/reduce.cu`.
const REDUCTION: usize = 7;
/// Threads of a block that takes a step of a power iteration, or adds partial sums.
const THREADS: u32 = 256;

/// Where an operand lies: its address, and elements from row to row.
pub(super) type Place = (u64, usize);

/// The reductions of a plan on a CUDA device.
pub(crate) struct CudaReduce {
    cuda: Cuda,
    list: Vec<Reduction>,
    kernels: Kernels,
    tiles: Items,
    strips: Items,
    /// Of the longest power iteration.
    steps: u32,
    table: Table,
    partials: CudaSlice<f64>,
    vectors: CudaSlice<f32>,
    /// Where results go that are the crate's own.
    pub(super) results: CudaSlice<f64>,
}

struct Kernels {
    tiles: CudaFunction,
    power: CudaFunction,
    sums: CudaFunction,
}

/// Partial sums of a reduction.
fn partials(reduction: &Reduction) -> usize {
    match *reduction {
        Reduction::Trace { order } | Reduction::LargestEigenvalue { order, .. } => order.div_ceil(TILE_ROWS),
        Reduction::Inner { rows, columns } | Reduction::Norm { rows, columns } => {
            rows.div_ceil(TILE_ROWS) * columns.div_ceil(TILE_ROWS)
        }
    }
}

impl CudaReduce {
    pub(crate) fn new<T: Real>(cuda: &Cuda, list: &[Reduction]) -> Result<Self> {
        if T::DTYPE == Dtype::F64 {
            return unsupported("reductions of f64");
        }
        let layout = [8 * REDUCTION as u32, 8 * ITEM as u32, TILE_THREADS, TILE_ROWS as u32, THREADS, THREADS];
        let module = modules::load(cuda, "reduce", &layout)?;
        let kernel = |name| modules::function(cuda, &module, name);
        let (mut of_tiles, mut of_strips) = (Vec::new(), Vec::new());
        let (mut elements, mut sums, mut steps) = (0, 0, 0);
        for (position, reduction) in list.iter().enumerate() {
            let (rows, columns) = reduction.shape();
            let down = || (0..rows.div_ceil(TILE_ROWS)).map(move |i| [word(position, i), word(i, 0)]);
            sums += partials(reduction);
            match *reduction {
                Reduction::Trace { .. } => of_tiles.extend(down()),
                Reduction::LargestEigenvalue { order, steps: own } => {
                    of_strips.extend(down());
                    sums += partials(reduction);
                    elements += 2 * order;
                    steps = steps.max(own);
                }
                Reduction::Inner { .. } | Reduction::Norm { .. } => of_tiles.extend(tiles(position, rows, columns)),
            }
        }
        Ok(Self {
            kernels: Kernels {
                tiles: kernel("reduce_tiles_f32")?,
                power: kernel("reduce_power_f32")?,
                sums: kernel("reduce_sums")?,
            },
            tiles: Items::new(cuda, of_tiles.into_iter(), TILE_THREADS)?,
            strips: Items::new(cuda, of_strips.into_iter(), THREADS)?,
            steps,
            table: Table::new(cuda, REDUCTION * list.len())?,
            partials: zeros(cuda, sums.max(1))?,
            vectors: zeros(cuda, elements.max(1))?,
            results: zeros(cuda, list.len().max(1))?,
            cuda: cuda.clone(),
            list: list.to_vec(),
        })
    }

    /// Names the operands of the next launch: of each reduction one, and another for an inner product.
    pub(super) fn bind(&mut self, operands: impl Iterator<Item = (Place, Option<Place>)>) -> Result<()> {
        let mut rows = Vec::with_capacity(REDUCTION * self.list.len());
        let (mut first, mut vectors) = (0, 0);
        for (reduction, (left, right)) in self.list.iter().zip(operands) {
            let (kind, copies, steps) = match *reduction {
                Reduction::Trace { .. } => (0, 1, 0),
                Reduction::Inner { .. } => (1, 1, 0),
                Reduction::Norm { .. } => (2, 1, 0),
                Reduction::LargestEigenvalue { steps, .. } => (3, 2, steps as usize),
            };
            let count = partials(reduction);
            let (height, columns) = reduction.shape();
            let (right, right_stride) = right.unwrap_or((0, 0));
            rows.extend([left.0, right, vectors as u64]);
            rows.extend([word(height, columns), word(left.1, right_stride), word(kind, steps), word(first, count)]);
            first += copies * count;
            vectors += if copies == 2 { 2 * columns } else { 0 };
        }
        self.table.hold(&self.cuda, rows, "a matrix has moved")
    }

    /// Launches all reductions, of operands that were named; to the address of as many f64, or to the object's own.
    pub(super) fn launch(&mut self, to: Option<u64>) -> Result<()> {
        let Self { cuda, kernels, tiles, strips, table, partials, vectors, .. } = self;
        if !tiles.is_empty() {
            let mut work = cuda.stream().launch_builder(&kernels.tiles);
            work.arg(&tiles.words).arg(&table.memory).arg(&mut *partials);
            // SAFETY: the contract of `reduce_tiles_f32` in src/cuda/mod.rs: a block an item; the table's rows name what the
            // caller has borrowed and checked, and partial sums that were allocated for them.
            tiles.explain(cuda, unsafe { work.launch(tiles.grid()) }, "reduce_tiles_f32")?;
        }
        for step in 0..self.steps {
            let mut work = cuda.stream().launch_builder(&kernels.power);
            work.arg(&strips.words).arg(&table.memory).arg(&step).arg(&mut *vectors).arg(&mut *partials);
            // SAFETY: as above, and rows name vectors that were allocated for them; the steps before ran on this stream.
            strips.explain(cuda, unsafe { work.launch(strips.grid()) }, "reduce_power_f32")?;
        }
        let mut sums = cuda.stream().launch_builder(&kernels.sums);
        sums.arg(&table.memory).arg(&*partials);
        match &to {
            Some(address) => sums.arg(address),
            None => sums.arg(&mut self.results),
        };
        let count = self.list.len() as u32;
        // SAFETY: the contract of `reduce_sums`: a block a row of the table, whose partial sums were written before on this
        // stream; there is room for a result of each.
        let launched = unsafe { sums.launch(blocks_of(count, THREADS)) };
        cuda.explain(launched, || launch_of_threads("reduce_sums", count, THREADS)).map(drop)
    }
}

impl<T: Real> ReduceBackend<T> for CudaReduce {
    fn reduce(&mut self, operands: &[Operand<'_, T>], results: &mut ViewMut<'_, f64>) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut places = Vec::with_capacity(operands.len());
        for (position, operand) in operands.iter().enumerate() {
            let mut own = operand
                .matrices()
                .map(|matrix| (arguments.read_matrix("operand of reduction", position, matrix), matrix.stride()));
            places.push((own.next().expect("an operand"), own.next()));
        }
        let to = arguments.written("results", 0, results);
        arguments.check()?;
        self.bind(places.into_iter())?;
        self.launch(Some(to))
    }
}
