//! Products of matrices in a workspace, a launch for all that are made at the same time: `poly_product_f32`.

use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaModule, CudaSlice, DevicePtr, PushKernelArg};

use super::products::{TILE_ROWS, lower_tiles, tiles};
use super::tables::{BLOCK, word};
use super::tiles::TILE_THREADS;
use crate::cuda::transfer::{uploaded, zeros};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::error::Result;

/// Words of a row of the table of products. Twins of the structs in `kernels/linalg/sym_poly.cu`, as all below.
const PRODUCT: usize = 11;
/// Words of a row of the table of matrices that are made orthogonal.
pub(super) const POLAR: usize = 8;
/// Words of a row of the table of roots.
pub(super) const ROOT: usize = 7;
/// Words of a report on a root.
pub(super) const ROOT_REPORT: usize = 5;

pub(super) fn module(cuda: &Cuda) -> Result<Arc<CudaModule>> {
    let rows = [PRODUCT, 2, POLAR, ROOT, ROOT_REPORT, BLOCK].map(|words| 8 * words as u32);
    modules::load(cuda, "sym_poly", &[&rows[..], &[TILE_THREADS, TILE_ROWS as u32]].concat())
}

/// A side filled up to whole tiles.
pub(super) fn padded(side: usize) -> usize {
    side.next_multiple_of(TILE_ROWS)
}

/// A matrix in the workspace: where it begins, and elements from row to row.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first: usize,
    pub(super) stride: usize,
}

/// `C = α·Lᵀ·R + β·D + γ·1`.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// L and R, and the rows of both.
    pub(super) factors: [Place; 2],
    pub(super) depth: usize,
    /// D, as far from row to row as C is.
    pub(super) addend: Place,
    /// C, and where its transpose goes as well: to the same place where it is symmetric.
    pub(super) to: Place,
    pub(super) transposed: Option<Place>,
    /// Its rows and columns.
    pub(super) shape: [usize; 2],
    /// α, β and γ.
    pub(super) coefficients: [f64; 3],
    pub(super) is_symmetric: bool,
    /// Whether C should become the identity.
    pub(super) is_watched: bool,
    pub(super) matrix: usize,
}

impl Product {
    /// A symmetric product of symmetric matrices.
    pub(super) fn symmetric(
        matrix: usize,
        order: usize,
        factors: [Place; 2],
        addend: Place,
        to: Place,
        coefficients: [f64; 3],
    ) -> Self {
        Self {
            factors,
            depth: order,
            addend,
            to,
            transposed: Some(to),
            shape: [order; 2],
            coefficients,
            is_symmetric: true,
            is_watched: false,
            matrix,
        }
    }
}

/// Which part of a workspace is taken.
#[derive(Default)]
pub(super) struct Room {
    pub(super) elements: usize,
}

impl Room {
    /// A place for a matrix of this shape, filled up.
    pub(super) fn matrix(&mut self, rows: usize, columns: usize) -> Place {
        let place = Place { first: self.elements, stride: padded(columns) };
        self.elements += padded(rows) * padded(columns);
        place
    }
}

/// Products, as they are listed; those of a launch one behind the other.
#[derive(Default)]
pub(super) struct Listed {
    rows: Vec<u64>,
    items: Vec<[u64; 2]>,
    launches: Vec<Range<usize>>,
}

impl Listed {
    /// Begins a launch; returns which it is.
    pub(super) fn begin(&mut self) -> usize {
        self.launches.push(self.items.len()..self.items.len());
        self.launches.len() - 1
    }

    /// Adds a product to the launch that was begun last.
    pub(super) fn add(&mut self, product: &Product) {
        let Product { factors: [left, right], depth, addend, to, transposed, shape, coefficients, .. } = *product;
        let is_turned = usize::from(transposed.is_some());
        let transposed = transposed.unwrap_or(to);
        let position = self.rows.len() / PRODUCT;
        let [alpha, beta, gamma] = coefficients.map(|x| (x as f32).to_bits() as usize);
        let [rows, columns] = shape;
        let kind = usize::from(product.is_symmetric) + 2 * usize::from(product.is_watched) + 4 * is_turned;
        self.rows.extend([left, right, addend, to, transposed].map(|place| place.first as u64));
        self.rows.extend([
            word(depth, left.stride),
            word(right.stride, to.stride),
            word(transposed.stride, alpha),
            word(beta, gamma),
            word(rows, product.matrix),
            word(kind, 0),
        ]);
        if product.is_symmetric {
            self.items.extend(lower_tiles(position, rows));
        } else {
            self.items.extend(tiles(position, rows, columns));
        }
        if let Some(launch) = self.launches.last_mut() {
            launch.end = self.items.len();
        }
    }
}

/// The products of a plan, and the memory that they are made in.
pub(super) struct Poly {
    cuda: Cuda,
    kernel: CudaFunction,
    table: CudaSlice<u64>,
    items: CudaSlice<u64>,
    launches: Vec<Range<usize>>,
    pub(super) workspace: CudaSlice<f32>,
}

/// What products are made in: which step it is of how many matrices, and when a matrix has converged.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) step: u32,
    pub(super) matrices: u32,
    pub(super) tolerance: f32,
}

impl Poly {
    /// The address of a place, which never changes.
    pub(super) fn address(&self, place: Place) -> u64 {
        self.workspace.device_ptr(self.cuda.stream()).0 + size_of::<f32>() as u64 * place.first as u64
    }

    pub(super) fn new(cuda: &Cuda, listed: Listed, room: Room) -> Result<Self> {
        Ok(Self {
            kernel: modules::function(cuda, &module(cuda)?, "poly_product_f32")?,
            table: uploaded(cuda, &listed.rows)?,
            items: uploaded(cuda, listed.items.as_flattened())?,
            launches: listed.launches,
            workspace: zeros(cuda, room.elements.max(1))?,
            cuda: cuda.clone(),
        })
    }

    /// Launches the products of a launch. `errors` has an element for every matrix and step until this one.
    pub(super) fn launch(&mut self, launch: usize, step: Step, errors: &mut CudaSlice<u32>) -> Result<()> {
        let range = self.launches[launch].clone();
        if range.is_empty() {
            return Ok(());
        }
        let count = range.len() as u32;
        let items = self.items.slice(2 * range.start..2 * range.end);
        let mut work = self.cuda.stream().launch_builder(&self.kernel);
        work.arg(&items).arg(&self.table).arg(&step.step).arg(&step.matrices).arg(&step.tolerance);
        work.arg(&mut self.workspace).arg(errors);
        // SAFETY: the contract of `poly_product_f32` in src/cuda/mod.rs: a block an item; the rows that items name were made by
        // `Listed` from places in the workspace, and no product of a launch reads what another one writes.
        let launched = unsafe { work.launch(blocks_of(count, TILE_THREADS)) };
        self.cuda.explain(launched.map(drop), || launch_of_threads("poly_product_f32", count, TILE_THREADS))
    }
}
