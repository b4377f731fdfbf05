// What kernels of rules call: functions that are long, and seldom called. A rule's PTX has none of them; it goes on where that of
// optim/library.cu ends.
#pragma once
#include "core/chunk.cuh"
#include "es/term.cuh"
#include "optim/around.cuh"

// The part of what surrounds the rule, in step t of the tensor and `step` of the optimizer; returns the factor of the rate.
template <class Real>
__device__ double tick_around_as(const double* group, uint64_t t, uint64_t step, double* carry_row, Real* to) {
    const auto hyper = read_record<Around::Hyper>(group);
    const double lr_factor = Around::lr_factor(hyper, step);
    auto carry = read_record<Around::Carry>(carry_row);
    const auto scalars = Around::tick(hyper, t, carry);
    write_record<double>(carry, carry_row);
    write_record<double>(scalars, to);
    return lr_factor;
}

// The same, which only optim/library.cu has.
extern "C" __device__ double tick_around_f32(const double* group, uint64_t t, uint64_t step, double* carry_row, f32* to);
extern "C" __device__ double tick_around_f64(const double* group, uint64_t t, uint64_t step, double* carry_row, f64* to);

__device__ inline double tick_around(const double* group, uint64_t t, uint64_t step, double* carry_row, f32* to) {
    return tick_around_f32(group, t, step, carry_row, to);
}

__device__ inline double tick_around(const double* group, uint64_t t, uint64_t step, double* carry_row, f64* to) {
    return tick_around_f64(group, t, step, carry_row, to);
}

// Elements of a gradient that are drawn together, to shared memory.
constexpr uint32_t TILE = 2048;

// Bytes behind the tile, for what the noise is drawn from.
constexpr uint32_t ROOM = 8320;

// Draws the elements `first`, which 4 divides, to first + TILE - 1 of the tensor `id`. All threads of a block call this together,
// `is_new` the first time; the memory behind the tile is theirs.
extern "C" __device__ void draw_f32(f32* tile, uint64_t first, uint32_t id, const Estimate<f32>* estimate, bool is_new);
extern "C" __device__ void draw_f64(f64* tile, uint64_t first, uint32_t id, const Estimate<f64>* estimate, bool is_new);

__device__ inline void draw(f32* tile, uint64_t first, uint32_t id, const Estimate<f32>* estimate, bool is_new) {
    draw_f32(tile, first, id, estimate, is_new);
}

__device__ inline void draw(f64* tile, uint64_t first, uint32_t id, const Estimate<f64>* estimate, bool is_new) {
    draw_f64(tile, first, id, estimate, is_new);
}
