"""PyTorch's side of benchmarks: work that other programs ask for in turns with their own.

A line of input names work and its sizes, as `inverses 2 64 128` or `normals 1 1048576`; the second word is the number of threads. It is
done once, and a line of output says how many seconds that took. The first time, it is done once more before.
"""

import sys
import time

import torch

DAMPING = 0.1

numbers = torch.Generator().manual_seed(1)


def inverses(blocks, order):
    """Damped inverses of blocks of this order, in f32."""
    noise = torch.rand(blocks, order, order, generator=numbers) * 2 - 1
    lower = torch.tril(noise, -1) * (0.5 / order**0.5)
    matrices = lower + lower.mT + torch.eye(order)

    def invert():
        damped = matrices.clone()
        damped.diagonal(dim1=-2, dim2=-1).add_(DAMPING)
        return torch.cholesky_inverse(torch.linalg.cholesky(damped))

    return invert


def normals(count):
    """Standard normals in f32, into memory that is there."""
    out = torch.empty(count)
    return lambda: torch.randn(count, out=out)


lines = {}
for request in sys.stdin:
    work, threads, *sizes = request.split()
    torch.set_num_threads(int(threads))
    if request not in lines:
        lines[request] = globals()[work](*map(int, sizes))
        lines[request]()
    start = time.perf_counter()
    lines[request]()
    print(time.perf_counter() - start, flush=True)
