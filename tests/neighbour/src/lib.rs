//! Uses both crates with one set of types.

/// The device of a stream that this crate made.
pub fn device(stream: std::sync::Arc<cudarc::driver::CudaStream>) -> gradus::Result<gradus::Device> {
    Ok(gradus::Device::Cuda(gradus::device::Cuda::from_stream(stream)?))
}
