//! Directions of Kronecker-factored preconditioners. Twin: `src/cpu/linalg/kron.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::products::{TILE_ROWS, tiles, unsupported};
use super::tables::word;
use super::tiles::TILE_THREADS;
use crate::cuda::transfer::{Table, download, not_capturing, upload, uploaded, zeros};
use crate::cuda::{blocks_of, blocks_of_threads, launch_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};
use crate::memory::MatRef;

/// Words of a row of the layer table. Twin of the struct in `kernels/linalg/kron_apply.cu`.
const LAYER: usize = 11;

/// The layers of a plan on a CUDA device.
pub(crate) struct CudaKron<T: Real> {
    cuda: Cuda,
    layers: Vec<Linear>,
    kernels: Kernels,
    items: CudaSlice<u64>,
    item_count: u32,
    table: Table,
    workspace: CudaSlice<T>,
    /// ⟨U, V⟩ of each item.
    sums: CudaSlice<f64>,
    /// κ and η.
    clip: CudaSlice<f64>,
    factor: CudaSlice<f64>,
    clips: bool,
}

struct Kernels {
    left: CudaFunction,
    right: CudaFunction,
    clip: CudaFunction,
    scale: CudaFunction,
}

/// Elements from column to column of `G⁻¹·V`: whole tiles.
fn between_stride(layer: &Linear) -> usize {
    layer.outputs.next_multiple_of(TILE_ROWS)
}

/// Elements of `G⁻¹·V`.
fn between_elements(layer: &Linear) -> usize {
    between_stride(layer) * layer.columns().next_multiple_of(TILE_ROWS)
}

impl<T: Real> CudaKron<T> {
    pub(crate) fn new(cuda: &Cuda, layers: Vec<Linear>) -> Result<Self> {
        if T::DTYPE == Dtype::F64 {
            return unsupported("directions of f64");
        }
        let module = modules::load(cuda, "kron_apply", &[8 * LAYER as u32, 16, TILE_THREADS, TILE_ROWS as u32])?;
        let kernel = |name| modules::function(cuda, &module, name);
        let of_layer = |(position, layer): (usize, &Linear)| tiles(position, layer.outputs, layer.columns());
        let items: Vec<u64> = layers.iter().enumerate().flat_map(of_layer).flatten().collect();
        let elements: usize = layers.iter().map(between_elements).sum();
        let mut factor = zeros(cuda, 1)?;
        upload(cuda, &[1.0], &mut factor, 0)?;
        Ok(Self {
            kernels: Kernels {
                left: kernel("kron_left_f32")?,
                right: kernel("kron_right_f32")?,
                clip: kernel("kron_clip")?,
                scale: kernel("kron_scale_f32")?,
            },
            item_count: (items.len() / 2) as u32,
            sums: zeros(cuda, (items.len() / 2).max(1))?,
            items: uploaded(cuda, &items)?,
            table: Table::new(cuda, LAYER * layers.len())?,
            workspace: zeros(cuda, elements.max(1))?,
            clip: zeros(cuda, 2)?,
            factor,
            clips: false,
            cuda: cuda.clone(),
            layers,
        })
    }

    /// Launches what a call needs, some layer of which has `G⁻¹` or none. The table of layers holds for the arguments.
    fn launch(&mut self, has_left: bool) -> Result<()> {
        let cuda = &self.cuda;
        let tiles = blocks_of(self.item_count, TILE_THREADS);
        let explain = |launched: std::result::Result<_, _>, name: &str| {
            cuda.explain(launched, || launch_of_threads(name, self.item_count, TILE_THREADS)).map(drop)
        };
        if has_left {
            let mut left = cuda.stream().launch_builder(&self.kernels.left);
            left.arg(&self.items).arg(&self.table.memory).arg(&mut self.workspace);
            // SAFETY: the contract of `kron_left` in src/cuda/mod.rs: a block an item; the table's rows name what the caller
            // has borrowed and checked, and parts of the workspace that were allocated for them.
            explain(unsafe { left.launch(tiles) }, "kron_left_f32")?;
        }
        let mut right = cuda.stream().launch_builder(&self.kernels.right);
        right.arg(&self.items).arg(&self.table.memory).arg(&self.workspace).arg(&mut self.sums);
        // SAFETY: as above; there is a sum for every item.
        explain(unsafe { right.launch(tiles) }, "kron_right_f32")?;
        if self.clips {
            let mut clip = cuda.stream().launch_builder(&self.kernels.clip);
            clip.arg(&self.sums).arg(&self.item_count).arg(&self.clip).arg(&mut self.factor);
            // SAFETY: the contract of `kron_clip`: the sums were written before on this stream.
            let launched = unsafe { clip.launch(blocks_of_threads(1)) };
            cuda.explain(launched, || launch_of("kron_clip", 1)).map(drop)?;
            let mut scale = cuda.stream().launch_builder(&self.kernels.scale);
            scale.arg(&self.items).arg(&self.table.memory).arg(&self.factor);
            // SAFETY: as for `kron_left`.
            explain(unsafe { scale.launch(tiles) }, "kron_scale_f32")?;
        }
        Ok(())
    }
}

impl<T: Real> KronBackend<T> for CudaKron<T> {
    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        not_capturing(&self.cuda, "the clip was changed")?;
        self.clips = clip.is_some();
        match clip {
            Some(KlClip { kappa, lr }) => upload(&self.cuda, &[kappa, lr], &mut self.clip, 0),
            None => upload(&self.cuda, &[1.0], &mut self.factor, 0),
        }
    }

    fn apply(
        &mut self,
        inverses: &[Inverses<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut rows = Vec::with_capacity(LAYER * self.layers.len());
        let mut between = 0;
        let of_layers = self.layers.iter().zip(inverses).zip(gradients).zip(directions);
        for (position, (((layer, inverses), gradient), direction)) in of_layers.enumerate() {
            const READ: &str = "argument of layer";
            const WRITTEN: &str = "direction";
            let Inverses { left, right } = inverses;
            let gradient_stride = gradient.weight.stride();
            let direction_stride = direction.weight.stride();
            rows.extend([
                left.as_ref().map_or(0, |left| arguments.read_matrix(READ, position, left)),
                arguments.read_matrix(READ, position, right),
                arguments.read_matrix(READ, position, &gradient.weight),
                gradient.bias.as_ref().map_or(0, |bias| arguments.read(READ, position, bias)),
                arguments.written_matrix(WRITTEN, position, &mut direction.weight),
                direction.bias.as_mut().map_or(0, |bias| arguments.written(WRITTEN, position, bias)),
                between as u64,
                word(layer.outputs, layer.inputs),
                word(left.as_ref().map_or(0, MatRef::stride), right.stride()),
                word(gradient_stride, direction_stride),
                word(between_stride(layer), 0),
            ]);
            between += between_elements(layer);
        }
        arguments.check()?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        self.launch(inverses.iter().any(|inverses| inverses.left.is_some()))
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(download(&self.cuda, &self.factor, 0, 1)?[0])
    }
}
