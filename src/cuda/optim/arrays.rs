//! What lies in device memory from step to step: counters and carries in one array each, the states a tensor each.

use cudarc::driver::{CudaSlice, DevicePtr};

use super::tables::StateLayout;
use crate::cuda::transfer::{download, upload, zeros};
use crate::device::Cuda;
use crate::element::Real;
use crate::error::Result;

/// One row of each array for every tensor, with room for more.
pub(super) struct Counters<T: Real> {
    /// The optimizer's own counter, then one of each tensor.
    pub(super) steps: CudaSlice<u64>,
    /// Rows of carried scalars; at least one element.
    pub(super) carries: CudaSlice<f64>,
    /// Rows of scalars, which every tick writes anew.
    pub(super) scalars: CudaSlice<T>,
    /// Rows.
    room: usize,
    carry: usize,
    scalars_of_row: usize,
}

impl<T: Real> Counters<T> {
    /// Zeros, for `room` tensors with rows of `carry` carried scalars and `scalars` scalars.
    pub(super) fn new(cuda: &Cuda, room: usize, carry: usize, scalars: usize) -> Result<Self> {
        Ok(Self {
            steps: zeros(cuda, 1 + room)?,
            carries: zeros(cuda, (room * carry).max(1))?,
            scalars: zeros(cuda, (room * scalars).max(1))?,
            room,
            carry,
            scalars_of_row: scalars,
        })
    }

    /// Makes room for `tensors` tensors. Rows that stand keep their values; new ones are zero.
    pub(super) fn grow(&mut self, cuda: &Cuda, tensors: usize) -> Result<()> {
        if tensors <= self.room {
            return Ok(());
        }
        let mut grown = Self::new(cuda, tensors.next_power_of_two(), self.carry, self.scalars_of_row)?;
        let copied = cuda
            .stream()
            .memcpy_dtod(&self.steps, &mut grown.steps)
            .and_then(|()| cuda.stream().memcpy_dtod(&self.carries, &mut grown.carries));
        cuda.explain(copied, || "copy of the step counters".to_owned())?;
        *self = grown;
        Ok(())
    }

    /// Drops the row of one of `tensors` tensors; those behind it move up.
    pub(super) fn remove(&mut self, cuda: &Cuda, position: usize, tensors: usize) -> Result<()> {
        let mut steps = download(cuda, &self.steps, 0, 1 + tensors)?;
        let mut carries = download(cuda, &self.carries, 0, tensors * self.carry)?;
        steps.remove(1 + position);
        carries.drain(position * self.carry..(position + 1) * self.carry);
        // Into new arrays: a copy that fails halfway must leave the old ones as they are.
        let mut kept = Self::new(cuda, self.room, self.carry, self.scalars_of_row)?;
        upload(cuda, &steps, &mut kept.steps, 0)?;
        upload(cuda, &carries, &mut kept.carries, 0)?;
        *self = kept;
        Ok(())
    }

    /// The counter and the carried scalars of a tensor.
    pub(super) fn read(&self, cuda: &Cuda, position: usize) -> Result<(u64, Vec<f64>)> {
        let steps = download(cuda, &self.steps, 1 + position, 1)?;
        Ok((steps[0], download(cuda, &self.carries, position * self.carry, self.carry)?))
    }

    /// Sets carried scalars of a tensor to zero: those at the places where `forgotten` is true.
    pub(super) fn forget(&mut self, cuda: &Cuda, position: usize, forgotten: &[bool]) -> Result<()> {
        for place in (0..forgotten.len()).filter(|&place| forgotten[place]) {
            upload(cuda, &[0.0], &mut self.carries, position * self.carry + place)?;
        }
        Ok(())
    }

    /// Sets the counter and the carried scalars of a tensor.
    pub(super) fn write(&mut self, cuda: &Cuda, position: usize, steps: u64, carry: &[f64]) -> Result<()> {
        upload(cuda, &[steps], &mut self.steps, 1 + position)?;
        upload(cuda, carry, &mut self.carries, position * self.carry)
    }
}

/// The state arrays of a tensor, in one allocation.
pub(super) struct States<T: Real> {
    memory: CudaSlice<T>,
    layout: StateLayout,
    arrays: usize,
    length: usize,
}

impl<T: Real> States<T> {
    /// Zeros, in the phase of a parameter of `length` elements.
    pub(super) fn new(cuda: &Cuda, arrays: usize, length: u64, phase: u64) -> Result<Self> {
        let layout = StateLayout::new(length, phase);
        Ok(Self { memory: zeros(cuda, (arrays * layout.stride).max(1))?, layout, arrays, length: length as usize })
    }

    /// The addresses of the arrays.
    pub(super) fn addresses(&self, cuda: &Cuda) -> Vec<u64> {
        let (allocation, _guard) = self.memory.device_ptr(cuda.stream());
        (0..self.arrays).map(|array| self.layout.address::<T>(allocation, array)).collect()
    }

    /// The contents of the arrays.
    pub(super) fn read(&self, cuda: &Cuda) -> Result<Vec<Vec<T>>> {
        (0..self.arrays).map(|array| download(cuda, &self.memory, self.layout.start(array), self.length)).collect()
    }

    /// Replaces the contents of the arrays.
    pub(super) fn write(&mut self, cuda: &Cuda, arrays: &[Vec<T>]) -> Result<()> {
        for (array, values) in arrays.iter().enumerate() {
            upload(cuda, values, &mut self.memory, self.layout.start(array))?;
        }
        Ok(())
    }
}
