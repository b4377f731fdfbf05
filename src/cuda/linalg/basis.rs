//! Refreshed eigenbases. Twin: `src/cpu/linalg/basis.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::plan::Plan;
use super::poly::{Listed, Place, Poly, Product, Room, Step};
use super::products::{Items, TILE_ROWS, tiles};
use super::tables::{self, Addresses, BLOCK, EIGH_REPORT, ITEM, REPORT, TILES, word};
use super::tiles::{Layout, TILE_THREADS, Tiles, Wanted};
use crate::cuda::modules;
use crate::cuda::transfer::{Table, download, zeros};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{BasisBackend, EighReport, Job, SpdSettings, Symmetric};
use crate::memory::{MatMut, ViewMut};

/// Words of a row of the table of bases. Twin of the struct in `kernels/linalg/basis.cu`.
const BASIS: usize = 11;
/// Threads of a block that works on columns.
const COLUMN_THREADS: u32 = 256;
/// Rounds of Cholesky's QR algorithm.
const ROUNDS: usize = 3;
/// How a round is damped where its pivots ask for it: from the machine's epsilon to 1, of a diagonal of 1.
const ROUND: SpdSettings = SpdSettings { retries: 8, growth: 10.0, tolerance: 1.0 };

/// The matrices of a plan on a CUDA device.
pub(crate) struct CudaBasis {
    /// Of the sources, and of the S of a round.
    plan: Plan,
    round: Plan,
    kernels: Kernels,
    /// `None` where there are no matrices.
    tiles: Option<Tiles<f32>>,
    poly: Poly,
    places: Vec<Places>,
    /// A·Q, then of even and of odd rounds S and the next Y.
    of_source: usize,
    of_rounds: [[usize; 2]; 2],
    table: Table,
    whole: Items,
    lower: Items,
    strips: Items,
    ranked: Items,
    quotients: CudaSlice<f64>,
    scales: CudaSlice<f32>,
    ranks: CudaSlice<u32>,
    columns: CudaSlice<u32>,
    failed: CudaSlice<u32>,
    reports: CudaSlice<u64>,
}

struct Kernels {
    load: CudaFunction,
    columns: CudaFunction,
    ranks: CudaFunction,
    scale: CudaFunction,
    unpack: CudaFunction,
    store: CudaFunction,
}

/// A matrix's places in the workspace.
struct Places {
    order: usize,
    matrix: Place,
    old: Place,
    product: Place,
    columns: [Place; 2],
    turned: [Place; 2],
    square: Place,
    factor: Place,
    /// The first of its columns among those of all.
    first: usize,
}

impl Places {
    fn new(order: usize, first: usize, room: &mut Room) -> Self {
        let mut square = || room.matrix(order, order);
        Self {
            order,
            matrix: square(),
            old: square(),
            product: square(),
            columns: [square(), square()],
            turned: [square(), square()],
            square: square(),
            factor: square(),
            first,
        }
    }

    /// `Y·Vᵀ`, a product for every 64 columns: those of Vᵀ end at its diagonal.
    fn next(&self, listed: &mut Listed, matrix: usize, now: usize) {
        let next = 1 - now;
        for left in (0..self.order).step_by(TILE_ROWS) {
            let from = |place: Place| Place { first: place.first + left, ..place };
            let turned = self.turned[next];
            listed.add(&Product {
                factors: [self.turned[now], from(self.factor)],
                depth: self.order.min(left + TILE_ROWS),
                addend: self.columns[now],
                to: from(self.columns[next]),
                transposed: Some(Place { first: turned.first + left * turned.stride, ..turned }),
                shape: [self.order, self.order.min(left + TILE_ROWS) - left],
                coefficients: [1.0, 0.0, 0.0],
                is_symmetric: false,
                is_watched: false,
                matrix,
            });
        }
    }
}

impl CudaBasis {
    pub(crate) fn new<T: Real>(cuda: &Cuda, orders: &[usize], tolerance: f64) -> Result<Self> {
        if T::DTYPE == crate::element::Dtype::F64 {
            return super::products::unsupported("refreshed bases of f64");
        }
        let (mut room, mut listed) = (Room::default(), Listed::default());
        let mut first = 0;
        let mut places = Vec::with_capacity(orders.len());
        for &order in orders {
            places.push(Places::new(order, first, &mut room));
            first += order;
        }
        let of_source = listed.begin();
        for (matrix, own) in places.iter().enumerate() {
            let factors = [own.matrix, own.old];
            let product = Product::symmetric(matrix, own.order, factors, own.product, own.product, [1.0, 0.0, 0.0]);
            listed.add(&Product { is_symmetric: false, transposed: None, ..product });
        }
        let of_rounds = [0, 1].map(|now| {
            let of_square = listed.begin();
            for (matrix, own) in places.iter().enumerate() {
                let factors = [own.columns[now]; 2];
                let coefficients = [1.0, 0.0, 0.0];
                listed.add(&Product::symmetric(matrix, own.order, factors, own.square, own.square, coefficients));
            }
            let of_next = listed.begin();
            places.iter().enumerate().for_each(|(matrix, own)| own.next(&mut listed, matrix, now));
            [of_square, of_next]
        });
        let poly = Poly::new(cuda, listed, room)?;

        let job = |(partner, &order): (usize, &usize)| Job { order, partner };
        let jobs: Vec<Job> = orders.iter().enumerate().map(job).collect();
        let all: Vec<usize> = (0..orders.len()).collect();
        let layout = Layout::new::<f32>(&all, &jobs, &ROUND, Wanted::InverseFactor);
        let tiles_of_round = if all.is_empty() { None } else { Some(Tiles::new(cuda, &layout)?) };
        let source = SpdSettings { retries: 0, tolerance, ..SpdSettings::default() };
        let mut round = Plan::new::<f32>(cuda, jobs.clone(), ROUND, layout.flags, all.len())?;
        let row = |(position, own): (usize, &Places)| {
            let lower = 1;
            let address = poly.address(own.square);
            [address, 0, 0, word(own.order, own.order), word(own.square.stride, 0), word(lower, position)]
        };
        let rows: Vec<[u64; BLOCK]> = places.iter().enumerate().map(row).collect();
        round.blocks.hold(cuda, rows.as_flattened().to_vec(), "a plan was made")?;

        let of_tiles = |(row, &position): (usize, &usize)| {
            let side = orders[position].div_ceil(TILE_ROWS);
            (0..side).flat_map(move |i| (0..=i).map(move |j| [word(position, i), word(j, row)]))
        };
        let strips = |width: usize| {
            let of_matrix = move |(position, order): (usize, &usize)| {
                (0..order.div_ceil(width)).map(move |j| [word(position, 0), word(j, 0)])
            };
            orders.iter().enumerate().flat_map(of_matrix)
        };
        let squares = orders.iter().enumerate().flat_map(|(position, order)| tiles(position, *order, *order));
        let sizes = [8 * BASIS, 8 * ITEM, 8 * EIGH_REPORT, 8 * BLOCK, 8 * TILES, 8 * REPORT].map(|size| size as u32);
        let module = modules::load(cuda, "basis", &[&sizes[..], &[TILE_THREADS, COLUMN_THREADS]].concat())?;
        let kernel = |name| modules::function(cuda, &module, name);
        let count = orders.len().max(1);
        let columns: usize = orders.iter().sum::<usize>().max(1);
        Ok(Self {
            plan: Plan::new::<f32>(cuda, jobs, source, 1, all.len())?,
            round,
            kernels: Kernels {
                load: kernel("basis_load_f32")?,
                columns: kernel("basis_columns_f32")?,
                ranks: kernel("basis_ranks")?,
                scale: kernel("basis_scale_f32")?,
                unpack: kernel("basis_unpack_f32")?,
                store: kernel("basis_store_f32")?,
            },
            tiles: tiles_of_round,
            poly,
            places,
            of_source,
            of_rounds,
            table: Table::new(cuda, BASIS * orders.len())?,
            whole: Items::new(cuda, squares, TILE_THREADS)?,
            lower: Items::new(cuda, layout.order.iter().enumerate().flat_map(of_tiles), TILE_THREADS)?,
            strips: Items::new(cuda, strips(TILE_ROWS), COLUMN_THREADS)?,
            ranked: Items::new(cuda, strips(COLUMN_THREADS as usize), COLUMN_THREADS)?,
            quotients: zeros(cuda, columns)?,
            scales: zeros(cuda, columns)?,
            ranks: zeros(cuda, columns)?,
            columns: uploaded_columns(cuda, orders, columns)?,
            failed: zeros(cuda, count)?,
            reports: zeros(cuda, EIGH_REPORT * count)?,
        })
    }

    /// Launches what a call needs. The tables hold for the arguments.
    fn launch(&mut self) -> Result<()> {
        const NOBODY: Step = Step { step: 0, matrices: 0, tolerance: 0.0 };
        let Self { plan, round, kernels, poly, table, whole, lower, strips, ranked, .. } = self;
        let Some(tiles) = &mut self.tiles else { return Ok(()) };
        let cuda = plan.cuda.clone();
        plan.prepare()?;
        let tolerance = plan.settings.tolerance;
        let mut load = cuda.stream().launch_builder(&kernels.load);
        load.arg(&whole.words).arg(&table.memory).arg(&plan.blocks.memory).arg(&plan.firsts).arg(&tolerance);
        load.arg(&mut plan.findings).arg(&mut poly.workspace);
        // SAFETY: the contract of `basis_load_f32` in src/cuda/mod.rs: a block an item; the tables name what the caller has
        // borrowed and checked, and places of the workspace that were made for them; `spd_prepare` ran before on this stream.
        whole.explain(&cuda, unsafe { load.launch(whole.grid()) }, "basis_load_f32")?;
        // Nobody watches these products.
        poly.launch(self.of_source, NOBODY, &mut self.failed)?;
        let mut columns = cuda.stream().launch_builder(&kernels.columns);
        columns.arg(&strips.words).arg(&table.memory).arg(&plan.firsts).arg(&poly.workspace);
        columns.arg(&mut self.quotients).arg(&mut self.scales);
        // SAFETY: as above; there is a quotient and a scale for every column.
        strips.explain(&cuda, unsafe { columns.launch(strips.grid()) }, "basis_columns_f32")?;
        let mut ranks = cuda.stream().launch_builder(&kernels.ranks);
        ranks.arg(&ranked.words).arg(&table.memory).arg(&self.quotients).arg(&mut self.ranks);
        // SAFETY: as above; there is a rank for every column.
        ranked.explain(&cuda, unsafe { ranks.launch(ranked.grid()) }, "basis_ranks")?;
        let mut scale = cuda.stream().launch_builder(&kernels.scale);
        scale.arg(&whole.words).arg(&table.memory).arg(&plan.firsts).arg(&self.scales).arg(&self.ranks);
        scale.arg(&mut poly.workspace);
        // SAFETY: as above; the ranks of a matrix' columns are its columns in some order.
        whole.explain(&cuda, unsafe { scale.launch(whole.grid()) }, "basis_scale_f32")?;
        for turn in 0..ROUNDS {
            let [of_square, of_next] = self.of_rounds[turn % 2];
            poly.launch(of_square, NOBODY, &mut self.failed)?;
            round.prepare()?;
            tiles.launch(round)?;
            let (is_first, is_last) = (u32::from(turn == 0), u32::from(turn + 1 == ROUNDS));
            let mut unpack = cuda.stream().launch_builder(&kernels.unpack);
            unpack.arg(&lower.words).arg(&table.memory).arg(&tiles.table).arg(&tiles.workspace).arg(&round.reports);
            unpack.arg(&is_first).arg(&is_last).arg(&mut self.failed).arg(&mut poly.workspace);
            // SAFETY: as above; items name the tiles on and below the diagonal and the row of each matrix in the table of tiles,
            // which were made before on this stream.
            lower.explain(&cuda, unsafe { unpack.launch(lower.grid()) }, "basis_unpack_f32")?;
            poly.launch(of_next, NOBODY, &mut self.failed)?;
        }
        let mut store = cuda.stream().launch_builder(&kernels.store);
        store.arg(&whole.words).arg(&table.memory).arg(&plan.blocks.memory).arg(&plan.findings).arg(&self.failed);
        store.arg(&poly.workspace).arg(&self.quotients).arg(&self.ranks).arg(&mut self.columns).arg(&mut self.reports);
        // SAFETY: as for `basis_load_f32`; there is a report for every matrix.
        whole.explain(&cuda, unsafe { store.launch(whole.grid()) }, "basis_store_f32")
    }
}

/// Columns of all matrices as they stand at first.
fn uploaded_columns(cuda: &Cuda, orders: &[usize], count: usize) -> Result<CudaSlice<u32>> {
    let columns: Vec<u32> = orders.iter().flat_map(|order| 0..*order as u32).collect();
    let mut to = zeros(cuda, count)?;
    crate::cuda::transfer::upload(cuda, &columns, &mut to, 0)?;
    Ok(to)
}

impl<T: Real> BasisBackend<T> for CudaBasis {
    fn refresh(
        &mut self,
        sources: &[Symmetric<'_, T>],
        bases: &mut [MatMut<'_, T>],
        quotients: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        let cuda = self.plan.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut rows = Vec::with_capacity(BASIS * self.places.len());
        let mut blocks = Vec::with_capacity(BLOCK * self.places.len());
        for (position, (source, (basis, quotients))) in sources.iter().zip(bases.iter_mut().zip(quotients)).enumerate()
        {
            let own = &self.places[position];
            let [core, border] = arguments.read_symmetric(position, source);
            let addresses = Addresses { source: core, border, inverse: 0 };
            blocks.extend(tables::block(addresses, source, 0, position));
            let stride = basis.stride();
            rows.extend([
                arguments.written_matrix("basis", position, basis),
                arguments.written("quotients", position, quotients),
            ]);
            let result = own.columns[ROUNDS % 2];
            let all = [own.matrix, own.old, own.product, own.columns[0], own.turned[0], own.factor, result];
            rows.extend(all.map(|place| place.first as u64));
            rows.extend([word(own.order, own.matrix.stride), word(stride, own.first)]);
        }
        arguments.check()?;
        self.plan.blocks.hold(&cuda, blocks, "a matrix has moved")?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        self.launch()
    }

    fn reports(&self) -> Result<Vec<EighReport>> {
        let words: Vec<u64> = download(&self.plan.cuda, &self.reports, 0, EIGH_REPORT * self.places.len())?;
        Ok(words.as_chunks().0.iter().map(tables::eigh_report).collect())
    }

    fn columns(&self) -> Result<Vec<Vec<u32>>> {
        let count = self.places.iter().map(|own| own.order).sum();
        let all = download(&self.plan.cuda, &self.columns, 0, count)?;
        Ok(self.places.iter().map(|own| all[own.first..][..own.order].to_vec()).collect())
    }
}
