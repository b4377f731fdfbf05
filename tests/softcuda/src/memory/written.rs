/// Which bytes of a memory that one host thread uses were written: a bit each.
#[derive(Default)]
pub(crate) struct Written {
    bits: Vec<u64>,
}

/// Bits `start` to `end` of the word that holds bit `start`, as a mask, and the first bit behind them.
#[inline]
fn piece(start: usize, end: usize) -> (u64, usize) {
    let next = (start / 64 * 64 + 64).min(end);
    (u64::MAX >> (64 - (next - start)) << (start % 64), next)
}

impl Written {
    /// Of so many bytes none was written.
    pub fn new(bytes: usize) -> Self {
        Self { bits: vec![0; bytes.div_ceil(64)] }
    }

    /// The same memory, perhaps of another size, as if nothing had been written.
    pub fn reset(&mut self, bytes: usize) {
        self.bits.clear();
        self.bits.resize(bytes.div_ceil(64), 0);
    }

    /// Bytes `start` to `end` were written.
    #[inline]
    pub fn set(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let (mask, next) = piece(at, end);
            self.bits[at / 64] |= mask;
            at = next;
        }
    }

    /// The first byte from `start` to `end` that was never written.
    #[inline]
    pub fn first_missing(&self, start: usize, end: usize) -> Option<usize> {
        let mut at = start;
        while at < end {
            let (mask, next) = piece(at, end);
            let missing = !self.bits[at / 64] & mask;
            if missing != 0 {
                return Some(at / 64 * 64 + missing.trailing_zeros() as usize);
            }
            at = next;
        }
        None
    }
}
