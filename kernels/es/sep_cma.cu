// Separable CMA-ES: what becomes of a distribution once the noises of a generation are summed. Twin of src/es/sep_cma.rs and
// src/cpu/es/sep_cma.rs.
//
//   path:      m += sigma sqrt(C) Sw z, p_s = (1 - c_s) p_s + g_s Sw z, and |p_s|^2, a partial sum a chunk
//   step_size: sigma, and whether p_c takes part, by |p_s|
//   variance:  p_c and C, and the deviations sigma sqrt(C)
#include "core/chunk.cuh"
#include "core/fmath.cuh"
#include "linalg/sums.cuh"

extern "C" __device__ const uint32_t sep_cma_layout[2] = {CHUNK, THREADS};

struct Searched {
    // Device addresses. The second has the sums of w z^2 until the deviations are written there.
    uint64_t sums, deviation, variance, step_path, variance_path, mean;
    uint64_t first;
    uint32_t id, flags;

    template <class Real> __device__ static Real* at(uint64_t array, const Chunk& chunk) {
        return reinterpret_cast<Real*>(array) + chunk.start;
    }
};

static_assert(sizeof(Searched) == 64);

// numbers: sigma, and the factor of what p_c takes
template <class Real>
__device__ void path(
    const Chunk* chunks, const Searched* tensors, const double* numbers, Real keep, Real gain, double* partials
) {
    __shared__ double lanes[THREADS];
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Searched tensor = tensors[chunk.tensor];
    const Real* const sums = Searched::at<Real>(tensor.sums, chunk);
    const Real* const variance = Searched::at<Real>(tensor.variance, chunk);
    Real* const step_path = Searched::at<Real>(tensor.step_path, chunk);
    Real* const mean = Searched::at<Real>(tensor.mean, chunk);
    const Real sigma = Real(numbers[0]);
    double squares = 0.0;
    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < chunk.length; i += THREADS) {
        const Real z = sums[i];
        const Real p = fma(gain, z, keep * step_path[i]);
        mean[i] = fma(sigma * sqrt(variance[i]), z, mean[i]);
        step_path[i] = p;
        squares = fma(double(p), double(p), squares);
    }
    const double sum = sum_of_block(squares, lanes);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
    }
}

// One block.
extern "C" __global__ void __launch_bounds__(THREADS) sep_cma_step_size(
    const double* partials, uint32_t count, double damping, double expected, double bound, double gain, double* numbers
) {
    __shared__ double lanes[THREADS];
    double sum = 0.0;
    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        sum += partials[i];
    }
    const double norm = sqrt(sum_of_block(sum, lanes));
    if (threadIdx.x == 0) {
        numbers[0] = numbers[0] * fmath::exp(damping * (norm / expected - 1.0));
        numbers[1] = select(norm < bound, gain, 0.0);
    }
}

template <class Real>
__device__ void variance(
    const Chunk* chunks, const Searched* tensors, const double* numbers, Real keep, Real old, Real rank_one, Real rank_mu
) {
    const Chunk chunk = chunks[blockIdx.x];
    if (chunk.length == 0) {
        return;
    }
    const Searched tensor = tensors[chunk.tensor];
    const Real* const sums = Searched::at<Real>(tensor.sums, chunk);
    Real* const deviation = Searched::at<Real>(tensor.deviation, chunk);
    Real* const variance = Searched::at<Real>(tensor.variance, chunk);
    Real* const variance_path = Searched::at<Real>(tensor.variance_path, chunk);
    const Real sigma = Real(numbers[0]), gain = Real(numbers[1]);
    #pragma unroll 1
    for (uint32_t i = threadIdx.x; i < chunk.length; i += THREADS) {
        const Real c = variance[i];
        const Real p = fma(gain, sqrt(c) * sums[i], keep * variance_path[i]);
        const Real next = fma(rank_one, p * p, c * fma(rank_mu, deviation[i], old));
        variance_path[i] = p;
        variance[i] = next;
        deviation[i] = sigma * sqrt(next);
    }
}

#define SEP_CMA(Real)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) sep_cma_path_##Real(                                                \
        const Chunk* chunks, const Searched* tensors, const double* numbers, Real keep, Real gain, double* partials           \
    ) {                                                                                                                       \
        path<Real>(chunks, tensors, numbers, keep, gain, partials);                                                           \
    }                                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) sep_cma_variance_##Real(                                            \
        const Chunk* chunks, const Searched* tensors, const double* numbers, Real keep, Real old, Real rank_one, Real rank_mu \
    ) {                                                                                                                       \
        variance<Real>(chunks, tensors, numbers, keep, old, rank_one, rank_mu);                                               \
    }

SEP_CMA(f64)
SEP_CMA(f32)
