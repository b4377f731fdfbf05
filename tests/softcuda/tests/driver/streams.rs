//! Streams and events, executed at once and as late as may be.

use cudarc::driver::sys::{self, CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, DevicePtr, PushKernelArg, result};
use cudarc::nvrtc::Ptx;
use softcuda::check::{AccessErrorKind, FaultKind};
use softcuda::driver::StreamMode;

use crate::support::{add, alone, alone_with, assert_code, function, one_thread};

fn adversarial(seed: u64) -> StreamMode {
    StreamMode::Adversarial { seed }
}

/// What a stream reads that waits, or does not, for another that adds 1.
fn read_behind(seed: u64, wait: bool) -> Vec<u32> {
    let _alone = alone_with(adversarial(seed));
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the test orders the streams itself.
    unsafe { context.disable_event_tracking() };
    let (writer, reader) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let function = function(&context, "add_to_all");
    let mut data = writer.clone_htod(&[1u32; 64]).unwrap();
    writer.synchronize().unwrap();
    add(&writer, &function, &mut data, 1).unwrap();
    if wait {
        reader.wait(&writer.record_event(None).unwrap()).unwrap();
    }
    let read = reader.clone_dtoh(&data).unwrap();
    writer.synchronize().unwrap();
    assert_eq!(writer.clone_dtoh(&data).unwrap(), [2; 64]);
    read
}

#[test]
fn a_missing_event_shows() {
    assert!((0..8).all(|seed| read_behind(seed, true) == [2; 64]));
    let stale = (0..8).filter(|&seed| read_behind(seed, false) == [1; 64]).count();
    assert!(stale > 0, "no order let the reader go first");
    assert!(stale < 8, "no order let the writer go first");
}

#[test]
fn cudarc_orders_its_slices() {
    for seed in 0..8 {
        let _alone = alone_with(adversarial(seed));
        let context = CudaContext::new(0).unwrap();
        let streams = [context.new_stream().unwrap(), context.new_stream().unwrap()];
        let function = function(&context, "add_to_all");
        let mut data = streams[0].alloc_zeros::<u32>(8).unwrap();
        for step in 0..6 {
            add(&streams[step % 2], &function, &mut data, 1).unwrap();
        }
        assert_eq!(streams[1].clone_dtoh(&data).unwrap(), [6; 8]);
    }
}

#[test]
fn the_same_seed_is_the_same_order() {
    for seed in 0..4 {
        assert_eq!(read_behind(seed, false), read_behind(seed, false));
    }
}

#[test]
fn the_default_stream_waits_for_blocking_streams_alone() {
    for seed in 0..8 {
        let _alone = alone_with(adversarial(seed));
        let context = CudaContext::new(0).unwrap();
        // SAFETY: the legacy stream orders the work; the stream and the memory are freed.
        unsafe {
            context.disable_event_tracking();
            let blocking = result::stream::create(result::stream::StreamKind::Default).unwrap();
            let address = result::malloc_sync(16).unwrap();
            result::memset_d8_async(address, 1, 16, blocking).unwrap();
            result::memset_d8_async(address, 2, 8, std::ptr::null_mut()).unwrap();
            result::memset_d8_async(address, 3, 4, blocking).unwrap();
            let mut read = [0u8; 16];
            result::memcpy_dtoh_sync(&mut read, address).unwrap();
            assert_eq!(read, [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1]);
            result::free_sync(address).unwrap();
            result::stream::destroy(blocking).unwrap();
        }
    }
}

#[test]
fn pageable_memory_is_read_at_the_call_and_pinned_memory_later() {
    let _alone = alone_with(adversarial(1));
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let mut data = stream.alloc_zeros::<u8>(4).unwrap();
    let mut host = vec![1u8; 4];
    stream.memcpy_htod(&host, &mut data).unwrap();
    host.fill(9);
    assert_eq!(stream.clone_dtoh(&data).unwrap(), [1; 4]);

    // SAFETY: the memory is written before it is read.
    let mut pinned = unsafe { context.alloc_pinned::<u8>(4) }.unwrap();
    let address = pinned.as_mut_ptr().unwrap();
    pinned.as_mut_slice().unwrap().fill(2);
    stream.memcpy_htod(&pinned, &mut data).unwrap();
    // SAFETY: the memory is there; that it is written while a copy may read it is what the test is about.
    unsafe { address.write_bytes(3, 4) };
    assert_eq!(stream.clone_dtoh(&data).unwrap(), [3; 4]);
}

#[test]
fn memory_that_is_freed_too_early_is_found() {
    let found = (0..8).filter(|&seed| {
        let alone = alone_with(adversarial(seed));
        let context = CudaContext::new(0).unwrap();
        // SAFETY: the memory is used on a stream that does not wait for it, which the driver finds.
        unsafe {
            context.disable_event_tracking();
            let (user, owner) = (context.new_stream().unwrap(), context.new_stream().unwrap());
            let data = owner.alloc_zeros::<u8>(64).unwrap();
            owner.synchronize().unwrap();
            let (address, _guard) = data.device_ptr(&owner);
            result::memset_d8_async(address, 1, 64, user.cu_stream()).unwrap();
            drop(_guard);
            drop(data);
            let _ = owner.synchronize();
            let _ = user.synchronize();
        }
        let fault = alone.driver.take_fault();
        fault.is_some_and(
            |fault| matches!(fault.kind, FaultKind::Access(error) if error.kind == AccessErrorKind::UseAfterFree),
        )
    });
    assert!(found.count() > 0);
}

#[test]
fn events_tell_when_and_whether() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let timed = Some(CUevent_flags::CU_EVENT_DEFAULT);
    let function = function(&context, "add_to_all");
    let mut data = stream.alloc_zeros::<u32>(1 << 16).unwrap();
    let start = stream.record_event(timed).unwrap();
    add(&stream, &function, &mut data, 1).unwrap();
    let end = stream.record_event(timed).unwrap();
    assert!(end.is_complete());
    assert!(start.elapsed_ms(&end).unwrap() > 0.0);
    assert!(end.elapsed_ms(&start).unwrap() < 0.0);
    let untimed = stream.record_event(None).unwrap();
    assert_code(start.elapsed_ms(&untimed), CUresult::CUDA_ERROR_INVALID_HANDLE);
    let unrecorded = context.new_event(timed).unwrap();
    assert!(unrecorded.is_complete());
    assert_code(start.elapsed_ms(&unrecorded), CUresult::CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn polling_an_event_gets_on() {
    let _alone = alone_with(adversarial(3));
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let mut data = stream.alloc_zeros::<u32>(64).unwrap();
    for _ in 0..10 {
        stream.memset_zeros(&mut data).unwrap();
    }
    let event = stream.record_event(None).unwrap();
    assert!(!event.is_complete());
    assert!((0..100).any(|_| event.is_complete()));
    event.synchronize().unwrap();
}

#[test]
fn functions_of_the_host_run_in_their_turn() {
    unsafe extern "C" fn note(data: *mut std::ffi::c_void) {
        // SAFETY: the test passes this, and outlives the call.
        unsafe { *data.cast::<u32>() += 1 };
    }
    for mode in [StreamMode::AtEnqueue, adversarial(5)] {
        let _alone = alone_with(mode);
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let mut calls = 0u32;
        let data = std::ptr::from_mut(&mut calls).cast();
        // SAFETY: the function takes what it is given, which lives until the stream is synchronised.
        unsafe {
            sys::cuLaunchHostFunc(stream.cu_stream(), Some(note), data).result().unwrap();
            stream.synchronize().unwrap();
            assert_eq!(data.cast::<u32>().read(), 1);
        }
    }
}

#[test]
fn handles_that_are_gone_are_refused() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    context.bind_to_thread().unwrap();
    let stream = context.new_stream().unwrap();
    let gone = stream.cu_stream();
    drop(stream);
    // SAFETY: this driver knows its handles.
    unsafe {
        assert_code(result::stream::synchronize(gone), CUresult::CUDA_ERROR_INVALID_HANDLE);
        assert_code(result::event::synchronize(gone.cast()), CUresult::CUDA_ERROR_INVALID_HANDLE);
    }
}

/// Tells that it runs, and waits until it is told to end.
const WAITING: &str = r#"
.version 7.8
.target sm_80
.address_size 64

.visible .entry wait_for_host(.param .u64 p_flags)
{
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [p_flags];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r1, 1;
    st.volatile.global.u32 [%rd2], %r1;
AGAIN:
    ld.volatile.global.u32 %r2, [%rd2+4];
    setp.eq.u32 %p1, %r2, 0;
    @%p1 bra AGAIN;
    ret;
}
"#;

#[test]
fn other_streams_go_on_while_a_kernel_runs() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the test orders the streams itself.
    unsafe { context.disable_event_tracking() };
    let (waits, tells) = (context.new_stream().unwrap(), context.new_stream().unwrap());
    let function = context.load_module(Ptx::from_src(WAITING)).unwrap().load_function("wait_for_host").unwrap();
    let flags = tells.clone_htod(&[0u32; 2]).unwrap();
    let (address, _guard) = flags.device_ptr(&tells);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            context.bind_to_thread().unwrap();
            let mut launch = waits.launch_builder(&function);
            launch.arg(&address);
            // SAFETY: the argument is what the kernel takes.
            unsafe { launch.launch(one_thread()) }.unwrap();
            waits.synchronize().unwrap();
        });
        while tells.clone_dtoh(&flags).unwrap()[0] == 0 {
            std::thread::yield_now();
        }
        // SAFETY: the memory lives, and the kernel reads it as what changes.
        unsafe { result::memcpy_htod_async(address + 4, &[1u32], tells.cu_stream()) }.unwrap();
    });
    assert_eq!(alone.driver.report().launches.len(), 1);
}
