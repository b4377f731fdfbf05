//! Directions of Kronecker-factored preconditioners. Twin: `src/cpu/linalg/kron.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::tables::word;
use super::tiles::{TILE_ROWS, TILE_THREADS, tiles, unsupported};
use crate::backend::check_products;
use crate::cuda::address::{read, written};
use crate::cuda::transfer::{download, not_capturing, upload, uploaded, zeros};
use crate::cuda::{blocks_of, blocks_of_threads, launch_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};
use crate::memory::{MatRef, span};

/// Words of a row of the layer table. Twin of the struct in `kernels/linalg/kron_apply.cu`.
const LAYER: usize = 11;

/// The layers of a plan on a CUDA device.
pub(crate) struct CudaKron<T: Real> {
    cuda: Cuda,
    layers: Vec<Linear>,
    kernels: Kernels,
    items: CudaSlice<u64>,
    item_count: u32,
    table: CudaSlice<u64>,
    workspace: CudaSlice<T>,
    /// ⟨U, V⟩ of each item.
    sums: CudaSlice<f64>,
    /// κ and η.
    clip: CudaSlice<f64>,
    factor: CudaSlice<f64>,
    clips: bool,
    /// The table as it was uploaded last.
    rows: Vec<u64>,
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

impl<T: Real> CudaKron<T> {
    pub(crate) fn new(cuda: &Cuda, layers: Vec<Linear>) -> Result<Self> {
        if T::DTYPE == Dtype::F64 {
            return unsupported("directions of f64");
        }
        let module = modules::load(cuda, "kron_apply", &[8 * LAYER as u32, 16, TILE_THREADS, TILE_ROWS as u32])?;
        let kernel = |name| modules::function(cuda, &module, name);
        let of_layer = |(position, layer): (usize, &Linear)| tiles(position, layer.outputs, layer.columns());
        let items: Vec<u64> = layers.iter().enumerate().flat_map(of_layer).flatten().collect();
        let room = |layer: &Linear| between_stride(layer) * layer.columns().next_multiple_of(TILE_ROWS);
        let elements: usize = layers.iter().map(room).sum();
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
            table: zeros(cuda, (LAYER * layers.len()).max(1))?,
            workspace: zeros(cuda, elements.max(1))?,
            clip: zeros(cuda, 2)?,
            factor,
            clips: false,
            rows: Vec::new(),
            cuda: cuda.clone(),
            layers,
        })
    }

    /// Launches what a call needs. The table of layers holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        let cuda = &self.cuda;
        let tiles = blocks_of(self.item_count, TILE_THREADS);
        let explain = |launched: std::result::Result<_, _>, name: &str| {
            cuda.explain(launched, || launch_of_threads(name, self.item_count, TILE_THREADS)).map(drop)
        };
        if self.rows.chunks_exact(LAYER).any(|row| row[0] != 0) {
            let mut left = cuda.stream().launch_builder(&self.kernels.left);
            left.arg(&self.items).arg(&self.table).arg(&mut self.workspace);
            // SAFETY: the contract of `kron_left` in src/cuda/mod.rs: a block an item; the table's rows name what the caller
            // has borrowed and checked, and parts of the workspace that were allocated for them.
            explain(unsafe { left.launch(tiles) }, "kron_left_f32")?;
        }
        let mut right = cuda.stream().launch_builder(&self.kernels.right);
        right.arg(&self.items).arg(&self.table).arg(&self.workspace).arg(&mut self.sums);
        // SAFETY: as above; there is a sum for every item.
        explain(unsafe { right.launch(tiles) }, "kron_right_f32")?;
        if self.clips {
            let mut clip = cuda.stream().launch_builder(&self.kernels.clip);
            clip.arg(&self.sums).arg(&self.item_count).arg(&self.clip).arg(&mut self.factor);
            // SAFETY: the contract of `kron_clip`: the sums were written before on this stream.
            let launched = unsafe { clip.launch(blocks_of_threads(1)) };
            cuda.explain(launched, || launch_of("kron_clip", 1)).map(drop)?;
            let mut scale = cuda.stream().launch_builder(&self.kernels.scale);
            scale.arg(&self.items).arg(&self.table).arg(&self.factor);
            // SAFETY: as for `kron_left`.
            explain(unsafe { scale.launch(tiles) }, "kron_scale_f32")?;
        }
        Ok(())
    }
}

fn matrix_span<T: Real>(matrix: &MatRef<'_, T>) -> usize {
    span(matrix.rows(), matrix.columns(), matrix.stride()).unwrap_or(usize::MAX)
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
        let mut guards = Vec::new();
        let mut rows = Vec::with_capacity(LAYER * self.layers.len());
        let (mut read_spans, mut written_spans) = (Vec::new(), Vec::new());
        let mut between = 0;
        let arguments = self.layers.iter().zip(inverses).zip(gradients).zip(directions);
        for (position, (((layer, inverses), gradient), direction)) in arguments.enumerate() {
            let mut of_matrix = |matrix| {
                let address = read(&cuda, matrix, &mut guards);
                (position, address)
            };
            let mut spans = Vec::new();
            let left = inverses.left.as_ref().map(|left| {
                let (position, address) = of_matrix(&left.view);
                spans.push((position, address, matrix_span(left)));
                address
            });
            let right = of_matrix(&inverses.right.view).1;
            spans.push((position, right, matrix_span(&inverses.right)));
            let weight = of_matrix(&gradient.weight.view).1;
            spans.push((position, weight, matrix_span(&gradient.weight)));
            let bias = gradient.bias.as_ref().map(|bias| of_matrix(bias).1);
            spans.extend(bias.map(|bias| (position, bias, layer.outputs)));
            read_spans.extend(spans);
            let stride = direction.weight.stride();
            let length = span(layer.outputs, layer.inputs, stride).unwrap_or(usize::MAX);
            let to = written(&cuda, &mut direction.weight.view, &mut guards);
            written_spans.push((position, to, length));
            let to_bias = direction.bias.as_mut().map(|bias| written(&cuda, bias, &mut guards));
            written_spans.extend(to_bias.map(|bias| (position, bias, layer.outputs)));
            let left_stride = inverses.left.as_ref().map_or(0, MatRef::stride);
            rows.extend([
                left.unwrap_or(0),
                right,
                weight,
                bias.unwrap_or(0),
                to,
                to_bias.unwrap_or(0),
                between as u64,
            ]);
            rows.extend([
                word(layer.outputs, layer.inputs),
                word(left_stride, inverses.right.stride()),
                word(gradient.weight.stride(), stride),
                word(between_stride(layer), 0),
            ]);
            between += between_stride(layer) * layer.columns().next_multiple_of(TILE_ROWS);
        }
        check_products::<T, T>("argument of layer", &read_spans, "", &[], "direction", &written_spans)?;
        if rows != self.rows {
            not_capturing(&cuda, "a matrix has moved")?;
            self.rows.clear();
            upload(&cuda, &rows, &mut self.table, 0)?;
            self.rows = rows;
        }
        self.launch()
    }

    fn clip_factor(&self) -> Result<f64> {
        Ok(download(&self.cuda, &self.factor, 0, 1)?[0])
    }
}
