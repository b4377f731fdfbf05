// The noise that a rule draws where no array gives it.
#pragma once
#include "core/chunk.cuh"
#include "core/normal.cuh"
#include "optim/around.cuh"

// The noise of a tensor's elements that no array gives.
struct Noise {
    bool is_drawn;  // the same in all threads of a block
    Normal normal;
    Address address;
    uint64_t first;  // the element of the unsharded tensor that the chunk begins with

    // All threads of a block call this together.
    __device__ void begin(const double* group, uint64_t id, uint64_t step) {
        normal.begin();
        const auto around = read_record<Around::Hyper>(group);
        address = {{GRADIENT_NOISE << PURPOSE_SHIFT, uint32_t(id), uint32_t(step)}, uint64_t(around.seed)};
    }
};
