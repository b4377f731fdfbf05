//! Modules whose variables lie in a machine's memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::front::{self, LoadError};
use crate::ir::{Module, RelocationTarget, Space};
use crate::lower::{self, Program};
use crate::memory::DeviceMemory;
use crate::valid;

/// What is known of a kernel before it runs.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct KernelInfo {
    pub name: String,
    /// Offset and size of every parameter in the parameter block.
    pub parameters: Vec<(u32, u32)>,
    /// Bytes of the parameter block.
    pub parameter_bytes: u32,
    /// Bytes of static shared memory.
    pub static_shared: u32,
    /// Bytes of local memory a thread.
    pub local_bytes: u32,
    /// `.maxntid`.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`.
    pub required_threads: Option<[u32; 3]>,
}

/// A module whose variables lie in a machine's memory, until it is dropped.
pub struct LoadedModule {
    memory: Arc<DeviceMemory>,
    /// Address and size of the allocation of every `.global` and `.const` variable; 0 for others.
    variables: Vec<(u64, u64)>,
    names: HashMap<String, usize>,
    kernels: HashMap<String, (KernelInfo, Program)>,
    lines: Vec<String>,
}

impl std::fmt::Debug for LoadedModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedModule").field("kernels", &self.kernels.keys()).finish_non_exhaustive()
    }
}

impl LoadedModule {
    /// A kernel's facts.
    pub fn kernel(&self, name: &str) -> Option<&KernelInfo> {
        self.kernels.get(name).map(|(info, _)| info)
    }

    /// Every kernel, in no order.
    pub fn kernels(&self) -> impl Iterator<Item = &KernelInfo> {
        self.kernels.values().map(|(info, _)| info)
    }

    /// Address and size of a `.global` or `.const` variable.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.names.get(name).map(|&index| self.variables[index])
    }

    pub(super) fn program(&self, name: &str) -> Option<(&KernelInfo, &Program)> {
        self.kernels.get(name).map(|(info, program)| (info, program))
    }

    /// The lines of the PTX text.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        for &(address, _) in self.variables.iter().filter(|&&(address, _)| address != 0) {
            let _ = self.memory.free(address);
        }
    }
}

pub(super) fn load(memory: &Arc<DeviceMemory>, strict_float: bool, ptx: &str) -> Result<LoadedModule, LoadError> {
    let module = front::parse(ptx)?;
    valid::check(&module)?;
    if strict_float {
        lower::refuse_unpinned(&module)?;
    }
    let mut loaded = LoadedModule {
        memory: memory.clone(),
        variables: Vec::new(),
        names: HashMap::new(),
        kernels: HashMap::new(),
        lines: module.lines.clone(),
    };
    place_variables(&module, &mut loaded)?;
    initialise(&module, &loaded)?;
    let addresses: Vec<_> = loaded.variables.iter().map(|&(address, _)| address).collect();
    for kernel in lower::lower(&module, &addresses)? {
        loaded.kernels.insert(kernel.0.name.clone(), kernel);
    }
    Ok(loaded)
}

fn in_memory(space: Space) -> bool {
    matches!(space, Space::Global | Space::Const)
}

fn refuse(module: &Module, line: u32, message: impl Into<String>) -> LoadError {
    LoadError { line, text: module.line(line).to_owned(), message: message.into() }
}

fn place_variables(module: &Module, loaded: &mut LoadedModule) -> Result<(), LoadError> {
    for (index, variable) in module.variables.iter().enumerate() {
        let mut place = (0, variable.size);
        if in_memory(variable.space) {
            let address = loaded.memory.allocate(variable.size.max(1));
            place.0 = address.ok_or_else(|| refuse(module, variable.line, "device memory is full"))?;
            loaded.names.insert(variable.name.clone(), index);
        }
        loaded.variables.push(place);
    }
    Ok(())
}

fn initialise(module: &Module, loaded: &LoadedModule) -> Result<(), LoadError> {
    for (index, variable) in module.variables.iter().enumerate().filter(|(_, variable)| in_memory(variable.space)) {
        let mut bytes = variable.init.clone();
        bytes.resize(variable.size as usize, 0);
        for relocation in &variable.relocations {
            let base = match relocation.target {
                RelocationTarget::Variable(target) if in_memory(module.variables[target as usize].space) => {
                    loaded.variables[target as usize].0
                }
                _ => return Err(refuse(module, variable.line, "an initialiser that is no address in memory")),
            };
            let value = base.wrapping_add_signed(relocation.addend).to_le_bytes();
            let at = relocation.offset as usize;
            let Some(bytes) = bytes.get_mut(at..at + 8) else {
                return Err(refuse(module, variable.line, "an initialiser that is longer than its variable"));
            };
            bytes.copy_from_slice(&value);
        }
        let written = loaded.memory.write(loaded.variables[index].0, &bytes);
        written.map_err(|error| refuse(module, variable.line, error.detail))?;
    }
    Ok(())
}
