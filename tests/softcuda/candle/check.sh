#!/bin/sh
# Kernels that others wrote, as a test of softcuda: compiles seven files of the crate candle-kernels with nvcc, then
# parses and validates all 425 kernels and compares some with candle-core's operations on the CPU (src/main.rs).
#
# The sources of both crates come through cargo; nvcc is $NVCC, or comes by kernels/toolchain.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=$root/target/candle
nvcc=${NVCC:-$("$root/kernels/toolchain.sh")}
version=$(sed -n 's/^candle-core = "=\(.*\)"$/\1/p' "$here/Cargo.toml")

mkdir -p "$target/fetch/src" "$target/ptx"
: >"$target/fetch/src/lib.rs"
cat >"$target/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"

[dependencies]
candle-kernels = "=$version"

[workspace]
TOML
sources=$(cargo metadata --quiet --format-version 1 --manifest-path "$target/fetch/Cargo.toml" |
    python3 -c 'import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "candle-kernels":
        print(os.path.join(os.path.dirname(package["manifest_path"]), "src"))')

compile() {
    "$nvcc" -ptx -arch=compute_80 -std=c++17 -O3 --expt-relaxed-constexpr -I "$(dirname "$nvcc")/../include" \
        -I "$sources" -o "$target/ptx/$1.ptx" "$sources/$1.cu"
}
for name in affine binary fill indexing reduce ternary unary; do
    compile "$name"
done
CARGO_TARGET_DIR=$target/build cargo run --quiet --manifest-path "$here/Cargo.toml" -- "$target/ptx"
