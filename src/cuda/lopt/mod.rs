//! A learned optimizer on CUDA: five launches a step. Twin: `src/cpu/lopt`.

mod plan;

use cudarc::driver::{CudaSlice, LaunchConfig, PushKernelArg, SyncOnDrop};

use plan::{Plan, packed};

use crate::cuda::address::{own, read, written};
use crate::cuda::modules::Kernel;
use crate::cuda::transfer::{Table, download, not_capturing, upload, uploaded, zeros};
use crate::cuda::{blocks_of_threads, launch_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::{Element, Real};
use crate::error::Result;
use crate::lopt::arithmetic::{INPUTS, Scalars};
use crate::lopt::shape::{CHUNK, COLUMNS, LANES, SEGMENT, Shape};
use crate::lopt::{LoptBackend, Network, check_memory};
use crate::memory::{View, ViewMut};

/// Sums of squares over elements of each chunk, and over entries of each item of the tables.
const STATISTICS: usize = 22;
const MEANS: usize = 6;
/// Threads of a block of the last launch, and fewer for wide networks.
const APPLY_THREADS: [u32; 2] = [128, 64];
/// Bytes of shared memory that every device gives a block.
const SHARED: u32 = 48 << 10;
/// Bytes of a row of the tensor table.
const TENSOR: u32 = 112;

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaLopt<P: Element> {
    cuda: Cuda,
    kernels: Kernels,
    shapes: Vec<Shape>,
    plan: Plan,
    hidden: u32,
    network: CudaSlice<P::Real>,
    /// Moments, rows, columns, partial sums of squared gradients.
    memory: CudaSlice<P::Real>,
    /// Sums of squares of features over chunks, and over items of rows and columns.
    sums: CudaSlice<f64>,
    means: CudaSlice<f64>,
    inputs: CudaSlice<f64>,
    steps: CudaSlice<u64>,
    squares: CudaSlice<u64>,
    averages: CudaSlice<u64>,
    parts: CudaSlice<u64>,
    tensors: Table,
    /// What the table of tensors was made for.
    bound: Option<Vec<[u64; 2]>>,
}

struct Kernels {
    squares: Kernel,
    averages: Kernel,
    statistics: Kernel,
    normalisers: Kernel,
    apply: Kernel,
}

impl Kernels {
    fn new<T: Real>(cuda: &Cuda) -> Result<Self> {
        let sizes =
            [CHUNK, LANES as u64, SEGMENT, COLUMNS, STATISTICS as u64, plan::FIRST as u64].map(|size| size as u32);
        let layout = [&sizes[..], &[TENSOR, APPLY_THREADS[0], plan::GROUP as u32]].concat();
        let module = modules::load(cuda, "lopt", &layout)?;
        let kernel = |name: String| Kernel::of(cuda, &module, name);
        let of_type = |name: &str| kernel(format!("lopt_{name}_{}", T::DTYPE));
        Ok(Self {
            squares: of_type("squares")?,
            averages: of_type("averages")?,
            statistics: of_type("statistics")?,
            normalisers: kernel("lopt_normalisers".to_owned())?,
            apply: of_type("apply")?,
        })
    }
}

impl<P: Element> CudaLopt<P> {
    pub(crate) fn new(cuda: &Cuda, shapes: &[Shape], scalars: Scalars<P::Real>, network: &Network) -> Result<Self> {
        let plan = Plan::new(shapes);
        let mut this = Self {
            cuda: cuda.clone(),
            kernels: Kernels::new::<P::Real>(cuda)?,
            shapes: shapes.to_vec(),
            hidden: 0,
            network: zeros(cuda, plan::NETWORK)?,
            memory: zeros(cuda, plan.elements.max(1) as usize)?,
            sums: zeros(cuda, plan.part_count() * STATISTICS)?,
            means: zeros(cuda, (plan.averages.len() / 2).max(1) * MEANS)?,
            inputs: zeros(cuda, shapes.len().max(1) * (INPUTS + 1))?,
            steps: zeros(cuda, 1)?,
            squares: uploaded(cuda, &plan.squares)?,
            averages: uploaded(cuda, &plan.averages)?,
            parts: uploaded(cuda, &plan.parts)?,
            tensors: Table::new(cuda, shapes.len() * plan::TENSOR_WORDS)?,
            bound: None,
            plan,
        };
        LoptBackend::<P>::set(&mut this, scalars, network)?;
        Ok(this)
    }

    /// Brings the table of tensors up to date with the addresses of a call.
    fn bind(&mut self, bound: Vec<[u64; 2]>) -> Result<()> {
        if self.bound.as_ref() == Some(&bound) {
            return Ok(());
        }
        check_memory::<P>(&self.shapes, &bound)?;
        let words = self.plan.tensors::<P>(&bound, own(&self.cuda, &self.memory));
        self.tensors.hold(&self.cuda, words, "the addresses of tensors have changed")?;
        self.bound = Some(bound);
        Ok(())
    }

    /// The last launch: as many threads as there is shared memory for.
    fn apply_config(&self) -> LaunchConfig {
        let size = size_of::<P::Real>() as u32;
        let at_once = if size == 4 { 2 } else { 1 };
        let bytes = |threads: u32| self.hidden * (32 + at_once * threads) * size;
        let threads = APPLY_THREADS.into_iter().find(|threads| bytes(*threads) <= SHARED).unwrap_or(APPLY_THREADS[1]);
        let blocks = self.plan.part_count() as u32;
        LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: bytes(threads) }
    }
}

impl<P: Element> LoptBackend<P> for CudaLopt<P> {
    fn set(&mut self, scalars: Scalars<P::Real>, network: &Network) -> Result<()> {
        not_capturing(&self.cuda, "the network has changed")?;
        upload(&self.cuda, &packed(&scalars, network), &mut self.network, 0)?;
        self.hidden = network.hidden() as u32;
        Ok(())
    }

    fn step(&mut self, parameters: &mut [ViewMut<'_, P>], gradients: &[View<'_, P>]) -> Result<()> {
        let cuda = self.cuda.clone();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = Vec::with_capacity(gradients.len());
        for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
            bound.push([written(&cuda, parameter, &mut guards), read(&cuda, gradient, &mut guards)]);
        }
        self.bind(bound)?;

        let apply = self.apply_config();
        let blocks_of_items = |words: usize| (words > 0).then_some(words as u32);
        let launch = |kernel: &Kernel, blocks: u32, launched: std::result::Result<_, _>| {
            cuda.explain(launched.map(drop), || launch_of(&kernel.name, blocks))
        };
        let Kernels { squares, averages, statistics, normalisers, apply: last } = &self.kernels;
        if let Some(blocks) = blocks_of_items(self.plan.squares.len() / 3) {
            let mut builder = cuda.stream().launch_builder(&squares.function);
            builder.arg(&self.squares).arg(&self.tensors.memory);
            // SAFETY: the contract of `lopt_squares_<T>` in src/cuda/mod.rs. The caller has checked lengths and devices,
            // `check_memory` overlap and alignment, when the table was made for these addresses; the views are borrowed until the last
            // launch is enqueued. Items and places in the own memory are those of the plan, by which it was allocated.
            launch(squares, blocks, unsafe { builder.launch(blocks_of_threads(blocks)) })?;
        }
        if let Some(blocks) = blocks_of_items(self.plan.averages.len() / 2) {
            let mut builder = cuda.stream().launch_builder(&averages.function);
            builder.arg(&self.averages).arg(&self.tensors.memory).arg(&self.network).arg(&mut self.means);
            // SAFETY: the contract of `lopt_averages_<T>`, as above; `means` has 6 numbers for each item.
            launch(averages, blocks, unsafe { builder.launch(blocks_of_threads(blocks)) })?;
        }
        let blocks = self.plan.part_count() as u32;
        let mut builder = cuda.stream().launch_builder(&statistics.function);
        builder.arg(&self.parts).arg(&self.tensors.memory).arg(&self.network).arg(&mut self.sums);
        // SAFETY: the contract of `lopt_statistics_<T>`, as above; `sums` has 22 numbers for each part.
        launch(statistics, blocks, unsafe { builder.launch(blocks_of_threads(blocks)) })?;
        if let Some(blocks) = blocks_of_items(self.shapes.len()) {
            let mut builder = cuda.stream().launch_builder(&normalisers.function);
            builder.arg(&self.tensors.memory).arg(&self.sums).arg(&self.means).arg(&self.steps).arg(&mut self.inputs);
            // SAFETY: the contract of `lopt_normalisers`, as above; `inputs` has 40 numbers for each tensor.
            launch(normalisers, blocks, unsafe { builder.launch(blocks_of_threads(blocks)) })?;
        }
        let mut builder = cuda.stream().launch_builder(&last.function);
        builder.arg(&self.parts).arg(&self.tensors.memory).arg(&self.network).arg(&self.hidden);
        builder.arg(&self.inputs).arg(&mut self.steps);
        // SAFETY: the contract of `lopt_apply_<T>`, as above; `apply_config` gives it the shared memory that it asks for.
        let launched = unsafe { builder.launch(apply) };
        cuda.explain(launched.map(drop), || launch_of_threads(&last.name, blocks, apply.block_dim.0))
    }

    fn steps(&self) -> Result<u64> {
        Ok(download(&self.cuda, &self.steps, 0, 1)?[0])
    }

    fn set_steps(&mut self, steps: u64) -> Result<()> {
        not_capturing(&self.cuda, "a state is loaded")?;
        upload(&self.cuda, &[steps], &mut self.steps, 0)
    }

    fn read(&self, position: usize) -> Result<Vec<Vec<P::Real>>> {
        let kept = self.plan.kept(position, &self.shapes[position]).into_iter();
        kept.map(|(start, length)| download(&self.cuda, &self.memory, start, length)).collect()
    }

    fn write(&mut self, position: usize, arrays: &[Vec<P::Real>]) -> Result<()> {
        not_capturing(&self.cuda, "a state is loaded")?;
        let kept = self.plan.kept(position, &self.shapes[position]).into_iter();
        kept.zip(arrays).try_for_each(|((start, _), array)| upload(&self.cuda, array, &mut self.memory, start))
    }

    fn reset(&mut self) -> Result<()> {
        let cuda = &self.cuda;
        let cleared =
            cuda.stream().memset_zeros(&mut self.memory).and_then(|()| cuda.stream().memset_zeros(&mut self.steps));
        cuda.explain(cleared, || "clearing of the state".to_owned())
    }
}
