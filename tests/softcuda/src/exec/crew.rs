//! How many host threads a launch gets, when several launches run at a time.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Threads in all launches that did not say how many they want.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// The host threads of a launch, the caller's among them, until it is dropped.
pub struct Crew {
    size: usize,
    shared: bool,
}

impl Crew {
    /// `wanted` threads, or for 0 as many as the machine has left; not more than there are blocks.
    pub fn of(wanted: usize, blocks: usize) -> Self {
        if wanted != 0 {
            return Self { size: wanted.min(blocks), shared: false };
        }
        let size = |busy: usize| processors().saturating_sub(busy).clamp(1, blocks.max(1));
        let busy = AT_WORK.fetch_update(Relaxed, Relaxed, |busy| Some(busy + size(busy)));
        Self { size: size(busy.unwrap_or_else(|busy| busy)), shared: true }
    }

    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if self.shared {
            AT_WORK.fetch_sub(self.size, Relaxed);
        }
    }
}

/// Asked once: the answer is read from files.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, |count| count.get()))
}
