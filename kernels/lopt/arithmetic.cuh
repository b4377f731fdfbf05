// What is computed of an element, of a row and of a tensor. Twin: src/lopt/arithmetic.rs.
#pragma once
#include "core/fmath.cuh"

constexpr uint32_t FEATURES = 28, TIMES = 11, INPUTS = FEATURES + TIMES;

// What a step is computed with; an average is the share that is kept and that of what is new.
template <class T> struct Scalars {
    T momentum[3][2], rms[2], adafactor[3][2];
    T rate, exp_mult, kept;
    T nominal_rate, nominal_mult, decay_rate, decay_mult;
    T is_star;
};
constexpr uint32_t SCALARS = 22;
static_assert(sizeof(Scalars<f32>) == 4 * SCALARS);

// 1/√x, both rounded.
template <class T> __device__ T rsqrt_of(T x) { return T(1) / sqrt(x); }

// The greater of the two; a NaN stays.
template <class T> __device__ T at_least(T x, T least) { return select(x < least, least, x); }

template <class T> __device__ T averaged(const T (&share)[2], T old, T next) { return fma(share[0], old, share[1] * next); }

template <class T> __device__ T squared(T g) { return g * g + real<T>(1e-30); }

template <class T> __device__ T inverse(T v) { return rsqrt_of(v + real<T>(1e-8)); }

template <class T> __device__ T row_factor(T v, T mean) {
    return rsqrt_of(at_least(v / (mean + real<T>(1e-9)), real<T>(1e-9)));
}

template <class T> __device__ T column_factor(T v) { return rsqrt_of(at_least(v, real<T>(1e-9))); }

template <class T> __device__ T relu(T x) { return select(x <= T(0), T(0), x); }

// What a feature is multiplied by, of the mean of its squares.
__device__ inline f64 normaliser(f64 mean) { return 1.0 / sqrt(1e-5 + mean); }

// A feature of time, measured in 1, 3, 10, 30, ... steps.
__device__ inline f64 time_of(uint64_t step, uint32_t j) {
    f64 scale = j % 2 == 1 ? 3.0 : 1.0;
    #pragma unroll 1
    for (uint32_t k = 0; k < j / 2; k++) {
        scale *= 10.0;
    }
    return fmath::tanh(f64(step) / scale - 1.0);
}

template <class T> __device__ T stepped(const Scalars<T>& scalars, T p, T direction, T magnitude) {
    const T step = direction * fmath::exp(magnitude * scalars.exp_mult);
    return fma(-step, scalars.rate, scalars.kept * p);
}

template <class T>
__device__ T stepped_by_star(const Scalars<T>& scalars, T p, const T (&outputs)[4], const T (&adam)[3], T r) {
    const T step = outputs[0] * fmath::exp(outputs[1] * scalars.exp_mult) * r;
    const T nominal = (adam[0] + adam[1] + adam[2]) * fmath::exp(outputs[2] * scalars.nominal_mult);
    const T decay = scalars.decay_rate * fmath::exp(outputs[3] * scalars.decay_mult);
    return fma(-nominal, scalars.nominal_rate, fma(-step, scalars.rate, fma(-decay, p, p)));
}

// The sum of 32 lanes; every one of them gets it.
template <class T> __device__ T sum_of_warp(T x) {
    #pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) {
        x += __shfl_xor_sync(~0u, x, apart);
    }
    return x;
}

// The sums of 256 lanes of several quantities, a warp a quantity, in the order of a tree; `to` takes those of which a block has
// COUNT, by lane 0 of the warp.
template <uint32_t COUNT, class T, class To> __device__ void sums_of_lanes(const T (&own)[COUNT], T (&lanes)[COUNT][256], To to) {
    #pragma unroll
    for (uint32_t k = 0; k < COUNT; k++) {
        lanes[k][threadIdx.x] = own[k];
    }
    __syncthreads();
    #pragma unroll 1
    for (uint32_t k = threadIdx.x / 32; k < COUNT; k += 8) {
        const T* const x = lanes[k] + threadIdx.x % 32;
        const T low = (x[0] + x[128]) + (x[64] + x[192]), high = (x[32] + x[160]) + (x[96] + x[224]);
        const T sum = sum_of_warp(low + high);
        if (threadIdx.x % 32 == 0) {
            to(k, sum);
        }
    }
}
