//! The folder against the table of opcodes.

use std::collections::BTreeSet;

use softcuda::opcodes::OPCODES;

use crate::file;

#[test]
fn every_opcode_has_a_file_and_every_file_an_opcode() {
    let opcodes: BTreeSet<String> = OPCODES.iter().map(|opcode| opcode.name.to_owned()).collect();
    let files: BTreeSet<String> = file::all().into_iter().map(|file| file.opcode).collect();
    let missing: Vec<_> = opcodes.difference(&files).collect();
    let stray: Vec<_> = files.difference(&opcodes).collect();
    assert!(missing.is_empty() && stray.is_empty(), "without a file: {missing:?}; without an opcode: {stray:?}");
}

#[test]
fn every_kernel_uses_its_opcode_and_compares_something() {
    for file in file::all() {
        for kernel in &file.kernels {
            let functions = file.ptx.split("// kernel ").next().unwrap_or_default();
            let start = file.ptx.find(&format!(".entry {}(", kernel.name)).expect("a kernel of that name");
            let body = file.ptx[start..].split("\n}").next().unwrap_or_default();
            let uses = |statement: &str| {
                let words = statement.split_whitespace().skip_while(|word| word.starts_with('@'));
                words.take(1).any(|word| word.trim_end_matches(';').split('.').next() == Some(&file.opcode))
            };
            assert!(functions.lines().chain(body.lines()).any(uses), "{} does not use {}", kernel.name, file.opcode);
            assert!(kernel.fault.is_some() || !kernel.expected.is_empty(), "{} expects nothing", kernel.name);
        }
    }
}
