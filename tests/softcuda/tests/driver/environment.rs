//! What the environment says, each in a process of its own.

use std::env;
use std::process::{Command, Output};

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUresult;

use crate::support::assert_code;

/// Runs an ignored test of this file in a process of its own.
fn run(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    for name in ["LIB", "TRACE", "SEED", "PROFILE", "THREADS", "INJECT"] {
        command.env_remove(format!("SOFTCUDA_{name}"));
    }
    command.args(["--exact", &format!("environment::{test}"), "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn assert_fails(test: &str, variables: &[(&str, &str)], message: &str) {
    let output = run(test, variables);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains(message), "{told}");
}

#[test]
fn variables_configure_the_driver() {
    let variables = [
        ("SOFTCUDA_PROFILE", "h100"),
        ("SOFTCUDA_SEED", "5"),
        ("SOFTCUDA_THREADS", "1"),
        ("SOFTCUDA_INJECT", "allocation:2,allocation:3:719"),
        ("SOFTCUDA_TRACE", "1"),
    ];
    let output = run("child_with_variables", &variables);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("softcuda: cuInit(flags=0) = 0\n"), "{told}");
    assert!(told.contains("bytes=16, stream=0) = 719\n"), "{told}");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_with_variables() {
    softcuda::install();
    let context = CudaContext::new(0).unwrap();
    assert_eq!(context.name().unwrap(), "software H100 (softcuda)");
    let stream = context.new_stream().unwrap();
    let mut data = stream.alloc_zeros::<u8>(16).unwrap();
    // Streams run late.
    stream.memset_zeros(&mut data).unwrap();
    assert!(!stream.record_event(None).unwrap().is_complete());
    let stream = context.default_stream();
    assert_code(stream.alloc_zeros::<u8>(16).map(|_| ()), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert_code(stream.alloc_zeros::<u8>(16).map(|_| ()), CUresult::CUDA_ERROR_LAUNCH_FAILED);
}

#[test]
fn nothing_is_printed_unasked() {
    let output = run("child_that_installs", &[]);
    assert!(output.status.success());
    assert!(!String::from_utf8_lossy(&output.stderr).contains("softcuda"));
}

#[test]
fn installing_fails_loudly() {
    assert_fails("child_that_installs", &[("SOFTCUDA_LIB", "/nowhere/libsoftcuda.so")], "there is no /nowhere");
    assert_fails("child_that_installs", &[("SOFTCUDA_LIB", "Cargo.toml")], "softcuda cannot be installed");
    assert_fails("child_that_installs", &[("SOFTCUDA_PROFILE", "t4")], "there is no profile \"t4\"");
    assert_fails("child_that_installs", &[("SOFTCUDA_INJECT", "copy:0")], "count from 1");
    assert_fails("child_that_installs", &[("SOFTCUDA_SEED", "x")], "SOFTCUDA_SEED=x is not a number");
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_that_installs() {
    softcuda::install();
    CudaContext::new(0).unwrap();
}
