//! The kernels as a shared library of this machine.

use std::env;
use std::ffi::{CStr, CString, OsString, c_void};
use std::fs;
use std::io::ErrorKind;
use std::mem::transmute_copy;
use std::path::Path;
use std::process::{self, Command};
use std::sync::OnceLock;

/// Nothing is fused but what says `fma`, as in the flags of build.rs.
const FLAGS: [&str; 9] = [
    "-std=c++20",
    "-O1",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-Wall",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-shared",
    "-fPIC",
];

/// A loaded library; it stays loaded.
pub struct Library {
    handle: *mut c_void,
}

// SAFETY: a handle of dlopen may be used by any thread, and the library keeps its state in each of them.
unsafe impl Send for Library {}
// SAFETY: the same.
unsafe impl Sync for Library {}

impl Library {
    /// A function.
    ///
    /// # Safety
    ///
    /// `F` must be the function pointer type that fits `name` in kernels.cc.
    pub unsafe fn function<F: Copy>(&self, name: &str) -> F {
        let text = CString::new(name).unwrap();
        // SAFETY: the handle is open.
        let address = unsafe { libc::dlsym(self.handle, text.as_ptr()) };
        assert!(!address.is_null(), "the library has no {name}");
        assert_eq!(size_of::<F>(), size_of_val(&address));
        // SAFETY: the caller's promise.
        unsafe { transmute_copy(&address) }
    }
}

/// The library, compiled once a process; `None`, and a word about it, without a compiler.
pub fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY.get_or_init(compile).as_ref()
}

fn compile() -> Option<Library> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| OsString::from("g++"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{}.so", process::id()));
    let mut command = Command::new(&compiler);
    command.args(FLAGS).arg("-I").arg(root.join("../../kernels")).arg("-o").arg(&file);
    let output = match command.arg(root.join("tests/host/kernels.cc")).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: there is no {}", compiler.to_string_lossy());
            return None;
        }
        Err(error) => panic!("{}: {error}", compiler.to_string_lossy()),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = CString::new(file.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: the library was made above, and runs nothing when it is loaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        // SAFETY: dlopen failed, so there is a message.
        panic!("{}", unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy());
    }
    // What is loaded needs no file.
    fs::remove_file(&file).unwrap();
    Some(Library { handle })
}
