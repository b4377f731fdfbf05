// Kernels in which bugs are planted: by the text of their PTX, `kernels.ptx` beside this file, made by
// nvcc -ptx -arch=compute_80 -std=c++20 -O3 -fmad=false, without the compiler's header.

#include <cuda_pipeline_primitives.h>

// The sum of a block's 256 words, in a tree in shared memory.
extern "C" __global__ void __launch_bounds__(256) reduce(unsigned* out, const unsigned* in, unsigned count) {
    __shared__ unsigned sums[256];
    unsigned thread = threadIdx.x, index = blockIdx.x * 256 + thread;
    sums[thread] = index < count ? in[index] : 0;
    __syncthreads();
#pragma unroll
    for (unsigned half = 128; half >= 32; half /= 2) {
        if (thread < half) sums[thread] += sums[thread + half];
        __syncthreads();
    }
    if (thread == 0) {
        unsigned sum = 0;
        for (unsigned i = 0; i < 32; ++i) sum += sums[i];
        out[blockIdx.x] = sum;
    }
}

// A matrix turned by tiles of 32 x 32, 32 x 8 threads each, twice: the tile is used again.
extern "C" __global__ void __launch_bounds__(256)
transpose(unsigned* out, const unsigned* in, unsigned rows, unsigned columns) {
    __shared__ unsigned tile[32][33];
    unsigned x = threadIdx.x, y = threadIdx.y;
#pragma unroll 1
    for (unsigned top = blockIdx.y * 64; top < blockIdx.y * 64 + 64; top += 32) {
        unsigned left = blockIdx.x * 32;
#pragma unroll 1
        for (unsigned i = y; i < 32; i += 8)
            if (top + i < rows && left + x < columns) tile[i][x] = in[(top + i) * columns + left + x];
        __syncthreads();
#pragma unroll 1
        for (unsigned i = y; i < 32; i += 8)
            if (top + x < rows && left + i < columns) out[(left + i) * rows + top + x] = tile[x][i];
        __syncthreads();
    }
}

// Tiles of 128 x 4 words through two buffers, each turned around in itself.
extern "C" __global__ void __launch_bounds__(128) pipeline(uint4* out, const uint4* in, unsigned tiles) {
    __shared__ uint4 buffers[2][128];
    unsigned thread = threadIdx.x;
    const uint4* from = in + blockIdx.x * tiles * 128;
    uint4* to = out + blockIdx.x * tiles * 128;
    __pipeline_memcpy_async(&buffers[0][thread], &from[thread], 16);
    __pipeline_commit();
#pragma unroll 1
    for (unsigned tile = 0; tile < tiles; ++tile) {
        if (tile + 1 < tiles) {
            __pipeline_memcpy_async(&buffers[(tile + 1) & 1][thread], &from[(tile + 1) * 128 + thread], 16);
            __pipeline_commit();
            __pipeline_wait_prior(1);
        } else {
            __pipeline_wait_prior(0);
        }
        __syncthreads();
        to[tile * 128 + thread] = buffers[tile & 1][127 - thread];
        __syncthreads();
    }
}

// Of every warp: the sum, the maximum, which words are odd, and the words turned around through shared memory.
extern "C" __global__ void __launch_bounds__(64) warp(unsigned* out, const unsigned* in) {
    __shared__ unsigned words[64];
    unsigned thread = threadIdx.x, index = blockIdx.x * 64 + thread, lane = thread & 31;
    unsigned word = in[index], sum = word, most = word;
#pragma unroll
    for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
#pragma unroll
    for (unsigned step = 16; step > 0; step /= 2) most = max(most, __shfl_xor_sync(0xffffffffu, most, step));
    unsigned odd = __ballot_sync(0xffffffffu, word & 1);
    words[thread] = word;
    __syncwarp();
    unsigned turned = words[thread ^ 31];
    __syncwarp();
    words[thread] = sum + lane;
    __syncwarp();
    unsigned first = words[thread & 32];
    uint4 result = {turned, first, most, odd};
    reinterpret_cast<uint4*>(out)[index] = result;
}

// y += a x, whose last block has threads with nothing to do.
extern "C" __global__ void __launch_bounds__(128) saxpy(float* y, const float* x, float a, unsigned count) {
    unsigned index = blockIdx.x * 128 + threadIdx.x;
    if (index < count) y[index] = __fmaf_rn(a, x[index], y[index]);
}

// How often every value below 64 is there, first of each block.
extern "C" __global__ void __launch_bounds__(128) histogram(unsigned* bins, const unsigned* in, unsigned count) {
    __shared__ unsigned own[64];
    unsigned thread = threadIdx.x;
    if (thread < 64) own[thread] = 0;
    __syncthreads();
#pragma unroll 1
    for (unsigned index = blockIdx.x * 128 + thread; index < count; index += gridDim.x * 128)
        atomicAdd(&own[in[index] & 63], 1u);
    __syncthreads();
    if (thread < 64) atomicAdd(&bins[thread], own[thread]);
}

// Words handed to other warps of the block through global memory, twice over the same words.
extern "C" __global__ void __launch_bounds__(128) exchange(unsigned* out, unsigned* scratch, const unsigned* in) {
    unsigned thread = threadIdx.x, base = blockIdx.x * 128;
    unsigned word = in[base + thread];
#pragma unroll 1
    for (unsigned round = 0; round < 2; ++round) {
        scratch[base + thread] = word;
        __syncthreads();
        word = scratch[base + 127 - thread] + 1;
        __syncthreads();
    }
    out[base + thread] = word;
}

// One tile through a buffer that was in use, so that nothing in it is uninitialised; the last wait is not needed.
extern "C" __global__ void __launch_bounds__(128) reload(unsigned* out, const unsigned* in) {
    __shared__ unsigned buffer[128];
    unsigned thread = threadIdx.x, index = blockIdx.x * 128 + thread;
    buffer[thread] = thread;
    __syncthreads();
    unsigned before = buffer[127 - thread];
    __syncthreads();
    __pipeline_memcpy_async(&buffer[thread], &in[index], 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    out[index] = buffer[127 - thread] + before;
    __pipeline_wait_prior(0);
}

// Every thread reads its own copied word, out of a buffer that was in use; the last wait is not needed.
extern "C" __global__ void __launch_bounds__(64) own(unsigned* out, const unsigned* in) {
    __shared__ unsigned buffer[64];
    unsigned thread = threadIdx.x, index = blockIdx.x * 64 + thread;
    volatile unsigned* word = &buffer[thread];
    *word = thread;
    __pipeline_memcpy_async(&buffer[thread], &in[index], 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    out[index] = *word;
    __pipeline_wait_prior(0);
}
