//! Races between the threads of a block, in the order that its [`Clocks`] tell.

use std::ops::Range;

use super::clock::{Access, Clocks, Instruction, Known};

/// What was last done to some bytes: a write, and reads of two threads, of two warps if there are.
#[derive(Clone, Copy, Default)]
pub(super) struct Granule {
    pub write: u64,
    pub reads: [u64; 2],
}

impl Granule {
    /// Records a read. Error: the write that it races with.
    #[inline]
    pub fn read(&mut self, new: Access, instruction: &Instruction, known: &Known) -> Result<(), Access> {
        if self.write >= instruction.past && new.meets(self.write, known) && !both_strong(self.write, new) {
            return Err(Access(self.write));
        }
        if self.reads[0] < instruction.past {
            self.reads[0] = new.0;
        } else {
            self.add_read(new, instruction);
        }
        Ok(())
    }

    /// Records a write. `same` tells whether the bytes keep their values: then what an instruction of the same line wrote
    /// is no race. Error: the access that it races with, and whether that wrote.
    #[inline]
    pub fn write(
        &mut self,
        new: Access,
        instruction: &Instruction,
        known: &Known,
        same: impl FnOnce() -> bool,
    ) -> Result<(), (Access, bool)> {
        if self.write >= instruction.past && new.meets(self.write, known) {
            let write = Access(self.write);
            if !(both_strong(self.write, new) || write.line() == new.line() && same()) {
                return Err((write, true));
            }
        }
        for read in self.reads {
            if read >= instruction.past && new.meets(read, known) && !both_strong(read, new) {
                return Err((Access(read), false));
            }
        }
        self.write = new.0;
        Ok(())
    }

    /// A read beside one that is not past.
    fn add_read(&mut self, new: Access, instruction: &Instruction) {
        let [a, b] = self.reads.map(Access);
        if b.0 >= instruction.past && a.warp() != b.warp() {
            // Two warps read it: whichever writes it next races with one of them. Newer reads of the same warp count.
            if a.warp() == instruction.warp {
                self.reads[0] = new.0;
            } else if b.warp() == instruction.warp {
                self.reads[1] = new.0;
            }
        } else if a.warp() == instruction.warp {
            // A read from before a barrier of the warp is superseded.
            let superseded = a.threads() == new.threads() || a.stamp() < new.stamp();
            self.reads[usize::from(!superseded)] = new.0;
        } else {
            self.reads[1] = new.0;
        }
    }
}

#[inline]
fn both_strong(old: u64, new: Access) -> bool {
    Access(old).is_strong() && new.is_strong()
}

/// What was done to some memory, granule by granule.
#[derive(Default)]
pub(super) struct Granules {
    list: Vec<Granule>,
    /// Log2 of the bytes of a granule: 2 until something narrower is touched.
    shift: u32,
}

impl Granules {
    pub fn new(bytes: usize) -> Self {
        Self { list: vec![Granule::default(); bytes.div_ceil(4)], shift: 2 }
    }

    /// Makes these the granules of bytes that adjacent lanes touched together.
    pub fn divide(&mut self, whole: &Granule, bytes: usize) {
        let parts = [whole.write, whole.reads[0], whole.reads[1]];
        self.shift =
            parts.iter().filter(|&&part| part != 0).map(|&part| Access(part).shift()).min().unwrap_or(2).min(2);
        let part =
            |of: u64, at: usize| if of == 0 { 0 } else { Access(of).of_lane((at >> Access(of).shift()) as u32).0 };
        self.list.clear();
        self.list.extend((0..bytes >> self.shift).map(|index| {
            let [write, first, second] = parts.map(|of| part(of, index << self.shift));
            Granule { write, reads: [first, second] }
        }));
    }

    /// Makes granules no wider than accesses of so many bytes: those of each keep its accesses.
    #[inline]
    pub fn fit(&mut self, bytes: u32) {
        if bytes >> self.shift == 0 {
            self.narrow(bytes.trailing_zeros());
        }
    }

    #[cold]
    fn narrow(&mut self, shift: u32) {
        let parts = 1 << (self.shift - shift);
        let count = self.list.len();
        self.list.resize(count * parts, Granule::default());
        // From the end on: what is written lies behind what is still to be read.
        for index in (0..count).rev() {
            let granule = self.list[index];
            self.list[index * parts..][..parts].fill(granule);
        }
        self.shift = shift;
    }

    /// Records that adjacent lanes, from one on, read adjacent bytes, `bytes` each. The lane and the write that race are
    /// the error.
    #[inline]
    pub fn read(
        &mut self,
        start: usize,
        lanes: Range<usize>,
        bytes: usize,
        instruction: &Instruction,
        known: &Known,
    ) -> Result<(), (usize, Access)> {
        let granules = &mut self.list[start >> self.shift..][..(lanes.len() * bytes) >> self.shift];
        let shift = bytes.trailing_zeros() - self.shift;
        for (index, granule) in granules.iter_mut().enumerate() {
            let lane = lanes.start + (index >> shift);
            granule.read(instruction.lane(lane), instruction, known).map_err(|other| (lane, other))?;
        }
        Ok(())
    }

    /// Records that lanes write, as [`Self::read`]. `same` tells whether bytes from an index on keep their values. The
    /// error tells also whether the other access wrote.
    #[inline]
    pub fn write(
        &mut self,
        start: usize,
        lanes: Range<usize>,
        bytes: usize,
        instruction: &Instruction,
        known: &Known,
        same: impl Fn(Range<usize>) -> bool,
    ) -> Result<(), (usize, Access, bool)> {
        let granules = &mut self.list[start >> self.shift..][..(lanes.len() * bytes) >> self.shift];
        let shift = bytes.trailing_zeros() - self.shift;
        for (index, granule) in granules.iter_mut().enumerate() {
            let lane = lanes.start + (index >> shift);
            let at = index << self.shift;
            let same = || same(at..at + (1 << self.shift));
            let written = granule.write(instruction.lane(lane), instruction, known, same);
            written.map_err(|(other, wrote)| (lane, other, wrote))?;
        }
        Ok(())
    }
}

/// The accesses of a block to its shared memory and what its barriers order.
pub(super) struct Hazards {
    pub clocks: Clocks,
    granules: Granules,
}

impl Hazards {
    pub fn new(bytes: usize) -> Self {
        Self { clocks: Clocks::new(), granules: Granules::new(bytes) }
    }

    pub fn instruction(&mut self, warp: u32, line: u32, bytes: u32, strong: bool) -> Instruction {
        self.granules.fit(bytes);
        self.clocks.instruction(warp, line, strong)
    }

    /// See [`Granules::read`].
    #[inline]
    pub fn read(
        &mut self,
        start: usize,
        lanes: Range<usize>,
        bytes: usize,
        instruction: &Instruction,
    ) -> Result<(), (usize, Access)> {
        self.granules.read(start, lanes, bytes, instruction, self.clocks.known(instruction))
    }

    /// See [`Granules::write`].
    #[inline]
    pub fn write(
        &mut self,
        start: usize,
        lanes: Range<usize>,
        bytes: usize,
        instruction: &Instruction,
        same: impl Fn(Range<usize>) -> bool,
    ) -> Result<(), (usize, Access, bool)> {
        self.granules.write(start, lanes, bytes, instruction, self.clocks.known(instruction), same)
    }
}
