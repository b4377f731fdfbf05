//! Puts the library where cudarc looks for the driver.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::check::Fault;
use crate::driver::{Injection, Report, STAMP, Settings, StreamMode};
use crate::machine::Options;

/// The file that cargo makes of this crate.
const FILE: &str = "libsoftcuda.so";
/// The names under which programs look for the driver on Linux; the first is the library's.
const DRIVER: [&CStr; 2] = [c"libcuda.so", c"libcuda.so.1"];

/// The installed driver, which lives in a library of its own: what is asked of it goes there.
#[derive(Clone, Copy, Debug)]
pub struct Installed {
    report: Control,
    reset: Control,
    configure: Control,
    last_fault: Control,
    inject: Control,
    load_log: Control,
    free: Free,
}

type Control = unsafe extern "C" fn(*const c_char) -> *mut c_char;
type Free = unsafe extern "C" fn(*mut c_char);

/// Loads the driver into this process, where every later search for `libcuda.so` finds it. It must come before the first
/// call of cudarc; calls after the first return the same. The library is `SOFTCUDA_LIB`, or `libsoftcuda.so` beside the
/// running executable, where cargo puts it for a test.
///
/// # Panics
/// With the reason, if the driver is not there, is of another build, or another driver was loaded before.
#[track_caller]
pub fn install() -> Installed {
    static INSTALLED: OnceLock<Result<Installed, String>> = OnceLock::new();
    match INSTALLED.get_or_init(load) {
        Ok(installed) => *installed,
        Err(message) => panic!("softcuda cannot be installed: {message}"),
    }
}

fn path() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("SOFTCUDA_LIB").filter(|path| !path.is_empty()) {
        let path = std::path::absolute(path).map_err(|error| format!("SOFTCUDA_LIB: {error}"))?;
        return if path.is_file() { Ok(path) } else { Err(format!("SOFTCUDA_LIB: there is no {}", path.display())) };
    }
    let executable = std::env::current_exe().map_err(|error| format!("where the executable is: {error}"))?;
    let path = executable.with_file_name(FILE);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("there is no {}; cargo puts it there for tests that have softcuda as a dependency", path.display()))
}

fn load() -> Result<Installed, String> {
    for name in DRIVER {
        // SAFETY: nothing is loaded; a library that is there already is told.
        if !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) }.is_null() {
            return Err(format!("a {} was loaded before", name.to_string_lossy()));
        }
    }
    let path = path()?;
    let library = open(&path)?;
    // SAFETY: as above; the library must now be found by its name.
    let found = unsafe { libc::dlopen(DRIVER[0].as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if found != library {
        return Err(format!("{} is not found by the name of the driver", path.display()));
    }
    let free = symbol(library, c"softcuda_free")?;
    let control = |name| {
        let address = symbol(library, name)?;
        // SAFETY: all functions of this library that are named here are of this type; that it is this library, and of
        // which build, the stamp tells, and its function came with the first build.
        Ok::<_, String>(unsafe { std::mem::transmute::<*mut c_void, Control>(address) })
    };
    let stamp = control(c"softcuda_stamp")?;
    let installed = Installed {
        report: control(c"softcuda_report_json")?,
        reset: control(c"softcuda_reset")?,
        configure: control(c"softcuda_configure")?,
        last_fault: control(c"softcuda_last_fault_json")?,
        inject: control(c"softcuda_inject")?,
        load_log: control(c"softcuda_load_log")?,
        // SAFETY: it is of this type, as above.
        free: unsafe { std::mem::transmute::<*mut c_void, Free>(free) },
    };
    let stamp: String = installed.ask(stamp, None::<()>)?;
    if stamp != STAMP {
        return Err(format!("{} is of build {stamp}, and the caller of {STAMP}: build again", path.display()));
    }
    Ok(installed)
}

fn open(path: &Path) -> Result<*mut c_void, String> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    const FLAGS: c_int = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    // SAFETY: the library has no initialisers but those of Rust's standard library. It is never closed.
    let library = unsafe { libc::dlopen(name.as_ptr(), FLAGS) };
    if library.is_null() { Err(last_error()) } else { Ok(library) }
}

fn symbol(library: *mut c_void, name: &CStr) -> Result<*mut c_void, String> {
    // SAFETY: the library is open.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    if address.is_null() { Err(last_error()) } else { Ok(address) }
}

fn last_error() -> String {
    // SAFETY: the text of the thread's last error, if it is one, is copied before another call changes it.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            return "an unknown error".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

impl Installed {
    /// What the driver did since it was last reset.
    #[track_caller]
    pub fn report(&self) -> Report {
        expect(self.ask(self.report, None::<()>))
    }

    /// Prints `softcuda: N launches, K kernels` to the standard error when the process ends.
    pub fn tell_at_exit(&self) {
        extern "C" fn tell() {
            let report = install().report();
            eprintln!("softcuda: {} launches, {} kernels", report.launches.len(), report.kernels.len());
        }
        static ONCE: std::sync::Once = std::sync::Once::new();
        // SAFETY: the function may be called at the end of a process: it needs nothing that is destroyed before.
        ONCE.call_once(|| assert_eq!(unsafe { libc::atexit(tell) }, 0, "softcuda: no room for a function at exit"));
    }

    /// Executes what is enqueued, then forgets what was done, faults, errors of contexts and injections. Memory, modules
    /// and all other objects stay.
    #[track_caller]
    pub fn reset(&self) {
        expect(self.ask(self.reset, None::<()>))
    }

    /// Sets how kernels are run and checked, which device there is (`a100`, `h100`, `small`), and when streams execute.
    ///
    /// # Panics
    /// Contexts are alive, and more than the mode of streams would change; there is no such device.
    #[track_caller]
    pub fn configure(&self, options: Options, profile: &str, streams: StreamMode) {
        let settings = Settings { profile: profile.to_owned(), options, streams };
        expect(self.ask(self.configure, Some(settings)))
    }

    /// The last fault, which is then no longer there. Errors of contexts stay until [`Installed::reset`].
    #[track_caller]
    pub fn take_fault(&self) -> Option<Fault> {
        expect(self.ask(self.last_fault, None::<()>))
    }

    /// Makes something go wrong.
    ///
    /// # Panics
    /// The driver API has no such error, or it is to be the 0-th.
    #[track_caller]
    pub fn inject(&self, injection: Injection) {
        expect(self.ask(self.inject, Some([injection])))
    }

    /// Why modules were refused since the last reset, a line each.
    #[track_caller]
    pub fn load_log(&self) -> String {
        expect(self.ask(self.load_log, None::<()>))
    }

    fn ask<T: DeserializeOwned>(&self, control: Control, request: Option<impl Serialize>) -> Result<T, String> {
        let request = request.map(|request| serde_json::to_string(&request)).transpose();
        let request = request.map_err(|error| error.to_string())?;
        let request = request.map(CString::new).transpose().map_err(|error| error.to_string())?;
        // SAFETY: the functions take a text that ends with a NUL, or null, and answer a text, or null, that is given back
        // once it is copied.
        let answer = unsafe {
            let answer = control(request.as_ref().map_or(std::ptr::null(), |request| request.as_ptr()));
            if answer.is_null() {
                return Err("the library has no answer".to_owned());
            }
            let text = CStr::from_ptr(answer).to_string_lossy().into_owned();
            (self.free)(answer);
            text
        };
        serde_json::from_str::<Result<T, String>>(&answer).map_err(|error| format!("{error}: {answer}"))?
    }
}

#[track_caller]
fn expect<T>(result: Result<T, String>) -> T {
    result.unwrap_or_else(|message| panic!("softcuda: {message}"))
}
