//! What the barriers of a block order, and its accesses' places in that order.
//!
//! Each warp has a vector clock: for every warp, up to which of its barriers it is known to have come. An access is
//! stamped with the last barrier of its warp, and is ordered before what another warp does if that warp's clock has
//! passed the stamp. Within a warp, accesses of different lanes are ordered only by the warp's own barriers.

/// Warps of a block.
const WARPS: usize = 32;

/// For each warp, which of its stamps are known: those below.
pub(super) type Known = [u32; WARPS];

/// An access; 0 is none. From the lowest bit: strong 1, thread 10, log2 of a lane's bytes 3, line 18, stamp 32.
///
/// Of bytes that adjacent lanes touch, the thread is that of the first byte; of bytes of one thread, the logarithm is 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(pub u64);

const SHIFT_AT: u32 = 11;
const LINE_AT: u32 = 14;
const MAX_LINE: u32 = (1 << 18) - 1;

impl Access {
    #[inline]
    pub fn thread(self) -> u32 {
        (self.0 >> 1) as u32 & 1023
    }

    #[inline]
    pub fn line(self) -> u32 {
        (self.0 >> LINE_AT) as u32 & MAX_LINE
    }

    #[inline]
    pub fn warp(self) -> usize {
        self.thread() as usize / 32
    }

    #[inline]
    pub fn stamp(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    pub fn is_strong(self) -> bool {
        self.0 & 1 != 0
    }

    /// Log2 of a lane's bytes.
    #[inline]
    pub fn shift(self) -> u32 {
        (self.0 >> SHIFT_AT) as u32 & 7
    }

    /// Which thread touched each byte.
    #[inline]
    pub fn threads(self) -> u32 {
        (self.0 >> 1) as u32 & 0x1fff
    }

    /// Of an access by adjacent lanes, that of one lane.
    pub fn of_lane(self, lane: u32) -> Self {
        Self((self.0 & !(7 << SHIFT_AT)) + (u64::from(lane) << 1))
    }

    /// Whether an earlier access of another thread is not ordered before this one, of a warp that knows `known`.
    #[inline]
    pub fn meets(self, old: u64, known: &Known) -> bool {
        let old = Self(old);
        old.threads() != self.threads() && old.stamp() >= known[old.warp()]
    }
}

/// What a warp instruction does, apart from its lanes and addresses.
#[derive(Clone, Copy)]
pub(super) struct Instruction {
    /// The access of lane 0.
    first: Access,
    pub warp: usize,
    /// Accesses below are ordered before this one, by their stamps alone.
    pub past: u64,
}

impl Instruction {
    #[inline]
    pub fn lane(&self, lane: usize) -> Access {
        Access(self.first.0 + ((lane as u64) << 1))
    }

    /// The access of adjacent lanes from one on, of `1 << shift` bytes each.
    #[inline]
    pub fn lanes(&self, lane: usize, shift: u32) -> Access {
        Access(self.lane(lane).0 | u64::from(shift) << SHIFT_AT)
    }
}

/// The clocks of a block's warps.
pub(super) struct Clocks {
    clock: u32,
    /// Row w: what warp w knows of each warp; its own entry is the stamp of its accesses.
    known: Box<[Known; WARPS]>,
    /// The least of each row, over the warps that touched memory.
    least: Known,
    touched: u32,
    /// What strong writes have released.
    released: Known,
    /// Accesses with a lower stamp are ordered before all that any warp does from now on.
    floor: u32,
}

impl Clocks {
    pub fn new() -> Self {
        Self {
            clock: 1,
            known: Box::new([[1; WARPS]; WARPS]),
            least: [1; WARPS],
            touched: 0,
            released: [0; WARPS],
            floor: 1,
        }
    }

    /// Another block begins: all before is past.
    pub fn begin_block(&mut self) {
        self.touched = 0;
        self.block_barrier();
    }

    pub fn block_barrier(&mut self) {
        self.clock += 1;
        *self.known = [[self.clock; WARPS]; WARPS];
        self.least = [self.clock; WARPS];
        self.floor = self.clock;
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
            join(&mut joined, &self.known[warp as usize % WARPS]);
        }
        for &warp in warps {
            joined[warp as usize % WARPS] = self.clock;
        }
        for &warp in warps {
            self.known[warp as usize % WARPS] = joined;
        }
        self.find_least();
    }

    /// A warp makes what it did, and what it knows, known to those that acquire later.
    pub fn release(&mut self, warp: u32) {
        self.warp_barrier(warp);
        join(&mut self.released, &self.known[warp as usize % WARPS]);
    }

    /// A warp learns what was released.
    pub fn acquire(&mut self, warp: u32) {
        let warp = warp as usize % WARPS;
        join(&mut self.known[warp], &self.released);
        self.least[warp] = least(&self.known[warp], self.touched);
    }

    fn find_least(&mut self) {
        for (of_row, row) in self.least.iter_mut().zip(self.known.iter()) {
            *of_row = least(row, self.touched);
        }
    }

    pub fn instruction(&mut self, warp: u32, line: u32, strong: bool) -> Instruction {
        let warp = warp as usize % WARPS;
        if self.touched >> warp & 1 == 0 {
            self.touched |= 1 << warp;
            self.find_least();
        }
        let stamp = u64::from(self.known[warp][warp]);
        let line = u64::from(line.min(MAX_LINE));
        let first = Access(stamp << 32 | line << LINE_AT | (warp as u64 * 32) << 1 | u64::from(strong));
        Instruction { first, warp, past: u64::from(self.least[warp]) << 32 }
    }

    /// What the warp of an instruction knows.
    #[inline]
    pub fn known(&self, instruction: &Instruction) -> &Known {
        &self.known[instruction.warp]
    }

    /// Accesses with a lower stamp are ordered before all that any warp does from now on.
    #[inline]
    pub fn floor(&self) -> u32 {
        self.floor
    }
}

fn join(joined: &mut Known, known: &Known) {
    for (joined, known) in joined.iter_mut().zip(known) {
        *joined = (*joined).max(*known);
    }
}

fn least(row: &Known, touched: u32) -> u32 {
    let touched = row.iter().enumerate().filter(|(warp, _)| touched >> warp & 1 != 0);
    touched.map(|(_, known)| *known).min().unwrap_or(1)
}
