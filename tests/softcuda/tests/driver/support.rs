//! One device for all tests of this process, each alone with it, and a few kernels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use softcuda::Installed;
use softcuda::driver::StreamMode;
use softcuda::machine::Options;

/// Adds to every element; adds up in shared memory of both kinds; writes one element without a check; writes a variable.
pub const PTX: &str = r#"
.version 7.8
.target sm_80
.address_size 64

.global .align 4 .u32 setting = 7;

.visible .entry add_to_all(.param .u64 p_data, .param .u32 p_value, .param .u32 p_count)
{
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [p_data];
    ld.param.u32 %r1, [p_value];
    ld.param.u32 %r2, [p_count];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.s32 %r6, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r6, %r2;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd2, %rd1;
    mul.wide.u32 %rd3, %r6, 4;
    add.s64 %rd2, %rd2, %rd3;
    ld.global.u32 %r7, [%rd2];
    add.s32 %r7, %r7, %r1;
    st.global.u32 [%rd2], %r7;
DONE:
    ret;
}

.visible .entry write_at(.param .u64 p_data, .param .u64 p_offset)
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [p_data];
    ld.param.u64 %rd2, [p_offset];
    cvta.to.global.u64 %rd3, %rd1;
    add.s64 %rd3, %rd3, %rd2;
    mov.u32 %r1, 1;
    st.global.u32 [%rd3], %r1;
    ret;
}

.visible .entry read_setting(.param .u64 p_data)
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [p_data];
    cvta.to.global.u64 %rd2, %rd1;
    ld.global.u32 %r1, [setting];
    st.global.u32 [%rd2], %r1;
    ret;
}

.extern .shared .align 4 .b8 scratch[];

.visible .entry shared_memory(.param .u64 p_data)
.maxntid 256, 1, 1
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    .shared .align 4 .b8 fixed[4096];
    ld.param.u64 %rd1, [p_data];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r1, 5;
    mov.u32 %r2, scratch;
    st.shared.u32 [%r2], %r1;
    ld.shared.u32 %r3, [%r2];
    st.shared.u32 [fixed], %r3;
    ld.shared.u32 %r3, [fixed];
    st.global.u32 [%rd2], %r3;
    ret;
}
"#;

/// The device for one test, as a new process has it.
pub struct Alone {
    pub driver: Installed,
    _alone: MutexGuard<'static, ()>,
}

/// Waits for the other tests, and sets everything back.
pub fn alone() -> Alone {
    alone_with(StreamMode::AtEnqueue)
}

pub fn alone_with(streams: StreamMode) -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = softcuda::install();
    driver.reset();
    driver.configure(Options { threads: 1, ..Options::default() }, "a100", streams);
    Alone { driver, _alone: guard }
}

pub fn function(context: &Arc<CudaContext>, name: &str) -> CudaFunction {
    context.load_module(Ptx::from_src(PTX)).unwrap().load_function(name).unwrap()
}

/// Launches `add_to_all`.
pub fn add(
    stream: &Arc<CudaStream>,
    function: &CudaFunction,
    data: &mut CudaSlice<u32>,
    value: u32,
) -> Result<(), DriverError> {
    let count = data.len() as u32;
    let mut launch = stream.launch_builder(function);
    launch.arg(data).arg(&value).arg(&count);
    // SAFETY: the arguments are what the kernel takes, and it checks its index against the count.
    unsafe { launch.launch(LaunchConfig::for_num_elems(count)) }.map(|_| ())
}

/// Launches `write_at`.
pub fn write_at(
    stream: &Arc<CudaStream>,
    function: &CudaFunction,
    data: &mut CudaSlice<u32>,
    offset: u64,
) -> Result<(), DriverError> {
    let mut launch = stream.launch_builder(function);
    launch.arg(data).arg(&offset);
    // SAFETY: the arguments are what the kernel takes; this driver checks every access.
    unsafe { launch.launch(one_thread()) }.map(|_| ())
}

pub fn one_thread() -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (1, 1, 1), shared_mem_bytes: 0 }
}

#[track_caller]
pub fn assert_code<T: std::fmt::Debug>(result: Result<T, DriverError>, code: CUresult) {
    match result {
        Err(error) => assert_eq!(error.0, code),
        Ok(value) => panic!("{value:?} in place of {code:?}"),
    }
}
