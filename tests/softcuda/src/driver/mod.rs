//! The driver API of CUDA, as far as cudarc calls it.
//!
//! One table, [`EXPORTS`], has every exported function: which are implemented, and which are refused with
//! `CUDA_ERROR_NOT_SUPPORTED`. Behind it there is a file for each kind of object. A call takes the driver's lock, and what
//! panics behind it is told as `CUDA_ERROR_UNKNOWN`.
//!
//! There is one device. Kernels and copies run when they are enqueued, or, as [`StreamMode`] says, as late as they may. A
//! kernel that faults does so like on a device: its launch succeeds, and from then on every call of its context answers
//! the error; the [`Fault`](crate::check::Fault) is there to be taken. What is wrong with a copy at its call is told by the
//! call, and left as a fault too.
//!
//! Refused: managed and external memory, clusters, other memory pools than the default, allocations and graphs inside of
//! captured graphs, and binaries: PTX is what every device takes. Not known: how many registers a kernel uses. A launch
//! that is deferred, or captured, is checked when it runs, and what is wrong with it is then an error of its context.

mod call;
mod capture;
mod context;
mod control;
mod device;
mod error;
mod event;
mod function;
mod graph;
mod host;
mod injection;
mod launch;
mod memory;
mod module;
mod occupancy;
mod pointer;
mod pool;
mod queue;
mod report;
mod settings;
mod state;
mod stream;
mod table;
mod wire;

pub use report::{Allocations, Copies, LaunchRecord, Moved, Report};
pub use settings::{Injection, Settings, Site, StreamMode};
pub use table::{EXPORTS, Export};

/// Which build this is: what installs the library compares it with the library's.
pub(crate) const STAMP: &str = env!("SOFTCUDA_STAMP");
