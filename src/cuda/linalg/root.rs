//! Inverse roots. Twin: `src/cpu/linalg/root.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::plan::Plan;
use super::poly::{self, Listed, Place, Poly, Product, ROOT, ROOT_REPORT, Room, Step};
use super::products::{Items, lower_tiles};
use super::reduce::CudaReduce;
use super::tables::{self, word};
use super::tiles::TILE_THREADS;
use crate::cuda::modules;
use crate::cuda::transfer::{download, uploaded, zeros};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Reduction, RootBackend, RootBlock, RootReport, RootSettings, SpdSettings, Symmetric};
use crate::memory::MatMut;

/// The blocks of a plan on a CUDA device.
pub(crate) struct CudaRoot {
    plan: Plan,
    settings: RootSettings,
    load: CudaFunction,
    begin: CudaFunction,
    finish: CudaFunction,
    /// The norms of all blocks, then the largest eigenvalues of those with a relative damping.
    numbers: CudaReduce,
    poly: Poly,
    /// Launches of the first step, of odd and of even ones.
    launches: [Vec<usize>; 3],
    table: CudaSlice<u64>,
    items: Items,
    reports: CudaSlice<u64>,
}

/// A block's matrices in the workspace.
struct Places {
    /// M and X before even steps, and before odd ones.
    powers: [Place; 2],
    roots: [Place; 2],
    /// Powers of T.
    products: [Place; 2],
}

/// Lists the products of a step, in as many launches as the highest root needs; returns which launches they are.
fn list_step(listed: &mut Listed, blocks: &[RootBlock], places: &[Places], step: usize) -> Vec<usize> {
    let (now, next) = (step % 2, (step + 1) % 2);
    let product = |matrix: usize, factors, addend, to, coefficients| {
        Product::symmetric(matrix, blocks[matrix].order, factors, addend, to, coefficients)
    };
    let stages = |block: &RootBlock| block.root.ilog2() as usize;
    let mut launches = Vec::new();
    for stage in 0..=blocks.iter().map(stages).max().unwrap_or(0) {
        launches.push(listed.begin());
        for (matrix, (block, own)) in blocks.iter().zip(places).enumerate() {
            let p = f64::from(block.root);
            let one = 1.0 + 1.0 / p;
            let [m, m_next] = [own.powers[now], own.powers[next]];
            // The first X after the first one that is known.
            if stage == 0 && step > 0 {
                let x = own.roots[now];
                listed.add(&product(matrix, [x, m], x, own.roots[next], [-1.0 / p, one, 0.0]));
            }
            if stage > stages(block) {
                continue;
            }
            let is_watched = stage == stages(block);
            let last = own.products[(stage + 1) % 2];
            let to = if is_watched { m_next } else { own.products[stage % 2] };
            let (factors, coefficients) = match stage {
                0 if block.root == 1 => ([m; 2], [-1.0, 2.0, 0.0]),
                0 => ([m; 2], [1.0 / (p * p), -2.0 * one / p, one * one]),
                _ if is_watched => ([last, m], [1.0, 0.0, 0.0]),
                _ => ([last; 2], [1.0, 0.0, 0.0]),
            };
            listed.add(&Product { is_watched, ..product(matrix, factors, m, to, coefficients) });
        }
    }
    launches
}

impl CudaRoot {
    pub(crate) fn new<T: Real>(cuda: &Cuda, blocks: &[RootBlock], settings: RootSettings) -> Result<Self> {
        let norm = |block: &RootBlock| Reduction::Norm { rows: block.order, columns: block.order };
        let mut numbers: Vec<Reduction> = blocks.iter().map(norm).collect();
        let (mut room, mut listed) = (Room::default(), Listed::default());
        let (mut places, mut rows) = (Vec::with_capacity(blocks.len()), Vec::with_capacity(ROOT * blocks.len()));
        for block in blocks {
            let mut pair = || [room.matrix(block.order, block.order), room.matrix(block.order, block.order)];
            let own = Places { powers: pair(), roots: pair(), products: pair() };
            let largest = if block.relative_damping > 0.0 { numbers.len() } else { 0 };
            if block.relative_damping > 0.0 {
                let steps = settings.power_steps;
                numbers.push(Reduction::LargestEigenvalue { order: block.order, steps });
            }
            rows.extend(own.powers.iter().chain(&own.roots).map(|place| place.first as u64));
            rows.push(block.relative_damping.to_bits());
            rows.extend([word(own.powers[0].stride, block.root as usize), word(largest, 0)]);
            places.push(own);
        }
        let launches = [0, 1, 2].map(|step| list_step(&mut listed, blocks, &places, step));
        let job = |(partner, block): (usize, &RootBlock)| Job { order: block.order, partner };
        let jobs = blocks.iter().enumerate().map(job).collect();
        let ladder = SpdSettings { retries: 0, tolerance: settings.asymmetry, ..SpdSettings::default() };
        let errors = settings.steps as usize * blocks.len();
        let mut plan = Plan::new::<T>(cuda, jobs, ladder, errors.max(1), blocks.len())?;
        plan.set_damping(&blocks.iter().map(|block| block.damping).collect::<Vec<_>>())?;
        let mut numbers = CudaReduce::new::<T>(cuda, &numbers)?;
        let poly = Poly::new(cuda, listed, room)?;
        let of_block = |own: &Places| (poly.address(own.powers[0]), own.powers[0].stride);
        let relative = blocks.iter().zip(&places).filter(|(block, _)| block.relative_damping > 0.0);
        let operands = places.iter().chain(relative.map(|(_, own)| own));
        numbers.bind(operands.map(|own| (of_block(own), None)))?;
        let items = blocks.iter().enumerate().flat_map(|(position, block)| lower_tiles(position, block.order));
        let module = poly::module(cuda)?;
        let kernel = |name| modules::function(cuda, &module, name);
        Ok(Self {
            settings,
            load: kernel("root_load_f32")?,
            begin: kernel("root_begin_f32")?,
            finish: kernel("root_finish_f32")?,
            numbers,
            poly,
            launches,
            table: uploaded(cuda, &rows)?,
            items: Items::new(cuda, items, TILE_THREADS)?,
            reports: zeros(cuda, (ROOT_REPORT * blocks.len()).max(1))?,
            plan,
        })
    }

    /// Launches what a call needs. The table of blocks holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        self.plan.prepare()?;
        let cuda = self.plan.cuda.clone();
        let RootSettings { steps, asymmetry, .. } = self.settings;
        let (tolerance, acceptance) = (self.settings.tolerance as f32, self.settings.acceptance as f32);
        let matrices = self.plan.jobs.len() as u32;

        let mut load = cuda.stream().launch_builder(&self.load);
        load.arg(&self.items.words)
            .arg(&self.table)
            .arg(&self.plan.blocks.memory)
            .arg(&self.plan.firsts)
            .arg(&asymmetry);
        load.arg(&mut self.plan.findings).arg(&mut self.poly.workspace);
        // SAFETY: the contract of `root_load_f32` in src/cuda/mod.rs: a block an item; the table of blocks names what the
        // caller has borrowed and checked, that of roots places of the workspace that were made for them, and
        // `spd_prepare` ran before on this stream.
        self.items.explain(&cuda, unsafe { load.launch(self.items.grid()) }, "root_load_f32")?;
        self.numbers.launch(None)?;
        let mut begin = cuda.stream().launch_builder(&self.begin);
        begin.arg(&self.items.words).arg(&self.table).arg(&self.plan.blocks.memory).arg(&self.plan.firsts);
        begin.arg(&self.numbers.results).arg(&mut self.poly.workspace);
        // SAFETY: as above; the numbers were written before on this stream.
        self.items.explain(&cuda, unsafe { begin.launch(self.items.grid()) }, "root_begin_f32")?;
        for step in 0..steps {
            let launches = match step {
                0 => &self.launches[0],
                _ => &self.launches[if step % 2 == 1 { 1 } else { 2 }],
            };
            for &launch in launches {
                self.poly.launch(launch, Step { step, matrices, tolerance }, &mut self.plan.flags)?;
            }
        }
        let mut finish = cuda.stream().launch_builder(&self.finish);
        finish.arg(&self.items.words).arg(&self.table).arg(&self.plan.blocks.memory).arg(&self.plan.firsts);
        finish.arg(&self.numbers.results).arg(&self.plan.findings).arg(&self.plan.flags).arg(&matrices).arg(&steps);
        finish.arg(&tolerance).arg(&acceptance).arg(&self.poly.workspace).arg(&mut self.reports);
        // SAFETY: as above; there is an error for every step and block, and a report for every block.
        self.items.explain(&cuda, unsafe { finish.launch(self.items.grid()) }, "root_finish_f32")
    }
}

impl<T: Real> RootBackend<T> for CudaRoot {
    fn compute(&mut self, sources: &[Symmetric<'_, T>], roots: &mut [MatMut<'_, T>]) -> Result<()> {
        if self.plan.jobs.is_empty() {
            return Ok(());
        }
        let cuda = self.plan.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        self.plan.bind(&mut arguments, sources, roots)?;
        self.launch()
    }

    fn reports(&self) -> Result<Vec<RootReport>> {
        let words: Vec<u64> = download(&self.plan.cuda, &self.reports, 0, ROOT_REPORT * self.plan.jobs.len())?;
        Ok(words.as_chunks().0.iter().map(tables::root_report).collect())
    }
}
