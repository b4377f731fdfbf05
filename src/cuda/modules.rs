//! The embedded PTX, loaded into a context at its first use.

use std::borrow::Cow;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaModule};
use cudarc::nvrtc::Ptx;

use super::embedded::PTX;
use crate::device::Cuda;
use crate::error::Result;

/// The text of an embedded PTX file. Panics where none of this name was embedded.
pub(super) fn text(name: &str) -> &'static str {
    match PTX.iter().find(|(embedded, _)| *embedded == name) {
        Some((_, text)) => text,
        None => panic!("no kernels named '{name}' are embedded"),
    }
}

/// The text of a module. A file that has no head of its own goes on where the functions that it calls end.
fn whole(name: &str) -> Cow<'static, str> {
    let own = text(name);
    if own.starts_with(".version") { own.into() } else { (text("library").to_owned() + own).into() }
}

/// The module of a rule, its layout compared with `expected`.
pub(super) fn load(cuda: &Cuda, name: &'static str, expected: &[u32]) -> Result<Arc<CudaModule>> {
    cuda.module(name, || {
        let module = cuda.stream().context().load_module(Ptx::from_src(whole(name)));
        let module = cuda.explain(module, || format!("loading of the kernels of '{name}'"))?;
        let symbol = format!("{name}_layout");
        let layout = module.get_global(&symbol, cuda.stream());
        let layout = cuda.explain(layout, || format!("lookup of '{symbol}'"))?;
        let mut bytes = vec![0_u8; layout.len()];
        let copied = cuda.stream().memcpy_dtoh(&layout, &mut bytes).and_then(|()| cuda.stream().synchronize());
        cuda.explain(copied, || format!("copy of '{symbol}'"))?;
        let found: Vec<u32> = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        assert_eq!(found, expected, "the embedded kernels of '{name}' were built for other tables");
        Ok(module)
    })
}

/// A kernel, and the name that errors of its launch call it.
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) function: CudaFunction,
}

impl Kernel {
    /// That of this name in a module.
    pub(super) fn of(cuda: &Cuda, module: &Arc<CudaModule>, name: String) -> Result<Self> {
        Ok(Self { function: function(cuda, module, &name)?, name })
    }
}

/// A kernel of a module.
pub(super) fn function(cuda: &Cuda, module: &Arc<CudaModule>, name: &str) -> Result<CudaFunction> {
    // cudarc does not do this here, and the thread may be another than the one that loaded the module.
    cuda.explain(cuda.stream().context().bind_to_thread(), || "binding of the context to the thread".to_owned())?;
    cuda.explain(module.load_function(name), || format!("lookup of the kernel '{name}'"))
}
