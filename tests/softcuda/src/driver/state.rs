//! The state of the driver, and the lock through which every call reaches it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::capture::Captures;
use super::context::Context;
use super::error::Code;
use super::event::Event;
use super::function::Function;
use super::graph::{Executable, Graph};
use super::injection::Injections;
use super::memory::Allocation;
use super::module::Module;
use super::queue::Queue;
use super::report::Report;
use super::settings::{Injection, Settings, StreamMode, variable};
use super::stream::Stream;
use crate::check::Fault;
use crate::machine::Machine;

/// What callers hold in place of a pointer to an object. Never dereferenced; never given twice.
pub type Handle = u64;

/// The state of the driver.
pub struct Driver {
    pub settings: Settings,
    pub initialised: bool,
    /// There while there are contexts.
    pub machine: Option<Arc<Machine>>,
    /// The primary context, and how often it is retained.
    pub primary: Option<(Handle, u64)>,
    pub contexts: HashMap<Handle, Context>,
    pub streams: BTreeMap<Handle, Stream>,
    pub events: HashMap<Handle, Event>,
    pub modules: HashMap<Handle, Module>,
    pub functions: HashMap<Handle, Function>,
    pub graphs: HashMap<Handle, Graph>,
    pub executables: HashMap<Handle, Executable>,
    pub captures: Captures,
    pub queue: Queue,
    /// Device memory, by address.
    pub allocations: BTreeMap<u64, Allocation>,
    /// Page-locked host memory, by address.
    pub pinned: BTreeMap<u64, usize>,
    /// What the default memory pool was told to keep.
    pub release_threshold: u64,
    pub report: Report,
    /// The last fault, until it is taken.
    pub fault: Option<Fault>,
    /// Why modules were refused, a line each.
    pub load_log: String,
    pub injections: Injections,
    handles: Handle,
}

impl Driver {
    fn new(settings: Settings, injections: Vec<Injection>) -> Self {
        Self {
            queue: Queue::new(settings.streams),
            settings,
            initialised: false,
            machine: None,
            primary: None,
            contexts: HashMap::new(),
            streams: BTreeMap::new(),
            events: HashMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            graphs: HashMap::new(),
            executables: HashMap::new(),
            captures: Captures::default(),
            allocations: BTreeMap::new(),
            pinned: BTreeMap::new(),
            release_threshold: 0,
            report: Report::default(),
            fault: None,
            load_log: String::new(),
            injections: Injections::new(injections),
            handles: 0x1000,
        }
    }

    /// A handle that no object had before.
    pub fn handle(&mut self) -> Handle {
        self.handles += 0x10;
        self.handles
    }

    /// The device. Errors: there is no context.
    pub fn machine(&self) -> Result<Arc<Machine>, Code> {
        self.machine.clone().ok_or(Code::INVALID_CONTEXT)
    }

    /// The calling thread's context. Errors: none, destroyed, or its error if it has one.
    pub fn context(&mut self) -> Result<&mut Context, Code> {
        let current = current();
        if current == 0 {
            return Err(Code::INVALID_CONTEXT);
        }
        let context = self.contexts.get_mut(&current).ok_or(Code::CONTEXT_IS_DESTROYED)?;
        match context.error {
            Some(code) => Err(code),
            None => Ok(context),
        }
    }

    /// Forgets what was done, faults, errors of contexts and injections; objects stay.
    pub fn reset(&mut self) {
        self.report = Report::default();
        self.report.allocations.peak_bytes = self.allocations.values().map(|allocation| allocation.bytes).sum();
        self.fault = None;
        self.load_log.clear();
        self.injections = Injections::new(Vec::new());
        for context in self.contexts.values_mut() {
            context.error = None;
        }
    }

    /// Errors: contexts are alive, and more than the mode of streams would change.
    pub fn configure(&mut self, settings: Settings) -> Result<(), String> {
        super::settings::profile(&settings.profile)?;
        let device_stays = settings.profile == self.settings.profile && settings.options == self.settings.options;
        if !device_stays && !self.contexts.is_empty() {
            return Err(format!("{} contexts are alive: drop them before the device changes", self.contexts.len()));
        }
        self.queue.set_mode(settings.streams);
        self.settings = settings;
        Ok(())
    }

    /// Whether work waits until something asks for it.
    pub fn is_lazy(&self) -> bool {
        self.settings.streams != StreamMode::AtEnqueue
    }
}

/// The driver, locked for the calling thread.
pub struct Session {
    guard: Option<MutexGuard<'static, Driver>>,
}

/// Told whenever work is done that was executed unlocked.
static DONE: Condvar = Condvar::new();

/// The driver as the environment configures it; an error that `cuInit` and [`super::control`] tell.
fn driver() -> &'static Result<Mutex<Driver>, String> {
    static DRIVER: OnceLock<Result<Mutex<Driver>, String>> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let injections = variable("SOFTCUDA_INJECT").map_or(Ok(Vec::new()), |text| Injection::list(&text))?;
        Ok(Mutex::new(Driver::new(Settings::from_environment()?, injections)))
    })
}

impl Session {
    /// Errors: the environment is malformed.
    pub fn open() -> Result<Self, &'static str> {
        match driver() {
            // A call that panicked leaves the driver usable enough to tell the error of it.
            Ok(driver) => Ok(Self { guard: Some(driver.lock().unwrap_or_else(PoisonError::into_inner)) }),
            Err(message) => Err(message),
        }
    }

    /// Lets others call the driver meanwhile. Errors: `run` panicked.
    pub fn unlocked<T>(&mut self, run: impl FnOnce() -> T) -> thread::Result<T> {
        self.guard = None;
        let value = catch_unwind(AssertUnwindSafe(run));
        if let Ok(session) = Self::open() {
            self.guard = session.guard;
        }
        DONE.notify_all();
        value
    }

    /// Waits until another thread is done with work that it executes unlocked.
    pub fn wait(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.guard = Some(DONE.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Deref for Session {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        self.guard.as_ref().expect("locked outside of unlocked()")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Driver {
        self.guard.as_mut().expect("locked outside of unlocked()")
    }
}

thread_local! {
    static CURRENT: Cell<Handle> = const { Cell::new(0) };
}

/// The calling thread's context; 0 for none.
pub fn current() -> Handle {
    CURRENT.get()
}

/// Makes a context, or none, the calling thread's.
pub fn set_current(context: Handle) {
    CURRENT.set(context);
}
