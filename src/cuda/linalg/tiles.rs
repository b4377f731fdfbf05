//! Work on tiles of positive-definite blocks: what `kernels/linalg/spd_tiles.cu` reads, and its launch.

use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::plan::{self, Plan};
use super::products::TILE_ROWS;
use super::tables::{ITEM, TILES, word};
use crate::cuda::transfer::{uploaded, zeros};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, SpdSettings};

/// Rows of a tile.
pub(super) fn tile<T: Real>() -> usize {
    if size_of::<T>() == 4 { TILE_ROWS } else { TILE_ROWS / 2 }
}

/// Threads of a block that works on tiles.
pub(super) const TILE_THREADS: u32 = 64;

/// Such blocks that a multiprocessor has registers for.
const AT_ONCE: usize = 6;

/// What is made of a block.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Wanted {
    Inverse,
    Factor,
    /// V = L⁻¹, which stays in the workspace.
    InverseFactor,
}

/// The tiles of blocks.
pub(super) struct Tiles<T: Real> {
    kernel: CudaFunction,
    name: String,
    items: CudaSlice<u64>,
    item_count: u32,
    grid: u32,
    pub(super) table: CudaSlice<u64>,
    pub(super) workspace: CudaSlice<T>,
    partials: CudaSlice<f64>,
    /// Which of two factors is kept of each block, 0 where none is.
    pub(super) kept: CudaSlice<u32>,
}

/// The tables of tiles, as they are built.
#[derive(Default)]
pub(super) struct Layout {
    /// The blocks, as the rows of tiles stand.
    pub(super) order: Vec<usize>,
    table: Vec<u64>,
    items: Vec<Vec<u64>>,
    elements: usize,
    pub(super) flags: usize,
    partials: usize,
}

/// Tiles on and below the diagonal.
fn triangle(side: usize) -> usize {
    side * (side + 1) / 2
}

impl Layout {
    /// The tiles of some of the blocks, the largest first.
    pub(super) fn new<T: Real>(blocks: &[usize], jobs: &[Job], settings: &SpdSettings, wanted: Wanted) -> Self {
        let mut own = Self { order: blocks.to_vec(), flags: 1, ..Self::default() };
        own.order.sort_by_key(|&block| std::cmp::Reverse(jobs[block].order));
        for block in own.order.clone() {
            own.add::<T>(block, jobs[block].order, settings.retries, wanted);
        }
        own
    }

    /// The tiles of a block, and its items, step by step: looked at, then column after column of L with the row of V that
    /// it completes, then the inverse.
    fn add<T: Real>(&mut self, block: usize, order: usize, retries: u32, wanted: Wanted) {
        const CHECK: usize = 0;
        const FACTOR: usize = 1;
        const INVERT: usize = 2;
        const INVERSE: usize = 3;
        let row = self.items.len();
        let side = order.div_ceil(tile::<T>());
        let mut items = Vec::new();
        let mut add = |kind: usize, i: usize, j: usize| items.extend([word(row, kind), word(i, j)]);
        (0..side).for_each(|i| add(CHECK, i, 0));
        for j in 0..side {
            (j..side).for_each(|i| add(FACTOR, i, j));
            if wanted != Wanted::Factor {
                (0..j).for_each(|k| add(INVERT, j, k));
            }
        }
        for i in (0..side).take_while(|_| wanted == Wanted::Inverse) {
            (0..=i).for_each(|j| add(INVERSE, i, j));
        }
        let own = items.len() / ITEM - side;
        let tile_elements = tile::<T>() * tile::<T>();
        let inverse = self.elements + triangle(side) * tile_elements;
        self.table.extend([self.elements as u64, inverse as u64]);
        let wants_inverse = usize::from(wanted != Wanted::Factor);
        self.table.extend([word(block, side), word(self.flags, own), word(self.partials, wants_inverse)]);
        self.elements = inverse + triangle(side) * tile_elements;
        self.flags += 2 * triangle(side) + retries as usize + 3;
        self.partials += 2 * side;
        self.items.push(items);
    }

    /// All items: one of each block by turns, so that their chains of tiles go on side by side.
    fn interleaved(&self) -> Vec<u64> {
        let longest = self.items.iter().map(Vec::len).max().unwrap_or(0);
        let turns = (0..longest).step_by(ITEM);
        let of_turn = |turn: usize| self.items.iter().filter_map(move |items| items.get(turn..turn + ITEM));
        turns.flat_map(of_turn).flatten().copied().collect()
    }
}

impl<T: Real> Tiles<T> {
    pub(super) fn new(cuda: &Cuda, layout: &Layout) -> Result<Self> {
        let own = [8 * TILES as u32, 8 * ITEM as u32, TILE_THREADS, tile::<f32>() as u32, tile::<f64>() as u32];
        let module = modules::load(cuda, "spd_tiles", &[&plan::sizes()[..], &own].concat())?;
        let name = format!("spd_tiles_{}", T::DTYPE);
        let kernel = modules::function(cuda, &module, &name)?;
        let processors = cuda.stream().context().attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        let processors = cuda.explain(processors, || "query of the multiprocessors".to_owned())?;
        let words = layout.interleaved();
        let item_count = words.len() / ITEM;
        Ok(Self {
            kernel,
            name,
            items: uploaded(cuda, &words)?,
            item_count: item_count as u32,
            grid: item_count.min(processors as usize * AT_ONCE) as u32,
            table: uploaded(cuda, &layout.table)?,
            workspace: zeros(cuda, layout.elements)?,
            partials: zeros(cuda, layout.partials)?,
            kept: zeros(cuda, layout.order.len())?,
        })
    }

    /// Launches the work on a plan's blocks, after what precedes.
    pub(super) fn launch(&mut self, plan: &mut Plan) -> Result<()> {
        let Plan { cuda, settings, blocks, firsts, flags, findings, reports, done, .. } = plan;
        let SpdSettings { growth, tolerance, retries } = *settings;
        let mut work = cuda.stream().launch_builder(&self.kernel);
        work.arg(&self.items).arg(&self.item_count).arg(&self.table).arg(&blocks.memory).arg(&*firsts);
        work.arg(&growth).arg(&tolerance).arg(&retries).arg(&mut self.workspace).arg(flags);
        work.arg(&mut self.partials).arg(findings).arg(reports).arg(&mut self.kept).arg(&*done);
        // SAFETY: the contract of `spd_tiles` in src/cuda/mod.rs. Items and the table of tiles were made by `Layout`, which
        // counted the elements, flags and partial results that they name, and `kept` has a word for each of its rows; the rest
        // is as for `spd_prepare`, which ran before on this stream.
        let launched = unsafe { work.launch(blocks_of(self.grid, TILE_THREADS)) };
        cuda.explain(launched.map(drop), || launch_of_threads(&self.name, self.grid, TILE_THREADS))
    }
}
