//! What directions of layers share: their products by tiles, and the clip.

use cudarc::driver::{CudaFunction, CudaSlice, CudaView, PushKernelArg};

use super::arguments::Arguments;
use super::products::{Items, TILE_ROWS, tiles};
use super::tables::{ITEM, word};
use super::tiles::TILE_THREADS;
use crate::cuda::address::own;
use crate::cuda::transfer::{download, not_capturing, upload, zeros};
use crate::cuda::{blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{KlClip, LayerDirection, LayerGradient, Linear};

/// Words of a row of the layer table. Twin of the struct in `kernels/linalg/kron.cuh`.
pub(super) const LAYER: usize = 11;

/// A row of the layer table. Addresses are 0 where there is nothing.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// The factors, each with its stride.
    pub(super) left: (u64, usize),
    pub(super) right: (u64, usize),
    /// Whole, or without the bias where that has an address.
    pub(super) gradient: (u64, usize),
    pub(super) bias_gradient: u64,
    pub(super) direction: (u64, usize),
    pub(super) bias_direction: u64,
    /// Element of the workspace where the first product begins.
    pub(super) between: usize,
}

impl Row {
    pub(super) fn words(&self, layer: &Linear) -> [u64; LAYER] {
        [
            self.left.0,
            self.right.0,
            self.gradient.0,
            self.bias_gradient,
            self.direction.0,
            self.bias_direction,
            self.between as u64,
            word(layer.outputs, layer.inputs),
            word(self.left.1, self.right.1),
            word(self.gradient.1, self.direction.1),
            word(filled(layer.outputs), layer.columns()),
        ]
    }
}

/// What messages call arguments.
pub(super) const READ: &str = "argument of layer";

/// The address of a layer's gradient, and that of its bias.
pub(super) fn read_gradient<'a, T: Real>(
    arguments: &mut Arguments<'a>,
    position: usize,
    gradient: &'a LayerGradient<'_, T>,
) -> [u64; 2] {
    let weight = arguments.read_matrix(READ, position, &gradient.weight);
    [weight, gradient.bias.as_ref().map_or(0, |bias| arguments.read(READ, position, bias))]
}

/// The address of a layer's direction, and that of its bias.
pub(super) fn written_direction<'a, T: Real>(
    arguments: &mut Arguments<'a>,
    position: usize,
    direction: &'a mut LayerDirection<'_, T>,
) -> [u64; 2] {
    const WRITTEN: &str = "direction";
    let weight = arguments.written_matrix(WRITTEN, position, &mut direction.weight);
    [weight, direction.bias.as_mut().map_or(0, |bias| arguments.written(WRITTEN, position, bias))]
}

/// Rows or columns, filled up to whole tiles.
pub(super) fn filled(length: usize) -> usize {
    length.next_multiple_of(TILE_ROWS)
}

/// Elements of a product, filled up to whole tiles.
pub(super) fn product_elements(layer: &Linear) -> usize {
    filled(layer.outputs) * filled(layer.columns())
}

/// The tiles of a list of layers, the kernels of `kernels/linalg/kron_apply.cu` on them, and the KL clip.
pub(super) struct Tiles {
    cuda: Cuda,
    left: CudaFunction,
    right: CudaFunction,
    clip: CudaFunction,
    scale: CudaFunction,
    pub(super) items: Items,
    /// ⟨U, V⟩ of each item.
    sums: CudaSlice<f64>,
    sums_address: u64,
    /// κ and η.
    clip_values: CudaSlice<f64>,
    factor: CudaSlice<f64>,
    clips: bool,
}

impl Tiles {
    pub(super) fn new(cuda: &Cuda, layers: &[Linear]) -> Result<Self> {
        let layout = [8 * LAYER as u32, 8 * ITEM as u32, TILE_THREADS, TILE_ROWS as u32];
        let module = modules::load(cuda, "kron_apply", &layout)?;
        let kernel = |name| modules::function(cuda, &module, name);
        let of_layer = |(position, layer): (usize, &Linear)| tiles(position, layer.outputs, layer.columns());
        let items = Items::new(cuda, layers.iter().enumerate().flat_map(of_layer), TILE_THREADS)?;
        let mut factor = zeros(cuda, 1)?;
        upload(cuda, &[1.0], &mut factor, 0)?;
        let sums: CudaSlice<f64> = zeros(cuda, (items.count() as usize).max(1))?;
        Ok(Self {
            left: kernel("kron_left_f32")?,
            right: kernel("kron_right_f32")?,
            clip: kernel("kron_clip")?,
            scale: kernel("kron_scale_f32")?,
            sums_address: own(cuda, &sums),
            sums,
            items,
            clip_values: zeros(cuda, 2)?,
            factor,
            clips: false,
            cuda: cuda.clone(),
        })
    }

    pub(super) fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        not_capturing(&self.cuda, "the clip was changed")?;
        self.clips = clip.is_some();
        match clip {
            Some(KlClip { kappa, lr }) => upload(&self.cuda, &[kappa, lr], &mut self.clip_values, 0),
            None => upload(&self.cuda, &[1.0], &mut self.factor, 0),
        }
    }

    /// `ν`. The host waits.
    pub(super) fn clip_factor(&self) -> Result<f64> {
        Ok(download(&self.cuda, &self.factor, 0, 1)?[0])
    }

    /// The address of the sums where somebody asks for them, else 0.
    pub(super) fn sums(&self) -> u64 {
        if self.clips { self.sums_address } else { 0 }
    }

    /// Launches the product of the left factors with the gradients, of layers that have one.
    pub(super) fn left<T: Real>(&self, table: &CudaView<'_, u64>, workspace: &mut CudaSlice<T>) -> Result<()> {
        let mut left = self.cuda.stream().launch_builder(&self.left);
        left.arg(&self.items.words).arg(table).arg(workspace);
        // SAFETY: the contract of `kron_left` in src/cuda/mod.rs: a block an item; the table's rows name what the caller has
        // borrowed and checked, or parts of the workspace that were allocated for them.
        self.items.explain(&self.cuda, unsafe { left.launch(self.items.grid()) }, "kron_left_f32")
    }

    /// Launches the product with the right factors, and sums at an address that may be 0.
    pub(super) fn right<T: Real>(&self, table: &CudaView<'_, u64>, workspace: &CudaSlice<T>, sums: u64) -> Result<()> {
        let mut right = self.cuda.stream().launch_builder(&self.right);
        right.arg(&self.items.words).arg(table).arg(workspace).arg(&sums);
        // SAFETY: as above; where there are sums, there is one for every item.
        self.items.explain(&self.cuda, unsafe { right.launch(self.items.grid()) }, "kron_right_f32")
    }

    /// Launches the clip, where there is one: ν of the sums, which were written before, and the directions times it.
    pub(super) fn finish(&mut self, table: &CudaView<'_, u64>) -> Result<()> {
        if !self.clips {
            return Ok(());
        }
        let count = self.items.count();
        let mut clip = self.cuda.stream().launch_builder(&self.clip);
        clip.arg(&self.sums).arg(&count).arg(&self.clip_values).arg(&mut self.factor);
        // SAFETY: the contract of `kron_clip` in src/cuda/mod.rs: the sums were written before on this stream.
        let launched = unsafe { clip.launch(blocks_of_threads(1)) };
        self.cuda.explain(launched.map(drop), || launch_of("kron_clip", 1))?;
        let mut scale = self.cuda.stream().launch_builder(&self.scale);
        scale.arg(&self.items.words).arg(table).arg(&self.factor);
        // SAFETY: as for `kron_left`.
        self.items.explain(&self.cuda, unsafe { scale.launch(self.items.grid()) }, "kron_scale_f32")
    }
}
