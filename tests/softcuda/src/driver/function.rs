//! Kernels of modules, and what is known and set of them.

use std::ffi::c_int;
use std::sync::Arc;

use super::error::{Answer, Code};
use super::pointer::Out;
use super::state::{Handle, Session};
use crate::machine::{KernelInfo, LoadedModule};

/// A kernel of a module.
pub struct Function {
    pub context: Handle,
    pub of: Handle,
    pub name: String,
    pub module: Arc<LoadedModule>,
    /// The dynamic shared memory that was opted in to.
    pub shared_optin: Option<u32>,
    carveout: c_int,
}

impl Function {
    pub fn new(context: Handle, of: Handle, name: String, module: Arc<LoadedModule>) -> Self {
        Self { context, of, name, module, shared_optin: None, carveout: -1 }
    }

    /// What is known of it. Errors: nothing.
    pub fn info(&self) -> Result<&KernelInfo, Code> {
        self.module.kernel(&self.name).ok_or(Code::NOT_FOUND)
    }

    /// The most threads of a block.
    pub fn threads(&self) -> u32 {
        let Ok(info) = self.info() else { return 0 };
        let bound = info.required_threads.or(info.max_threads);
        bound.map_or(1024, |[x, y, z]| x.saturating_mul(y).saturating_mul(z)).min(1024)
    }
}

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const DYNAMIC_SHARED: u32 = 8;
/// `CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT`.
const CARVEOUT: u32 = 9;
/// The first and the last attribute of clusters.
const CLUSTERS: (u32, u32) = (10, 15);

/// How many registers a thread uses is not known before ptxas: it is told as 0.
pub fn get_attribute(session: &mut Session, out: Out<c_int>, attribute: u32, function: Handle) -> Answer {
    let profile = session.profile()?;
    let function = session.functions.get(&function).ok_or(Code::INVALID_HANDLE)?;
    let info = function.info()?;
    let capability = (10 * profile.capability.0 + profile.capability.1) as c_int;
    out.set(match attribute {
        0 => function.threads() as c_int,
        1 => info.static_shared as c_int,
        // Constant memory of its own, registers, whether loads are cached.
        2 | 4 | 7 => 0,
        3 => info.local_bytes as c_int,
        5 | 6 => capability,
        DYNAMIC_SHARED => {
            let rest = profile.shared_per_block.saturating_sub(info.static_shared);
            function.shared_optin.unwrap_or(rest) as c_int
        }
        CARVEOUT => function.carveout,
        _ if (CLUSTERS.0..=CLUSTERS.1).contains(&attribute) => 0,
        _ => return Err(Code::INVALID_VALUE),
    })
}

pub fn set_attribute(session: &mut Session, function: Handle, attribute: u32, value: c_int) -> Answer {
    let profile = session.profile()?;
    let function = session.functions.get_mut(&function).ok_or(Code::INVALID_HANDLE)?;
    match attribute {
        DYNAMIC_SHARED => {
            let limit = profile.shared_per_block_optin.saturating_sub(function.info()?.static_shared);
            let value = u32::try_from(value).map_err(|_| Code::INVALID_VALUE)?;
            if value > limit {
                return Err(Code::INVALID_VALUE);
            }
            function.shared_optin = Some(value);
        }
        CARVEOUT if (-1..=100).contains(&value) => function.carveout = value,
        CARVEOUT => return Err(Code::INVALID_VALUE),
        _ if (CLUSTERS.0..=CLUSTERS.1).contains(&attribute) => return Err(Code::NOT_SUPPORTED),
        _ => return Err(Code::INVALID_VALUE),
    }
    Ok(())
}

pub fn set_cache_config(session: &mut Session, function: Handle, config: u32) -> Answer {
    if config > 3 {
        return Err(Code::INVALID_VALUE);
    }
    session.functions.get(&function).map(|_| ()).ok_or(Code::INVALID_HANDLE)
}
