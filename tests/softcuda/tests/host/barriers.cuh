// Kernels whose threads wait for each other. barriers.ptx is what nvcc of kernels/toolchain.sh makes of this, its version
// lowered to 7.8:
//   nvcc -ptx -arch=compute_80 -std=c++20 -O3 -fmad=false -x cu barriers.cuh -o - | grep -v '^//'
#pragma once
#include <cstdint>

constexpr uint32_t BLOCK = 256;
constexpr uint32_t ALL = ~0u;

// Sum and sum of squares of a block, by lanes, then by warps.
extern "C" __global__ void __launch_bounds__(BLOCK) reduce(float* to, const float* from) {
    __shared__ float sums[BLOCK / 32][2];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float sum = from[blockIdx.x * BLOCK + threadIdx.x];
    float squares = sum * sum;
    for (uint32_t delta = 16; delta > 0; delta /= 2) {
        sum += __shfl_down_sync(ALL, sum, delta);
        squares += __shfl_xor_sync(ALL, squares, delta);
    }
    if (lane == 0) {
        sums[warp][0] = sum;
        sums[warp][1] = squares;
    }
    __syncthreads();
    if (warp == 0) {
        sum = sums[lane % (BLOCK / 32)][0];
        squares = sums[lane % (BLOCK / 32)][1];
        for (uint32_t delta = 4; delta > 0; delta /= 2) {
            sum += __shfl_xor_sync(ALL, sum, delta);
            squares = fmaf(squares, 0.5f, __shfl_down_sync(ALL, squares, delta));
        }
        to[blockIdx.x * BLOCK + lane] = sum / sqrtf(squares);
    }
}

// Prefix sums of a block, and how many lanes below have an odd sum.
extern "C" __global__ void __launch_bounds__(BLOCK) scan(uint32_t* to, const uint32_t* from) {
    __shared__ uint32_t totals[BLOCK / 32];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t sum = from[blockIdx.x * BLOCK + threadIdx.x];
    for (uint32_t delta = 1; delta < 32; delta *= 2) {
        const uint32_t below = __shfl_up_sync(ALL, sum, delta);
        sum += lane >= delta ? below : 0;
    }
    if (lane == 31) {
        totals[warp] = sum;
    }
    __syncthreads();
    for (uint32_t w = 0; w < warp; w++) {
        sum += totals[w];
    }
    const uint32_t odd = __ballot_sync(ALL, sum % 2 == 1);
    to[blockIdx.x * BLOCK + threadIdx.x] = sum ^ uint32_t(__popc(odd & ((1u << lane) - 1))) << 24;
}

// Sweeps of a ring of neighbours in shared memory, each after a barrier.
extern "C" __global__ void __launch_bounds__(BLOCK) smooth(float* to, const float* from) {
    __shared__ float ring[2][BLOCK];
    const uint32_t i = threadIdx.x;
    ring[0][i] = from[blockIdx.x * BLOCK + i];
    __syncthreads();
    for (uint32_t sweep = 0; sweep < 9; sweep++) {
        const float* old = ring[sweep % 2];
        const float left = old[(i + BLOCK - 1 - sweep) % BLOCK], right = old[(i * 3 + sweep) % BLOCK];
        ring[(sweep + 1) % 2][i] = fmaf(left, 0.375f, right * 0.5f) - old[i] / 3.0f;
        __syncthreads();
    }
    to[blockIdx.x * BLOCK + i] = ring[1][i];
}
