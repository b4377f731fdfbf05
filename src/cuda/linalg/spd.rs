//! Damped inverses of positive-definite blocks. Twin: `src/cpu/linalg/spd.rs`.

use std::ops::Range;

use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::tables::{self, Addresses, BLOCK, DAMPED, FINDINGS, ITEM, REPORT, TILES, word};
use super::tiles::{TILE_ROWS, TILE_THREADS};
use crate::backend::check_products;
use crate::cuda::address::{read, written};
use crate::cuda::transfer::{download, not_capturing, upload, zeros};
use crate::cuda::{THREADS, blocks_of, blocks_of_threads, launch_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Form, Job, Report, SpdBackend, SpdSettings, Symmetric};
use crate::memory::{MatMut, span};

/// A size class of blocks that are inverted in registers: a thread holds M×M elements.
struct Class {
    micro: usize,
    /// Threads' elements a side.
    side: usize,
    threads: u32,
}

const CLASSES_F32: &[Class] = &[
    Class { micro: 4, side: 8, threads: 64 },
    Class { micro: 8, side: 8, threads: 64 },
    Class { micro: 8, side: 16, threads: 160 },
    Class { micro: 8, side: 24, threads: 320 },
    Class { micro: 8, side: 31, threads: 512 },
];
const CLASSES_F64: &[Class] = &[
    Class { micro: 4, side: 8, threads: 64 },
    Class { micro: 4, side: 16, threads: 160 },
    Class { micro: 4, side: 24, threads: 320 },
    Class { micro: 4, side: 31, threads: 512 },
];

fn classes<T: Real>() -> &'static [Class] {
    if size_of::<T>() == 4 { CLASSES_F32 } else { CLASSES_F64 }
}

/// Rows of a tile of the larger blocks.
fn tile<T: Real>() -> usize {
    if size_of::<T>() == 4 { TILE_ROWS } else { TILE_ROWS / 2 }
}

/// Such blocks that a multiprocessor has registers for.
const AT_ONCE: usize = 6;

/// The blocks of a plan on a CUDA device.
pub(crate) struct CudaSpd<T: Real> {
    cuda: Cuda,
    jobs: Vec<Job>,
    settings: SpdSettings,
    prepare: CudaFunction,
    launches: Vec<Launch>,
    /// Rows of the block table, those of each launch together.
    order: CudaSlice<u32>,
    tiles: Option<Tiles<T>>,
    blocks: CudaSlice<u64>,
    lambdas: CudaSlice<f64>,
    firsts: CudaSlice<f64>,
    flags: CudaSlice<u32>,
    findings: CudaSlice<u64>,
    reports: CudaSlice<u64>,
    /// The block table as it was uploaded last.
    rows: Vec<u64>,
}

/// A launch for the blocks of a class.
struct Launch {
    kernel: CudaFunction,
    name: String,
    threads: u32,
    /// Of the rows in order.
    range: Range<usize>,
}

/// What the larger blocks need.
struct Tiles<T: Real> {
    kernel: CudaFunction,
    name: String,
    items: CudaSlice<u64>,
    item_count: u32,
    grid: u32,
    table: CudaSlice<u64>,
    workspace: CudaSlice<T>,
    partials: CudaSlice<f64>,
}

/// The tables of tiles, as they are built.
#[derive(Default)]
struct Layout {
    table: Vec<u64>,
    items: Vec<Vec<u64>>,
    elements: usize,
    flags: usize,
    partials: usize,
}

/// Tiles on and below the diagonal.
fn triangle(side: usize) -> usize {
    side * (side + 1) / 2
}

impl Layout {
    /// The tiles of a block, and its items, step by step: looked at, then column after column of L with the row of V that
    /// it completes, then the inverse.
    fn add<T: Real>(&mut self, block: usize, order: usize, retries: u32) {
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
            (0..j).for_each(|k| add(INVERT, j, k));
        }
        for i in 0..side {
            (0..=i).for_each(|j| add(INVERSE, i, j));
        }
        let own = items.len() / ITEM - side;
        let tile_elements = tile::<T>() * tile::<T>();
        let inverse = self.elements + triangle(side) * tile_elements;
        self.table.extend([self.elements as u64, inverse as u64]);
        self.table.extend([word(block, side), word(self.flags, own), word(self.partials, 1)]);
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

impl<T: Real> CudaSpd<T> {
    pub(crate) fn new(cuda: &Cuda, jobs: Vec<Job>, settings: SpdSettings) -> Result<Self> {
        let shared = [8 * BLOCK, 8 * REPORT, 8 * DAMPED, 8 * FINDINGS].map(|size| size as u32);
        let module = modules::load(cuda, "spd_inverse", &shared)?;
        let prepare = modules::function(cuda, &module, &format!("spd_prepare_{}", T::DTYPE))?;
        let mut order = Vec::new();
        let mut launches = Vec::new();
        let mut least = 0;
        for Class { micro, side, threads } in classes::<T>() {
            let most = micro * side;
            let start = order.len();
            let fits = |job: &Job| least < job.order && job.order <= most;
            order.extend((0..).zip(&jobs).filter(|(_, job)| fits(job)).map(|(position, _)| position));
            least = most;
            if order.len() > start {
                let name = format!("spd_inverse_{}_{micro}x{side}", T::DTYPE);
                let kernel = modules::function(cuda, &module, &name)?;
                launches.push(Launch { kernel, name, threads: *threads, range: start..order.len() });
            }
        }
        let mut layout = Layout { flags: 1, ..Layout::default() };
        let mut large: Vec<usize> = (0..jobs.len()).filter(|&position| jobs[position].order > least).collect();
        large.sort_by_key(|&position| std::cmp::Reverse(jobs[position].order));
        for position in large {
            layout.add::<T>(position, jobs[position].order, settings.retries);
        }
        let tiles = if layout.items.is_empty() { None } else { Some(Tiles::new(cuda, &layout, &shared)?) };
        let mut own = Self {
            cuda: cuda.clone(),
            prepare,
            launches,
            order: zeros(cuda, order.len().max(1))?,
            tiles,
            blocks: zeros(cuda, (BLOCK * jobs.len()).max(1))?,
            lambdas: zeros(cuda, jobs.len().max(1))?,
            firsts: zeros(cuda, (DAMPED * jobs.len()).max(1))?,
            flags: zeros(cuda, layout.flags)?,
            findings: zeros(cuda, (FINDINGS * layout.items.len()).max(1))?,
            reports: zeros(cuda, (REPORT * jobs.len()).max(1))?,
            rows: Vec::new(),
            jobs,
            settings,
        };
        upload(cuda, &order, &mut own.order, 0)?;
        Ok(own)
    }

    /// Launches all that a call needs. The table of blocks holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        let Self { cuda, settings, .. } = self;
        let SpdSettings { growth, tolerance, retries } = *settings;
        let count = self.jobs.len() as u32;
        let flag_count = self.flags.len() as u32;
        let finding_count = (self.findings.len() / FINDINGS) as u32;
        let blocks = count.div_ceil(THREADS / 32);
        let mut prepare = cuda.stream().launch_builder(&self.prepare);
        prepare.arg(&self.blocks).arg(&count).arg(&self.lambdas).arg(&mut self.firsts);
        prepare.arg(&mut self.flags).arg(&flag_count).arg(&mut self.findings).arg(&finding_count);
        // SAFETY: the contract of `spd_prepare` in src/cuda/mod.rs. The table has a row for each of `count` blocks, whose
        // sources the caller has borrowed and checked; the other arrays were allocated with a row for each.
        let launched = unsafe { prepare.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of("spd_prepare", blocks))?;

        for Launch { kernel, name, threads, range } in &self.launches {
            let jobs = self.order.slice(range.clone());
            let blocks = range.len() as u32;
            let mut invert = cuda.stream().launch_builder(kernel);
            invert.arg(&jobs).arg(&self.blocks).arg(&self.firsts);
            invert.arg(&growth).arg(&tolerance).arg(&retries).arg(&mut self.reports);
            // SAFETY: the contract of `spd_inverse` in src/cuda/mod.rs. There is one block a job; jobs are rows of the table
            // whose order is that of the class; the rest is as for `spd_prepare`, which ran before on this stream.
            let launched = unsafe { invert.launch(blocks_of(blocks, *threads)) };
            cuda.explain(launched.map(drop), || launch_of_threads(name, blocks, *threads))?;
        }
        if let Some(tiles) = &mut self.tiles {
            let mut work = cuda.stream().launch_builder(&tiles.kernel);
            work.arg(&tiles.items).arg(&tiles.item_count).arg(&tiles.table).arg(&self.blocks).arg(&self.firsts);
            work.arg(&growth).arg(&tolerance).arg(&retries).arg(&mut tiles.workspace).arg(&mut self.flags);
            work.arg(&mut tiles.partials).arg(&mut self.findings).arg(&mut self.reports);
            // SAFETY: the contract of `spd_tiles` in src/cuda/mod.rs. Items and the table of tiles were made by `Layout`, which
            // counted the elements, flags and partial results that they name; the rest is as above.
            let launched = unsafe { work.launch(blocks_of(tiles.grid, TILE_THREADS)) };
            cuda.explain(launched.map(drop), || launch_of_threads(&tiles.name, tiles.grid, TILE_THREADS))?;
        }
        Ok(())
    }
}

impl<T: Real> Tiles<T> {
    fn new(cuda: &Cuda, layout: &Layout, shared: &[u32]) -> Result<Self> {
        let own = [8 * TILES as u32, 8 * ITEM as u32, TILE_THREADS, tile::<f32>() as u32, tile::<f64>() as u32];
        let module = modules::load(cuda, "spd_tiles", &[shared, &own].concat())?;
        let name = format!("spd_tiles_{}", T::DTYPE);
        let kernel = modules::function(cuda, &module, &name)?;
        let processors = cuda.stream().context().attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        let processors = cuda.explain(processors, || "query of the multiprocessors".to_owned())?;
        let words = layout.interleaved();
        let item_count = words.len() / ITEM;
        let mut items = zeros(cuda, words.len())?;
        upload(cuda, &words, &mut items, 0)?;
        let mut table = zeros(cuda, layout.table.len())?;
        upload(cuda, &layout.table, &mut table, 0)?;
        Ok(Self {
            kernel,
            name,
            items,
            item_count: item_count as u32,
            grid: item_count.min(processors as usize * AT_ONCE) as u32,
            table,
            workspace: zeros(cuda, layout.elements)?,
            partials: zeros(cuda, layout.partials)?,
        })
    }
}

impl<T: Real> SpdBackend<T> for CudaSpd<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        not_capturing(&self.cuda, "the damping was changed")?;
        upload(&self.cuda, lambdas, &mut self.lambdas, 0)
    }

    fn invert(&mut self, sources: &[Symmetric<'_, T>], inverses: &mut [MatMut<'_, T>]) -> Result<()> {
        if self.jobs.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut guards = Vec::new();
        let mut rows = Vec::with_capacity(BLOCK * self.jobs.len());
        let (mut source_spans, mut inverse_spans) = (Vec::new(), Vec::new());
        for (position, ((job, source), inverse)) in self.jobs.iter().zip(sources).zip(inverses).enumerate() {
            let (core, length) = match &source.form {
                Form::Full(matrix) | Form::Lower(matrix) => {
                    (&matrix.view, span(matrix.rows(), matrix.columns(), matrix.stride()))
                }
                Form::Packed(view) => (view, Some(view.len())),
            };
            let core = read(&cuda, core, &mut guards);
            source_spans.push((position, core, length.unwrap_or(usize::MAX)));
            let border = source.border.as_ref().map(|view| read(&cuda, view, &mut guards));
            source_spans.extend(border.map(|border| (position, border, source.order())));
            let stride = inverse.stride();
            let length = span(job.order, job.order, stride).unwrap_or(usize::MAX);
            let inverse = written(&cuda, &mut inverse.view, &mut guards);
            inverse_spans.push((position, inverse, length));
            let addresses = Addresses { source: core, border: border.unwrap_or(0), inverse };
            rows.extend(tables::block(addresses, source, stride, job.partner));
        }
        check_products::<T, T>("source", &source_spans, "", &[], "inverse", &inverse_spans)?;
        if rows != self.rows {
            not_capturing(&cuda, "a matrix has moved")?;
            self.rows.clear();
            upload(&cuda, &rows, &mut self.blocks, 0)?;
            self.rows = rows;
        }
        self.launch()
    }

    fn reports(&self) -> Result<Vec<Report>> {
        let words: Vec<u64> = download(&self.cuda, &self.reports, 0, REPORT * self.jobs.len())?;
        Ok(words.as_chunks().0.iter().map(tables::report).collect())
    }
}
