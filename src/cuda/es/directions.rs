//! Vectors that are added to a model: one launch. Twin: `src/cpu/es/directions.rs`.

use std::marker::PhantomData;

use cudarc::driver::{CudaFunction, DeviceRepr, PushKernelArg, SyncOnDrop};

use super::tables::Tables;
use crate::backend::{CHUNK, Slot};
use crate::cuda::address::{read, written};
use crate::cuda::{THREADS, blocks_of_threads, launch_of, modules};
use crate::device::Cuda;
use crate::element::{Dtype, Element};
use crate::error::Result;
use crate::es::{DIRECTIONS, DirectionsBackend, check_directed};
use crate::memory::{View, ViewMut};

/// Tensors in the memory of a CUDA device.
pub(crate) struct CudaDirections<Q> {
    cuda: Cuda,
    name: String,
    kernel: CudaFunction,
    slots: Vec<Slot>,
    tables: Option<Tables<{ DIRECTIONS + 1 }>>,
    types: PhantomData<Q>,
}

/// Coefficients as a parameter of a kernel, which takes so many of its arithmetic type: the others are behind what it reads.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Coefficients([u64; DIRECTIONS]);

// SAFETY: words that are copied as they are.
unsafe impl DeviceRepr for Coefficients {}

impl Coefficients {
    fn new<Q: Element>(coefficients: &[f64]) -> Self {
        let of = |j: usize| coefficients.get(j).copied().unwrap_or(0.0);
        let half = |j: usize| u64::from((of(j) as f32).to_bits());
        Self(std::array::from_fn(|word| match Q::DTYPE {
            Dtype::F64 => of(word).to_bits(),
            _ => half(2 * word) | half(2 * word + 1) << 32,
        }))
    }
}

impl<Q: Element> CudaDirections<Q> {
    pub(crate) fn new(cuda: &Cuda, slots: Vec<Slot>) -> Result<Self> {
        let module = modules::load(cuda, "directions", &[CHUNK as u32, THREADS, DIRECTIONS as u32])?;
        let name = format!("directions_{}", Q::DTYPE);
        let kernel = modules::function(cuda, &module, &name)?;
        // No noise has to begin where a pack does, and where there is no direction, its address is 0.
        let slots = slots.into_iter().map(|slot| Slot { first: 0, ..slot }).collect();
        Ok(Self { cuda: cuda.clone(), name, kernel, slots, tables: None, types: PhantomData })
    }
}

impl<Q: Element> DirectionsBackend<Q> for CudaDirections<Q> {
    fn add(&mut self, coefficients: &[f64], directions: &[View<'_, Q::Real>], to: &mut [ViewMut<'_, Q>]) -> Result<()> {
        let cuda = self.cuda.clone();
        let tensors = self.slots.len();
        let mut guards: Vec<SyncOnDrop<'_>> = Vec::new();
        let mut bound = vec![[0; DIRECTIONS + 1]; tensors];
        for (place, direction) in directions.iter().enumerate() {
            bound[place % tensors][place / tensors] = read(&cuda, direction, &mut guards);
        }
        for (row, to) in bound.iter_mut().zip(to) {
            row[DIRECTIONS] = written(&cuda, to, &mut guards);
        }
        if self.tables.as_ref().is_none_or(|tables| tables.bound != bound) {
            check_directed::<Q>(&self.slots, &bound)?;
            let mut sizes = [size_of::<Q::Real>(); DIRECTIONS + 1];
            sizes[DIRECTIONS] = size_of::<Q>();
            self.tables = Some(Tables::new::<Q>(&cuda, &self.slots, bound, sizes)?);
        }
        let Some(tables) = &self.tables else { return Ok(()) };
        let (count, blocks) = (coefficients.len() as u32, tables.chunk_count as u32);
        let coefficients = Coefficients::new::<Q>(coefficients);
        let mut launch = cuda.stream().launch_builder(&self.kernel);
        launch.arg(&tables.chunks).arg(&tables.tensors).arg(&count).arg(&coefficients);
        // SAFETY: the contract of `directions_<type>` in src/cuda/mod.rs. The caller has checked lengths and devices, and that there
        // are as many directions as coefficients, `check_directed` overlap and alignment, when the tables were made for these
        // addresses; the views are borrowed until the launch is enqueued.
        let launched = unsafe { launch.launch(blocks_of_threads(blocks)) };
        cuda.explain(launched.map(drop), || launch_of(&self.name, blocks))
    }
}
