//! Races between the threads of a block in shared memory.
//!
//! Each warp has a vector clock: for every warp, up to which of its barriers it is known to have come. An access is
//! stamped with the last barrier of its warp, and is ordered before what another warp does if that warp's clock has
//! passed the stamp. Within a warp, accesses of different lanes are ordered only by the warp's own barriers.

use std::ops::Range;

/// Warps of a block.
const WARPS: usize = 32;

/// An access; 0 is none. From the lowest bit: atomic 1, thread 10, line 21, stamp 32.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(u64);

impl Access {
    #[inline]
    pub fn thread(self) -> u32 {
        (self.0 >> 1) as u32 & 1023
    }

    #[inline]
    pub fn line(self) -> u32 {
        (self.0 >> 11) as u32 & 0x1f_ffff
    }

    #[inline]
    fn warp(self) -> usize {
        self.thread() as usize / 32
    }

    #[inline]
    fn stamp(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    fn is_atomic(self) -> bool {
        self.0 & 1 != 0
    }
}

/// What was last done to a granule: a write, and reads of two threads, of two warps if there are.
#[derive(Clone, Copy, Default)]
struct Granule {
    write: u64,
    reads: [u64; 2],
}

/// What a warp instruction does, apart from its lanes and addresses.
#[derive(Clone, Copy)]
pub(super) struct Instruction {
    /// The access of lane 0.
    first: Access,
    warp: usize,
    /// Accesses below are ordered before this one, by their stamps alone.
    past: u64,
}

impl Instruction {
    #[inline]
    pub fn lane(&self, lane: usize) -> Access {
        Access(self.first.0 + ((lane as u64) << 1))
    }
}

/// The accesses of a block and what its barriers order.
pub(super) struct Hazards {
    granules: Vec<Granule>,
    /// Log2 of the bytes of a granule: 2 until something narrower is touched.
    shift: u32,
    clock: u32,
    /// Row w: what warp w knows of each warp; its own entry is the stamp of its accesses.
    known: Box<[[u32; WARPS]; WARPS]>,
    /// The least of each row, over the warps that touched memory.
    least: [u32; WARPS],
    touched: u32,
}

impl Hazards {
    pub fn new(bytes: usize) -> Self {
        Self {
            granules: vec![Granule::default(); bytes.div_ceil(4)],
            shift: 2,
            clock: 1,
            known: Box::new([[1; WARPS]; WARPS]),
            least: [1; WARPS],
            touched: 0,
        }
    }

    pub fn block_barrier(&mut self) {
        self.clock += 1;
        *self.known = [[self.clock; WARPS]; WARPS];
        self.least = [self.clock; WARPS];
    }

    pub fn warp_barrier(&mut self, warp: u32) {
        let warp = warp as usize % WARPS;
        self.clock += 1;
        self.known[warp][warp] = self.clock;
        if self.touched == 1 << warp {
            self.least[warp] = self.clock;
        }
    }

    pub fn partial_barrier(&mut self, warps: &[u32]) {
        self.clock += 1;
        let mut joined = [0; WARPS];
        for &warp in warps {
            for (joined, known) in joined.iter_mut().zip(&self.known[warp as usize % WARPS]) {
                *joined = (*joined).max(*known);
            }
        }
        for &warp in warps {
            joined[warp as usize % WARPS] = self.clock;
        }
        for &warp in warps {
            self.known[warp as usize % WARPS] = joined;
        }
        self.find_least();
    }

    fn find_least(&mut self) {
        for (least, row) in self.least.iter_mut().zip(self.known.iter()) {
            let touched = row.iter().enumerate().filter(|(warp, _)| self.touched >> warp & 1 != 0);
            *least = touched.map(|(_, known)| *known).min().unwrap_or(1);
        }
    }

    pub fn instruction(&mut self, warp: u32, line: u32, bytes: u32, atomic: bool) -> Instruction {
        let warp = warp as usize % WARPS;
        if self.touched >> warp & 1 == 0 {
            self.touched |= 1 << warp;
            self.find_least();
        }
        if bytes >> self.shift == 0 {
            self.narrow(bytes.trailing_zeros());
        }
        let stamp = u64::from(self.known[warp][warp]);
        let line = u64::from(line.min(0x1f_ffff));
        let first = Access(stamp << 32 | line << 11 | (warp as u64 * 32) << 1 | u64::from(atomic));
        Instruction { first, warp, past: u64::from(self.least[warp]) << 32 }
    }

    /// Divides granules: the bytes of each keep its accesses.
    #[cold]
    fn narrow(&mut self, shift: u32) {
        let parts = 1 << (self.shift - shift);
        self.granules = self.granules.iter().flat_map(|granule| std::iter::repeat_n(*granule, parts)).collect();
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
    ) -> Result<(), (usize, Access)> {
        let known = &self.known[instruction.warp];
        let granules = &mut self.granules[start >> self.shift..][..(lanes.len() * bytes) >> self.shift];
        let shift = bytes.trailing_zeros() - self.shift;
        for (index, granule) in granules.iter_mut().enumerate() {
            let lane = lanes.start + (index >> shift);
            let new = instruction.lane(lane);
            if granule.write >= instruction.past && new.meets(granule.write, known) {
                return Err((lane, Access(granule.write)));
            }
            if granule.reads[0] < instruction.past {
                granule.reads[0] = new.0;
            } else {
                granule.add_read(new, instruction);
            }
        }
        Ok(())
    }

    /// Records that lanes write, as [`Self::read`]. `same` tells whether bytes from an index on keep their values: then
    /// what an instruction of the same line wrote is no race. The error tells also whether the other access wrote.
    #[inline]
    pub fn write(
        &mut self,
        start: usize,
        lanes: Range<usize>,
        bytes: usize,
        instruction: &Instruction,
        same: impl Fn(Range<usize>) -> bool,
    ) -> Result<(), (usize, Access, bool)> {
        let known = &self.known[instruction.warp];
        let granules = &mut self.granules[start >> self.shift..][..(lanes.len() * bytes) >> self.shift];
        let shift = bytes.trailing_zeros() - self.shift;
        for (index, granule) in granules.iter_mut().enumerate() {
            let lane = lanes.start + (index >> shift);
            let new = instruction.lane(lane);
            if granule.write >= instruction.past && new.meets(granule.write, known) {
                let write = Access(granule.write);
                let at = index << self.shift;
                let atomic = write.is_atomic() && new.is_atomic();
                let one_value = write.line() == new.line() && same(at..at + (1 << self.shift));
                if !atomic && !one_value {
                    return Err((lane, write, true));
                }
            }
            for read in granule.reads {
                if read >= instruction.past && new.meets(read, known) {
                    return Err((lane, Access(read), false));
                }
            }
            granule.write = new.0;
        }
        Ok(())
    }
}

impl Access {
    /// Whether an earlier access of another thread is not ordered before this one, of a warp that knows `known`.
    #[inline]
    fn meets(self, old: u64, known: &[u32; WARPS]) -> bool {
        let old = Access(old);
        old.thread() != self.thread() && old.stamp() >= known[old.warp()]
    }
}

impl Granule {
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
            let superseded = a.thread() == new.thread() || a.stamp() < new.stamp();
            self.reads[usize::from(!superseded)] = new.0;
        } else {
            self.reads[1] = new.0;
        }
    }
}
