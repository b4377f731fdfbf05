//! The shipped kernels, as they are loaded.

use std::path::PathBuf;

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
