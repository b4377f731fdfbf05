//! Directions in eigenbases. Twin: `src/cpu/linalg/eigenbasis.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, CudaView, PushKernelArg};

use super::arguments::Arguments;
use super::layer::{LAYER, READ, Row, Tiles, filled, product_elements, read_gradient, written_direction};
use super::products::{Items, TILE_ROWS, tiles, unsupported};
use super::tables::{ITEM, word};
use super::tiles::TILE_THREADS;
use crate::cuda::address::own;
use crate::cuda::modules;
use crate::cuda::transfer::{Table, not_capturing, upload, uploaded, zeros};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::linalg::{
    EigenBackend, EigenLayer, Eigenbases, Eigenbasis, Epilogue, KlClip, LayerDirection, LayerGradient, Linear,
};
use crate::memory::MatMut;

// Words of the rows of tables. Twins of the structs in `kernels/linalg/eigenbasis.cu`.
const BASIS: usize = 4;
const EIGEN_LAYER: usize = 5;
const SETTINGS: usize = 5;

/// The layers of a plan on a CUDA device.
pub(crate) struct CudaEigen<T: Real> {
    cuda: Cuda,
    layers: Vec<Linear>,
    /// Where a layer's matrices begin in the workspace.
    places: Vec<Places>,
    tiles: Tiles,
    turn: CudaFunction,
    scale: CudaFunction,
    /// Whether some layer has `Q_G`.
    has_left: bool,
    /// The tiles of all bases: of each layer those of `Q_A`, then of `Q_G` where there is one.
    turned: Items,
    /// Layers as they are given, layers with turned bases, what else the epilogue needs, bases.
    table: Table,
    settings: CudaSlice<u64>,
    kind: u32,
    workspace: CudaSlice<T>,
    /// Of the workspace.
    address: u64,
}

/// Elements of the workspace.
#[derive(Clone, Copy)]
struct Places {
    /// Z, then Y.
    between: usize,
    /// W∘f.
    scaled: usize,
    right: usize,
    left: usize,
}

/// Addresses of a basis, 0 where there is none.
#[derive(Clone, Copy, Default)]
struct Basis {
    vectors: u64,
    values: u64,
    stride: usize,
}

impl Basis {
    fn new<'a, T: Real>(arguments: &mut Arguments<'a>, position: usize, basis: &'a Eigenbasis<'_, T>) -> Self {
        let Eigenbasis { vectors, values } = basis;
        Self {
            vectors: arguments.read_matrix(READ, position, vectors),
            values: arguments.read(READ, position, values),
            stride: vectors.stride(),
        }
    }

    /// The row of a basis that is turned over to a place in the workspace.
    fn turned(&self, order: usize, place: usize) -> [u64; BASIS] {
        [self.vectors, place as u64, word(order, self.stride), word(filled(order), 0)]
    }
}

/// The number of the epilogue's kind, and its settings. Twin: `kernels/linalg/eigenbasis.cu`.
fn words(epilogue: Epilogue) -> (u32, [u64; SETTINGS]) {
    let (kind, damping, exponent, beta, updates) = match epilogue {
        Epilogue::Damped { damping } => (0, damping, 0.0, 0.0, 0),
        Epilogue::Power { damping, exponent } => (1, damping, exponent, 0.0, 0),
        Epilogue::SecondMoments { beta, damping } => (2, damping, 0.0, beta, 0),
        Epilogue::Adam { beta, epsilon, updates } => (3, epsilon, 0.0, beta, updates),
    };
    (kind, [damping.to_bits(), exponent.to_bits(), beta.to_bits(), 0, updates])
}

impl<T: Real> CudaEigen<T> {
    pub(crate) fn new(cuda: &Cuda, eigen: &[EigenLayer], layers: Vec<Linear>, epilogue: Epilogue) -> Result<Self> {
        if T::DTYPE == Dtype::F64 {
            return unsupported("directions of f64");
        }
        let sizes = [8 * BASIS, 8 * EIGEN_LAYER, 8 * SETTINGS].map(|bytes| bytes as u32);
        let [basis, layer, settings] = sizes;
        let layout = [basis, layer, settings, 8 * ITEM as u32, TILE_THREADS, TILE_ROWS as u32];
        let module = modules::load(cuda, "eigenbasis", &layout)?;
        let mut elements = 0;
        let mut reserve = |count: usize| {
            elements += count;
            elements - count
        };
        let places = eigen.iter().map(|EigenLayer { linear, left }| Places {
            between: reserve(if *left { product_elements(linear) } else { 0 }),
            scaled: reserve(product_elements(linear)),
            right: reserve(filled(linear.columns()).pow(2)),
            left: reserve(if *left { filled(linear.outputs).pow(2) } else { 0 }),
        });
        let places: Vec<Places> = places.collect();
        let of_layer = |layer: &EigenLayer| [Some(layer.linear.columns()), layer.left.then_some(layer.linear.outputs)];
        let orders: Vec<usize> = eigen.iter().flat_map(of_layer).flatten().collect();
        let of_basis = |(basis, &order): (usize, &usize)| tiles(basis, order, order);
        let (kind, settings) = words(epilogue);
        let workspace: CudaSlice<T> = zeros(cuda, elements.max(1))?;
        Ok(Self {
            tiles: Tiles::new(cuda, &layers)?,
            turn: modules::function(cuda, &module, "eigen_turn_f32")?,
            scale: modules::function(cuda, &module, "eigen_scale_f32")?,
            has_left: eigen.iter().any(|layer| layer.left),
            turned: Items::new(cuda, orders.iter().enumerate().flat_map(of_basis), TILE_THREADS)?,
            table: Table::new(cuda, (2 * LAYER + EIGEN_LAYER) * layers.len() + BASIS * orders.len())?,
            settings: uploaded(cuda, &settings)?,
            kind,
            address: own(cuda, &workspace),
            workspace,
            cuda: cuda.clone(),
            places,
            layers,
        })
    }

    /// Launches what a call needs. The table holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        let Self { cuda, tiles, workspace, .. } = self;
        let count = self.layers.len();
        let words = self.table.memory.as_view();
        let given = words.slice(..LAYER * count);
        let back = words.slice(LAYER * count..2 * LAYER * count);
        let eigen: CudaView<'_, u64> = words.slice(2 * LAYER * count..(2 * LAYER + EIGEN_LAYER) * count);
        let bases = words.slice((2 * LAYER + EIGEN_LAYER) * count..);

        let mut turn = cuda.stream().launch_builder(&self.turn);
        turn.arg(&self.turned.words).arg(&bases).arg(&mut *workspace).arg(&mut self.settings);
        // SAFETY: the contract of `eigen_turn` in src/cuda/mod.rs: a block an item; the table's rows name what the caller has
        // borrowed and checked, and parts of the workspace that were allocated for them.
        self.turned.explain(cuda, unsafe { turn.launch(self.turned.grid()) }, "eigen_turn_f32")?;
        if self.has_left {
            tiles.left(&given, workspace)?;
        }
        let sums = tiles.sums();
        let mut scale = cuda.stream().launch_builder(&self.scale);
        scale.arg(&tiles.items.words).arg(&given).arg(&eigen).arg(&mut *workspace);
        scale.arg(&self.settings).arg(&self.kind).arg(&sums);
        // SAFETY: the contract of `eigen_scale`, as above; where there are sums, there is one for every item.
        tiles.items.explain(cuda, unsafe { scale.launch(tiles.items.grid()) }, "eigen_scale_f32")?;
        if self.has_left {
            tiles.left(&back, workspace)?;
        }
        tiles.right(&back, workspace, 0)?;
        tiles.finish(&back)
    }
}

impl<T: Real> EigenBackend<T> for CudaEigen<T> {
    fn set_epilogue(&mut self, epilogue: Epilogue) -> Result<()> {
        not_capturing(&self.cuda, "the epilogue was changed")?;
        let (_, settings) = words(epilogue);
        upload(&self.cuda, &settings, &mut self.settings, 0)
    }

    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        self.tiles.set_clip(clip)
    }

    fn apply(
        &mut self,
        bases: &[Eigenbases<'_, T>],
        moments: &mut [MatMut<'_, T>],
        gradients: &[LayerGradient<'_, T>],
        directions: &mut [LayerDirection<'_, T>],
    ) -> Result<()> {
        if self.layers.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let address = |element: usize| self.address + (element * size_of::<T>()) as u64;
        let mut arguments = Arguments::new(&cuda);
        let (mut given, mut back, mut eigen, mut turned) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut moments = moments.iter_mut();
        let of_layers = self.layers.iter().zip(&self.places).zip(bases).zip(gradients).zip(directions);
        for (position, ((((layer, places), bases), gradient), direction)) in of_layers.enumerate() {
            let strides = [gradient.weight.stride(), direction.weight.stride()];
            let right = Basis::new(&mut arguments, position, &bases.right);
            turned.extend(right.turned(layer.columns(), places.right));
            let left = bases.left.as_ref().map(|left| Basis::new(&mut arguments, position, left));
            turned.extend(left.iter().flat_map(|left| left.turned(layer.outputs, places.left)));
            let turned_left = left.map_or(0, |_| address(places.left));
            let left = left.unwrap_or_default();
            let [weight, bias_gradient] = read_gradient(&mut arguments, position, gradient);
            let [to, bias_direction] = written_direction(&mut arguments, position, direction);
            let moments = moments.next().map_or((0, 0), |moments| {
                let stride = moments.stride();
                (arguments.written_matrix("second moments", position, moments), stride)
            });
            let row = Row {
                left: (left.vectors, left.stride),
                right: (right.vectors, right.stride),
                gradient: (weight, strides[0]),
                bias_gradient,
                direction: (to, strides[1]),
                bias_direction,
                between: places.between,
            };
            given.extend(row.words(layer));
            let (columns, outputs) = (filled(layer.columns()), filled(layer.outputs));
            let row = Row {
                left: (turned_left, outputs),
                right: (address(places.right), columns),
                gradient: (address(places.scaled), columns),
                bias_gradient: 0,
                ..row
            };
            back.extend(row.words(layer));
            eigen.extend([left.values, right.values, moments.0, places.scaled as u64, word(moments.1, columns)]);
        }
        arguments.check()?;
        let rows = [given, back, eigen, turned].concat();
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        self.launch()
    }

    fn clip_factor(&self) -> Result<f64> {
        self.tiles.clip_factor()
    }
}
