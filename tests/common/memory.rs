//! Elements at a chosen offset in memory of any device, between guards that nobody may write.

use std::borrow::Cow;
use std::ops::Range;

use bytemuck::{bytes_of, pod_read_unaligned};
use gradus::element::Scalar;
use gradus::{Device, View, ViewMut};

#[cfg(feature = "cuda")]
use {
    cudarc::driver::{CudaSlice, CudaStream},
    std::sync::Arc,
};

/// What every offset counts from: a multiple of this many bytes.
const ALIGNMENT: usize = 256;

/// Elements before and behind the guarded ones; a multiple of [`ALIGNMENT`] in every type.
const GUARDS: usize = 128;

/// The value of a guard, a number between 0 and 2 of a storage type. A step along a guard as its gradient changes it.
fn guard<T: Scalar>() -> T {
    pod_read_unaligned(&[0x3d; 8][..size_of::<T>()])
}

/// Elements that begin `offset` elements behind an aligned address.
pub struct Guarded<T: Scalar> {
    memory: Memory<T>,
    offset: usize,
    start: usize,
    length: usize,
}

enum Memory<T> {
    Cpu(Vec<T>),
    #[cfg(feature = "cuda")]
    Cuda(Arc<CudaStream>, CudaSlice<T>),
}

impl<T: Scalar> Guarded<T> {
    pub fn new(device: &Device, elements: &[T], offset: usize) -> Self {
        let slack = ALIGNMENT / size_of::<T>();
        let mut memory: Vec<T> = vec![guard(); slack + GUARDS + offset + elements.len() + GUARDS];
        let aligned = match device {
            Device::Cpu(_) => memory.as_ptr().align_offset(ALIGNMENT),
            _ => 0, // allocations on CUDA are aligned
        };
        let start = aligned + GUARDS + offset;
        memory[start..start + elements.len()].copy_from_slice(elements);
        let memory = match device {
            Device::Cpu(_) => Memory::Cpu(memory),
            #[cfg(feature = "cuda")]
            Device::Cuda(cuda) => Memory::Cuda(cuda.stream().clone(), cuda.stream().clone_htod(&memory).unwrap()),
            other => panic!("no guarded memory on {other}"),
        };
        Self { memory, offset, start, length: elements.len() }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn view(&self) -> View<'_, T> {
        self.view_of(0..self.length)
    }

    /// A part of the elements.
    pub fn view_of(&self, part: Range<usize>) -> View<'_, T> {
        let range = self.start + part.start..self.start + part.end;
        match &self.memory {
            Memory::Cpu(vec) => View::from(&vec[range]),
            #[cfg(feature = "cuda")]
            Memory::Cuda(_, slice) => View::from(slice.slice(range)),
        }
    }

    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        let range = self.start..self.start + self.length;
        match &mut self.memory {
            Memory::Cpu(vec) => ViewMut::from(&mut vec[range]),
            #[cfg(feature = "cuda")]
            Memory::Cuda(_, slice) => ViewMut::from(slice.slice_mut(range)),
        }
    }

    /// The elements on the host. Panics where a guard has changed.
    pub fn elements(&self) -> Vec<T> {
        let all = match &self.memory {
            Memory::Cpu(vec) => Cow::from(vec),
            #[cfg(feature = "cuda")]
            Memory::Cuda(stream, slice) => {
                let all = stream.clone_dtoh(slice).unwrap();
                stream.synchronize().unwrap();
                Cow::from(all)
            }
        };
        let end = self.start + self.length;
        let guard: T = guard();
        for position in (0..self.start).chain(end..all.len()) {
            assert!(
                bytes_of(&all[position]) == bytes_of(&guard),
                "the guard at element {} of {} elements ({}) at offset {} was overwritten with {:?}",
                position as i64 - self.start as i64,
                self.length,
                T::NAME,
                self.offset,
                all[position],
            );
        }
        all[self.start..end].to_vec()
    }
}
