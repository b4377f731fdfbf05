use super::clock::Access;

/// Bytes of a mark: copies are of 4, 8 or 16 bytes, at multiples of their size.
const MARK: usize = 4;

/// Destinations of asynchronous copies that nobody has waited for.
#[derive(Default)]
pub(super) struct Flights {
    /// What copies into each four bytes; empty until the first copy.
    marks: Vec<Option<Access>>,
    under_way: usize,
}

impl Flights {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.under_way == 0
    }

    /// The first of these bytes that a copy is under way to, from `at`, and that copy.
    pub fn find(&self, at: usize, bytes: usize) -> Option<(usize, Access)> {
        let marks = self.marks.iter().enumerate().take((at + bytes).div_ceil(MARK)).skip(at / MARK);
        marks.filter_map(|(index, mark)| Some(((index * MARK).saturating_sub(at), (*mark)?))).next()
    }

    /// A copy begins, in a memory of `size` bytes.
    pub fn begin(&mut self, at: usize, bytes: usize, copy: Access, size: usize) {
        self.marks.resize(size.div_ceil(MARK), None);
        self.marks[at / MARK..(at + bytes) / MARK].fill(Some(copy));
        self.under_way += 1;
    }

    /// A copy was waited for.
    pub fn end(&mut self, at: usize, bytes: usize) {
        self.marks[at / MARK..(at + bytes) / MARK].fill(None);
        self.under_way -= 1;
    }

    /// All are forgotten.
    pub fn clear(&mut self) {
        self.marks.clear();
        self.under_way = 0;
    }
}
