//! A CUDA device: finding the driver without a panic, a stream, the modules loaded on it.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::c_int;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaModule, CudaStream, DriverError};
use libloading::Library;

use crate::error::{Error, ErrorKind, Result};

/// A stream of a CUDA device. Work is enqueued on it and not waited for.
#[derive(Clone)]
pub struct Cuda {
    stream: Arc<CudaStream>,
    name: Arc<str>,
    modules: Arc<Mutex<HashMap<&'static str, Arc<CudaModule>>>>,
}

impl Cuda {
    /// The default stream of a device. Errors: as [`Device::cuda`](super::Device::cuda).
    pub fn new(ordinal: usize) -> Result<Self> {
        let no_cuda = |reason| Error::from(ErrorKind::NoCuda { ordinal, reason });
        probe(ordinal).map_err(no_cuda)?;
        let context = CudaContext::new(ordinal).map_err(|error| no_cuda(code(error)))?;
        Self::from_stream(context.default_stream())
    }

    /// A stream of the caller's. Everything gradus does on the device is enqueued on it.
    ///
    /// Errors: the driver refuses to name the device.
    pub fn from_stream(stream: Arc<CudaStream>) -> Result<Self> {
        let context = stream.context().clone();
        let name =
            context.name().map_err(|error| ErrorKind::NoCuda { ordinal: context.ordinal(), reason: code(error) })?;
        Ok(Self { stream, name: name.into(), modules: Arc::default() })
    }

    /// The device's number.
    pub fn ordinal(&self) -> usize {
        self.stream.context().ordinal()
    }

    /// The device's name, as the driver gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stream.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// The result of a driver call, an error told with the operation and the device.
    pub(crate) fn explain<T>(
        &self,
        result: std::result::Result<T, DriverError>,
        operation: impl FnOnce() -> String,
    ) -> Result<T> {
        result.map_err(|error| {
            ErrorKind::Cuda { operation: operation(), ordinal: self.ordinal(), code: code(error) }.into()
        })
    }

    /// The module of a name, loaded at its first use.
    pub(crate) fn module(
        &self,
        name: &'static str,
        load: impl FnOnce() -> Result<Arc<CudaModule>>,
    ) -> Result<Arc<CudaModule>> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(name) {
            return Ok(module.clone());
        }
        let module = load()?;
        modules.insert(name, module.clone());
        Ok(module)
    }
}

/// The same stream.
impl PartialEq for Cuda {
    fn eq(&self, other: &Self) -> bool {
        self.stream == other.stream
    }
}

impl fmt::Debug for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cuda({}, {}, {:?})", self.ordinal(), self.name, self.stream.cu_stream())
    }
}

/// The driver's name of an error, such as `ILLEGAL_ADDRESS`.
fn code(error: DriverError) -> String {
    match error.error_name() {
        Ok(name) => {
            let name = name.to_string_lossy();
            name.strip_prefix("CUDA_ERROR_").unwrap_or(&name).to_owned()
        }
        Err(_) => format!("error {}", error.0 as u32),
    }
}

/// The first driver that reads PTX 7.8, the version of the embedded kernels.
const OLDEST_DRIVER: c_int = 11080;

/// Functions of the driver that are called here or by cudarc below. cudarc panics at the call of a missing one.
const FUNCTIONS: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventRecord",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuLaunchKernel",
    "cuMemAllocAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFree_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleGetGlobal_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuStreamDestroy_v2",
    "cuStreamIsCapturing",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// Why a device cannot be used, found out by calls that cannot panic.
fn probe(ordinal: usize) -> std::result::Result<(), String> {
    let names =
        [format!("{DLL_PREFIX}cuda{DLL_SUFFIX}"), format!("{DLL_PREFIX}cuda{DLL_SUFFIX}.1"), "nvcuda.dll".into()];
    // SAFETY: loading the driver runs its initialisers, which is what every CUDA program does; these are the names
    // under which cudarc would load it next.
    let found = names.iter().find_map(|name| Some((name, unsafe { Library::new(name) }.ok()?)));
    let Some((name, library)) = found else {
        return Err(format!("no driver: neither {} nor {} can be loaded", names[0], names[1]));
    };
    // A library that may have started as a driver is never unloaded: no driver supports it. cudarc loads the same one again.
    let library = std::mem::ManuallyDrop::new(library);
    let driver = Driver { name, library: &library };

    match driver.call("cuInit", |symbol| {
        // SAFETY: cuInit(flags) takes one unsigned integer, which must be 0.
        let function = unsafe { symbol.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit") };
        // SAFETY: as above.
        function.map(|function| unsafe { function(0) })
    })? {
        0 => {}
        34 => return Err(format!("{name} is a toolkit's stub, not a driver")),
        100 => return Err("the driver finds no device".to_owned()),
        code => return Err(format!("the driver does not start: cuInit answers {code}")),
    }
    let version = driver.integer("cuDriverGetVersion")?;
    if version < OLDEST_DRIVER {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return Err(format!("the driver is of CUDA {major}.{minor}; 11.8 or later is needed"));
    }
    let count = driver.integer("cuDeviceGetCount")?;
    if ordinal as u64 >= count as u64 {
        return Err(format!("there is no such device: the driver has {count}"));
    }
    for function in FUNCTIONS {
        driver.call(function, |library| {
            // SAFETY: the symbol is looked up, not called.
            unsafe { library.get::<unsafe extern "C" fn()>(function.as_bytes()) }.map(|_| 0)
        })?;
    }
    let (major, minor) = (driver.attribute(ordinal, 75)?, driver.attribute(ordinal, 76)?);
    if major < 8 {
        return Err(format!("its compute capability is {major}.{minor}; 8.0 or later is needed"));
    }
    Ok(())
}

/// A library that calls itself the driver.
struct Driver<'a> {
    name: &'a str,
    library: &'a Library,
}

impl Driver<'_> {
    fn call(
        &self,
        function: &str,
        call: impl FnOnce(&Library) -> std::result::Result<c_int, libloading::Error>,
    ) -> std::result::Result<c_int, String> {
        call(self.library).map_err(|_| format!("{} is not a CUDA driver: it has no {function}", self.name))
    }

    /// The integer that a function of one out-pointer gives.
    fn integer(&self, function: &str) -> std::result::Result<c_int, String> {
        let mut value = 0;
        let code = self.call(function, |library| {
            // SAFETY: both functions asked for, cuDriverGetVersion and cuDeviceGetCount, take a pointer to an int.
            let function = unsafe { library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(function.as_bytes()) };
            // SAFETY: as above; `value` outlives the call.
            function.map(|function| unsafe { function(&raw mut value) })
        })?;
        if code == 0 { Ok(value) } else { Err(format!("{function} answers {code}")) }
    }

    /// A device attribute by its number in the driver's interface.
    fn attribute(&self, ordinal: usize, attribute: c_int) -> std::result::Result<c_int, String> {
        type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
        let mut value = 0;
        let code = self.call("cuDeviceGetAttribute", |library| {
            // SAFETY: cuDeviceGetAttribute(int*, attribute, device); a device's handle is its ordinal.
            let function = unsafe { library.get::<Attribute>(b"cuDeviceGetAttribute") };
            // SAFETY: as above; `value` outlives the call.
            function.map(|function| unsafe { function(&raw mut value, attribute, ordinal as c_int) })
        })?;
        if code == 0 { Ok(value) } else { Err(format!("cuDeviceGetAttribute answers {code}")) }
    }
}
