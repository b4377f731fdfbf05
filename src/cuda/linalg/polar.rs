//! Polar factors. Twin: `src/cpu/linalg/polar.rs`.

use cudarc::driver::{CudaFunction, CudaSlice, PushKernelArg};

use super::arguments::Arguments;
use super::poly::{self, Listed, POLAR, Poly, Product, Room, Step};
use super::products::{Items, tiles};
use super::reduce::CudaReduce;
use super::tables::word;
use super::tiles::TILE_THREADS;
use crate::cuda::modules;
use crate::cuda::transfer::{Table, zeros};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;
use crate::linalg::{PolarBackend, PolarNorm, PolarSettings, Reduction};
use crate::memory::{MatMut, MatRef};

/// The matrices of a plan on a CUDA device.
pub(crate) struct CudaPolar {
    cuda: Cuda,
    norm: PolarNorm,
    load: CudaFunction,
    store: CudaFunction,
    norms: CudaReduce,
    poly: Poly,
    launches: usize,
    /// Of each matrix what its row says behind the addresses and before the strides.
    rows: Vec<Own>,
    table: Table,
    items: Items,
    /// Nobody watches these products.
    errors: CudaSlice<u32>,
}

struct Own {
    /// The matrix at first, its transpose, and the matrix in the end.
    places: [poly::Place; 3],
    shape: (usize, usize),
}

impl CudaPolar {
    pub(crate) fn new<T: Real>(cuda: &Cuda, shapes: &[(usize, usize)], settings: &PolarSettings) -> Result<Self> {
        let all: Vec<Reduction> = shapes.iter().map(|&(rows, columns)| Reduction::Norm { rows, columns }).collect();
        let norms = CudaReduce::new::<T>(cuda, &all)?;
        let module = poly::module(cuda)?;
        let (mut room, mut listed) = (Room::default(), Listed::default());
        let mut rows = Vec::with_capacity(shapes.len());
        let mut matrices = Vec::with_capacity(shapes.len());
        for &(height, width) in shapes {
            let (long, short) = (height.max(width), height.min(width));
            // With more rows than columns, and transposed, before a step and after it.
            let tall = [room.matrix(long, short), room.matrix(long, short)];
            let wide = [room.matrix(short, long), room.matrix(short, long)];
            let squares = [room.matrix(short, short), room.matrix(short, short)];
            let (same, turned) = if height >= width { (tall, wide) } else { (wide, tall) };
            let result = same[settings.polynomials.len() % 2];
            rows.push(Own { places: [same[0], turned[0], result], shape: (height, width) });
            matrices.push((tall, wide, squares, long, short));
        }
        for (step, &[a, b, c]) in settings.polynomials.iter().enumerate() {
            let (now, next) = (step % 2, (step + 1) % 2);
            let of_matrices = || matrices.iter().enumerate();
            listed.begin();
            for (matrix, &(tall, _, [gram, _], long, short)) in of_matrices() {
                let product = Product::symmetric(matrix, short, [tall[now]; 2], gram, gram, [1.0, 0.0, 0.0]);
                listed.add(&Product { depth: long, ..product });
            }
            listed.begin();
            for (matrix, &(_, _, [gram, polynomial], _, short)) in of_matrices() {
                listed.add(&Product::symmetric(matrix, short, [gram; 2], gram, polynomial, [c, b, 0.0]));
            }
            listed.begin();
            for (matrix, &(tall, wide, [_, polynomial], long, short)) in of_matrices() {
                listed.add(&Product {
                    factors: [wide[now], polynomial],
                    depth: short,
                    addend: tall[now],
                    to: tall[next],
                    transposed: Some(wide[next]),
                    shape: [long, short],
                    coefficients: [1.0, a, 0.0],
                    is_symmetric: false,
                    is_watched: false,
                    matrix,
                });
            }
        }
        let tiles_of = |(position, &(rows, columns)): (usize, &(usize, usize))| tiles(position, rows, columns);
        let items = shapes.iter().enumerate().flat_map(tiles_of);
        Ok(Self {
            norm: settings.norm,
            load: modules::function(cuda, &module, "polar_load_f32")?,
            store: modules::function(cuda, &module, "polar_store_f32")?,
            norms,
            poly: Poly::new(cuda, listed, room)?,
            launches: 3 * settings.polynomials.len(),
            rows,
            table: Table::new(cuda, POLAR * shapes.len())?,
            items: Items::new(cuda, items, TILE_THREADS)?,
            errors: zeros(cuda, 1)?,
            cuda: cuda.clone(),
        })
    }

    /// Launches what a call needs. The tables hold for the arguments.
    fn launch(&mut self) -> Result<()> {
        self.norms.launch(None)?;
        let cuda = &self.cuda;
        let (factor, epsilon, is_least) = match self.norm {
            PolarNorm::Plus { factor, epsilon } => (factor, epsilon, 0_u32),
            PolarNorm::AtLeast { epsilon } => (1.0, epsilon, 1),
        };
        let mut load = cuda.stream().launch_builder(&self.load);
        load.arg(&self.items.words)
            .arg(&self.table.memory)
            .arg(&self.norms.results)
            .arg(&factor)
            .arg(&epsilon)
            .arg(&is_least);
        load.arg(&mut self.poly.workspace);
        // SAFETY: the contract of `polar_load_f32` in src/cuda/mod.rs: a block an item; the table's rows name what the caller
        // has borrowed and checked, and places of the workspace that were made for them; the norms were written before on this
        // stream.
        self.items.explain(cuda, unsafe { load.launch(self.items.grid()) }, "polar_load_f32")?;
        for launch in 0..self.launches {
            self.poly.launch(launch, Step { step: 0, matrices: 0, tolerance: 0.0 }, &mut self.errors)?;
        }
        let mut store = cuda.stream().launch_builder(&self.store);
        store.arg(&self.items.words).arg(&self.table.memory).arg(&self.poly.workspace);
        // SAFETY: as for `polar_load_f32`.
        self.items.explain(cuda, unsafe { store.launch(self.items.grid()) }, "polar_store_f32")
    }
}

impl<T: Real> PolarBackend<T> for CudaPolar {
    fn orthogonalize(&mut self, sources: &[MatRef<'_, T>], targets: &mut [MatMut<'_, T>]) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut rows = Vec::with_capacity(POLAR * self.rows.len());
        let mut read = Vec::with_capacity(self.rows.len());
        for (position, (own, (source, target))) in self.rows.iter().zip(sources.iter().zip(targets)).enumerate() {
            let strides = word(source.stride(), target.stride());
            let from = arguments.read_matrix("source", position, source);
            rows.extend([from, arguments.written_matrix("target", position, target)]);
            rows.extend(own.places.map(|place| place.first as u64));
            rows.extend([word(own.shape.0, own.shape.1), strides]);
            rows.push(word(own.places[0].stride, own.places[1].stride));
            read.push(((from, source.stride()), None));
        }
        arguments.check()?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        self.norms.bind(read.into_iter())?;
        self.launch()
    }
}
