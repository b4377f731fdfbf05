#!/bin/sh
# Compiles the kernels of the crate candle-kernels to PTX: a large public corpus for the parser and the interpreter.
#
#     NVCC=/path/to/nvcc tests/softcuda/candle.sh DIRECTORY
#     SOFTCUDA_CANDLE=DIRECTORY cargo test -p softcuda --test front
#
# The sources come through `cargo fetch`; nothing else is downloaded.
set -eu

version=0.11.1
out=${1:?the directory to write the .ptx files to}
: "${NVCC:?the nvcc to compile with}"

mkdir -p "$out"
fetch=$(mktemp -d)
trap 'rm -rf "$fetch"' EXIT
mkdir "$fetch/src"
: >"$fetch/src/lib.rs"
cat >"$fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"

[dependencies]
candle-kernels = "=$version"

[workspace]
TOML
cargo fetch --quiet --manifest-path "$fetch/Cargo.toml"

sources=
for directory in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-kernels-$version/src; do
    [ -d "$directory" ] && sources=$directory
done
: "${sources:?candle-kernels is not in the registry sources}"

include=$(dirname "$NVCC")/../include
for name in affine binary fill indexing reduce ternary unary; do
    "$NVCC" -ptx -arch=compute_80 -std=c++17 -O3 --expt-relaxed-constexpr -I "$include" -I "$sources" \
        -o "$out/$name.ptx" "$sources/$name.cu"
done
echo "$(cat "$out"/*.ptx | grep -c '\.entry') kernels in $out"
