"""PyTorch's damped inverses of the shapes of `kron.rs`, in f32 on two threads of the CPU.

Whenever a line of input names a shape, as `64 128`, it inverts the blocks once and prints the seconds that took: so another
program can take turns with it.
"""

import sys
import time

import torch

DAMPING = 0.1

torch.set_num_threads(2)
numbers = torch.Generator().manual_seed(1)
shapes = {}


def matrices(blocks, order):
    noise = torch.rand(blocks, order, order, generator=numbers) * 2 - 1
    lower = torch.tril(noise, -1) * (0.5 / order**0.5)
    return lower + lower.mT + torch.eye(order)


def invert(blocks):
    damped = blocks.clone()
    damped.diagonal(dim1=-2, dim2=-1).add_(DAMPING)
    return torch.cholesky_inverse(torch.linalg.cholesky(damped))


for line in sys.stdin:
    shape = tuple(map(int, line.split()))
    if shape not in shapes:
        shapes[shape] = matrices(*shape)
        invert(shapes[shape])
    start = time.perf_counter()
    invert(shapes[shape])
    print(time.perf_counter() - start, flush=True)
