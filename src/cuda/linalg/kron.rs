//! Directions of Kronecker-factored preconditioners. Twin: `src/cpu/linalg/kron.rs`.

use cudarc::driver::CudaSlice;

use super::arguments::Arguments;
use super::layer::{LAYER, READ, Row, Tiles, product_elements, read_gradient, written_direction};
use super::products::unsupported;
use crate::cuda::transfer::{Table, zeros};
use crate::device::Cuda;
use crate::element::{Dtype, Real};
use crate::error::Result;
use crate::linalg::{Inverses, KlClip, KronBackend, LayerDirection, LayerGradient, Linear};

/// The layers of a plan on a CUDA device.
pub(crate) struct CudaKron<T: Real> {
    cuda: Cuda,
    layers: Vec<Linear>,
    tiles: Tiles,
    table: Table,
    workspace: CudaSlice<T>,
}

impl<T: Real> CudaKron<T> {
    pub(crate) fn new(cuda: &Cuda, layers: Vec<Linear>) -> Result<Self> {
        if T::DTYPE == Dtype::F64 {
            return unsupported("directions of f64");
        }
        let elements: usize = layers.iter().map(product_elements).sum();
        Ok(Self {
            tiles: Tiles::new(cuda, &layers)?,
            table: Table::new(cuda, LAYER * layers.len())?,
            workspace: zeros(cuda, elements.max(1))?,
            cuda: cuda.clone(),
            layers,
        })
    }
}

impl<T: Real> KronBackend<T> for CudaKron<T> {
    fn set_clip(&mut self, clip: Option<KlClip>) -> Result<()> {
        self.tiles.set_clip(clip)
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
        for (position, (((layer, Inverses { left, right }), gradient), direction)) in of_layers.enumerate() {
            let mut factor = |matrix| (arguments.read_matrix(READ, position, matrix), matrix.stride());
            let (left, right) = (left.as_ref().map_or((0, 0), &mut factor), factor(right));
            let strides = [gradient.weight.stride(), direction.weight.stride()];
            let [weight, bias_gradient] = read_gradient(&mut arguments, position, gradient);
            let [to, bias_direction] = written_direction(&mut arguments, position, direction);
            let row = Row {
                left,
                right,
                gradient: (weight, strides[0]),
                bias_gradient,
                direction: (to, strides[1]),
                bias_direction,
                between,
            };
            rows.extend(row.words(layer));
            between += product_elements(layer);
        }
        arguments.check()?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        let table = self.table.memory.as_view();
        if inverses.iter().any(|inverses| inverses.left.is_some()) {
            self.tiles.left(&table, &mut self.workspace)?;
        }
        self.tiles.right(&table, &self.workspace, self.tiles.sums())?;
        self.tiles.finish(&table)
    }

    fn clip_factor(&self) -> Result<f64> {
        self.tiles.clip_factor()
    }
}
