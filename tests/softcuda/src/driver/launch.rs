//! Launching kernels.

use std::ffi::c_void;
use std::sync::Arc;

use super::error::{Answer, Code};
use super::pointer::Arguments;
use super::queue::Command;
use super::report::{LaunchRecord, Report};
use super::settings::Site;
use super::state::{Handle, Session};
use super::stream::submit;
use crate::check::{Fault, FaultKind};
use crate::count::Counters;
use crate::machine::{Launch, LoadedModule};

/// A launch, with the values of its parameters.
pub struct Work {
    pub module: Arc<LoadedModule>,
    pub kernel: String,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    parameters: Vec<u8>,
    cooperative: bool,
    shared_optin: Option<u32>,
}

impl Work {
    pub fn launch(&self) -> Launch<'_> {
        Launch {
            kernel: &self.kernel,
            grid: self.grid,
            block: self.block,
            shared: self.shared,
            parameters: &self.parameters,
            cooperative: self.cooperative,
            shared_optin: self.shared_optin,
        }
    }

    /// The code of a fault of this launch. A failed assertion is a trap at a call of `__assertfail`.
    pub fn code(&self, fault: &Fault) -> Code {
        let lines = self.module.lines().iter().skip((fault.line as usize).saturating_sub(1));
        let mut ended = false;
        let mut statement = lines.take_while(|line| !std::mem::replace(&mut ended, line.contains(';')));
        if fault.kind == FaultKind::Trap && statement.any(|line| line.contains("__assertfail")) {
            return Code::ASSERT;
        }
        Code::of_fault(fault)
    }
}

impl Report {
    /// A kernel ran.
    pub fn launched(&mut self, work: &Work, from_graph: bool, counters: &Counters) {
        self.counters += counters;
        *self.kernels.entry(work.kernel.clone()).or_default() += counters;
        self.launches.push(LaunchRecord {
            kernel: work.kernel.clone(),
            grid: work.grid,
            block: work.block,
            shared: work.shared,
            from_graph,
        });
    }
}

#[allow(clippy::too_many_arguments)]
pub fn kernel(
    session: &mut Session,
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    arguments: Arguments,
    extra: *const c_void,
) -> Answer {
    // Parameters as one buffer.
    if !extra.is_null() {
        return Err(Code::NOT_SUPPORTED);
    }
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    launch(session, function, grid, block, shared, stream, arguments, false)
}

#[allow(clippy::too_many_arguments)]
pub fn cooperative(
    session: &mut Session,
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    arguments: Arguments,
) -> Answer {
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    launch(session, function, grid, block, shared, stream, arguments, true)
}

#[allow(clippy::too_many_arguments)]
fn launch(
    session: &mut Session,
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    arguments: Arguments,
    cooperative: bool,
) -> Answer {
    session.injections.pass(Site::Launch)?;
    let function = session.functions.get(&function).ok_or(Code::INVALID_HANDLE)?;
    let info = function.info()?;
    let mut parameters = vec![0; info.parameter_bytes as usize];
    for (index, &(offset, size)) in info.parameters.iter().enumerate() {
        let (offset, size) = (offset as usize, size as usize);
        let value = arguments.read(index, size)?;
        parameters[offset..offset + size].copy_from_slice(&value);
    }
    let work = Work {
        module: function.module.clone(),
        kernel: function.name.clone(),
        grid,
        block,
        shared,
        parameters,
        cooperative,
        shared_optin: function.shared_optin,
    };
    submit(session, stream, Command::Launch(Arc::new(work))).map(|_| ())
}
