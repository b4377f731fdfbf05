// Sums over the threads of a block, in an order that its size alone decides.
#pragma once
#include <cstdint>

// The sum of what THREADS threads, all of the block, hold; every one of them gets it.
template <uint32_t THREADS> __device__ double sum_of_block(double own, double (&lanes)[THREADS]) {
    static_assert((THREADS & (THREADS - 1)) == 0);
    __syncthreads();
    lanes[threadIdx.x] = own;
    for (uint32_t apart = THREADS / 2; apart > 0; apart /= 2) {
        __syncthreads();
        if (threadIdx.x < apart) {
            lanes[threadIdx.x] += lanes[threadIdx.x + apart];
        }
    }
    __syncthreads();
    return lanes[0];
}
