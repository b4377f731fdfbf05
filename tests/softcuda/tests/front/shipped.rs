//! The project's own kernels.

use std::path::PathBuf;

use softcuda::ir::{Function, Space, Type};
use softcuda::valid;

use crate::support::load;

/// The text of every shipped file, with its name: one without a head goes on where the functions that it calls end.
pub fn files() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../kernels/ptx");
    let library = std::fs::read_to_string(directory.join("library.ptx")).unwrap();
    let whole = |text: String| if text.starts_with(".version") { text } else { library.clone() + &text };
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ptx"))
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), whole(std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

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
