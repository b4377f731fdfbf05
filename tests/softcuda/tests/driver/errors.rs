//! What goes wrong, on its own and on purpose.

use std::ffi::{CStr, CString, c_char};

use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{CudaContext, CudaSlice, PushKernelArg, result};
use cudarc::nvrtc::Ptx;
use softcuda::check::{AccessErrorKind, FaultKind};
use softcuda::driver::{Injection, Site, StreamMode};

use crate::support::{PTX, add, alone, alone_with, assert_code, function, one_thread, write_at};

/// As nvcc writes `assert(value)`.
const ASSERTION: &str = r#"
.version 7.8
.target sm_80
.address_size 64
.extern .func __assertfail(
    .param .b64 __assertfail_param_0,
    .param .b64 __assertfail_param_1,
    .param .b32 __assertfail_param_2,
    .param .b64 __assertfail_param_3,
    .param .b64 __assertfail_param_4
);
.global .align 1 .b8 text[6] = {118, 97, 108, 117, 101, 0};
.visible .entry check(.param .u32 p_value)
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<4>;
    ld.param.u32 %r1, [p_value];
    setp.ne.s32 %p1, %r1, 0;
    @%p1 bra DONE;
    mov.u64 %rd1, text;
    cvta.global.u64 %rd2, %rd1;
    mov.u32 %r2, 1;
    mov.u64 %rd3, 1;
    {
    .param .b64 param0;
    st.param.b64 [param0+0], %rd2;
    .param .b64 param1;
    st.param.b64 [param1+0], %rd2;
    .param .b32 param2;
    st.param.b32 [param2+0], %r2;
    .param .b64 param3;
    st.param.b64 [param3+0], %rd2;
    .param .b64 param4;
    st.param.b64 [param4+0], %rd3;
    call.uni
    __assertfail,
    (
    param0,
    param1,
    param2,
    param3,
    param4
    );
    }
DONE:
    ret;
}
"#;

const ILLEGAL_ADDRESS: CUresult = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;

#[test]
fn refused_modules_are_told_with_the_line() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let load = |ptx: String| context.load_module(Ptx::from_src(ptx)).map(|_| ());
    assert_code(load(PTX.replace("mul.wide.u32", "mul.wiede.u32")), CUresult::CUDA_ERROR_INVALID_PTX);
    let log = alone.driver.load_log();
    let line = 1 + PTX.lines().position(|line| line.contains("mul.wide.u32")).unwrap();
    assert!(log.contains("mul.wiede.u32 %rd3, %r6, 4"), "{log}");
    assert!(log.contains(&format!("line {line}:")), "{log}");

    assert_code(load(PTX.replace("7.8", "9.0")), CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
    assert_code(load(PTX.replace("sm_80", "sm_90")), CUresult::CUDA_ERROR_INVALID_PTX);
    assert!(alone.driver.load_log().contains(".target sm_90"));
    assert_code(load(String::new()), CUresult::CUDA_ERROR_INVALID_IMAGE);
    let binary = Ptx::from_binary(b"\x7fELF\x02\x01\x01\0".to_vec());
    assert_code(context.load_module(binary).map(|_| ()), CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let missing = Ptx::from_file("no such file");
    assert_code(context.load_module(missing).map(|_| ()), CUresult::CUDA_ERROR_FILE_NOT_FOUND);
    load(PTX.to_owned()).unwrap();
}

#[test]
fn the_log_goes_to_the_callers_buffer() {
    let _alone = alone();
    let _context = CudaContext::new(0).unwrap();
    let ptx = CString::new(PTX.replace("st.global.u32", "st.globul.u32")).unwrap();
    let (mut module, mut buffer) = (0u64, [1u8; 256]);
    // The buffer for errors and its size.
    let names = [5u32, 6];
    let values = [buffer.as_mut_ptr() as usize, buffer.len()];
    type Load = unsafe extern "C" fn(*mut u64, *const c_char, u32, *const u32, *const usize) -> CUresult;
    // SAFETY: the function is of this type, and takes the options as two arrays; a value or an address is a word.
    let code = unsafe {
        let load = sys::culib().get::<Load>(b"cuModuleLoadDataEx").unwrap();
        load(&mut module, ptx.as_ptr(), 2, names.as_ptr(), values.as_ptr())
    };
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX);
    let log = CStr::from_bytes_until_nul(&buffer).unwrap().to_str().unwrap();
    assert!(log.contains("st.globul.u32"), "{log}");
}

#[test]
fn a_failed_assertion_has_its_own_code() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let module = context.load_module(Ptx::from_src(ASSERTION)).unwrap();
    let function = module.load_function("check").unwrap();
    for (value, code) in [(1u32, None), (0, Some(CUresult::CUDA_ERROR_ASSERT))] {
        let mut launch = stream.launch_builder(&function);
        launch.arg(&value);
        // SAFETY: the arguments are what the kernel takes.
        unsafe { launch.launch(one_thread()) }.unwrap();
        match code {
            None => stream.synchronize().unwrap(),
            Some(code) => assert_code(stream.synchronize(), code),
        }
    }
    assert_eq!(alone.driver.take_fault().unwrap().kind, FaultKind::Trap);
}

#[test]
fn a_fault_that_comes_late_stops_what_is_behind_it() {
    let alone = alone_with(StreamMode::Adversarial { seed: 7 });
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let (fault, good) = (function(&context, "write_at"), function(&context, "add_to_all"));
    let mut data = stream.alloc_zeros::<u32>(4).unwrap();
    write_at(&stream, &fault, &mut data, 1 << 20).unwrap();
    add(&stream, &good, &mut data, 1).unwrap();
    assert_eq!(alone.driver.take_fault(), None);
    assert_code(stream.synchronize(), ILLEGAL_ADDRESS);
    assert_eq!(alone.driver.report().launches, []);
    assert_eq!(alone.driver.take_fault().unwrap().kernel, "write_at");
}

#[test]
fn memory_ends() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    // SAFETY: the memory is not read.
    let all = unsafe { stream.alloc::<u8>(41 << 30) };
    assert_code(all.map(|_| ()), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert!(stream.alloc_zeros::<u8>(1 << 10).is_ok());
}

#[test]
fn a_fault_stays_until_the_context_ends() {
    let alone = alone();
    {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let function = function(&context, "write_at");
        let mut data = stream.alloc_zeros::<u32>(4).unwrap();
        // The launch itself succeeds; what comes after it does not.
        write_at(&stream, &function, &mut data, 16).unwrap();
        assert_code(stream.synchronize(), ILLEGAL_ADDRESS);
        assert_code(stream.clone_htod(&[1u8]).map(|_| ()), ILLEGAL_ADDRESS);
        assert_code(stream.clone_dtoh(&data), ILLEGAL_ADDRESS);
        assert_code(context.new_event(None).map(|_| ()), ILLEGAL_ADDRESS);

        let fault = alone.driver.take_fault().unwrap();
        assert_eq!(fault.kernel, "write_at");
        assert!(fault.text.contains("st.global.u32"), "{fault:?}");
        let FaultKind::Access(access) = &fault.kind else { panic!("{fault:?}") };
        assert_eq!((access.kind, access.bytes), (AccessErrorKind::OutOfBounds, 4));
        assert_eq!(alone.driver.take_fault(), None);
    }
    assert_eq!(alone.driver.report().allocations.live, []);
    let context = CudaContext::new(0).unwrap();
    assert_eq!(context.default_stream().clone_htod(&[1u8]).unwrap().len(), 1);
}

#[test]
fn misaligned_accesses_have_their_own_code() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "write_at");
    let mut data = stream.alloc_zeros::<u32>(4).unwrap();
    write_at(&stream, &function, &mut data, 2).unwrap();
    assert_code(stream.synchronize(), CUresult::CUDA_ERROR_MISALIGNED_ADDRESS);
    // What the driver forgets, the context does too.
    alone.driver.reset();
    write_at(&stream, &function, &mut data, 4).unwrap();
    assert_eq!(stream.clone_dtoh(&data).unwrap(), [0, 1, 0, 0]);
}

#[test]
fn copies_out_of_bounds_are_refused_at_the_call() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let address = context.default_stream().clone_htod(&[0u8; 8]).unwrap().leak();
    let invalid = CUresult::CUDA_ERROR_INVALID_VALUE;
    // SAFETY: this driver checks what it copies and frees.
    unsafe {
        assert_code(result::memcpy_htod_sync(address, &[1u8; 9]), invalid);
        let FaultKind::Access(access) = alone.driver.take_fault().unwrap().kind else { panic!() };
        assert_eq!(access.kind, AccessErrorKind::OutOfBounds);
        assert_code(result::memset_d8_sync(address + 1, 0, 8), invalid);
        result::free_sync(address).unwrap();
        assert_code(result::free_sync(address), invalid);
        assert_code(result::memcpy_htod_sync(address, &[1u8; 8]), invalid);
    }
    let FaultKind::Access(access) = alone.driver.take_fault().unwrap().kind else { panic!() };
    assert_eq!(access.kind, AccessErrorKind::UseAfterFree);
    context.synchronize().unwrap();
}

#[test]
fn the_allocation_that_is_told_to_fails() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    alone.driver.inject(Injection::new(Site::Allocation, 2));
    let allocate = || -> Result<CudaSlice<u8>, _> { stream.alloc_zeros(16) };
    let _first = allocate().unwrap();
    assert_code(allocate().map(|_| ()), CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    let _third = allocate().unwrap();
}

#[test]
fn the_launch_and_the_copy_that_are_told_to_fail() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "add_to_all");
    let mut data = stream.alloc_zeros::<u32>(8).unwrap();
    alone.driver.inject(Injection::new(Site::Launch, 2));
    alone.driver.inject("copy:1:719".parse().unwrap());
    add(&stream, &function, &mut data, 1).unwrap();
    assert_code(add(&stream, &function, &mut data, 1), CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    assert_code(stream.clone_dtoh(&data), CUresult::CUDA_ERROR_LAUNCH_FAILED);
    assert_eq!(stream.clone_dtoh(&data).unwrap(), [1; 8]);
}

#[test]
fn the_kernel_that_is_told_to_faults() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "add_to_all");
    let mut data = stream.alloc_zeros::<u32>(8).unwrap();
    alone.driver.inject(Injection::new(Site::Kernel, 2));
    for _ in 0..2 {
        add(&stream, &function, &mut data, 1).unwrap();
    }
    assert_code(stream.synchronize(), ILLEGAL_ADDRESS);
    assert_code(add(&stream, &function, &mut data, 1), ILLEGAL_ADDRESS);
    assert_eq!(alone.driver.take_fault().unwrap().kernel, "add_to_all");
}

#[test]
fn a_lost_device_answers_nothing_else() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let data = stream.clone_htod(&[5u32; 4]).unwrap();
    alone.driver.inject(Injection::new(Site::Call, 1));
    for _ in 0..3 {
        assert_code(stream.synchronize(), CUresult::CUDA_ERROR_UNKNOWN);
        assert_code(CudaContext::new(0), CUresult::CUDA_ERROR_UNKNOWN);
    }
    drop(data);
    alone.driver.reset();
    assert_eq!(alone.driver.report().allocations.live, []);
    // cudarc kept the error that dropping the memory had.
    assert_code(context.check_err(), CUresult::CUDA_ERROR_UNKNOWN);
    stream.synchronize().unwrap();
}

#[test]
#[should_panic(expected = "no error of the driver API")]
fn injections_are_errors_that_there_are() {
    alone().driver.inject(Injection::new(Site::Copy, 1).with_code(3000));
}
