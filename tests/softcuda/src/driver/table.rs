//! Every exported function.

#![allow(non_snake_case, private_interfaces, clippy::too_many_arguments)]

use std::ffi::{c_char, c_int, c_void};

use super::call::{Needs, call, traced};
use super::error::Code;
use super::pointer::{Arguments, BlockToShared, HostFunction, HostSource, HostTarget, Image, Out, Text, UserData};
use super::state::Handle;
use super::{
    capture, context, device, error, event, function, graph, host, launch, memory, module, occupancy, pool, stream,
};

/// An exported function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// The symbol.
    pub name: &'static str,
    /// Otherwise it answers `CUDA_ERROR_NOT_SUPPORTED`.
    pub implemented: bool,
}

// A function is exported under the name that the driver API gives it, which is the point of the library; no other crate
// that is linked with it defines these names. Pointers come in types that only callers from C can make.
macro_rules! exports {
    ($($needs:ident $name:ident($($argument:ident: $type:ty),* $(,)?) $(=> $object:ident::$function:ident)?;)*) => {
        /// Every exported function of the driver API.
        pub const EXPORTS: &[Export] =
            &[$(Export { name: stringify!($name), implemented: exports!(@is $($object)?) }),*];

        $(
            #[doc = concat!("`", stringify!($name), "` of the driver API.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name($($argument: $type),*) -> c_int {
                let traced = traced().then(|| {
                    let arguments: &[String] = &[$(format!("{}={:?}", stringify!($argument), $argument)),*];
                    arguments.join(", ")
                });
                call(stringify!($name), Needs::$needs, traced, |session| {
                    exports!(@run session ($($argument),*) $($object::$function)?)
                })
            }
        )*
    };
    (@is $object:ident) => { true };
    (@is) => { false };
    (@run $session:ident ($($argument:ident),*) $object:ident::$function:ident) => {
        $object::$function($session, $($argument),*)
    };
    (@run $session:ident ($($argument:ident),*)) => {{
        let _ = ($session, $($argument),*);
        Err(Code::NOT_SUPPORTED)
    }};
}

exports! {
    Nothing cuGetErrorName(code: c_int, out: Out<*const c_char>) => error::name;
    Nothing cuGetErrorString(code: c_int, out: Out<*const c_char>) => error::text;
    Nothing cuDriverGetVersion(out: Out<c_int>) => device::version;
    Nothing cuInit(flags: u32) => context::init;

    Start cuDeviceGet(out: Out<c_int>, ordinal: c_int) => device::get;
    Start cuDeviceGetCount(out: Out<c_int>) => device::count;
    Start cuDeviceGetName(out: Out<c_char>, length: c_int, device: c_int) => device::name;
    Start cuDeviceGetUuid(out: Out<[u8; 16]>, device: c_int) => device::uuid;
    Start cuDeviceGetUuid_v2(out: Out<[u8; 16]>, device: c_int) => device::uuid;
    Start cuDeviceTotalMem_v2(out: Out<usize>, device: c_int) => device::total_memory;
    Start cuDeviceGetAttribute(out: Out<c_int>, attribute: u32, device: c_int) => device::attribute;
    Start cuDeviceGetDefaultMemPool(out: Out<Handle>, device: c_int) => pool::get;
    Start cuDeviceGetMemPool(out: Out<Handle>, device: c_int) => pool::get;
    Start cuDeviceSetMemPool(device: c_int, pool: Handle) => pool::set;

    Start cuDevicePrimaryCtxRetain(out: Out<Handle>, device: c_int) => context::retain_primary;
    Cleanup cuDevicePrimaryCtxRelease_v2(device: c_int) => context::release_primary;
    Cleanup cuDevicePrimaryCtxReset_v2(device: c_int) => context::reset_primary;
    Start cuDevicePrimaryCtxGetState(device: c_int, flags: Out<u32>, active: Out<c_int>) => context::primary_state;
    Start cuCtxCreate_v3(
        out: Out<Handle>, affinity: *const c_void, affinities: c_int, flags: u32, device: c_int,
    ) => context::create_with_affinity;
    Start cuCtxCreate_v4(out: Out<Handle>, parameters: *const c_void, flags: u32, device: c_int) => context::create;
    Cleanup cuCtxDestroy_v2(context: Handle) => context::destroy;
    Start cuCtxGetCurrent(out: Out<Handle>) => context::get_current;
    Start cuCtxSetCurrent(context: Handle) => context::make_current;
    Context cuCtxGetDevice(out: Out<c_int>) => context::get_device;
    Context cuCtxSynchronize() => context::synchronize;
    Context cuCtxGetLimit(out: Out<usize>, limit: u32) => context::get_limit;
    Context cuCtxSetLimit(limit: u32, value: usize) => context::set_limit;
    Context cuCtxGetCacheConfig(out: Out<u32>) => context::get_cache_config;
    Context cuCtxSetCacheConfig(config: u32) => context::set_cache_config;
    Context cuCtxSetFlags(flags: u32) => context::set_flags;
    Context cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) => context::priority_range;
    Context cuProfilerStart() => context::profiler;
    Context cuProfilerStop() => context::profiler;

    Context cuMemAlloc_v2(out: Out<u64>, bytes: usize) => memory::allocate;
    Context cuMemAllocAsync(out: Out<u64>, bytes: usize, stream: Handle) => memory::allocate_async;
    Context cuMemAllocFromPoolAsync(out: Out<u64>, bytes: usize, pool: Handle, stream: Handle) => pool::allocate;
    Cleanup cuMemFree_v2(address: u64) => memory::free;
    Cleanup cuMemFreeAsync(address: u64, stream: Handle) => memory::free_async;
    Context cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) => memory::info;
    Context cuMemGetAddressRange_v2(base: Out<u64>, size: Out<usize>, address: u64) => memory::range;
    Context cuPointerGetAttribute(out: Out<c_void>, attribute: u32, address: u64) => memory::attribute;
    Context cuMemHostAlloc(out: Out<u64>, bytes: usize, flags: u32) => host::allocate;
    Context cuMemAllocHost_v2(out: Out<u64>, bytes: usize) => host::allocate_plain;
    Cleanup cuMemFreeHost(address: u64) => host::free;

    Context cuMemcpyHtoD_v2(to: u64, from: HostSource, bytes: usize) => memory::host_to_device_now;
    Context cuMemcpyHtoDAsync_v2(to: u64, from: HostSource, bytes: usize, stream: Handle) => memory::host_to_device;
    Context cuMemcpyDtoH_v2(to: HostTarget, from: u64, bytes: usize) => memory::device_to_host_now;
    Context cuMemcpyDtoHAsync_v2(to: HostTarget, from: u64, bytes: usize, stream: Handle) => memory::device_to_host;
    Context cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) => memory::device_to_device_now;
    Context cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) => memory::device_to_device;
    Context cuMemcpyPeerAsync(
        to: u64, to_context: Handle, from: u64, from_context: Handle, bytes: usize, stream: Handle,
    ) => memory::peer;
    Context cuMemsetD8_v2(to: u64, value: u8, count: usize) => memory::fill_8_now;
    Context cuMemsetD16_v2(to: u64, value: u16, count: usize) => memory::fill_16_now;
    Context cuMemsetD32_v2(to: u64, value: u32, count: usize) => memory::fill_32_now;
    Context cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) => memory::fill_8;
    Context cuMemsetD16Async(to: u64, value: u16, count: usize, stream: Handle) => memory::fill_16;
    Context cuMemsetD32Async(to: u64, value: u32, count: usize, stream: Handle) => memory::fill_32;

    Context cuMemPoolTrimTo(pool: Handle, keep: usize) => pool::trim;
    Context cuMemPoolGetAttribute(pool: Handle, attribute: u32, out: Out<c_void>) => pool::get_attribute;
    Context cuMemPoolSetAttribute(pool: Handle, attribute: u32, value: Out<c_void>) => pool::set_attribute;
    Context cuMemPoolCreate(out: Out<Handle>, properties: *const c_void);
    Context cuMemPoolDestroy(pool: Handle);
    Context cuMemAllocManaged(out: Out<u64>, bytes: usize, flags: u32);
    Context cuMemAdvise_v2(address: u64, bytes: usize, advice: u32, location: u64);
    Context cuMemPrefetchAsync_v2(address: u64, bytes: usize, location: u64, flags: u32, stream: Handle);
    Context cuStreamAttachMemAsync(stream: Handle, address: u64, bytes: usize, flags: u32);
    Context cuImportExternalMemory(out: Out<Handle>, description: *const c_void);
    Context cuDestroyExternalMemory(memory: Handle);
    Context cuExternalMemoryGetMappedBuffer(out: Out<u64>, memory: Handle, description: *const c_void);

    Context cuModuleLoad(out: Out<Handle>, path: Text) => module::load_file;
    Context cuModuleLoadData(out: Out<Handle>, image: Image) => module::load_data;
    Context cuModuleLoadDataEx(
        out: Out<Handle>, image: Image, count: u32, names: *const u32, values: *mut *mut c_void,
    ) => module::load_data_with;
    Context cuModuleGetFunction(out: Out<Handle>, module: Handle, name: Text) => module::function;
    Context cuModuleGetGlobal_v2(
        address: Out<u64>, bytes: Out<usize>, module: Handle, name: Text,
    ) => module::global;
    Cleanup cuModuleUnload(module: Handle) => module::unload;

    Context cuFuncGetAttribute(out: Out<c_int>, attribute: u32, function: Handle) => function::get_attribute;
    Context cuFuncSetAttribute(function: Handle, attribute: u32, value: c_int) => function::set_attribute;
    Context cuFuncSetCacheConfig(function: Handle, config: u32) => function::set_cache_config;
    Context cuOccupancyMaxActiveBlocksPerMultiprocessor(
        out: Out<c_int>, function: Handle, threads: c_int, shared: usize,
    ) => occupancy::active_blocks;
    Context cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        out: Out<c_int>, function: Handle, threads: c_int, shared: usize, flags: u32,
    ) => occupancy::active_blocks_with_flags;
    Context cuOccupancyMaxPotentialBlockSize(
        grid: Out<c_int>, block: Out<c_int>, function: Handle, block_to_shared: BlockToShared, shared: usize,
        limit: c_int,
    ) => occupancy::potential_block_size;
    Context cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: Out<c_int>, block: Out<c_int>, function: Handle, block_to_shared: BlockToShared, shared: usize,
        limit: c_int, flags: u32,
    ) => occupancy::potential_block_size_with_flags;
    Context cuOccupancyAvailableDynamicSMemPerBlock(
        out: Out<usize>, function: Handle, blocks: c_int, threads: c_int,
    ) => occupancy::available_shared;
    Context cuOccupancyMaxActiveClusters(out: Out<c_int>, function: Handle, configuration: *const c_void);
    Context cuOccupancyMaxPotentialClusterSize(out: Out<c_int>, function: Handle, configuration: *const c_void);

    Context cuLaunchKernel(
        function: Handle, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32, shared: u32,
        stream: Handle, arguments: Arguments, extra: *const c_void,
    ) => launch::kernel;
    Context cuLaunchCooperativeKernel(
        function: Handle, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32, shared: u32,
        stream: Handle, arguments: Arguments,
    ) => launch::cooperative;
    Context cuLaunchHostFunc(
        stream: Handle, function: HostFunction, data: UserData,
    ) => stream::launch_host_function;

    Context cuStreamCreate(out: Out<Handle>, flags: u32) => stream::create;
    Context cuStreamCreateWithPriority(
        out: Out<Handle>, flags: u32, priority: c_int,
    ) => stream::create_with_priority;
    Cleanup cuStreamDestroy_v2(stream: Handle) => stream::destroy;
    Context cuStreamSynchronize(stream: Handle) => stream::synchronize;
    Context cuStreamQuery(stream: Handle) => stream::query;
    Context cuStreamWaitEvent(stream: Handle, event: Handle, flags: u32) => stream::wait_event;
    Context cuStreamBeginCapture_v2(stream: Handle, mode: u32) => capture::begin;
    Context cuStreamEndCapture(stream: Handle, out: Out<Handle>) => capture::end;
    Context cuStreamIsCapturing(stream: Handle, out: Out<u32>) => capture::status;

    Context cuEventCreate(out: Out<Handle>, flags: u32) => event::create;
    Cleanup cuEventDestroy_v2(event: Handle) => event::destroy;
    Context cuEventRecord(event: Handle, stream: Handle) => event::record;
    Context cuEventQuery(event: Handle) => event::query;
    Context cuEventSynchronize(event: Handle) => event::synchronize;
    Context cuEventElapsedTime(out: Out<f32>, start: Handle, end: Handle) => event::elapsed;
    Context cuEventElapsedTime_v2(out: Out<f32>, start: Handle, end: Handle) => event::elapsed;

    Context cuGraphInstantiateWithFlags(out: Out<Handle>, graph: Handle, flags: u64) => graph::instantiate;
    Context cuGraphLaunch(executable: Handle, stream: Handle) => graph::launch;
    Context cuGraphUpload(executable: Handle, stream: Handle) => graph::upload;
    Cleanup cuGraphExecDestroy(executable: Handle) => graph::destroy_executable;
    Cleanup cuGraphDestroy(graph: Handle) => graph::destroy;
}
