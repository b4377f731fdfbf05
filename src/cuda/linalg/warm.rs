//! Inverses that begin from previous ones. Twin: `src/cpu/linalg/warm.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, DevicePtr, PushKernelArg};

use super::plan::Plan;
use super::poly::{Listed, Place, Poly, Product, Room, Step};
use super::products::{Items, TILE_ROWS, lower_tiles};
use super::reduce::CudaReduce;
use super::tables::{BLOCK, DAMPED, ITEM, REPORT};
use super::tiles::TILE_THREADS;
use crate::cuda::transfer::{uploaded, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{Job, Reduction, WarmStart};

/// Words of a row of the table of blocks. Twin of the struct in `kernels/linalg/spd_warm.cu`.
const WARM: usize = 4;

/// What precedes the inversion of a plan's blocks.
pub(super) struct CudaWarm {
    settings: WarmStart,
    load: CudaFunction,
    verdict: CudaFunction,
    store: CudaFunction,
    /// The norms of all A·X, then their traces.
    numbers: CudaReduce,
    poly: Poly,
    /// Before even steps and before odd ones: A·X, then the next X.
    launches: [[usize; 2]; 2],
    table: CudaSlice<u64>,
    items: Items,
    /// As f32: whether a block goes on.
    states: CudaSlice<u32>,
    residuals: CudaSlice<f64>,
    done: CudaSlice<u32>,
}

/// A block's matrices in the workspace: A, X before even steps and before odd ones, A·X.
struct Places {
    matrix: Place,
    inverses: [Place; 2],
    product: Place,
}

impl CudaWarm {
    pub(super) fn new<T: Real>(plan: &mut Plan, settings: WarmStart) -> Result<Self> {
        let cuda = plan.cuda.clone();
        let jobs = &plan.jobs;
        let reduction = |of: fn(usize) -> Reduction| jobs.iter().map(move |job: &Job| of(job.order));
        let norms = reduction(|order| Reduction::Norm { rows: order, columns: order });
        let numbers: Vec<Reduction> = norms.chain(reduction(|order| Reduction::Trace { order })).collect();
        let mut numbers = CudaReduce::new::<T>(&cuda, &numbers)?;
        let (mut room, mut listed) = (Room::default(), Listed::default());
        let mut square = |order| room.matrix(order, order);
        let place = |Job { order, .. }: &Job| Places {
            matrix: square(*order),
            inverses: [square(*order), square(*order)],
            product: square(*order),
        };
        let places: Vec<Places> = jobs.iter().map(place).collect();
        let launches = [0, 1].map(|now: usize| {
            let of_product = listed.begin();
            for (matrix, (Job { order, .. }, own)) in jobs.iter().zip(&places).enumerate() {
                let factors = [own.matrix, own.inverses[now]];
                let product = Product::symmetric(matrix, *order, factors, own.product, own.product, [1.0, 0.0, 0.0]);
                listed.add(&Product { is_symmetric: false, transposed: None, ..product });
            }
            let of_next = listed.begin();
            for (matrix, (Job { order, .. }, own)) in jobs.iter().zip(&places).enumerate() {
                let (x, next) = (own.inverses[now], own.inverses[1 - now]);
                listed.add(&Product::symmetric(matrix, *order, [x, own.product], x, next, [-1.0, 2.0, 0.0]));
            }
            [of_product, of_next]
        });
        let poly = Poly::new(&cuda, listed, room)?;
        let products = || places.iter().map(|own| ((poly.address(own.product), own.product.stride), None));
        numbers.bind(products().chain(products()))?;
        let row = |own: &Places| {
            [own.matrix.first, own.inverses[0].first, own.inverses[1].first, own.matrix.stride].map(|x| x as u64)
        };
        let rows: Vec<[u64; WARM]> = places.iter().map(row).collect();
        let items = jobs.iter().enumerate().flat_map(|(position, job)| lower_tiles(position, job.order));
        let sizes = [BLOCK, REPORT, DAMPED, ITEM, WARM].map(|words| 8 * words as u32);
        let module = modules::load(&cuda, "spd_warm", &[&sizes[..], &[TILE_THREADS, TILE_ROWS as u32]].concat())?;
        let kernel = |name| modules::function(&cuda, &module, name);
        let count = jobs.len().max(1);
        let done = zeros(&cuda, count)?;
        plan.done = done.device_ptr(cuda.stream()).0;
        Ok(Self {
            settings,
            load: kernel("warm_load_f32")?,
            verdict: kernel("warm_verdict")?,
            store: kernel("warm_store_f32")?,
            numbers,
            poly,
            launches,
            table: uploaded(&cuda, rows.as_flattened())?,
            items: Items::new(&cuda, items, TILE_THREADS)?,
            states: zeros(&cuda, count)?,
            residuals: zeros(&cuda, count)?,
            done,
        })
    }

    /// Launches what precedes, after the plan's own preparation: what it certifies is written, reported and marked as done.
    pub(super) fn launch(&mut self, plan: &mut Plan) -> Result<()> {
        let cuda = plan.cuda.clone();
        let WarmStart { steps, tolerance } = self.settings;
        let mut load = cuda.stream().launch_builder(&self.load);
        load.arg(&self.items.words)
            .arg(&self.table)
            .arg(&plan.blocks.memory)
            .arg(&plan.firsts)
            .arg(&plan.settings.tolerance);
        load.arg(&mut self.poly.workspace);
        // SAFETY: the contract of `warm_load_f32` in src/cuda/mod.rs: a block an item; the plan's table names what the caller
        // has borrowed and checked, the own one places of the workspace that were made for it, and `spd_prepare` ran before
        // on this stream.
        self.items.explain(&cuda, unsafe { load.launch(self.items.grid()) }, "warm_load_f32")?;
        let count = plan.jobs.len() as u32;
        let groups = count.div_ceil(THREADS);
        for step in 0..=steps {
            let [product, next] = self.launches[step as usize % 2];
            // From the second on, a block's state is that of the verdict before.
            let gate = |step: u32| Step { step: step.min(1), matrices: count, tolerance: 0.5 };
            self.poly.launch(product, gate(step), &mut self.states)?;
            self.numbers.launch(None)?;
            let mut verdict = cuda.stream().launch_builder(&self.verdict);
            verdict.arg(&plan.blocks.memory).arg(&plan.firsts).arg(&count).arg(&step).arg(&steps).arg(&tolerance);
            verdict.arg(&self.numbers.results).arg(&mut self.states).arg(&mut self.residuals).arg(&mut self.done);
            verdict.arg(&mut plan.reports);
            // SAFETY: the contract of `warm_verdict`: all arrays have a row for each of `count` blocks, the numbers two; they
            // were written before on this stream.
            let launched = unsafe { verdict.launch(blocks_of_threads(groups)) };
            cuda.explain(launched.map(drop), || launch_of("warm_verdict", groups))?;
            if step < steps {
                self.poly.launch(next, gate(1), &mut self.states)?;
            }
        }
        let mut store = cuda.stream().launch_builder(&self.store);
        store
            .arg(&self.items.words)
            .arg(&self.table)
            .arg(&plan.blocks.memory)
            .arg(&self.done)
            .arg(&self.poly.workspace);
        // SAFETY: as for `warm_load_f32`.
        self.items.explain(&cuda, unsafe { store.launch(self.items.grid()) }, "warm_store_f32")
    }
}
