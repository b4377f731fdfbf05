//! Eigendecompositions of symmetric matrices. Twin: `src/cpu/linalg/eigh.rs`.

use std::ops::Range;

use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
use cudarc::driver::sys::CUfunction_attribute::{
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
};
use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::arguments::Arguments;
use super::tables::{self, Addresses, EIGH_BLOCK, EIGH_REPORT};
use crate::cuda::transfer::{Table, download, upload, zeros};
use crate::cuda::{blocks_of, launch_of_threads, modules};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::{ErrorKind, Result};
use crate::linalg::{EighBackend, EighReport, EighSettings, Symmetric};
use crate::memory::{MatMut, ViewMut};

/// Size classes: the greatest order, and threads of a block, on which bits depend. The last ends where shared memory does.
const CLASSES: [(usize, u32); 6] = [(16, 32), (32, 128), (64, 256), (96, 512), (128, 512), (usize::MAX, 512)];

/// Elements of an access of 16 bytes.
fn vector<T: Real>() -> usize {
    16 / size_of::<T>()
}

/// Elements of V.
fn vectors<T: Real>(order: usize) -> usize {
    order * order.next_multiple_of(vector::<T>())
}

/// Bytes of a rotation.
fn rotation<T>() -> usize {
    2 * size_of::<T>() + 8
}

/// Bytes of shared memory for A and two rounds of rotations.
fn shared<T: Real>(order: usize) -> usize {
    let stride = order.next_multiple_of(2);
    stride * stride * size_of::<T>() + stride * rotation::<T>()
}

/// The matrices of a plan on a CUDA device.
pub(crate) struct CudaEigh<T: Real> {
    cuda: Cuda,
    orders: Vec<usize>,
    settings: EighSettings,
    launches: Vec<Launch>,
    /// Rows of the table, those of each launch together.
    order: CudaSlice<u32>,
    /// The first element of each matrix in the workspace.
    places: Vec<usize>,
    workspace: CudaSlice<T>,
    table: Table,
    reports: CudaSlice<u64>,
}

/// A launch for the matrices of a class.
struct Launch {
    kernel: CudaFunction,
    name: String,
    config: LaunchConfig,
    /// Whether V stands in the workspace.
    in_workspace: bool,
    /// Of the rows in order.
    range: Range<usize>,
}

impl<T: Real> CudaEigh<T> {
    pub(crate) fn new(cuda: &Cuda, orders: &[usize], settings: EighSettings) -> Result<Self> {
        let layout = [8 * EIGH_BLOCK, 8 * EIGH_REPORT, rotation::<f32>(), rotation::<f64>()].map(|size| size as u32);
        let module = modules::load(cuda, "jacobi", &layout)?;
        let names = ["jacobi", "jacobi_workspace"].map(|name| format!("{name}_{}", T::DTYPE));
        let kernel = |name: &String| modules::function(cuda, &module, name);
        let [whole, split] = [kernel(&names[0])?, kernel(&names[1])?];
        let granted = grant(cuda, &whole)?.min(grant(cuda, &split)?);
        if let Some((position, order)) = (0..).zip(orders).find(|(_, order)| shared::<T>(**order) > granted) {
            let most = (1..*order).take_while(|order| shared::<T>(*order) <= granted).count();
            let message = format!(
                "its order {order} is beyond {most}, the greatest of {} that the {granted} bytes of shared memory of a \
                 thread block on CUDA device {} hold",
                T::DTYPE,
                cuda.ordinal(),
            );
            return Err(ErrorKind::Matrices { what: format!("matrix {position}"), message }.into());
        }
        let mut launches = Vec::new();
        let mut sorted = Vec::new();
        let mut places = vec![0; orders.len()];
        let (mut elements, mut least) = (0, 0);
        for (most, threads) in CLASSES {
            let start = sorted.len();
            sorted.extend((0..orders.len()).filter(|&position| least < orders[position] && orders[position] <= most));
            least = most;
            let of_class = &sorted[start..];
            let Some(largest) = of_class.iter().map(|&position| orders[position]).max() else { continue };
            let both = shared::<T>(largest) + vectors::<T>(largest) * size_of::<T>();
            let in_workspace = both > granted;
            if in_workspace {
                for &position in of_class {
                    places[position] = elements;
                    elements += vectors::<T>(orders[position]);
                }
            }
            let bytes = if in_workspace { shared::<T>(largest) } else { both };
            launches.push(Launch {
                kernel: if in_workspace { &split } else { &whole }.clone(),
                name: names[usize::from(in_workspace)].clone(),
                config: LaunchConfig { shared_mem_bytes: bytes as u32, ..blocks_of(of_class.len() as u32, threads) },
                in_workspace,
                range: start..sorted.len(),
            });
        }
        let mut own = Self {
            cuda: cuda.clone(),
            settings,
            launches,
            order: zeros(cuda, sorted.len().max(1))?,
            places,
            workspace: zeros(cuda, elements.max(1))?,
            table: Table::new(cuda, EIGH_BLOCK * orders.len())?,
            reports: zeros(cuda, (EIGH_REPORT * orders.len()).max(1))?,
            orders: orders.to_vec(),
        };
        let sorted: Vec<u32> = sorted.into_iter().map(|position| position as u32).collect();
        upload(cuda, &sorted, &mut own.order, 0)?;
        Ok(own)
    }

    /// Launches all that a call needs. The table holds for the arguments.
    fn launch(&mut self) -> Result<()> {
        let Self { cuda, .. } = self;
        let EighSettings { sweeps, tolerance } = self.settings;
        for Launch { kernel, name, config, in_workspace, range } in &self.launches {
            let jobs = self.order.slice(range.clone());
            let mut decompose = cuda.stream().launch_builder(kernel);
            decompose.arg(&jobs).arg(&self.table.memory).arg(&tolerance).arg(&sweeps);
            if *in_workspace {
                decompose.arg(&mut self.workspace);
            }
            decompose.arg(&mut self.reports);
            // SAFETY: the contract of `jacobi` in src/cuda/mod.rs. There is one block a job; jobs are rows of the table, whose
            // matrices the caller has borrowed and checked; shared memory was counted for the largest order among them, and
            // the workspace has a range for each where it is used; reports has a row for each matrix.
            let launched = unsafe { decompose.launch(*config) };
            let ((blocks, ..), (threads, ..)) = (config.grid_dim, config.block_dim);
            cuda.explain(launched.map(drop), || launch_of_threads(name, blocks, threads))?;
        }
        Ok(())
    }
}

/// Grants a kernel's blocks all dynamic shared memory that there is, and tells the bytes. The grant belongs to the kernel, which
/// other plans use too: it is always the same.
fn grant(cuda: &Cuda, kernel: &CudaFunction) -> Result<usize> {
    let device = cuda.stream().context().attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    let device = cuda.explain(device, || "query of a block's shared memory".to_owned())?;
    let own = kernel.get_attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
    let own = cuda.explain(own, || "query of a kernel's shared memory".to_owned())?;
    let bytes = (device - own).max(0);
    let set = kernel.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
    cuda.explain(set, || format!("request for {bytes} bytes of a block's shared memory"))?;
    Ok(bytes as usize)
}

impl<T: Real> EighBackend<T> for CudaEigh<T> {
    fn decompose(
        &mut self,
        sources: &[Symmetric<'_, T>],
        vectors: &mut [MatMut<'_, T>],
        values: &mut [ViewMut<'_, T>],
    ) -> Result<()> {
        if self.orders.is_empty() {
            return Ok(());
        }
        let cuda = self.cuda.clone();
        let mut arguments = Arguments::new(&cuda);
        let mut rows = Vec::with_capacity(EIGH_BLOCK * self.orders.len());
        for (position, ((source, vectors), values)) in sources.iter().zip(vectors).zip(values).enumerate() {
            let [core, border] = arguments.read_symmetric(position, source);
            let stride = vectors.stride();
            let vectors = arguments.written_matrix("vectors", position, vectors);
            let values = arguments.written("values", position, values);
            let addresses = Addresses { source: core, border, inverse: vectors };
            rows.extend(tables::block(addresses, source, stride, position));
            rows.extend([values, self.places[position] as u64]);
        }
        arguments.check()?;
        self.table.hold(&cuda, rows, "a matrix has moved")?;
        self.launch()
    }

    fn reports(&self) -> Result<Vec<EighReport>> {
        let words: Vec<u64> = download(&self.cuda, &self.reports, 0, EIGH_REPORT * self.orders.len())?;
        Ok(words.as_chunks().0.iter().map(tables::eigh_report).collect())
    }
}
