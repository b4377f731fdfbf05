#!/bin/sh
# Installs the CUDA compiler that kernels/ptx is made with under target/cuda-toolchain, and prints the path of its nvcc.
# Wants python3 with venv, and a C++ compiler for nvcc's preprocessor; neither a GPU nor root.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)/target/cuda-toolchain
packages='nvidia-cuda-nvcc==13.0.88
nvidia-nvvm==13.0.88
nvidia-cuda-crt==13.0.88
nvidia-cuda-runtime==13.0.96
nvidia-cuda-cccl==13.0.85
nvidia-cuda-nvdisasm==13.5.37
nvidia-cuda-cuobjdump==13.5.37'

if [ "$(cat "$root/installed" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$root"
    python3 -m venv "$root"
    # shellcheck disable=SC2086
    "$root/bin/pip" install --quiet --disable-pip-version-check --no-deps $packages >&2
    ln -s "$(cd "$root"/lib/python3*/site-packages/nvidia/cu13 && pwd)" "$root/cuda"
    printf '%s' "$packages" >"$root/installed"
fi
echo "$root/cuda/bin/nvcc"
