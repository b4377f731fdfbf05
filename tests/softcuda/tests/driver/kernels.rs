//! Modules, functions, and launches.

use cudarc::driver::sys::{CUfunction_attribute as Attribute, CUresult};
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

use crate::files::files;
use crate::support::{add, alone, assert_code, function, one_thread};

#[test]
fn a_kernel_runs_and_is_counted() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "add_to_all");
    let before: Vec<u32> = (0..5000).collect();
    let mut data = stream.clone_htod(&before).unwrap();
    add(&stream, &function, &mut data, 3).unwrap();
    let after = stream.clone_dtoh(&data).unwrap();
    assert!(after.iter().zip(&before).all(|(after, before)| *after == before + 3));

    let report = alone.driver.report();
    assert_eq!(report.launches.len(), 1);
    assert_eq!(report.launches[0].kernel, "add_to_all");
    assert_eq!((report.launches[0].grid, report.launches[0].block), ([5, 1, 1], [1024, 1, 1]));
    assert_eq!(report.counters.global_read.bytes, 20_000);
    assert_eq!(report.counters.global_written.bytes, 20_000);
    assert_eq!(report.kernels["add_to_all"], report.counters);
    assert_eq!(report.calls["cuLaunchKernel"], 1);
    alone.driver.reset();
    assert_eq!(alone.driver.report().launches, []);
}

#[test]
fn variables_of_modules_are_read_and_written() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let module = context.load_module(Ptx::from_src(crate::support::PTX)).unwrap();
    let function = module.load_function("read_setting").unwrap();
    let mut data = stream.alloc_zeros::<u32>(1).unwrap();
    for value in [7u32, 11] {
        let mut variable = module.get_global("setting", &stream).unwrap();
        assert_eq!(variable.len(), 4);
        if value != 7 {
            stream.memcpy_htod(&value.to_le_bytes(), &mut variable).unwrap();
        }
        let mut launch = stream.launch_builder(&function);
        launch.arg(&mut data);
        // SAFETY: the arguments are what the kernel takes.
        unsafe { launch.launch(one_thread()) }.unwrap();
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [value]);
    }
    assert_code(module.get_global("no_setting", &stream).map(|_| ()), CUresult::CUDA_ERROR_NOT_FOUND);
    assert_code(module.load_function("no_kernel").map(|_| ()), CUresult::CUDA_ERROR_NOT_FOUND);
}

#[test]
fn functions_tell_what_they_need() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let function = function(&context, "shared_memory");
    assert_eq!(function.shared_size_bytes().unwrap(), 4096);
    assert_eq!(function.max_threads_per_block().unwrap(), 256);
    assert_eq!(function.local_size_bytes().unwrap(), 0);
    assert_eq!(function.binary_version().unwrap(), 80);
}

#[test]
fn dynamic_shared_memory_has_its_limits() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "shared_memory");
    let mut data = stream.alloc_zeros::<u32>(1).unwrap();
    let mut launch = |shared: u32| {
        let mut launch = stream.launch_builder(&function);
        launch.arg(&mut data);
        // SAFETY: the arguments are what the kernel takes.
        unsafe { launch.launch(LaunchConfig { shared_mem_bytes: shared, ..one_thread() }) }.map(|_| ())
    };
    let invalid = CUresult::CUDA_ERROR_INVALID_VALUE;
    launch(44 << 10).unwrap();
    assert_code(launch((44 << 10) + 4), invalid);
    let attribute = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert_code(function.set_attribute(attribute, 160 << 10), invalid);
    function.set_attribute(attribute, 159 << 10).unwrap();
    launch(159 << 10).unwrap();
    assert_eq!(stream.clone_dtoh(&data).unwrap(), [5]);
}

#[test]
fn launches_are_checked_and_leave_the_context_usable() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "shared_memory");
    let mut data = stream.alloc_zeros::<u32>(1).unwrap();
    let mut launch = |grid_dim, block_dim| {
        let mut launch = stream.launch_builder(&function);
        launch.arg(&mut data);
        // SAFETY: the arguments are what the kernel takes.
        unsafe { launch.launch(LaunchConfig { grid_dim, block_dim, shared_mem_bytes: 64 }) }.map(|_| ())
    };
    assert_code(launch((1, 1, 1), (1025, 1, 1)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_code(launch((0, 1, 1), (32, 1, 1)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_code(launch((1, 65_536, 1), (32, 1, 1)), CUresult::CUDA_ERROR_INVALID_VALUE);
    // The kernel's own bound is 256.
    assert_code(launch((1, 1, 1), (257, 1, 1)), CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    launch((1, 1, 1), (1, 1, 1)).unwrap();
    stream.synchronize().unwrap();
}

#[test]
fn occupancy_is_limited_by_threads_and_shared_memory() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let plain = function(&context, "add_to_all");
    let blocks = |threads, shared| plain.occupancy_max_active_blocks_per_multiprocessor(threads, shared, None).unwrap();
    assert_eq!(blocks(1024, 0), 2);
    assert_eq!(blocks(256, 0), 8);
    assert_eq!(blocks(32, 0), 32);
    // 164 KiB, of which each block takes 40 KiB and 1 KiB for the system.
    assert_eq!(blocks(32, 40 << 10), 4);
    assert_eq!(blocks(32, 49 << 10), 0);

    extern "C" fn no_shared(_: std::ffi::c_int) -> usize {
        0
    }
    let (grid, block) = plain.occupancy_max_potential_block_size(no_shared, 0, 0, None).unwrap();
    assert_eq!(grid * block, 108 * 2048);
    let shared = plain.occupancy_available_dynamic_smem_per_block(4, 128).unwrap();
    assert_eq!(shared, 40 << 10);
}

#[test]
fn cooperative_launches_must_fit() {
    let _alone = alone();
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let function = function(&context, "add_to_all");
    let mut data = stream.alloc_zeros::<u32>(64).unwrap();
    let mut launch = |blocks| {
        let mut launch = stream.launch_builder(&function);
        launch.arg(&mut data).arg(&1u32).arg(&64u32);
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (1024, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are what the kernel takes.
        unsafe { launch.launch_cooperative(config) }.map(|_| ())
    };
    launch(2).unwrap();
    assert_code(launch(217), CUresult::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    assert!(stream.clone_dtoh(&data).unwrap().iter().all(|&value| value == 1));
}

#[test]
fn the_shipped_modules_load() {
    let alone = alone();
    let context = CudaContext::new(0).unwrap();
    for (name, text) in files() {
        let loaded = context.load_module(Ptx::from_src(text));
        assert!(loaded.is_ok(), "{name}: {}", alone.driver.load_log());
    }
}
