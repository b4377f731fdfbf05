//! Links the library under the driver's name, and stamps it with a hash of its source.

use std::env;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use fnv::FnvHasher;

fn main() {
    // The name by which the dynamic linker knows the library once it is loaded: a later dlopen of the driver finds it.
    // The file keeps its own name, so that nothing loads it by accident.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
    }

    let mut files = vec![PathBuf::from("Cargo.toml"), PathBuf::from("build.rs")];
    collect(Path::new("src"), &mut files);
    files.sort();
    let mut hash = FnvHasher::default();
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        hash.write(file.as_os_str().as_encoded_bytes());
        hash.write(&fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
    }
    // New files.
    println!("cargo::rerun-if-changed=src");
    for name in ["PROFILE", "OPT_LEVEL", "TARGET", "RUSTC"] {
        hash.write(env::var(name).unwrap_or_default().as_bytes());
    }
    println!("cargo::rustc-env=SOFTCUDA_STAMP={}-{:016x}", env!("CARGO_PKG_VERSION"), hash.finish());
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
