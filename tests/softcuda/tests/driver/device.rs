//! The device, contexts, and memory.

use cudarc::driver::sys::{CUdevice_attribute as Attribute, CUresult};
use cudarc::driver::{CudaContext, CudaSlice, result};
use softcuda::driver::{Moved, StreamMode};
use softcuda::machine::Options;

use crate::support::{alone, assert_code};

#[test]
fn installing_again_is_the_same_driver() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let _data: CudaSlice<u8> = context.default_stream().alloc_zeros(16).unwrap();
    assert_eq!(softcuda::install().report(), alone.driver.report());
    assert_eq!(softcuda::install().report().allocations.live.len(), 1);
}

#[test]
fn the_device_is_what_the_profile_says() {
    let alone = alone();
    {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(CudaContext::device_count().unwrap(), 1);
        assert_eq!(context.name().unwrap(), "software A100 (softcuda)");
        assert_eq!(context.compute_capability().unwrap(), (8, 0));
        assert_eq!(context.total_mem().unwrap(), 40 << 30);
        assert_eq!(context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).unwrap(), 108);
        assert_eq!(context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE).unwrap(), 32);
        let optin = Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        assert_eq!(context.attribute(optin).unwrap(), 163 << 10);
        assert!(context.has_async_alloc());
    }
    alone.driver.configure(Options::default(), "h100", StreamMode::AtEnqueue);
    let context = CudaContext::new(0).unwrap();
    assert_eq!(context.name().unwrap(), "software H100 (softcuda)");
    assert_eq!(context.compute_capability().unwrap(), (9, 0));
    assert_code(CudaContext::new(1), CUresult::CUDA_ERROR_INVALID_DEVICE);
}

#[test]
#[should_panic(expected = "contexts are alive")]
fn the_device_does_not_change_under_a_context() {
    let alone = alone();
    let _context = CudaContext::new(0).unwrap();
    alone.driver.configure(Options::default(), "h100", StreamMode::AtEnqueue);
}

#[test]
#[should_panic(expected = "there is no profile")]
fn unknown_devices_are_refused() {
    alone().driver.configure(Options::default(), "t4", StreamMode::AtEnqueue);
}

#[test]
fn the_primary_context_is_one_and_others_are_their_own() {
    let _alone = alone();
    let (first, second) = (CudaContext::new(0).unwrap(), CudaContext::new(0).unwrap());
    assert_eq!(first.cu_ctx(), second.cu_ctx());
    let own = CudaContext::new_non_primary(0, 0).unwrap();
    assert_ne!(own.cu_ctx(), first.cu_ctx());
    let data = own.default_stream().clone_htod(&[1u8, 2, 3]).unwrap();
    assert_eq!(first.default_stream().clone_dtoh(&data).unwrap(), [1, 2, 3]);
}

#[test]
fn a_context_belongs_to_a_thread() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    context.bind_to_thread().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(result::ctx::get_current().unwrap(), None);
            assert_code(result::mem_get_info(), CUresult::CUDA_ERROR_INVALID_CONTEXT);
            context.bind_to_thread().unwrap();
            assert!(result::mem_get_info().is_ok());
        });
        other.join().unwrap();
    });
}

#[test]
fn copies_and_fills_arrive_and_are_counted() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let source = stream.clone_htod(&[1u32, 2, 3, 4]).unwrap();
    let mut target = stream.alloc_zeros::<u32>(6).unwrap();
    stream.memcpy_dtod(&source, &mut target.slice_mut(1..5)).unwrap();
    assert_eq!(stream.clone_dtoh(&target).unwrap(), [0, 1, 2, 3, 4, 0]);

    let report = alone.driver.report();
    assert_eq!(report.copies.host_to_device, Moved { count: 1, bytes: 16 });
    assert_eq!(report.copies.device_to_device, Moved { count: 1, bytes: 16 });
    assert_eq!(report.copies.device_to_host, Moved { count: 1, bytes: 24 });
    assert_eq!(report.copies.fills, Moved { count: 1, bytes: 24 });
    assert_eq!(report.host_synchronisations, 1);
    assert_eq!(report.allocations.made, Moved { count: 2, bytes: 40 });
    assert_eq!(report.allocations.live.len(), 2);
    drop((source, target));
    let report = alone.driver.report();
    assert_eq!(report.allocations.freed, Moved { count: 2, bytes: 40 });
    assert_eq!((report.allocations.peak_bytes, report.allocations.live), (40, vec![]));
}

#[test]
fn patterns_of_two_and_four_bytes_fill() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let data = context.default_stream().clone_htod(&[0u16; 5]).unwrap();
    let address = data.leak();
    type Fill<T> = unsafe extern "C" fn(u64, T, usize) -> CUresult;
    // SAFETY: the functions are of these types, and the memory holds what they write.
    unsafe {
        let library = cudarc::driver::sys::culib();
        let fill_16 = library.get::<Fill<u16>>(b"cuMemsetD16_v2").unwrap();
        let fill_32 = library.get::<Fill<u32>>(b"cuMemsetD32_v2").unwrap();
        assert_eq!(fill_16(address, 0x1234, 5), CUresult::CUDA_SUCCESS);
        assert_eq!(fill_32(address + 4, 0xabcd_ef01, 1), CUresult::CUDA_SUCCESS);
        assert_eq!(fill_32(address + 2, 0, 1), CUresult::CUDA_ERROR_INVALID_VALUE);
        let mut read = [0u16; 5];
        result::memcpy_dtoh_sync(&mut read, address).unwrap();
        assert_eq!(read, [0x1234, 0x1234, 0xef01, 0xabcd, 0x1234]);
        result::free_sync(address).unwrap();
    }
}

#[test]
fn memory_is_accounted_for() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let (free, total) = context.mem_get_info().unwrap();
    assert_eq!(total, 40 << 30);
    // SAFETY: the memory is not read.
    let data = unsafe { context.default_stream().alloc::<u8>(1 << 20) }.unwrap();
    assert!(free - context.mem_get_info().unwrap().0 >= 1 << 20);
    // It stays behind when its context ends.
    data.leak();
    drop(context);
    let report = alone.driver.report();
    assert_eq!(report.allocations.leaked, Moved { count: 1, bytes: 1 << 20 });
    assert_eq!(report.allocations.live, []);
}

#[test]
fn the_default_pool_answers() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the device and the pool exist; the memory is freed.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).unwrap();
        assert_eq!(result::device::get_mem_pool(context.cu_device()).unwrap(), pool);
        let address = result::mem_pool::alloc_async(pool, 64, std::ptr::null_mut()).unwrap();
        result::free_async(address, std::ptr::null_mut()).unwrap();
        result::mem_pool::trim_to(pool, 0).unwrap();
    }
}
