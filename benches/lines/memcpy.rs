use gradus::Device;
use rayon::prelude::*;

/// Copies half of `bytes` to the other half; on the CPU every thread copies its part.
pub fn memcpy(device: &Device, bytes: u64) -> Box<dyn FnMut() + Send> {
    let length = (bytes / 2) as usize;
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            let stream = cuda.stream().clone();
            let source = stream.alloc_zeros::<u8>(length).expect("memory for the source");
            let mut destination = stream.alloc_zeros::<u8>(length).expect("memory for the destination");
            Box::new(move || {
                stream.memcpy_dtod(&source, &mut destination).expect("a copy");
                stream.synchronize().expect("a device that answers");
            })
        }
        _ => {
            let source = vec![1_u8; length];
            let mut destination = vec![1_u8; length];
            Box::new(move || {
                let part = length.div_ceil(rayon::current_num_threads());
                let parts = destination.par_chunks_mut(part).zip(source.par_chunks(part));
                parts.for_each(|(to, from)| to.copy_from_slice(from));
            })
        }
    }
}
