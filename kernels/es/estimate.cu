// Sums of noises alone, and with them those of their squares.
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
