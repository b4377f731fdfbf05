use super::{Read, View, ViewMut, Written};
use crate::device::Device;
use crate::element::Scalar;
use crate::error::{ErrorKind, Result};

#[cfg(feature = "cuda")]
use cudarc::driver::CudaSlice;

/// Elements that a device owns: `Vec<T>`, of a fixed length.
#[derive(Debug)]
pub struct Buffer<T: Scalar> {
    memory: Memory<T>,
    length: usize,
    device: Device,
}

#[derive(Debug)]
enum Memory<T> {
    Cpu(Vec<T>),
    /// At least one element long: the driver allocates nothing shorter.
    #[cfg(feature = "cuda")]
    Cuda(CudaSlice<T>),
}

impl<T: Scalar> Buffer<T> {
    /// `length` zeros. Errors: the device's memory does not suffice.
    pub fn zeros(device: &Device, length: usize) -> Result<Self> {
        let memory = match device {
            Device::Cpu(_) => Memory::Cpu(zeros(length)?),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => {
                let slice = cuda.stream().alloc_zeros(length.max(1));
                Memory::Cuda(cuda.explain(slice, || format!("allocation of {length} {} elements", T::NAME))?)
            }
        };
        Ok(Self { memory, length, device: device.clone() })
    }

    /// A copy of `elements`. Errors: the device's memory does not suffice.
    pub fn from_slice(device: &Device, elements: &[T]) -> Result<Self> {
        let mut buffer = Self::zeros(device, elements.len())?;
        buffer.write(elements)?;
        Ok(buffer)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The device that owns the elements.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All elements, to be read.
    pub fn view(&self) -> View<'_, T> {
        View(match &self.memory {
            Memory::Cpu(vec) => Read::Cpu(vec),
            #[cfg(feature = "cuda")]
            Memory::Cuda(slice) => Read::Cuda(slice.slice(..self.length)),
        })
    }

    /// All elements, to be written.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        ViewMut(match &mut self.memory {
            Memory::Cpu(vec) => Written::Cpu(vec),
            #[cfg(feature = "cuda")]
            Memory::Cuda(slice) => Written::Cuda(slice.slice_mut(..self.length)),
        })
    }

    /// Copies the elements to `destination`; on CUDA the host waits for it. Errors: another length.
    pub fn read(&self, destination: &mut [T]) -> Result<()> {
        self.same_length("the destination of a copy", destination.len())?;
        match (&self.memory, &self.device) {
            (Memory::Cpu(vec), _) => destination.copy_from_slice(vec),
            #[cfg(feature = "cuda")]
            (Memory::Cuda(slice), Device::Cuda(cuda)) => {
                let view = slice.slice(..self.length);
                let copied = cuda.stream().memcpy_dtoh(&view, destination);
                cuda.explain(copied.and_then(|()| cuda.stream().synchronize()), || "copy to the host".to_owned())?;
            }
            #[cfg(feature = "cuda")]
            (Memory::Cuda(_), _) => unreachable!("a CUDA buffer belongs to a CUDA device"),
        }
        Ok(())
    }

    /// Copies `source` to the elements. Errors: another length.
    pub fn write(&mut self, source: &[T]) -> Result<()> {
        self.same_length("the source of a copy", source.len())?;
        match (&mut self.memory, &self.device) {
            (Memory::Cpu(vec), _) => vec.copy_from_slice(source),
            #[cfg(feature = "cuda")]
            (Memory::Cuda(slice), Device::Cuda(cuda)) => {
                if !source.is_empty() {
                    let mut view = slice.slice_mut(..self.length);
                    let copied = cuda.stream().memcpy_htod(source, &mut view);
                    cuda.explain(copied, || "copy to the device".to_owned())?;
                }
            }
            #[cfg(feature = "cuda")]
            (Memory::Cuda(_), _) => unreachable!("a CUDA buffer belongs to a CUDA device"),
        }
        Ok(())
    }

    /// A copy of the elements on the host.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        let mut vec = zeros(self.length)?;
        self.read(&mut vec)?;
        Ok(vec)
    }

    fn same_length(&self, what: &str, given: usize) -> Result<()> {
        if given == self.length {
            return Ok(());
        }
        Err(ErrorKind::Length {
            what: what.to_owned(),
            given: given as u64,
            other: "the buffer".to_owned(),
            expected: self.length as u64,
        }
        .into())
    }
}

/// Zeros in ordinary memory. Errors: it does not suffice.
pub(crate) fn zeros<T: Scalar>(length: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    if vec.try_reserve_exact(length).is_err() {
        return Err(ErrorKind::OutOfMemory { length: length as u64, element: size_of::<T>() as u64 }.into());
    }
    vec.resize(length, T::zeroed());
    Ok(vec)
}
