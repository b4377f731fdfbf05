// Parameters plus a sum of noises: to = from + sum a_j e_j.
#include "es/sums.cuh"

extern "C" __device__ const uint32_t perturb_layout[3] = {CHUNK, THREADS, FEW};

// For signs in f64 ptxas stops at 80 registers, and keeps one in memory for some target, if it is not told that 128 are as good.
#define PERTURB(name, Draws, BOUNDS_OF_F64)                                                                                   \
    SUM_AS(perturb_##name##_f64_f64, BOUNDS_OF_F64, Sum::ADDED, Draws, f64, f64, ToNearest)                                   \
    SUM_AS(perturb_##name##_f32_f32, (THREADS), Sum::ADDED, Draws, f32, f32, ToNearest)                                       \
    SUM_AS(perturb_##name##_f32_bf16, (THREADS), Sum::ADDED, Draws, f32, bf16, ToNearest)                                     \
    SUM_AS(perturb_##name##_f32_f16, (THREADS), Sum::ADDED, Draws, f32, f16, ToNearest)                                       \
    SUM_AS(perturb_##name##_bf16_bf16, (THREADS), Sum::ADDED, Draws, bf16, bf16, ToNearest)                                   \
    SUM_AS(perturb_##name##_f16_f16, (THREADS), Sum::ADDED, Draws, f16, f16, ToNearest)                                       \
    SUM_AS(perturb_##name##_stochastic_f32_bf16, (THREADS), Sum::ADDED, Draws, f32, bf16, Stochastic)                         \
    SUM_AS(perturb_##name##_stochastic_bf16_bf16, (THREADS), Sum::ADDED, Draws, bf16, bf16, Stochastic)

PERTURB(normal, Normals, (THREADS))
PERTURB(rademacher, Signs, (THREADS, 2))
PERTURB(uniform, Uniforms, (THREADS))
