//! Cholesky factors of positive-definite blocks, and solutions with them. Twin: `src/cpu/linalg/factor.rs`.

use cudarc::driver::{CudaFunction, PushKernelArg};

use super::arguments::Arguments;
use super::plan::Plan;
use super::tables::{SIDES, TILES, word};
use super::tiles::{Layout, TILE_THREADS, Tiles, Wanted, tile};
use crate::cuda::transfer::{Table, download};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{FactorBackend, Job, Report, SpdSettings, Symmetric};
use crate::memory::MatMut;

/// The blocks of a plan on a CUDA device.
pub(crate) struct CudaFactor<T: Real> {
    plan: Plan,
    /// `None` where there are no blocks.
    tiles: Option<Tiles<T>>,
    /// The blocks, as the rows of tiles stand.
    order: Vec<usize>,
    solve: CudaFunction,
    name: String,
    sides: Table,
}

impl<T: Real> CudaFactor<T> {
    pub(crate) fn new(cuda: &Cuda, jobs: Vec<Job>, settings: SpdSettings) -> Result<Self> {
        let tile_sizes = [TILE_THREADS, tile::<f32>() as u32, tile::<f64>() as u32];
        let row_sizes = [8 * TILES as u32, 8 * SIDES as u32];
        let module = modules::load(cuda, "spd_solve", &[&row_sizes[..], &tile_sizes].concat())?;
        let name = format!("spd_solve_{}", T::DTYPE);
        let solve = modules::function(cuda, &module, &name)?;
        let all: Vec<usize> = (0..jobs.len()).collect();
        let layout = Layout::new::<T>(&all, &jobs, &settings, Wanted::Factor);
        let tiles = if all.is_empty() { None } else { Some(Tiles::new(cuda, &layout)?) };
        Ok(Self {
            plan: Plan::new::<T>(cuda, jobs, settings, layout.flags, all.len())?,
            tiles,
            order: layout.order,
            solve,
            name,
            sides: Table::new(cuda, SIDES * all.len())?,
        })
    }
}

impl<T: Real> FactorBackend<T> for CudaFactor<T> {
    fn set_damping(&mut self, lambdas: &[f64]) -> Result<()> {
        self.plan.set_damping(lambdas)
    }

    fn factor(&mut self, sources: &[Symmetric<'_, T>]) -> Result<()> {
        let Some(tiles) = &mut self.tiles else { return Ok(()) };
        let cuda = self.plan.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        self.plan.bind(&mut arguments, sources, &mut [])?;
        self.plan.prepare()?;
        tiles.launch(&mut self.plan)
    }

    fn solve(&mut self, sides: &mut [MatMut<'_, T>]) -> Result<()> {
        let Some(tiles) = &self.tiles else { return Ok(()) };
        let cuda = self.plan.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut shapes = Vec::with_capacity(sides.len());
        for (position, side) in sides.iter_mut().enumerate() {
            let (rows, columns, stride) = (side.rows(), side.columns(), side.stride());
            let is_empty = columns == 0;
            let address =
                if is_empty { 0 } else { arguments.written_matrix("right-hand side of block", position, side) };
            shapes.push((address, rows, columns, stride));
        }
        arguments.check()?;

        let mut strips = 0;
        let mut table = Vec::with_capacity(SIDES * shapes.len());
        for &position in &self.order {
            let (address, rows, columns, stride) = shapes[position];
            table.extend([address, stride as u64, word(rows, columns), word(strips, 0)]);
            strips += columns.div_ceil(tile::<T>());
        }
        if strips == 0 {
            return Ok(());
        }
        self.sides.hold(&cuda, table, "a right-hand side has moved")?;
        let (strips, count) = (strips as u32, self.order.len() as u32);
        let mut solve = cuda.stream().launch_builder(&self.solve);
        solve.arg(&self.sides.memory).arg(&count).arg(&tiles.table).arg(&tiles.workspace).arg(&tiles.kept);
        // SAFETY: the contract of `spd_solve` in src/cuda/mod.rs. There is one block a strip; the rows of sides stand in the
        // order of the rows of tiles, `count` of both, and name matrices that the caller has borrowed and checked, with as many
        // rows as the block; workspace and `kept` are those of the tiles, which `spd_tiles` wrote before on this stream.
        let launched = unsafe { solve.launch(blocks_of(strips, TILE_THREADS)) };
        cuda.explain(launched.map(drop), || launch_of_threads(&self.name, strips, TILE_THREADS))
    }

    fn reports(&self) -> Result<Vec<Report>> {
        self.plan.reports()
    }

    fn are_kept(&self) -> Result<Vec<bool>> {
        let mut kept = vec![false; self.order.len()];
        if let Some(tiles) = &self.tiles {
            let words = download(&self.plan.cuda, &tiles.kept, 0, self.order.len())?;
            for (&position, word) in self.order.iter().zip(words) {
                kept[position] = word != 0_u32;
            }
        }
        Ok(kept)
    }
}
