//! The project's own kernels.

use softcuda::ir::{Function, Space, Type};
use softcuda::valid;

use crate::files::files;
use crate::support::load;

#[test]
fn every_kernel_is_accepted() {
    for (name, ptx) in files() {
        let module = load(&ptx).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((module.version, module.target), ((7, 8), 80), "{name}");
        let kernels = module.functions.iter().filter(|function| function.is_kernel).count();
        assert_eq!(kernels, ptx.matches(".entry").count(), "{name}");
        // Blocks are whole warps.
        let is_known = |threads: u32| threads <= 512 && threads.is_multiple_of(32);
        let states_its = |function: &Function| matches!(function.max_threads, Some([x, 1, 1]) if is_known(x));
        assert!(module.functions.iter().filter(|function| function.is_kernel).all(states_its), "{name}");
    }
}

#[test]
fn no_arithmetic_can_be_fused() {
    for (name, ptx) in files() {
        assert_eq!(valid::unpinned(&load(&ptx).unwrap()), [], "{name}");
    }
}

#[test]
fn the_layout_table_is_bytes() {
    let (_, ptx) = files().into_iter().find(|(name, _)| name == "adamw.ptx").unwrap();
    let module = load(&ptx).unwrap();
    let table = module.variables.iter().find(|variable| variable.name == "adamw_layout").unwrap();
    assert_eq!((table.space, table.element), (Space::Global, Type::B8));
    assert_eq!((table.align, table.size), (4, 48));
    assert!(table.init.len() as u64 <= table.size);
    assert_eq!(table.init[..4], [0, 64, 0, 0]);
}
