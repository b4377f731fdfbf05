//! One kernel on a device of its own: for tests of a kernel alone.

use crate::check::Fault;
use crate::front::LoadError;
use crate::machine::{Launch, Machine, Options, Profile, Report};

/// An argument of a kernel, in the order of its parameters.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Argument<'a> {
    U32(u32),
    U64(u64),
    F32(f32),
    F64(f64),
    /// The address of a copy of these bytes.
    Read(&'a [u8]),
    /// The same, copied back after the launch.
    Written(&'a mut [u8]),
}

/// Why [`launch`] did not end well.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum LaunchError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}")]
    Fault(Box<Fault>),
    #[error("the kernel '{kernel}' has {expected} parameters; {given} arguments of fitting sizes were given")]
    Arguments { kernel: String, expected: usize, given: usize },
    #[error("the module has no kernel '{kernel}'")]
    NoKernel { kernel: String },
    #[error("{bytes} bytes do not fit into the device's memory")]
    OutOfMemory { bytes: usize },
}

/// Runs a kernel with every check on: loads `ptx`, copies buffers to a fresh A100, launches, copies back what is written.
///
/// Errors: PTX that is refused, arguments that do not fit the parameters, a fault. After a fault nothing is copied back.
pub fn launch(
    ptx: &str,
    kernel: &str,
    grid: [u32; 3],
    block: [u32; 3],
    arguments: &mut [Argument<'_>],
) -> Result<Report, LaunchError> {
    let machine = Machine::new(Profile::a100(), Options::default());
    let module = machine.load(ptx)?;
    let info = module.kernel(kernel).ok_or_else(|| LaunchError::NoKernel { kernel: kernel.to_owned() })?;
    let refused = |given| LaunchError::Arguments { kernel: kernel.to_owned(), expected: info.parameters.len(), given };
    if arguments.len() != info.parameters.len() {
        return Err(refused(arguments.len()));
    }

    let memory = machine.memory();
    let mut parameters = vec![0; info.parameter_bytes as usize];
    let mut addresses = Vec::new();
    for (position, (argument, &(offset, size))) in arguments.iter().zip(&info.parameters).enumerate() {
        let mut copied = |bytes: &[u8]| {
            let address = memory.allocate(bytes.len().max(1) as u64);
            let address = address.ok_or(LaunchError::OutOfMemory { bytes: bytes.len() })?;
            memory.write(address, bytes).map_err(|_| LaunchError::OutOfMemory { bytes: bytes.len() })?;
            addresses.push((position, address));
            Ok::<_, LaunchError>(address.to_le_bytes().to_vec())
        };
        let value = match argument {
            Argument::U32(value) => value.to_le_bytes().to_vec(),
            Argument::U64(value) => value.to_le_bytes().to_vec(),
            Argument::F32(value) => value.to_le_bytes().to_vec(),
            Argument::F64(value) => value.to_le_bytes().to_vec(),
            Argument::Read(bytes) => copied(bytes)?,
            Argument::Written(bytes) => copied(bytes)?,
        };
        if value.len() != size as usize {
            return Err(refused(position));
        }
        parameters[offset as usize..][..value.len()].copy_from_slice(&value);
    }

    let launch =
        Launch { kernel, grid, block, shared: 0, parameters: &parameters, cooperative: false, shared_optin: None };
    let report = machine.launch(&module, &launch).map_err(|fault| LaunchError::Fault(Box::new(fault)))?;
    for (position, address) in addresses {
        if let Argument::Written(bytes) = &mut arguments[position] {
            memory.read(address, bytes).map_err(|_| LaunchError::OutOfMemory { bytes: bytes.len() })?;
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str = "
        .version 7.8
        .target sm_80
        .address_size 64
        .visible .entry scale(.param .u64 values, .param .f32 factor, .param .u32 count)
        {
            .reg .pred %p;
            .reg .b32 %i, %n;
            .reg .f32 %x, %a;
            .reg .b64 %base, %offset;
            ld.param.u64 %base, [values];
            ld.param.f32 %a, [factor];
            ld.param.u32 %n, [count];
            cvta.to.global.u64 %base, %base;
            mov.u32 %i, %tid.x;
            setp.ge.u32 %p, %i, %n;
            @%p ret;
            mul.wide.u32 %offset, %i, 4;
            add.s64 %base, %base, %offset;
            ld.global.f32 %x, [%base];
            mul.rn.f32 %x, %x, %a;
            st.global.f32 [%base], %x;
            ret;
        }";

    fn scale(values: &mut [u8], count: u32) -> Result<Report, LaunchError> {
        let arguments = &mut [Argument::Written(values), Argument::F32(2.0), Argument::U32(count)];
        launch(PTX, "scale", [1, 1, 1], [32, 1, 1], arguments)
    }

    #[test]
    fn a_kernel_runs_on_its_own() {
        let mut values: Vec<u8> = [1.0_f32, 2.0, -3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let report = scale(&mut values, 3).unwrap_or_else(|error| panic!("{error}"));
        let expected: Vec<u8> = [2.0_f32, 4.0, -6.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(values, expected);
        assert_eq!((report.counters.global_read.bytes, report.counters.global_written.bytes), (12, 12));
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let mut values = [0; 12];
        let fault = scale(&mut values, 4).expect_err("the fourth element is out of bounds").to_string();
        assert!(fault.contains("scale") && fault.contains("ld.global.f32"), "{fault}");
        let wrong = launch(PTX, "scale", [1, 1, 1], [1, 1, 1], &mut [Argument::U32(1)]).expect_err("one of three");
        assert_eq!(wrong.to_string(), "the kernel 'scale' has 3 parameters; 1 arguments of fitting sizes were given");
        let missing = launch(PTX, "shrink", [1, 1, 1], [1, 1, 1], &mut []).expect_err("no such kernel");
        assert_eq!(missing.to_string(), "the module has no kernel 'shrink'");
    }
}
