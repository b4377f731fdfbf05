// Sums of noises alone, and with them those of their squares. Search distributions stand here because they draw normals by the
// same table, which is longer than the code of any of them.
#include "es/search.cuh"
#include "es/sums.cuh"

extern "C" __device__ const uint32_t estimate_layout[3] = {CHUNK, THREADS, FEW};

// Most stop at 64 registers, and keep one in memory for some target, if they are not told that 80 are as good; with 80, the
// normals of f32 do.
#define ESTIMATE(name, Draws, BOUNDS_OF_F32)                                                                                  \
    SUM_AS(estimate_##name##_f64, (THREADS, 3), Sum::ALONE, Draws, f64, f64, ToNearest)                                       \
    SUM_AS(estimate_##name##_f32, BOUNDS_OF_F32, Sum::ALONE, Draws, f32, f32, ToNearest)                                      \
    SUM_AS(estimate_##name##_bf16, (THREADS, 3), Sum::ALONE, Draws, bf16, bf16, ToNearest)                                    \
    SUM_AS(estimate_##name##_f16, (THREADS, 3), Sum::ALONE, Draws, f16, f16, ToNearest)                                       \
    SUM_AS(estimate_##name##_squares_f64, (THREADS, 3), Sum::SQUARES, Draws, f64, f64, ToNearest)                             \
    SUM_AS(estimate_##name##_squares_f32, (THREADS, 3), Sum::SQUARES, Draws, f32, f32, ToNearest)

ESTIMATE(normal, Normals, (THREADS))
ESTIMATE(rademacher, Signs, (THREADS, 3))
ESTIMATE(uniform, Uniforms, (THREADS, 3))

#define SAMPLE(Q)                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) search_sample_##Q(                                                  \
        const Chunk* chunks, const Sampled* tensors, uint64_t seed, uint32_t field, uint32_t step, RealOf<Q> coefficient      \
    ) {                                                                                                                       \
        sample<Q>(chunks, tensors, seed, field, step, coefficient);                                                           \
    }

SAMPLE(f64)
SAMPLE(f32)
SAMPLE(bf16)
SAMPLE(f16)

#define ADAPT(Real)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 3) search_adapt_##Real(                                             \
        const Chunk* chunks, const Summed* tensors, const Term<Real>* terms, uint32_t count,                                  \
        const __grid_constant__ Few<Real> few, Real total, Real most, uint32_t is_bounded                                     \
    ) {                                                                                                                       \
        const Adapted<Real> adapted = {total, most, is_bounded};                                                              \
        const Term<Real>* const all = terms != nullptr ? terms : few.term;                                                    \
        sum<Sum::FINISHED, Normals, Real, Real, ToNearest>(chunks, tensors, all, count, 0, 0, nullptr, adapted);              \
    }

ADAPT(f64)
ADAPT(f32)
