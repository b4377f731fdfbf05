//! Moving averages of Gram matrices. Twin: `src/cpu/linalg/syrk.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::products::{Items, TILE_ROWS, lower_tiles, unsupported};
use super::tables::{ITEM, word};
use super::tiles::TILE_THREADS;
use crate::cuda::transfer::{Table, upload, zeros};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element};
use crate::error::Result;
use crate::linalg::{Gram, Inputs, RowsFrom, SyrkBackend};
use crate::memory::ViewMut;

/// Words of a row of the factor table. Twin of the struct in `kernels/linalg/syrk_ema.cu`.
const FACTOR: usize = 15;

/// The factors of a plan on a CUDA device.
pub(crate) struct CudaSyrk {
    cuda: Cuda,
    grams: Vec<Gram>,
    begin: CudaFunction,
    update: CudaFunction,
    name: String,
    items: Items,
    table: Table,
    counts: CudaSlice<f64>,
    shares: CudaSlice<f64>,
}

impl CudaSyrk {
    pub(crate) fn new<E: Element>(cuda: &Cuda, grams: Vec<Gram>) -> Result<Self> {
        if E::DTYPE == Dtype::F64 {
            return unsupported("factors of f64");
        }
        let module =
            modules::load(cuda, "syrk_ema", &[8 * FACTOR as u32, 8 * ITEM as u32, TILE_THREADS, TILE_ROWS as u32])?;
        let name = format!("syrk_ema_{}", E::DTYPE);
        let items = grams.iter().enumerate().flat_map(|(factor, gram)| lower_tiles(factor, gram.order()));
        let counts: Vec<f64> = grams.iter().map(|gram| gram.count).collect();
        let mut own = Self {
            begin: modules::function(cuda, &module, "syrk_begin")?,
            update: modules::function(cuda, &module, &name)?,
            name,
            items: Items::new(cuda, items, TILE_THREADS)?,
            table: Table::new(cuda, FACTOR * grams.len())?,
            counts: zeros(cuda, grams.len().max(1))?,
            shares: zeros(cuda, grams.len().max(1))?,
            cuda: cuda.clone(),
            grams,
        };
        upload(cuda, &counts, &mut own.counts, 0)?;
        Ok(own)
    }
}

/// A factor's row of the table.
fn row<E: Element>(gram: &Gram, inputs: &Inputs<'_, E>, addresses: [u64; 3]) -> [u64; FACTOR] {
    let rows = inputs.all_rows() / inputs.positions;
    let (stride, shape, sides) = match &inputs.from {
        RowsFrom::Rows(matrix) => (matrix.stride(), [0; 5], [[0; 2]; 4]),
        RowsFrom::Patches { convolution, .. } => {
            let ([height, width], [down, right]) = (convolution.size, convolution.results().unwrap_or([1, 1]));
            let shape = [convolution.channels, height, width, right, down];
            let sides = [convolution.kernel, convolution.stride, convolution.padding, convolution.dilation];
            (0, shape, sides)
        }
    };
    let is_patches = usize::from(matches!(inputs.from, RowsFrom::Patches { .. }));
    let [channels, height, width, out_width, out_height] = shape;
    let [kernel, step, padding, dilation] = sides;
    // From the kernel on, pairs stand at odd places of 32 bits.
    let halves =
        [out_height, kernel[0], kernel[1], step[0], step[1], padding[0], padding[1], dilation[0], dilation[1], 0];
    let pair = |k: usize| word(halves[2 * k], halves[2 * k + 1]);
    [
        addresses[0],
        addresses[1],
        addresses[2],
        word(rows, gram.features),
        word(stride, inputs.positions),
        word(usize::from(gram.bias), is_patches),
        inputs.scale.to_bits(),
        gram.beta.to_bits(),
        word(channels, height),
        word(width, out_width),
        pair(0),
        pair(1),
        pair(2),
        pair(3),
        pair(4),
    ]
}

impl<E: Element> SyrkBackend<E> for CudaSyrk {
    fn update(&mut self, inputs: &[Inputs<'_, E>], factors: &mut [ViewMut<'_, E::Real>]) -> Result<()> {
        if self.grams.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut rows = Vec::with_capacity(FACTOR * self.grams.len());
        for (position, ((gram, inputs), factor)) in self.grams.iter().zip(inputs).zip(factors).enumerate() {
            let from = match &inputs.from {
                RowsFrom::Rows(matrix) => arguments.read_matrix("inputs", position, matrix),
                RowsFrom::Patches { images, .. } => arguments.read("inputs", position, images),
            };
            let weights = inputs.weights.as_ref().map_or(0, |view| arguments.read("weights", position, view));
            let to = arguments.written("factor", position, factor);
            rows.extend(row(gram, inputs, [from, weights, to]));
        }
        arguments.check()?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;

        let count = self.grams.len() as u32;
        let blocks = count.div_ceil(THREADS);
        let mut begin = cuda.stream().launch_builder(&self.begin);
        begin.arg(&self.table.memory).arg(&count).arg(&mut self.counts).arg(&mut self.shares);
        // SAFETY: the contract of `syrk_begin` in src/cuda/mod.rs: all arrays have a row for each of `count` factors.
        let launched = unsafe { begin.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of("syrk_begin", blocks))?;

        let mut update = cuda.stream().launch_builder(&self.update);
        update.arg(&self.items.words).arg(&self.table.memory).arg(&self.shares);
        // SAFETY: the contract of `syrk_ema` in src/cuda/mod.rs: a block an item; the table's rows name what the caller has
        // borrowed and checked, and the shares were written before on this stream.
        self.items.explain(&cuda, unsafe { update.launch(self.items.grid()) }, &self.name)
    }
}
