//! What `Device::cuda` says of machines without a usable driver, and that `Device::best` is the CPU there.
//!
//! The driver is found by its name. Each case therefore builds a small library of that name and asks in a process of its
//! own, this test's executable again, whose LD_LIBRARY_PATH begins with the library's folder.

#![cfg(all(feature = "cuda", target_os = "linux"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

use gradus::optim::Optimizer;
use gradus::rules::Lion;
use gradus::{Buffer, Device, ErrorKind};
use libloading::Library;

/// Tells [`asked_process`] which device to ask for.
const ORDINAL: &str = "GRADUS_TEST_ORDINAL";

/// A driver of one device that starts, and refuses memory and kernels.
#[derive(Clone, Copy)]
struct Driver {
    /// What cuInit answers.
    init: i32,
    version: i32,
    count: i32,
    capability: (i32, i32),
    /// What cuDevicePrimaryCtxRetain answers.
    retain: i32,
    /// A function that the library does not have.
    missing: &'static str,
}

impl Default for Driver {
    fn default() -> Self {
        Self { init: 0, version: 12080, count: 1, capability: (8, 0), retain: 0, missing: "" }
    }
}

/// The functions that gradus asks before it hands the driver to cudarc, in C.
const ASKED: &[(&str, &str)] = &[
    ("cuInit", "(unsigned flags) { return INIT; }"),
    ("cuDriverGetVersion", "(int *version) { *version = VERSION; return 0; }"),
    ("cuDeviceGetCount", "(int *count) { *count = COUNT; return 0; }"),
    (
        "cuDeviceGetAttribute",
        "(int *value, int attribute, int device) {
            *value = attribute == 75 ? MAJOR : attribute == 76 ? MINOR : 0;
            return 0;
        }",
    ),
];

/// The functions that gradus or cudarc calls later. Those without a body answer 0 and do nothing.
const CALLED: &[(&str, &str)] = &[
    ("cuCtxGetCurrent", "(void **context) { *context = 0; return 0; }"),
    ("cuCtxSetCurrent", ""),
    ("cuCtxSynchronize", ""),
    ("cuDeviceGet", "(int *device, int ordinal) { *device = ordinal; return 0; }"),
    ("cuDeviceGetName", "(char *name, int length, int device) { strncpy(name, \"Refuser\", length); return 0; }"),
    ("cuDevicePrimaryCtxRelease_v2", ""),
    ("cuDevicePrimaryCtxRetain", "(void **context, int device) { *context = context; return RETAIN; }"),
    ("cuEventCreate", ""),
    ("cuEventDestroy_v2", ""),
    ("cuEventRecord", ""),
    (
        "cuGetErrorName",
        "(int code, const char **name) {
            *name = code == 2 ? \"CUDA_ERROR_OUT_OF_MEMORY\"
                : code == 101 ? \"CUDA_ERROR_INVALID_DEVICE\"
                : \"CUDA_ERROR_UNSUPPORTED_PTX_VERSION\";
            return 0;
        }",
    ),
    ("cuGetErrorString", ""),
    ("cuLaunchKernel", ""),
    ("cuMemAllocAsync", ""),
    ("cuMemAlloc_v2", "(void) { return 2; }"),
    ("cuMemFreeAsync", ""),
    ("cuMemFree_v2", ""),
    ("cuMemcpyDtoDAsync_v2", ""),
    ("cuMemcpyDtoHAsync_v2", ""),
    ("cuMemcpyHtoDAsync_v2", ""),
    ("cuMemsetD8Async", ""),
    ("cuModuleGetFunction", ""),
    ("cuModuleGetGlobal_v2", ""),
    ("cuModuleLoadData", "(void) { return 222; }"),
    ("cuModuleUnload", ""),
    ("cuStreamDestroy_v2", ""),
    ("cuStreamIsCapturing", ""),
    ("cuStreamSynchronize", ""),
    ("cuStreamWaitEvent", ""),
];

impl Driver {
    /// What [`asked_process`] answers beside this driver.
    fn ask(self, case: &str, ordinal: usize) -> String {
        ask(&self.library(case), ordinal)
    }

    /// The folder of the driver, built under the driver's first name.
    fn library(self, case: &str) -> PathBuf {
        let Self { init, version, count, capability: (major, minor), retain, missing } = self;
        let body = |body: &&'static str| if body.is_empty() { "(void) { return 0; }" } else { *body };
        let functions = ASKED.iter().chain(CALLED).filter(|(name, _)| *name != missing);
        let functions: String = functions.map(|(name, code)| format!("int {name}{}\n", body(code))).collect();
        library(
            case,
            &format!(
                "#include <string.h>
                enum {{ INIT = {init}, VERSION = {version}, COUNT = {count}, MAJOR = {major}, MINOR = {minor}, RETAIN = {retain} }};
                {functions}"
            ),
        )
    }
}

#[test]
fn no_driver() {
    let folder = folder("no_driver");
    if let Some(name) = ["libcuda.so", "libcuda.so.1"].into_iter().find(|name| is_installed(name)) {
        println!("skipped: this machine has a {name}, which is found before there can be none");
        return;
    }
    assert_eq!(ask(&folder, 0), refusal(0, "no driver: neither libcuda.so nor libcuda.so.1 can be loaded"));
}

#[test]
fn a_library_that_only_has_the_name() {
    let reason = "libcuda.so is not a CUDA driver: it has no cuInit";
    assert_eq!(ask(&library("name_only", "int nothing;"), 0), refusal(0, reason));
}

#[test]
fn a_file_that_is_no_library() {
    let folder = folder("no_library");
    fs::write(folder.join("libcuda.so"), "INPUT(-lcuda)").expect("the folder can be written");
    fs::write(folder.join("libcuda.so.1"), "").expect("the folder can be written");
    assert_eq!(ask(&folder, 0), refusal(0, "no driver: neither libcuda.so nor libcuda.so.1 can be loaded"));
}

#[test]
fn drivers_that_do_not_start() {
    for (code, reason) in [
        (34, "libcuda.so is a toolkit's stub, not a driver"),
        (100, "the driver finds no device"),
        (999, "the driver does not start: cuInit answers 999"),
    ] {
        let driver = Driver { init: code, ..Driver::default() };
        assert_eq!(driver.ask(&format!("init_{code}"), 0), refusal(0, reason));
    }
}

#[test]
fn drivers_that_cannot_be_used() {
    let usable = Driver::default();
    for (case, driver, reason) in [
        ("old", Driver { version: 11040, ..usable }, "the driver is of CUDA 11.4; 11.8 or later is needed"),
        ("older", Driver { version: 9020, ..usable }, "the driver is of CUDA 9.2; 11.8 or later is needed"),
        ("empty", Driver { count: 0, ..usable }, "there is no such device: the driver has 0"),
        ("turing", Driver { capability: (7, 5), ..usable }, "its compute capability is 7.5; 8.0 or later is needed"),
        ("lost", Driver { retain: 101, ..usable }, "INVALID_DEVICE"),
    ] {
        assert_eq!(driver.ask(case, 0), refusal(0, reason), "{case}");
    }
}

#[test]
fn devices_that_a_driver_does_not_have() {
    let folder = Driver { count: 2, ..Driver::default() }.library("beyond");
    for ordinal in [2, usize::MAX] {
        let refused = format!("cuda: CUDA device {ordinal}: there is no such device: the driver has 2\n");
        assert_eq!(ask(&folder, ordinal), refused + "best: cuda:0 (Refuser)\n");
    }
}

#[test]
fn drivers_without_a_function() {
    thread::scope(|scope| {
        for (missing, _) in ASKED.iter().chain(CALLED) {
            scope.spawn(move || {
                let driver = Driver { missing, ..Driver::default() };
                let reason = format!("libcuda.so is not a CUDA driver: it has no {missing}");
                assert_eq!(driver.ask(&format!("without_{missing}"), 0), refusal(0, &reason));
            });
        }
    });
}

#[test]
fn a_driver_under_its_second_name() {
    if is_installed("libcuda.so") {
        println!("skipped: this machine has a libcuda.so, which is found before libcuda.so.1");
        return;
    }
    let folder = Driver { version: 11070, ..Driver::default() }.library("second_name");
    fs::rename(folder.join("libcuda.so"), folder.join("libcuda.so.1")).expect("the library is there");
    assert_eq!(ask(&folder, 0), refusal(0, "the driver is of CUDA 11.7; 11.8 or later is needed"));
}

#[test]
fn what_a_driver_refuses_later_is_told_with_the_operation() {
    assert_eq!(
        Driver::default().ask("refusing", 0),
        "cuda: cuda:0 (Refuser)\n\
         buffer: allocation of 3 f32 elements on CUDA device 0: OUT_OF_MEMORY\n\
         optimizer: loading of the kernels of 'lion' on CUDA device 0: UNSUPPORTED_PTX_VERSION\n\
         best: cuda:0 (Refuser)\n"
    );
}

/// Whether the machine itself has a library of this name.
fn is_installed(name: &str) -> bool {
    // SAFETY: loading a driver runs its initialisers, which is what every CUDA program does.
    unsafe { Library::new(name) }.is_ok()
}

/// An empty folder of a case.
fn folder(case: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("driver").join(case);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// The folder of a library with the driver's first name, built from C.
fn library(case: &str, source: &str) -> PathBuf {
    let folder = folder(case);
    let path = folder.join("driver.c");
    fs::write(&path, source).expect("the folder can be written");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(folder.join("libcuda.so")).arg(path);
    let output = cc.output().expect("the system has a C compiler named cc");
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// What [`asked_process`] answers where the driver is sought in a folder first.
fn ask(folder: &Path, ordinal: usize) -> String {
    let inherited = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let path = env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&inherited)));
    let mut process = Command::new(env::current_exe().expect("the test has an executable"));
    process.args(["--exact", "asked_process", "--ignored", "--nocapture"]);
    process.env(ORDINAL, ordinal.to_string()).env("LD_LIBRARY_PATH", path.expect("the folder has no colon"));
    let output = process.output().expect("the test can be run again");
    let answer = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {}, {answer}", folder.display(), output.status);
    answer
}

/// The answer of a machine whose device cannot be used.
fn refusal(ordinal: usize, reason: &str) -> String {
    format!("cuda: CUDA device {ordinal}: {reason}\nbest: {}\n", Device::cpu())
}

/// Run by the tests above in a process of its own, which writes its answer to the standard error stream.
#[test]
#[ignore = "asks for the device that another test names in its environment"]
fn asked_process() {
    let Some(ordinal) = env::var_os(ORDINAL) else { return };
    let ordinal = ordinal.to_str().and_then(|text| text.parse().ok()).expect("the ordinal is a number");
    match Device::cuda(ordinal) {
        Ok(device) => {
            eprintln!("cuda: {device}");
            let buffer = Buffer::<f32>::zeros(&device, 3).expect_err("the driver refuses memory");
            let optimizer = Optimizer::<Lion>::new(&device, Lion::default()).expect_err("the driver refuses kernels");
            for (name, error) in [("buffer", buffer), ("optimizer", optimizer)] {
                assert!(matches!(error.kind(), ErrorKind::Cuda { .. }));
                eprintln!("{name}: {error}");
            }
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::NoCuda { .. }));
            eprintln!("cuda: {error}");
        }
    }
    eprintln!("best: {}", Device::best());
}
