//! Capturing graphs, and what must not happen meanwhile.

use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUresult, CUstreamCaptureMode, CUstreamCaptureStatus};
use cudarc::driver::{CudaContext, CudaGraph, CudaStream, DriverError};
use softcuda::driver::StreamMode;

use crate::support::{add, alone, alone_with, assert_code, function};

const GLOBAL: CUstreamCaptureMode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;

fn streams(count: usize) -> (Arc<CudaContext>, Vec<Arc<CudaStream>>) {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the tests order the streams themselves; events from before a capture must not be waited for in it.
    unsafe { context.disable_event_tracking() };
    let streams = (0..count).map(|_| context.new_stream().unwrap()).collect();
    (context, streams)
}

fn end(stream: &Arc<CudaStream>) -> Result<Option<CudaGraph>, DriverError> {
    stream.end_capture(CUgraphInstantiate_flags(0))
}

#[track_caller]
fn assert_end(stream: &Arc<CudaStream>, code: CUresult) {
    assert_code(end(stream).map(|_| ()), code);
}

#[test]
fn a_graph_runs_on_what_memory_holds_then() {
    for mode in [StreamMode::AtEnqueue, StreamMode::Adversarial { seed: 2 }] {
        let alone = alone_with(mode);
        let (context, streams) = streams(1);
        let stream = &streams[0];
        let function = function(&context, "add_to_all");
        let mut data = stream.clone_htod(&[1u32; 16]).unwrap();
        stream.synchronize().unwrap();

        stream.begin_capture(GLOBAL).unwrap();
        assert_eq!(stream.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE);
        for _ in 0..3 {
            add(stream, &function, &mut data, 2).unwrap();
        }
        let graph = end(stream).unwrap().unwrap();
        assert_eq!(stream.capture_status().unwrap(), CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE);
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [1; 16]);
        assert_eq!(alone.driver.report().launches, []);

        graph.upload().unwrap();
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [7; 16]);
        stream.memcpy_htod(&[100u32; 16], &mut data).unwrap();
        graph.launch().unwrap();
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&data).unwrap(), [112; 16]);

        let report = alone.driver.report();
        assert_eq!((report.graph_launches, report.launches.len()), (3, 9));
        assert!(report.launches.iter().all(|launch| launch.from_graph));
    }
}

#[test]
fn a_graph_forks_and_joins() {
    for seed in 0..8 {
        let _alone = alone_with(StreamMode::Adversarial { seed });
        let (context, streams) = streams(2);
        let [first, second] = [&streams[0], &streams[1]];
        let function = function(&context, "add_to_all");
        let mut left = first.alloc_zeros::<u32>(4).unwrap();
        let mut right = first.alloc_zeros::<u32>(4).unwrap();
        first.synchronize().unwrap();

        first.begin_capture(GLOBAL).unwrap();
        add(first, &function, &mut left, 1).unwrap();
        second.join(first).unwrap();
        second.memcpy_dtod(&left, &mut right).unwrap();
        first.join(second).unwrap();
        add(first, &function, &mut left, 10).unwrap();
        let graph = end(first).unwrap().unwrap();

        graph.launch().unwrap();
        assert_eq!(first.clone_dtoh(&right).unwrap(), [1; 4]);
        assert_eq!(first.clone_dtoh(&left).unwrap(), [11; 4]);
    }
}

#[test]
fn synchronising_spoils_a_capture() {
    let _alone = alone();
    let (context, streams) = streams(1);
    let stream = &streams[0];
    let unsupported = CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    stream.begin_capture(GLOBAL).unwrap();
    assert_code(stream.synchronize(), unsupported);
    let invalidated = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    assert_eq!(stream.capture_status().unwrap(), invalidated);
    assert_end(stream, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    stream.begin_capture(GLOBAL).unwrap();
    assert_code(context.synchronize(), unsupported);
    assert_end(stream, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    // After which it works again.
    stream.begin_capture(GLOBAL).unwrap();
    let graph = end(stream).unwrap().unwrap();
    graph.launch().unwrap();
    stream.synchronize().unwrap();
}

#[test]
fn loading_a_module_spoils_a_capture() {
    let _alone = alone();
    let (context, streams) = streams(1);
    streams[0].begin_capture(GLOBAL).unwrap();
    let loaded = context.load_module(cudarc::nvrtc::Ptx::from_src(crate::support::PTX));
    assert_code(loaded.map(|_| ()), CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_end(&streams[0], CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

#[test]
fn captures_are_isolated_from_what_is_not_captured() {
    let _alone = alone();
    let (_context, streams) = streams(2);
    let event = streams[1].record_event(None).unwrap();
    streams[0].begin_capture(GLOBAL).unwrap();
    assert_code(streams[0].wait(&event), CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    assert_end(&streams[0], CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

#[test]
fn forked_streams_must_be_joined() {
    let _alone = alone();
    let (_context, streams) = streams(2);
    let mut data = streams[0].alloc_zeros::<u32>(4).unwrap();
    streams[0].begin_capture(GLOBAL).unwrap();
    streams[1].join(&streams[0]).unwrap();
    streams[1].memset_zeros(&mut data).unwrap();
    assert_end(&streams[0], CUresult::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);

    streams[0].begin_capture(GLOBAL).unwrap();
    streams[1].join(&streams[0]).unwrap();
    assert_end(&streams[1], CUresult::CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    assert_end(&streams[0], CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

#[test]
fn captured_events_cannot_be_waited_for_by_the_host() {
    let _alone = alone();
    let (_context, streams) = streams(1);
    streams[0].begin_capture(GLOBAL).unwrap();
    let event = streams[0].record_event(None).unwrap();
    assert_code(event.synchronize(), CUresult::CUDA_ERROR_CAPTURED_EVENT);
    assert!(end(&streams[0]).unwrap().is_some());
}

#[test]
fn the_default_stream_cannot_be_captured() {
    let _alone = alone();
    let (context, _) = streams(0);
    let began = context.default_stream().begin_capture(GLOBAL);
    assert_code(began, CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

#[test]
fn a_capture_ends_on_its_thread() {
    let _alone = alone();
    let (_context, streams) = streams(1);
    let stream = &streams[0];
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| assert_end(stream, CUresult::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD));
        other.join().unwrap();
    });
    assert_end(stream, CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

#[test]
fn flags_of_graphs_are_checked() {
    let _alone = alone();
    let (_context, streams) = streams(1);
    streams[0].begin_capture(GLOBAL).unwrap();
    let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH
        | CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH;
    assert_code(streams[0].end_capture(flags).map(|_| ()), CUresult::CUDA_ERROR_INVALID_VALUE);
}
