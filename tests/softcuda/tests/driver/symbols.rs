//! Nothing that cudarc may call is missing.

use cudarc::driver::result::DriverError;
use cudarc::driver::sys::{self, CUmemAttach_flags, CUresult};
use cudarc::driver::{CudaContext, result};
use softcuda::driver::EXPORTS;

use crate::support::{alone, assert_code};

/// What cudarc 0.19.10 calls in `driver::result` and `driver::safe`, with the features for any version of CUDA.
const CALLED: &str = "
    cuCtxCreate_v3 cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxGetCacheConfig cuCtxGetCurrent cuCtxGetLimit
    cuCtxGetStreamPriorityRange cuCtxSetCacheConfig cuCtxSetCurrent cuCtxSetFlags cuCtxSetLimit cuCtxSynchronize
    cuDestroyExternalMemory cuDeviceGet cuDeviceGetAttribute cuDeviceGetCount cuDeviceGetDefaultMemPool
    cuDeviceGetMemPool cuDeviceGetName cuDeviceGetUuid cuDeviceGetUuid_v2 cuDevicePrimaryCtxRelease_v2
    cuDevicePrimaryCtxRetain cuDeviceSetMemPool cuDeviceTotalMem_v2 cuEventCreate cuEventDestroy_v2 cuEventElapsedTime
    cuEventElapsedTime_v2 cuEventQuery cuEventRecord cuEventSynchronize cuExternalMemoryGetMappedBuffer
    cuFuncGetAttribute cuFuncSetAttribute cuFuncSetCacheConfig cuGetErrorName cuGetErrorString cuGraphDestroy
    cuGraphExecDestroy cuGraphInstantiateWithFlags cuGraphLaunch cuGraphUpload cuImportExternalMemory cuInit
    cuLaunchCooperativeKernel cuLaunchHostFunc cuLaunchKernel cuMemAdvise_v2 cuMemAllocAsync cuMemAllocFromPoolAsync
    cuMemAllocManaged cuMemAlloc_v2 cuMemFreeAsync cuMemFreeHost cuMemFree_v2 cuMemGetInfo_v2 cuMemHostAlloc
    cuMemPoolCreate cuMemPoolDestroy cuMemPoolGetAttribute cuMemPoolSetAttribute cuMemPoolTrimTo cuMemPrefetchAsync_v2
    cuMemcpyDtoDAsync_v2 cuMemcpyDtoD_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoH_v2 cuMemcpyHtoDAsync_v2 cuMemcpyHtoD_v2
    cuMemcpyPeerAsync cuMemsetD8Async cuMemsetD8_v2 cuModuleGetFunction cuModuleGetGlobal_v2 cuModuleLoad
    cuModuleLoadData cuModuleUnload cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxActiveBlocksPerMultiprocessor
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags cuOccupancyMaxActiveClusters cuOccupancyMaxPotentialBlockSize
    cuOccupancyMaxPotentialBlockSizeWithFlags cuOccupancyMaxPotentialClusterSize cuProfilerStart cuProfilerStop
    cuStreamAttachMemAsync cuStreamBeginCapture_v2 cuStreamCreate cuStreamCreateWithPriority cuStreamDestroy_v2
    cuStreamEndCapture cuStreamIsCapturing cuStreamSynchronize cuStreamWaitEvent
";

/// Further functions of the driver that gradus looks for.
const PROBED: &str = "cuDriverGetVersion";

fn is_exported(name: &str) -> bool {
    // SAFETY: the symbol is looked up, not called.
    unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_ok()
}

#[test]
fn every_function_that_cudarc_calls_is_exported() {
    let _alone = alone();
    for name in CALLED.split_whitespace().chain(PROBED.split_whitespace()) {
        assert!(is_exported(name), "{name} is not exported");
        assert!(EXPORTS.iter().any(|export| export.name == name), "{name} is not in the table");
    }
}

#[test]
fn the_table_is_what_is_exported() {
    let _alone = alone();
    let mut names: Vec<&str> = EXPORTS.iter().map(|export| export.name).collect();
    assert!(names.iter().all(|name| is_exported(name)));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn functions_that_are_not_implemented_say_so() {
    let _alone = alone();
    let _context = CudaContext::new(0).unwrap();
    let flags = CUmemAttach_flags::CU_MEM_ATTACH_GLOBAL;
    // SAFETY: nothing is allocated.
    assert_code(unsafe { result::malloc_managed(16, flags) }, CUresult::CUDA_ERROR_NOT_SUPPORTED);
    let refused = EXPORTS.iter().filter(|export| !export.implemented).count();
    assert_eq!(refused, 11);
}

#[test]
fn errors_have_names_and_texts() {
    let _alone = alone();
    let error = DriverError(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_eq!(error.error_name().unwrap().to_str(), Ok("CUDA_ERROR_ILLEGAL_ADDRESS"));
    assert!(format!("{error:?}").contains("an illegal memory access"));
}
